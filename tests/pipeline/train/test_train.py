import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from affect.cache.predictions import ClipScores, ScoreReason
from affect.configs.schema import Config
from affect.errors import ManifestError, RunError
from affect.pipeline.events import EpochDone, FoldOutcome, FoldsPlanned
from affect.pipeline.report.data import read_evaluated_run
from affect.pipeline.runs.folder import load_run
from affect.pipeline.train.train import TrainingSummary, train
from affect.pipeline.workers import Workers
from affect.stages.temporal.score import score_clips

from .conftest import TINY, Data, split_of, trained

Settings = Callable[..., Config]


@pytest.fixture(scope="module")
def held_out_people(data: Data, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> TrainingSummary:
    """A leave-one-subject-out run, two folds at a time."""
    run = tmp_path_factory.mktemp("runs") / "loso"
    config = settings("evaluation.protocol=leave-one-subject-out")
    return trained(data.store, data.labels, run, config, workers=Workers(jobs=2))


def test_leave_one_subject_out_finds_the_known_answer(held_out_people: TrainingSummary, data: Data) -> None:
    summary, metrics = held_out_people, held_out_people.metrics
    assert not summary.failed and len(summary.outcomes) == 8 and metrics is not None
    table = pd.read_csv(summary.run / "predictions.csv")
    assert set(table["level"]) == {"clip", "span", "video"}
    spans = table[table["level"] == "span"]
    assert sorted(spans["span"]) == list(range(len(data.manifest)))
    for number, name in enumerate(data.manifest.target_names):
        truth = data.manifest.labels[spans["span"].to_numpy(int), number]
        assert np.allclose(spans[f"{name}_label"], truth)
        said = spans[name].to_numpy()
        cov = np.mean((said - said.mean()) * (truth - truth.mean()))
        ccc = 2 * cov / (said.var() + truth.var() + (said.mean() - truth.mean()) ** 2)
        assert metrics.spans.scores["model"][name]["ccc"].value == pytest.approx(ccc, abs=1e-9)
        assert ccc > 0.85
        assert metrics.spans.scores["mean"][name]["ccc"].value < 0.05
        assert metrics.spans.scores["model"][name]["ccc"].low < ccc < metrics.spans.scores["model"][name]["ccc"].high
    assert not metrics.shares_people and metrics.warnings == ()
    assert set(metrics.videos.per_subject) == set(data.manifest.subjects)
    assert json.loads((summary.run / "metrics.json").read_text()) == metrics.to_json()


def test_clips_on_which_the_model_breaks_down_are_counted_in_a_warning(
    data: Data, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **named: Any) -> ClipScores:
        scores = score_clips(*given, **named)
        scores.reason[:3] = ScoreReason.NO_NUMBER
        scores.mean[:3] = np.nan
        return scores

    monkeypatch.setattr("affect.pipeline.train.fold.score_clips", broken)
    config = settings("evaluation.test_subjects=[s0001]", "training.epochs=1")
    run = trained(data.store, data.labels, tmp_path / "run", config).run
    clips = len(pd.read_csv(run / "folds" / "00" / "predictions.csv"))
    said = f"the model gave no number for 3 of {clips} held-out clips"
    assert said in json.loads((run / "folds" / "00" / "fold.json").read_text())["warnings"]
    assert said in "".join(read_evaluated_run(run).warnings())


def test_the_run_folder_says_what_made_it_and_loads_again(held_out_people: TrainingSummary, data: Data) -> None:
    run = load_run(held_out_people.run)
    assert len(run.models) == 8 and run.target_names == data.manifest.target_names
    assert run.card.targets == data.manifest.targets and run.card.training_mean.keys() == set(run.target_names)
    assert all(not model.training and model.reference.fitted for model in run.models)
    for card in run.cards:
        check = card.range_check
        assert check is not None and check.people == 7 and check.rate is not None and 0.01 <= check.rate < 0.3
    assert json.loads((run.path / "folds/00/fold.json").read_text())["out_of_range"]["people"] == 7
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["recipe_digest"] == run.card.recipe.digest and environment["versions"]["torch"]
    assert yaml.safe_load((run.path / "config.yaml").read_text())["model"]["width"] == 16
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    assert {row["fold"] for row in log} == {f"{number:02d}" for number in range(8)}
    assert list(run.path.glob("folds/00/events.out.tfevents.*"))
    fold = json.loads((run.path / "folds/03/fold.json").read_text())
    assert not set(fold["subjects"]["test"]) & set(fold["subjects"]["train"] + fold["subjects"]["validation"])
    assert not list(run.path.rglob("*.partial")) and not list(run.path.rglob("checkpoint.pt"))


def test_a_damaged_model_a_pickle_and_another_recipe_are_refused(
    held_out_people: TrainingSummary, tmp_path: Path
) -> None:
    import shutil

    from affect.cache.records import Recipe

    run = tmp_path / "run"
    shutil.copytree(held_out_people.run, run)
    card = load_run(run).card
    with pytest.raises(RunError, match=r"backbone 'generated' -> 'other'|backbone"):
        card.check_features(Recipe({**card.recipe.fields, "backbone": "other"}), "STORE", "RUN")
    model = run / "folds/02/model.safetensors"
    whole = model.read_bytes()
    for damage, words in [
        (whole[:-10], "damaged"),
        (whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:], "damaged"),
        (b"\x80\x04" + whole, "is a pickle"),
        (b"PK\x03\x04" + whole, "is a pickle"),
        (b"", "damaged"),
    ]:
        model.write_bytes(damage)
        with pytest.raises(RunError, match=words) as caught:
            load_run(run)
        assert "folds/02/model.safetensors" in caught.value.message
    model.unlink()
    with pytest.raises(RunError, match=r"folds/02/model\.safetensors cannot be read"):
        load_run(run)
    with pytest.raises(RunError, match="is no run"):
        load_run(tmp_path)


