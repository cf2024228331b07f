"""On a real GPU: what it computes is what the CPU computes, within what its rounding allows. `make gpu` runs these."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from affect.benchmarks.device_pictures import crop
from affect.cache import open_store
from affect.configs.load import load_config
from affect.configs.schema import FeaturesConfig
from affect.pipeline.demo.film import DemoDataConfig, make_demo_data
from affect.pipeline.events import Moved, VideoOutcome, summary_of
from affect.pipeline.extract.extract import ExtractionSummary, extract
from affect.pipeline.extract.videos import Source, find_videos
from affect.pipeline.train.train import TrainingSummary, train
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.device.batches import Batches
from affect.stages.features.device.together import Together
from affect.stages.features.embed import Embedder
from affect.stages.features.faces.crop import crop_matrix, cut_out
from affect.stages.features.faces.detect import CenterFace
from affect.tests.benchmarks.test_device_pictures import MEAN_OF_ONE, MOST_LEVELS, faces
from affect.tests.generated import GeneratedData, generated_features

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Three films of a face, 30 seconds each: several blocks at every frame."""
    folder = tmp_path_factory.mktemp("films")
    make_demo_data(folder, 0, DemoDataConfig(splits=(("train", 2), ("test", 1)), seconds=30.0))
    return find_videos([str(folder / "videos")])


def settings(*words: str) -> FeaturesConfig:
    return load_config(None, ["features.precision=fp32", "features.sample_fps=source", *words]).features


def extracted(films: list[Source], store: Path, device: str, config: FeaturesConfig | None = None) -> ExtractionSummary:
    return summary_of(extract(films, str(store), config or settings(), device=device), ExtractionSummary)


def test_the_detector_finds_the_same_faces() -> None:
    pictures = [data.astronaut(), data.astronaut()[:300, 50:400].copy(), np.zeros((200, 300, 3), np.uint8)]
    for mine, its in zip(CenterFace(device="cuda").detect(pictures), CenterFace().detect(pictures), strict=True):
        assert len(mine) == len(its)
        np.testing.assert_allclose(mine.box_px, its.box_px, atol=0.5)
        np.testing.assert_allclose(mine.landmarks_px, its.landmarks_px, atol=0.5)
        np.testing.assert_allclose(mine.score, its.score, atol=2e-3)


