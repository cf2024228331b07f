"""Whole commands on a device that is not there: every tensor is where it has to be, and the numbers are the CPU's."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import affect
from affect.cache import open_store
from affect.cache.predictions import VideoPrediction
from affect.cache.records import FrameFeatures
from affect.configs.load import load_config
from affect.configs.schema import FeaturesConfig
from affect.pipeline.demo.film import DemoDataConfig, make_demo_data
from affect.pipeline.events import Moved, ScoresPlanned, VideoFailed, VideoOutcome, summary_of
from affect.pipeline.extract import extract as extract_module
from affect.pipeline.extract.extract import ExtractionSummary, ExtractionTask, extract, extractor_of
from affect.pipeline.extract.videos import find_videos
from affect.pipeline.predict.predict import PredictOptions, predict
from affect.pipeline.train.train import TrainingSummary, train
from affect.pipeline.workers import Workers
from affect.stages.features import blocks, embed, stream
from affect.stages.features.faces import detect
from affect.stages.features.stream import VideoStream
from affect.stages.features.video.decode import Video
from affect.stages.features.video.frame import Frame
from affect.tests.generated import GeneratedData, generated_features
from affect.tests.simulated_device import Simulated, simulated

KINDS: dict[str, dict[str, Any]] = {"cuda": {}, "mps": {"has_float64": False}}
TINY = (
    "model.width=16", "model.heads=2", "model.layers=1", "model.feed_forward=32", "clips.context=1",
    "training.epochs=2", "training.batch_size=16", "evaluation.test_subjects=[s0000,s0001]",
)  # fmt: skip
MORE = {
    "as it comes": (),
    "bf16": ("training.precision=bf16", "training.accumulate=2", "training.seeds=1"),
    "contrastive": ("loss.contrastive_epochs=1", "training.seeds=1", "clips.context=0"),
    "other losses": ("training.optimizer=sgd", "loss.label_similarity=distance", "training.standardise=false"),
    "centred": ("clips.centre=person", "training.keep=best", "training.refit=false"),
}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A padded row costs the simulated device as much as any other."""
    monkeypatch.setattr(detect, "_MOST_BATCH", 8)
    monkeypatch.setattr(embed, "_MOST_BATCH", 32)


def test_the_simulated_device_refuses_what_a_real_one_refuses() -> None:
    with simulated() as machine:
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        assert isinstance(there, Simulated) and there.device == torch.device("cuda:0")
        with pytest.raises(RuntimeError, match="two devices"):
            there + here
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert (there + torch.tensor(2.0)).cpu().tolist() == [3.0] * 3, "a number of the host may join"
        assert machine.computed == 1
    assert not torch.cuda.is_available() and type(torch.ones(1)) is torch.Tensor, "nothing of it is left"
    with simulated("mps", has_float64=False), pytest.raises(TypeError, match="float64"):
        torch.ones(3, device="mps").double()


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A store and its label table, of six people."""
    folder = tmp_path_factory.mktemp("generated")
    data = GeneratedData(subjects=6, video_frames=(96, 96), noise=0.3, missing=0.1)
    generated_features(folder / "store", folder / "labels.csv", data)
    return str(folder / "store"), folder / "labels.csv"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", MORE)
def test_training_and_scoring_keep_their_tensors_together(
    generated: tuple[str, Path], tmp_path: Path, kind: str, more: str
) -> None:
    store, labels = generated
    config = load_config(None, [*TINY, *MORE[more]])
    with simulated(kind, **KINDS[kind]) as machine:
        summary = summary_of(train(store, labels, tmp_path / "run", config, device=kind), TrainingSummary)
        assert [outcome.reason for outcome in summary.outcomes] == [""]
        assert machine.computed > 100, "it was computed there"
        scores = affect.predict("s0000/v000", run=tmp_path / "run", store=store, device=kind)
    alone = affect.predict("s0000/v000", run=tmp_path / "run", store=store, device="cpu")
    assert np.allclose(scores["valence"], alone["valence"], atol=1e-4) and len(scores) > 3


def test_a_video_that_cannot_be_scored_for_want_of_memory_fails_alone(
    generated: tuple[str, Path], tmp_path: Path
) -> None:
    store, labels = generated
    config = load_config(None, [*TINY, "training.seeds=1"])
    summary_of(train(store, labels, tmp_path / "run", config, device="cpu"), TrainingSummary)

    def exhausted() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    ended: list[VideoPrediction | VideoFailed] = []
    with simulated() as machine:
        options = PredictOptions(device="cuda")
        for event in predict(["s0000/v000", "s0001/v000"], tmp_path / "run", tmp_path / "out", store, options=options):
            if isinstance(event, ScoresPlanned):
                machine.computed = 0
                machine.watch = lambda: exhausted() if machine.computed > 40 else None
            if isinstance(event, VideoPrediction | VideoFailed):
                ended.append(event)
                machine.watch = None
    assert isinstance(ended[0], VideoFailed) and "memory of the device is exhausted" in ended[0].reason
    assert isinstance(ended[1], VideoPrediction)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films of a face, two seconds each."""
    folder = tmp_path_factory.mktemp("films")
    make_demo_data(folder, 0, DemoDataConfig(splits=(("train", 1), ("test", 1)), seconds=3.0))
    return folder / "videos"


