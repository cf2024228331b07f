"""People, files and frames that two sides of a fold share are refused, and named where they stand on one side."""

import random
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from affect.cache.opening import create_store, open_store
from affect.cache.predictions import RangeCheck
from affect.configs.schema import Config
from affect.errors import ManifestError
from affect.pipeline.report.report import write_report
from affect.pipeline.runs.folder import load_run
from affect.pipeline.train.leaks import check_recordings
from affect.pipeline.train.training_set import build_training_set
from affect.stages.temporal.splits import Fold, make_folds
from affect.tests.stages.temporal.test_splits import evaluation, manifest

from .conftest import Data, split_of, trained

Settings = Callable[..., Config]
ALLOWED = "allow_shared_subjects=true"
OTHERS = ["b", "c", "d", "e"]
SPELLINGS = [
    ("S0004", "s0004"),
    ("S0004", "\uff33\uff10\uff10\uff10\uff14"),
    ("S0004", "S00\u200b04"),
    ("S0004", "s-0004"),
    ("S0004", "s4"),
    ("4", "04"),
    ("4", "4.0"),
    ("anna b", "Anna_B."),
]


@pytest.mark.parametrize(("first", "second"), SPELLINGS)
def test_two_spellings_of_a_person_on_two_sides_are_refused_with_both_and_their_lines(first: str, second: str) -> None:
    for sides in (("train", "test"), ("validation", "test"), ("train", "validation")):
        rest = [side for side in ("train", "validation", "test") for _ in range(2)][: len(OTHERS) + 2]
        table = manifest([first, second, *OTHERS, "f", "g"], [*sides, *rest])
        with pytest.raises(ManifestError) as caught:
            make_folds(table, evaluation(), 0)
        assert f"{first!r} in {sides[0]} (line 2) and {second!r} in {sides[1]} (line 3)" in caught.value.message
        assert caught.value.hint is not None and "write each person's name in one way" in caught.value.hint
        assert ("the test people are new" in caught.value.message) == ("test" not in sides)
        (fold,) = make_folds(table, evaluation(ALLOWED), 0)
        assert f"{' and '.join(sides)} share {first!r} (also {second!r})" in fold.warnings[0]
        assert fold.subject_independent == ("test" not in sides)
        assert first not in fold.counted_warnings[0] and "share 1 subject;" in fold.counted_warnings[0]


@pytest.mark.parametrize("words", [("protocol=leave-one-subject-out",), ("protocol=k-fold", "folds=2")])
def test_folds_of_people_want_one_spelling_for_each_and_keep_them_together_where_sharing_is_allowed(
    words: tuple[str, ...],
) -> None:
    draw = random.Random(5)
    for _ in range(20):
        first, second = draw.choice(SPELLINGS)
        subjects = [first, second, *OTHERS] * 2
        draw.shuffle(subjects)
        table = manifest(subjects)
        with pytest.raises(ManifestError, match="look like one person") as caught:
            make_folds(table, evaluation(*words), draw.randrange(99))
        assert repr(first) in caught.value.message and repr(second) in caught.value.message
        for fold in make_folds(table, evaluation(*words, ALLOWED), draw.randrange(99)):
            assert sum({first, second} <= set(names) for names in fold.subjects.values()) == 1
            assert "look like one person" in fold.warnings[0] and fold.subject_independent


def test_a_test_person_that_is_typed_does_not_train_under_another_spelling() -> None:
    table = manifest(["S04", "s4", *OTHERS])
    with pytest.raises(ManifestError, match=r"'s4' in (train|validation) \(line 3\) and 'S04' in test \(line 2\)"):
        make_folds(table, evaluation("test_subjects=[S04]"), 0)
    (fold,) = make_folds(table, evaluation("test_subjects=[S04,s4]"), 0)
    assert fold.subject_independent and len(fold.warnings) == 1


def test_two_spellings_on_one_side_are_named_once() -> None:
    table = manifest(
        ["S04", "s4", "S 04", *OTHERS, "f", "F"], ["test"] * 3 + ["train"] * 3 + ["validation"] + ["train"] * 2
    )
    (fold,) = make_folds(table, evaluation(), 0)
    assert fold.warnings == (
        "'S04' and 's4' and 'S 04'; 'f' and 'F' look like one person; each name counts as a subject of its own",
    )
    assert fold.counted_warnings == ("2 people seem to have several names; each name counts as a subject of its own",)
    assert fold.subject_independent


def test_the_spellings_that_choose_the_epoch_do_not_train() -> None:
    table = manifest(["S04", "s4", *OTHERS])
    for seed in range(20):
        (fold,) = make_folds(table, evaluation("test_subjects=[b]"), seed)
        assert ("S04" in fold.subjects["validation"]) == ("s4" in fold.subjects["validation"])


