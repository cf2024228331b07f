"""A run offers `clips.centre` the other way where its own training people say so, on the terminal and in its report."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from affect.configs.schema import Config
from affect.errors import RunError
from affect.pipeline.report.report import write_report
from affect.pipeline.runs.folder import RunFolder
from affect.pipeline.train.train import TrainingSummary
from affect.tests.generated import GeneratedData, generated_features

from .conftest import trained

Settings = Callable[..., Config]
PLAIN = GeneratedData(
    subjects=6, videos=1, video_frames=(320, 320), feature_size=12, noise=0.3, label_noise=0.02, subject_effect=0.0,
)  # fmt: skip
SHIFT, LEVELS = replace(PLAIN, subject_shift=3.0), replace(PLAIN, drift=0.98)
FOLDS = ("evaluation.protocol=k-fold", "evaluation.folds=2")
OFFERED = "mean taken away (--set clips.centre=person) would do better"


def run_on(data: GeneratedData, folder: Path, settings: Settings, *words: str) -> TrainingSummary:
    generated_features(folder / "store", folder / "labels.csv", data)
    config = settings("training.epochs=1", "training.seeds=1", *words)
    return trained(str(folder / "store"), folder / "labels.csv", folder / "run", config)


def by_centre(run: Path, fold: str = "00") -> dict[str, float]:
    record = json.loads((run / "folds" / fold / "fold.json").read_text("utf-8"))
    ccc: dict[str, float] = record["ridge"]["left_out_ccc_by_centre"]
    return ccc


def shown(run: Path) -> str:
    return unescape(write_report(run).read_text("utf-8"))


def test_people_who_differ_by_a_shift_are_offered_to_lose_their_means(settings: Settings, tmp_path: Path) -> None:
    summary = run_on(SHIFT, tmp_path, settings, *FOLDS)
    ccc = [by_centre(summary.run, fold) for fold in ("00", "01")]
    mine, theirs = (sum(fold[name] for fold in ccc) / 2 for name in ("none", "person"))
    assert theirs > mine + 0.02 and OFFERED in summary.offer
    assert f"CCC {theirs:.3f} instead of {mine:.3f}" in summary.offer
    assert summary.text().lines.count(summary.offer) == 1 and summary.offer in shown(summary.run)
    record = json.loads((summary.run / "folds/00/fold.json").read_text("utf-8"))["ridge"]
    assert record["left_out_ccc"] == ccc[0]["none"]


def test_a_run_that_did_as_it_was_told_is_offered_nothing_more(settings: Settings, tmp_path: Path) -> None:
    plain = run_on(SHIFT, tmp_path, settings, *FOLDS)
    config = settings("training.epochs=1", "training.seeds=1", *FOLDS, "clips.centre=person")
    centred = trained(str(tmp_path / "store"), tmp_path / "labels.csv", tmp_path / "centred", config)
    assert centred.offer == "" and by_centre(centred.run) == pytest.approx(by_centre(plain.run), abs=0.01)


def test_people_whose_levels_carry_the_label_are_offered_to_keep_them(settings: Settings, tmp_path: Path) -> None:
    summary = run_on(LEVELS, tmp_path, settings, *FOLDS)
    assert summary.offer == "" and "clips.centre=" not in shown(summary.run)
    config = settings("training.epochs=1", "training.seeds=1", *FOLDS, "clips.centre=person")
    centred = trained(str(tmp_path / "store"), tmp_path / "labels.csv", tmp_path / "centred", config)
    assert "mean left in (--set clips.centre=none) would do better" in centred.offer
    assert centred.offer in shown(centred.run)


def test_two_training_people_are_too_few_to_offer_anything(settings: Settings, tmp_path: Path) -> None:
    summary = run_on(SHIFT, tmp_path, settings, "evaluation.test_subjects=[s0000,s0001,s0002,s0003]")
    assert by_centre(summary.run) == {} and summary.offer == ""


def test_where_centring_would_be_refused_it_is_not_offered(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    made = generated_features(folder / "store", folder / "labels.csv", SHIFT).manifest
    lines = (folder / "labels.csv").read_text("utf-8").splitlines(keepends=True)
    first = [made.videos.index(video) for video in dict.fromkeys(made.videos)]
    (folder / "labels.csv").write_text("".join([lines[0], *(lines[row + 1] for row in first)]), "utf-8")
    config = settings("training.epochs=1", "training.seeds=1", "evaluation.test_subjects=[s0000]")
    run = trained(str(folder / "store"), folder / "labels.csv", folder / "run", config)
    record = json.loads((run.run / "folds/00/fold.json").read_text("utf-8"))["ridge"]
    assert record.keys() == {"alpha", "left_out_ccc"} and run.offer == ""


@pytest.fixture(scope="module")
def offering(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that offers something."""
    return run_on(SHIFT, tmp_path_factory.mktemp("offering"), settings, *FOLDS).run


def changed(run: Path, folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of the run whose fold.json files are changed."""
    copy = shutil.copytree(run, folder / "run")
    for path in copy.glob("folds/*/fold.json"):
        record = json.loads(path.read_text("utf-8"))
        change(record)
        path.write_text(json.dumps(record), "utf-8")
    return copy


def test_a_run_of_before_offers_nothing(offering: Path, tmp_path: Path) -> None:
    assert OFFERED in shown(offering)
    old = changed(offering, tmp_path, lambda record: record["ridge"].pop("left_out_ccc_by_centre"))
    assert OFFERED not in shown(old)


@pytest.mark.parametrize("value", ["<b>0.9</b>", True, 7.5, float("nan"), [0.9], {"a": 0.9}])
def test_a_number_that_is_none_is_refused_by_name(offering: Path, tmp_path: Path, value: Any) -> None:
    bad = changed(offering, tmp_path, lambda record: record["ridge"]["left_out_ccc_by_centre"].update(person=value))
    with pytest.raises(RunError, match=r"folds/00/fold\.json.*left_out_ccc_by_centre\.person is"):
        write_report(bad)
    with pytest.raises(RunError, match="left_out_ccc_by_centre"):
        RunFolder.open(bad).fold("01")


KEYS = ("warnings", "subjects", "side_clips", "epochs", "best_epoch", "validation_ccc", "ridge")
KINDS = ["much", -7, 7.5, True, [1], {"test": "x"}]


@pytest.mark.parametrize(
    ("key", "value"), [(key, kind) for key in KEYS for kind in KINDS[: 5 if key == "ridge" else 6]]
)
def test_what_a_report_shows_of_a_fold_is_of_its_kind(offering: Path, tmp_path: Path, key: str, value: Any) -> None:
    run = changed(offering, tmp_path, lambda record: record.update({key: value}))
    with pytest.raises(RunError, match=rf"folds/00/fold\.json of .*{key}"):
        RunFolder.open(run).fold("00")