def test_auto_extracts_trains_and_scores_on_the_gpu_of_a_mac(
    generated: tuple[str, Path], films: Path, tmp_path: Path
) -> None:
    with simulated("mps", has_float64=False) as machine:
        summary = extracted(films, tmp_path / "store", settings("features.faces.detector=none"), "auto")
        assert [outcome.status for outcome in summary.outcomes] == ["done"] * 2, summary.outcomes
        assert {open_store(tmp_path / "store").info(outcome.id).device for outcome in summary.outcomes} == {"mps"}
        machine.computed = 0
        config = load_config(None, [*TINY, "training.seeds=1"])
        done = summary_of(train(*generated, tmp_path / "run", config, device="auto"), TrainingSummary)
        assert [outcome.reason for outcome in done.outcomes] == [""]
        assert machine.computed > 100
        machine.computed = 0
        scored = affect.predict("s0000/v000", run=tmp_path / "run", store=generated[0], device="auto")
        assert len(scored) > 3
        assert machine.computed > 10


def settings(*words: str) -> FeaturesConfig:
    return load_config(None, ["features.backbone=timm:test_convnext", "features.weights=random", *words]).features


def extracted(films: Path, store: Path, config: FeaturesConfig, device: str) -> ExtractionSummary:
    return summary_of(extract(find_videos([str(films)]), str(store), config, device=device), ExtractionSummary)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", [(), ("features.faces.detector=none", "features.view=hflip")], ids=["faces", "whole"])
def test_extraction_keeps_its_tensors_together_and_finds_what_the_cpu_finds(
    films: Path, tmp_path: Path, kind: str, words: tuple[str, ...]
) -> None:
    config = settings(*words, "features.precision=fp32")
    with simulated(kind, **KINDS[kind]) as machine:
        summary = extracted(films, tmp_path / kind, config, kind)
        assert [outcome.status for outcome in summary.outcomes] == ["done"] * 2, summary.outcomes
        assert machine.computed > 100
    extracted(films, tmp_path / "cpu", config, "cpu")
    mine, its = open_store(tmp_path / kind), open_store(tmp_path / "cpu")
    assert mine.recipe == its.recipe and mine.ids() == its.ids()
    for name in mine.ids():
        found, wanted = mine.read(name), its.read(name)
        assert np.array_equal(found.status, wanted.status) and np.array_equal(found.frame, wanted.frame)
        assert np.allclose(found.box_px, wanted.box_px, atol=0.01)
        assert np.abs(found.values.astype(float) - wanted.values).max() < 0.01 * np.abs(wanted.values).max()
        assert mine.info(name).device == kind