@pytest.mark.parametrize("other", ["P1", "P11", "1-11", "p1b"])
def test_people_whose_names_are_only_near_are_no_leak(other: str) -> None:
    names = ["P10", "P111", "11-1", "P1a", other]
    sides = ["train", "train", "validation", "validation", "test"]
    (fold,) = make_folds(manifest(names, sides), evaluation(), 0)
    assert not fold.warnings and fold.subject_independent
    assert len(make_folds(manifest(names), evaluation("protocol=leave-one-subject-out"), 0)) == 5


# Files and people of a recording


def stored(data: Data, folder: Path, copies: Mapping[str, str]) -> str:
    """The generated store with more entries: new name -> the entry of which it is a byte for byte copy."""
    source = open_store(data.store)
    target = create_store(folder / "store", source.recipe)
    for name, original in [*((name, name) for name in source.ids()), *copies.items()]:
        info = source.info(original)
        with target.writer(name, info.fingerprint) as writer:
            writer.append(source.read(original), b"")
            writer.commit(info)
    return str(folder / "store")


def checked(store: str, labels: Path, config: Config) -> list[Fold]:
    data = build_training_set(store, labels, config, "cpu")
    return check_recordings(data, make_folds(data.manifest, config.evaluation, 0), config)


@pytest.fixture(scope="module")
def copied(data: Data, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The store, in which the first video of the first person lies a second time as `again`."""
    return stored(data, tmp_path_factory.mktemp("copied"), {"again": data.manifest.videos[0]})


PROTOCOLS = ("protocol=split", "protocol=leave-one-subject-out", "protocol=k-fold")


def with_copy(data: Data, path: Path, subject: str) -> tuple[Path, str]:
    """The label table in which the second video of `subject` is the copy of the first video of all."""
    first = data.manifest.videos[0]
    mine = {video for video, name in zip(data.manifest.videos, data.manifest.subjects, strict=True) if name == subject}
    video = sorted(mine)[1]
    videos = ["again" if name == video else name for name in data.manifest.videos]
    return data.relabelled(path, videos=videos, splits=split_of(data.manifest.subjects, train=5, validation=1)), first


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_file_under_two_names_is_refused_on_two_sides(
    data: Data, copied: str, settings: Settings, tmp_path: Path, protocol: str
) -> None:
    labels, first = with_copy(data, tmp_path / "labels.csv", "s0007")
    words = (f"evaluation.{protocol}", "evaluation.folds=8")
    with pytest.raises(ManifestError, match=re.escape(f"the file 'again' = {first!r} is in")) as caught:
        checked(copied, labels, settings(*words))
    assert re.search(r"train \(line \d+\) and test \(line \d+\)", caught.value.message)
    folds = checked(copied, labels, settings(*words, f"evaluation.{ALLOWED}"))
    leaking = [fold for fold in folds if not fold.subject_independent]
    assert len(leaking) == (1 if "split" in protocol else 2)
    for fold in leaking:
        assert fold.warnings[0].startswith("NOT subject-independent: ")
        assert f"share the file 'again' = {first!r};" in fold.warnings[0]
        assert (
            "again" not in fold.counted_warnings[0] and "files that have several names (1)" in fold.counted_warnings[0]
        )


def test_one_file_under_two_names_on_one_side_is_named(
    data: Data, copied: str, settings: Settings, tmp_path: Path
) -> None:
    for subject in ("s0000", "s0003"):
        labels, first = with_copy(data, tmp_path / f"{subject}.csv", subject)
        (fold,) = checked(copied, labels, settings())
        assert fold.warnings == (f"'again' and {first!r}: one file under several names, which counts several times",)
        assert fold.subject_independent and "again" not in "".join(fold.counted_warnings)


def test_a_copy_that_is_not_labelled_is_no_matter(data: Data, copied: str, settings: Settings, tmp_path: Path) -> None:
    labels = data.relabelled(tmp_path / "labels.csv", splits=split_of(data.manifest.subjects, train=5, validation=1))
    (fold,) = checked(copied, labels, settings())
    assert not fold.warnings


def of_two(data: Data, path: Path, second: str, gap: int = 0) -> Path:
    """The table in which the later spans of the first video are those of `second`; `gap` spans between are gone."""
    rows = [row for row, video in enumerate(data.manifest.videos) if video == data.manifest.videos[0]]
    subjects = list(data.manifest.subjects)
    for row in rows[5 + gap :]:
        subjects[row] = second
    labels = data.manifest.labels.copy()
    labels[rows[5 : 5 + gap]] = np.nan
    splits = split_of(data.manifest.subjects, train=5, validation=1)
    for row in rows[5 + gap :]:
        splits[row] = splits[data.manifest.subjects.index(second)] if second in data.manifest.subjects else "test"
    return data.relabelled(path, subjects=subjects, labels=labels, splits=splits)


@pytest.mark.parametrize("subject", ["main", "largest", "track:0"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_person_of_a_video_under_two_subjects_is_refused_on_two_sides(
    data: Data, settings: Settings, tmp_path: Path, subject: str, protocol: str
) -> None:
    labels = of_two(data, tmp_path / "labels.csv", "another")
    words = (f"evaluation.{protocol}", "evaluation.folds=9", f"clips.subject={subject}", "clips.context=0")
    with pytest.raises(ManifestError, match=r"the person in .* \('another' = 's0000'\) is in"):
        checked(data.store, labels, settings(*words))
    folds = checked(data.store, labels, settings(*words, f"evaluation.{ALLOWED}"))
    leaking = [fold for fold in folds if not fold.subject_independent]
    assert len(leaking) == (1 if "split" in protocol else 2)
    for fold in leaking:
        assert "share the person in" in fold.warnings[0] and "another" not in "".join(fold.counted_warnings)


def test_one_person_of_a_video_under_two_subjects_is_named_on_one_side(
    data: Data, settings: Settings, tmp_path: Path
) -> None:
    labels = of_two(data, tmp_path / "labels.csv", "s0001")
    (fold,) = checked(data.store, labels, settings("clips.context=0"))
    (warning,) = fold.warnings
    assert "'s0000' = 's0001'" in warning and "clips.subject=main takes one person" in warning
    assert fold.subject_independent and "s0001" not in "".join(fold.counted_warnings)


def test_a_model_of_two_people_says_so_and_judges_no_clip(data: Data, settings: Settings, tmp_path: Path) -> None:
    labels = data.relabelled(tmp_path / "labels.csv", splits=split_of(data.manifest.subjects, train=2, validation=1))
    summary = trained(data.store, labels, tmp_path / "run", settings("training.epochs=1", "training.refit=false"))
    assert summary.warnings == (
        "trained on 2 people, too few to tell which clips are unlike the training recordings: none is marked",
    )
    run = load_run(summary.run)
    assert run.card.range_check == RangeCheck(2, None) and not run.models[0].reference.fitted


def test_validation_people_who_train_too_are_counted(data: Data, settings: Settings, tmp_path: Path) -> None:
    labels = data.relabelled(tmp_path / "labels.csv", splits=split_of(data.manifest.subjects, train=2, validation=1))
    refit = settings("training.epochs=1", "training.keep=last", "training.refit=true")
    summary = trained(data.store, labels, tmp_path / "run", refit)
    check = load_run(summary.run).card.range_check
    assert check is not None and check.people == 3
    assert not any("too few to tell" in words for words in summary.warnings)


def test_a_recording_that_is_left_out_is_named_in_the_run_and_counted_in_the_model_file(
    data: Data, settings: Settings, tmp_path: Path
) -> None:
    shutil.copytree(data.store, tmp_path / "store")
    damaged = data.manifest.videos[0]
    for path in (tmp_path / "store" / f"{damaged}.zarr").rglob("zarr.json"):
        path.write_text("{")
    labels = data.relabelled(tmp_path / "labels.csv", splits=split_of(data.manifest.subjects, train=4, validation=2))
    summary = trained(str(tmp_path / "store"), labels, tmp_path / "run", settings("training.epochs=1"))
    assert any(words.startswith(f"{damaged} is left out") for words in summary.warnings)
    model = next((tmp_path / "run").rglob("model.safetensors"))
    assert damaged.encode() not in model.read_bytes()
    assert any("meant: 1, named" in words for words in load_run(summary.run).card.training["warnings"])


def test_frames_that_only_train_and_validation_share_leave_the_test_people_new(
    data: Data, settings: Settings, tmp_path: Path
) -> None:
    rows = [row for row, video in enumerate(data.manifest.videos) if video == data.manifest.videos[0]]
    splits = split_of(data.manifest.subjects, train=5, validation=1)
    for row in rows[5:]:
        splits[row] = "validation"
    labels = data.relabelled(tmp_path / "labels.csv", splits=splits)
    summary = trained(data.store, labels, tmp_path / "run", settings(f"evaluation.{ALLOWED}", "training.epochs=1"))
    assert summary.metrics is not None
    words = summary.metrics.warnings[0]
    assert re.fullmatch(
        r"train and validation share 's0000', frames \(\d+ clips see frames of another side\); the test people are new",
        words,
    )
    assert summary.metrics.to_json()["subject_independent"] is True
    page = Path(write_report(summary.run)).read_text("utf-8")
    assert "How well it predicts people it has never seen" in page and "the test people are new" in page
    assert "say nothing about new people" not in page