def test_the_same_seed_gives_the_same_bytes_and_an_existing_run_is_refused(
    data: Data, settings: Settings, tmp_path: Path
) -> None:
    splits = split_of(data.manifest.subjects, train=5, validation=1)
    labels = data.relabelled(tmp_path / "labels.csv", splits=splits)
    config = settings("training.epochs=3", "loss.contrastive_epochs=1", "training.accumulate=2")
    for name in ("first", "second"):
        trained(data.store, labels, tmp_path / name, config)
    for file in ("metrics.json", "predictions.csv", "folds/00/model.safetensors"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes(), file
    other = settings("training.epochs=3", "loss.contrastive_epochs=1", "training.accumulate=2", "training.seed=1")
    trained(data.store, labels, tmp_path / "third", other)
    assert (tmp_path / "first/predictions.csv").read_bytes() != (tmp_path / "third/predictions.csv").read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        trained(data.store, labels, tmp_path / "first", config)
    with pytest.raises(RunError, match=r"training\.seed=0, this command says 1"):
        trained(data.store, labels, tmp_path / "first", other, resume=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/mine.txt").write_text("x")
    with pytest.raises(RunError, match="holds no run"):
        trained(data.store, labels, tmp_path / "notes", config)


def test_a_run_killed_between_epochs_resumes_to_the_same_bytes(data: Data, settings: Settings, tmp_path: Path) -> None:
    words = ("evaluation.protocol=k-fold", "evaluation.folds=2", "training.epochs=12", "training.patience=0")
    config = settings(*words)
    whole = trained(data.store, data.labels, tmp_path / "whole", config)
    script = (
        "import sys, time\n"
        "from affect.configs.load import load_config\n"
        "from affect.pipeline.train.train import train\n"
        "for _ in train(sys.argv[1], sys.argv[2], sys.argv[3], load_config(None, sys.argv[4:]), device='cpu'):\n"
        "    time.sleep(0.2)\n"
    )
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-c", script, data.store, str(data.labels), str(killed), *TINY, *words],
        env=os.environ | {"OMP_NUM_THREADS": str(_threads())},
    )
    state = killed / "folds/01/checkpoint.pt"
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.7)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert state.exists() and not (killed / "folds/01/fold.json").exists(), "it was not killed inside the second fold"
    planned, first, *_, resumed = train(data.store, data.labels, killed, config, device="cpu", resume=True)
    assert planned == FoldsPlanned(folds=1, epochs=3 * 12)
    assert isinstance(resumed, TrainingSummary) and resumed.resumed == ("00",)
    assert isinstance(first, EpochDone) and first.fold == "01" and first.epochs > 1
    for file in ("metrics.json", "predictions.csv", "folds/01/model.safetensors"):
        assert (killed / file).read_bytes() == (whole.run / file).read_bytes(), file
    log = [json.loads(line) for line in (killed / "log.jsonl").read_text().splitlines()]
    assert [(row["seed"], row["epoch"]) for row in log if row["fold"] == "01"] == [
        (seed, epoch) for seed in range(3) for epoch in range(1, 13)
    ]