def test_of_a_thousand_frames_at_most_eighty_copies_go_there_and_ten_thousand_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_demo_data(tmp_path / "made", 0, DemoDataConfig(splits=(("train", 1),), seconds=24.0))
    config = settings("features.precision=fp32", "features.sample_fps=source")
    monkeypatch.setattr(embed, "_MOST_BATCH", 256)
    with simulated() as machine:
        extractor_of(config, "cuda", 2)
        machine.copied = machine.waited = machine.computed = 0
        summary = extracted(tmp_path / "made" / "videos", tmp_path / "store", config, "cuda")
        copied, waited, computed = machine.copied, machine.waited, machine.computed
    (outcome,) = summary.outcomes
    assert outcome.status == "done" and outcome.frames == 300
    # Each chunk of 16 frames is one batch of looks, and 256 rows are one of crops; some looks in detail come besides.
    assert 19 + 2 <= copied <= 0.08 * outcome.frames, copied
    assert copied <= waited <= copied + 1, "a batch is copied there once, and waited for once"
    assert computed <= 10 * outcome.frames, computed


def test_several_videos_share_batches_and_each_has_the_bytes_it_has_alone_also_when_it_was_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_demo_data(tmp_path / "made", 0, DemoDataConfig(splits=(("train", 2),), seconds=4.0))
    sources = find_videos([str(tmp_path / "made" / "videos")])
    config = settings("features.precision=fp32", "features.sample_fps=source")
    monkeypatch.setattr(extract_module, "cores", lambda: 4)
    monkeypatch.setattr(detect, "_MOST_BATCH", 6)  # a chunk has 4 looks
    # Short blocks, so that some are in the journal when the run is broken off
    monkeypatch.setattr(stream, "ELSEWHERE", replace(blocks.ELSEWHERE, chunk_frames=8, segment_frames=4))
    goes_on, read = threading.Event(), Video.frames

    def held(video: Video) -> Iterator[Frame]:
        for number, frame in enumerate(read(video)):
            assert number != 44 or goes_on.wait(60)
            yield frame

    with simulated():
        for source in sources:
            summary_of(extract([source], str(tmp_path / "alone"), config, device="cuda"), ExtractionSummary)
        monkeypatch.setattr(Video, "frames", held)
        with contextlib.closing(extract(sources, str(tmp_path / "beside"), config, device="cuda")) as events:
            moved = (event for event in events if isinstance(event, Moved))
            assert {event.id for event in itertools.islice(moved, 4)} == {source.id for source in sources}
            threading.Timer(1, goes_on.set).start()  # once the run is ending
        begun = sorted(path.name for path in (tmp_path / "beside" / ".journal").rglob("block-*"))
        assert len(begun) >= 4 and open_store(tmp_path / "beside").ids() == [], "it was broken off"
        summary_of(extract(sources, str(tmp_path / "beside"), config, device="cuda"), ExtractionSummary)
    mine, its = open_store(tmp_path / "beside"), open_store(tmp_path / "alone")
    assert mine.ids() == its.ids() and len(mine.ids()) == 2
    for name in mine.ids():
        found, wanted = mine.read(name), its.read(name)
        for part in ("time_s", "status", "frame", "track", "box_px", "values"):
            assert getattr(found, part).tobytes() == getattr(wanted, part).tobytes(), (name, part)


def test_a_slow_video_holds_up_none_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_demo_data(tmp_path / "made", 0, DemoDataConfig(splits=(("train", 3),), seconds=3.0))
    sources = find_videos([str(tmp_path / "made" / "videos")])
    others_are_done, read = threading.Event(), Video.frames

    def slow(video: Video) -> Iterator[Frame]:
        for number, frame in enumerate(read(video)):
            if number == 20 and video.path == sources[0].path:
                assert others_are_done.wait(120), "the others wait for this one"
            yield frame

    monkeypatch.setattr(Video, "frames", slow)
    monkeypatch.setattr(extract_module, "cores", lambda: 4)
    done = []
    with simulated():
        for event in extract(sources, str(tmp_path / "store"), settings("features.precision=fp32"), device="cuda"):
            if isinstance(event, VideoOutcome):
                done.append((event.id, event.status))
                if len(done) == 2:
                    others_are_done.set()
    assert sorted(done) == [(source.id, "done") for source in sources] and done[-1][0] == sources[0].id