@pytest.fixture(scope="module")
def on_gpu(films: list[Source], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their store, made on the GPU."""
    folder = tmp_path_factory.mktemp("gpu") / "store"
    assert [outcome.status for outcome in extracted(films, folder, "cuda").outcomes] == ["done"] * 3
    return folder


def test_several_films_at_once_have_the_rows_statuses_and_features_of_the_cpu(
    films: list[Source], on_gpu: Path, tmp_path: Path
) -> None:
    extracted(films, tmp_path / "store", "cpu")
    mine, its = open_store(on_gpu), open_store(tmp_path / "store")
    assert mine.recipe == its.recipe
    for name in mine.ids():
        found, wanted = mine.read(name), its.read(name)
        for part in ("time_s", "index", "status", "frame", "track"):
            assert np.array_equal(getattr(found, part), getattr(wanted, part)), part
        np.testing.assert_allclose(found.box_px, wanted.box_px, atol=0.5)
        one, other = found.values.astype(float), wanted.values.astype(float)
        cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
        assert cosine.min() > 0.998


def test_a_film_that_is_broken_off_goes_on_to_the_same_bytes(films: list[Source], on_gpu: Path, tmp_path: Path) -> None:
    with contextlib.closing(extract(films[:1], str(tmp_path / "store"), settings(), device="cuda")) as events:
        assert any(isinstance(event, Moved) for event in events)
    extracted(films[:1], tmp_path / "store", "cuda")
    found, wanted = open_store(tmp_path / "store").read(films[0].id), open_store(on_gpu).read(films[0].id)
    for part in ("status", "frame", "track", "box_px", "values"):
        assert getattr(found, part).tobytes() == getattr(wanted, part).tobytes(), part


def test_a_film_has_the_same_bytes_alone_as_beside_others(films: list[Source], on_gpu: Path, tmp_path: Path) -> None:
    extracted(films[1:2], tmp_path / "store", "cuda")
    found, wanted = open_store(tmp_path / "store").read(films[1].id), open_store(on_gpu).read(films[1].id)
    for part in ("status", "frame", "track", "box_px", "values"):
        assert getattr(found, part).tobytes() == getattr(wanted, part).tobytes(), part


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_row_has_the_same_bytes_whoever_shares_its_batch(precision: str) -> None:
    random = np.random.default_rng(0)
    embedder = Embedder(load_backbone("resnet50", "random"), "cuda", precision)
    asked = [random.integers(0, 256, (random.integers(1, 90), 224, 224, 3), np.uint8) for _ in range(24)]
    alone = [embedder.embed(crops) for crops in asked]
    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(embedder.embed, asked), alone, strict=True):
            assert found.tobytes() == wanted.tobytes()


def test_a_batch_comes_back_while_the_next_is_computed() -> None:
    given = np.arange(40, dtype=np.uint8)[:, None] * np.ones(1 << 16, np.uint8)
    big = torch.rand(4096, 4096, device="cuda")

    def slow(rows: torch.Tensor) -> torch.Tensor:
        for _ in range(20):  # longer than a copy takes
            big @ big
        return rows.float() + 1

    assert np.array_equal(Together(Batches(4, torch.device("cuda"))).run(given, slow), given + 1.0)


def test_crops_made_there_are_the_cpus_but_for_a_grey_level() -> None:
    for picture, box, marks in faces(np.random.default_rng(0), 60):
        matrix = crop_matrix("aligned", box, marks, 224)
        mine = crop(torch.from_numpy(picture).to("cuda"), matrix, 224).cpu().numpy().astype(int)
        difference = np.abs(mine - cut_out(picture, matrix, 224))
        assert difference.max() <= MOST_LEVELS and difference.mean() <= MEAN_OF_ONE


@pytest.fixture
def little_memory() -> Iterator[None]:
    """As much of the GPU as a network needs, and not its pictures."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + (64 << 20)) / total))
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_too_little_memory_means_smaller_batches_or_a_video_that_failed_and_never_the_end(
    films: list[Source], tmp_path: Path, little_memory: None
) -> None:
    config = settings("features.backbone=resnet50", "features.weights=random", "features.faces.detector=none")
    outcomes = extracted(films, tmp_path / "store", "cuda", config).outcomes
    assert len(outcomes) == 3
    for outcome in outcomes:
        assert isinstance(outcome, VideoOutcome)
        smaller = any("had memory for" in said for said in outcome.warnings)
        assert smaller if outcome.status == "done" else "memory of cuda is exhausted" in outcome.reason


@pytest.mark.parametrize("words", [(), ("loss.contrastive_epochs=1",), ("training.precision=bf16",)])
def test_training_ends_at_the_score_of_the_cpu(words: tuple[str, ...], tmp_path: Path) -> None:
    generated_features(
        tmp_path / "store", tmp_path / "labels.csv", GeneratedData(subjects=8, video_frames=(160, 160), noise=0.3)
    )
    config = load_config(None, ["evaluation.test_subjects=[s0000,s0001]", "training.epochs=10", *words])
    scores = {}
    for device in ("cpu", "cuda"):
        events = train(str(tmp_path / "store"), tmp_path / "labels.csv", tmp_path / device, config, device=device)
        metrics = summary_of(events, TrainingSummary).metrics
        assert metrics is not None
        scores[device] = metrics.spans.averages["model"]["ccc"].value
    assert abs(scores["cpu"] - scores["cuda"]) < (0.05 if "training.precision=bf16" in words else 0.02)