def test_a_run_closed_between_epochs_resumes_to_the_same_numbers(
    data: Data, settings: Settings, tmp_path: Path
) -> None:
    config = settings("evaluation.protocol=k-fold", "evaluation.folds=2", "training.epochs=6", "training.patience=0")
    whole = trained(data.store, data.labels, tmp_path / "whole", config)
    run = tmp_path / "closed"
    with contextlib.closing(train(data.store, data.labels, run, config, device="cpu")) as events:
        for event in events:
            if isinstance(event, EpochDone) and (event.fold, event.record.epoch) == ("01", 3):
                break
    assert (run / "folds/01/checkpoint.pt").exists() and not (run / "folds/01/fold.json").exists()
    assert not (run / "metrics.json").exists()
    planned, first, *others, outcome, _ = train(data.store, data.labels, run, config, device="cpu", resume=True)
    assert planned == FoldsPlanned(folds=1, epochs=3 * 6)
    assert isinstance(first, EpochDone) and 1 < first.epochs <= 4, "it goes on where a state was saved"
    assert all(isinstance(event, EpochDone) for event in others)
    assert isinstance(outcome, FoldOutcome) and (outcome.name, outcome.epochs) == ("01", 3 * 6)
    assert (run / "metrics.json").read_bytes() == (whole.run / "metrics.json").read_bytes()


@pytest.mark.parametrize("harm", ["words", "column", "ccc"])
def test_a_finished_fold_that_holds_something_else_stops_the_resumed_run_by_name(
    data: Data, settings: Settings, tmp_path: Path, harm: str
) -> None:
    config = settings("evaluation.protocol=k-fold", "evaluation.folds=2", "training.epochs=1")
    run = trained(data.store, data.labels, tmp_path / "run", config).run
    table, record = run / "folds/00/predictions.csv", run / "folds/00/fold.json"
    text = table.read_text("utf-8")
    if harm == "words":
        first, *others = text.splitlines()
        table.write_text("\n".join([first, *(f"{line.rpartition(',')[0]},much" for line in others)]), "utf-8")
    elif harm == "column":
        table.write_text(text.replace("coverage", "cover", 1), "utf-8")
    else:
        record.write_text(json.dumps(json.loads(record.read_text("utf-8")) | {"validation_ccc": "high"}), "utf-8")
    with pytest.raises(RunError, match=re.escape("00/fold.json" if harm == "ccc" else str(table))):
        list(train(data.store, data.labels, run, config, device="cpu", resume=True))


def worker_processes() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "popen_loky" in " ".join(child.cmdline())]