def test_several_videos_feed_one_device_at_once_and_each_has_what_it_has_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_demo_data(tmp_path / "made", 0, DemoDataConfig(splits=(("train", 3), ("test", 1)), seconds=3.0))
    films, config = tmp_path / "made" / "videos", settings("features.precision=fp32", "features.sample_fps=source")
    inside, most, lock = set[str](), [0], threading.Lock()
    read = VideoStream.__iter__

    def noted(stream: VideoStream) -> Iterator[tuple[FrameFeatures, bytes]]:
        with lock:
            inside.add(threading.current_thread().name)
            most[0] = max(most[0], len(inside))
        time.sleep(0.5)
        yield from read(stream)
        with lock:
            inside.discard(threading.current_thread().name)

    extracted(films, tmp_path / "alone", config, "cpu")
    monkeypatch.setattr(extract_module, "cores", lambda: 4)
    monkeypatch.setattr(VideoStream, "__iter__", noted)
    with simulated():
        summary = extracted(films, tmp_path / "beside", config, "cuda")
    assert [outcome.status for outcome in summary.outcomes] == ["done"] * 4, summary.outcomes
    assert most == [3], "one core is left to the device's own thread"
    mine, its = open_store(tmp_path / "beside"), open_store(tmp_path / "alone")
    assert mine.ids() == its.ids()
    for name in mine.ids():
        found, wanted = mine.read(name), its.read(name)
        assert np.array_equal(found.time_s, wanted.time_s) and np.array_equal(found.frame, wanted.frame)
        assert np.abs(found.values.astype(float) - wanted.values).max() < 0.01 * np.abs(wanted.values).max()


def test_a_video_that_exhausts_the_memory_fails_alone_and_one_that_needs_smaller_batches_says_so(
    films: Path, tmp_path: Path
) -> None:
    config = settings("features.faces.detector=none", "features.precision=fp32")
    with simulated(most_images=0) as machine:
        events = extract(find_videos([str(films)]), str(tmp_path / "store"), config, device="cuda")
        outcomes = []
        for event in events:
            if isinstance(event, VideoOutcome):
                outcomes.append(event)
                machine.most_images = 6
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "memory of cuda is exhausted" in outcomes[0].reason and "--jobs" in outcomes[0].reason
    assert "features may differ by rounding" in outcomes[1].warnings[-1]


def test_auto_is_what_the_store_says_and_workers_are_told_what_it_came_to(films: Path, tmp_path: Path) -> None:
    config = settings("features.faces.detector=none")
    extracted(films, tmp_path / "cpu", config, "cpu")
    assert open_store(tmp_path / "cpu").recipe.fields["precision"] == "fp32"
    with simulated():
        assert extractor_of(config, "cuda", 1).recipe.fields["precision"] in ("fp16", "bf16"), "a new store would be"
        summary = extracted(films, tmp_path / "cpu", config, "cuda")
    assert [outcome.status for outcome in summary.outcomes] == ["skipped"] * 2, "the store is the same one"


def test_each_worker_is_told_what_auto_came_to(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def run(workers: Workers, function: object, tasks: list[ExtractionTask], answer: type) -> Iterator[VideoOutcome]:
        told.extend(str(getattr(task.config, "precision", "")) for task in tasks)
        yield from (VideoOutcome(task.source.id, "", "failed") for task in tasks)

    monkeypatch.setattr(extract_module, "run_all", run)
    sources = find_videos([str(films)])
    list(extract(sources, str(tmp_path), settings("features.faces.detector=none"), device="cpu", workers=Workers(2)))
    assert told == ["fp32"] * 2


def test_a_video_begun_on_one_device_is_begun_again_on_another(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract_module, "run_beside", lambda work, tasks, _: work(tasks[0]))  # none runs ahead of us
    config = settings("features.faces.detector=none", "features.precision=fp32", "features.sample_fps=source")
    sources = find_videos([str(films)])[:1]

    def begin(device: str) -> list[str]:
        """The blocks in the journal after the first one of this call."""
        with contextlib.closing(extract(sources, str(tmp_path), config, device=device)) as events:
            assert any(isinstance(event, Moved) for event in events)
        return sorted(path.name for path in (tmp_path / ".journal").rglob("block-*"))

    assert begin("cpu") == ["block-00000"]
    with simulated():
        assert begin("cuda") == ["block-00000"], "not the second one behind a block of the CPU's"
        summary_of(extract(sources, str(tmp_path), config, device="cuda"), ExtractionSummary)
    assert open_store(tmp_path).info(sources[0].id).device == "cuda"