def test_closing_a_run_ends_its_workers_and_what_they_saved_is_gone_on_with(
    data: Data, settings: Settings, tmp_path: Path
) -> None:
    words = ("evaluation.protocol=k-fold", "evaluation.folds=2", "training.epochs=100", "training.patience=0")
    run, config = tmp_path / "run", settings(*words)
    with contextlib.closing(
        train(data.store, data.labels, run, config, device="cpu", workers=Workers(jobs=2))
    ) as events:
        next(event for event in events if isinstance(event, EpochDone))
        assert len(worker_processes()) == 2
        started = time.monotonic()
    assert time.monotonic() - started < 10
    assert not worker_processes()
    assert not (run / "metrics.json").exists()
    summary = trained(data.store, data.labels, run, config, resume=True)
    assert summary.metrics is not None and summary.metrics.folds_done == ("00", "01") and not summary.failed


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def test_a_fold_that_fails_is_listed_and_the_others_stand(data: Data, settings: Settings, tmp_path: Path) -> None:
    labels = data.manifest.labels.copy()
    names = sorted(set(data.manifest.subjects))
    varying = np.isin(data.manifest.subjects, names[:1])
    labels[~varying, 1] = 0.25  # arousal varies in one person only: without that person nothing can be learnt
    path = data.relabelled(tmp_path / "labels.csv", labels=labels)
    config = settings("evaluation.protocol=leave-one-subject-out", "training.epochs=1")
    summary = trained(data.store, path, tmp_path / "run", config)
    failed = {outcome.test_subjects for outcome in summary.failed}
    assert (names[0],) in failed and len(failed) < 8
    failures = pd.read_csv(tmp_path / "run/failures.csv", dtype=str)
    assert names[0] in failures["subjects"].tolist() and "arousal" in failures["reason"][0]
    assert summary.metrics is not None and summary.metrics.folds_done
    assert "00" not in summary.metrics.folds_done and "00" in summary.metrics.folds_failed


def test_what_cannot_be_trained_on_is_refused_before_anything_is_written(
    data: Data, settings: Settings, tmp_path: Path
) -> None:
    run, config = tmp_path / "run", settings("evaluation.protocol=leave-one-subject-out")
    flat = data.manifest.labels.copy()
    flat[:, 0] = 0.5
    unknown = [*data.manifest.videos[:-1], "s0000/v999"]
    constant = data.relabelled(tmp_path / "constant.csv", labels=flat)
    strange = data.relabelled(tmp_path / "strange.csv", videos=unknown)
    for path, words in ((constant, "0.5 in every"), (strange, "s0000/v999")):
        with pytest.raises(ManifestError, match=words):
            trained(data.store, path, run, config)
    assert not run.exists()


def test_people_who_share_a_video_on_two_sides_leak_through_context(
    data: Data, settings: Settings, tmp_path: Path
) -> None:
    subjects = list(data.manifest.subjects)
    first = data.manifest.videos[0]
    half = [row for row, video in enumerate(data.manifest.videos) if video == first][5:]
    for row in half:
        subjects[row] = "another"
    path = data.relabelled(tmp_path / "labels.csv", subjects=subjects)
    words = ("evaluation.test_subjects=[another]", "training.epochs=1")
    with pytest.raises(ManifestError, match="clips see frames of another side"):
        trained(data.store, path, tmp_path / "run", settings(*words))
    allowed = settings(*words, "evaluation.allow_shared_subjects=true")
    summary = trained(data.store, path, tmp_path / "run", allowed)
    assert summary.metrics is not None and summary.metrics.shares_people
    assert any("another side" in warning for warning in summary.metrics.warnings)


def test_spans_without_features_are_listed_with_their_line(data: Data, settings: Settings, tmp_path: Path) -> None:
    start, end = data.manifest.start_s.copy(), data.manifest.end_s.copy()
    start[3], end[3] = 9000, 9005
    path = data.relabelled(tmp_path / "labels.csv", start_s=start, end_s=end)
    config = settings("evaluation.protocol=k-fold", "evaluation.folds=2", "training.epochs=1")
    summary = trained(data.store, path, tmp_path / "run", config)
    assert [(where.rpartition(", ")[2], reason) for where, _, reason in summary.skipped] == [
        ("line 5", "the video has no frame in this time")
    ]
    assert "line 5" in (tmp_path / "run/skipped.csv").read_text()


def test_two_trainings_in_threads_of_one_process_find_the_numbers_of_one(
    data: Data, settings: Settings, tmp_path: Path
) -> None:
    config = settings("evaluation.test_subjects=[s0000]", "training.seeds=1", "model.dropout=0.3")

    def run(name: str) -> str:
        trained(data.store, data.labels, tmp_path / name, config)
        return (tmp_path / name / "predictions.csv").read_text()

    alone = run("alone")
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, ["one", "other"])) == [alone, alone]
