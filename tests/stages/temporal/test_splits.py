from collections.abc import Callable

import numpy as np
import pytest

from affect.cache.manifest import Manifest
from affect.cache.records import Target
from affect.configs.load import load_config
from affect.configs.schema import EvaluationConfig
from affect.errors import ConfigError, ManifestError
from affect.stages.temporal.splits import make_folds


def manifest(subjects: list[str], splits: list[str] | None = None, videos: list[str] | None = None) -> Manifest:
    count = len(subjects)
    start = np.arange(count) * 2.0
    return Manifest(
        videos or [f"{name}.mp4" for name in subjects], subjects, start, start + 2, splits, (Target("valence"),),
        np.linspace(-1, 1, count)[:, None],
    )  # fmt: skip


def evaluation(*words: str) -> EvaluationConfig:
    return load_config(None, [f"evaluation.{word}" for word in words]).evaluation


PEOPLE = [f"p{number}" for number in range(7) for _ in range(number + 1)]


@pytest.mark.parametrize("words", [("protocol=leave-one-subject-out",), ("protocol=k-fold", "folds=3")])
def test_every_span_is_tested_once_and_no_person_is_on_two_sides(words: tuple[str, ...]) -> None:
    table = manifest(PEOPLE)
    folds = make_folds(table, evaluation(*words), seed=3)
    assert len(folds) == (7 if "k-fold" not in words[0] else 3)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(table)))
    for fold in folds:
        sides = [set(names) for names in fold.subjects.values()]
        assert all(sides) and len(set.union(*sides)) == sum(map(len, sides))
        assert sorted(np.concatenate(list(fold.sides.values()))) == list(range(len(table)))
        assert not fold.warnings and fold.subject_independent
    if len(folds) == 3:
        assert max(len(fold.test) for fold in folds) - min(len(fold.test) for fold in folds) <= 2
    again = make_folds(table, evaluation(*words), seed=3)
    assert all(np.array_equal(a.validation, b.validation) for a, b in zip(folds, again, strict=True))


def test_a_person_on_two_sides_is_refused_unless_allowed_and_then_said_first() -> None:
    table = manifest(["a", "a", "b", "c"], ["train", "test", "validation", "train"])
    with pytest.raises(ManifestError, match=r"subject 'a' is in train \(line 2\) and test \(line 3\)") as caught:
        make_folds(table, evaluation(), 0)
    assert caught.value.hint is not None and "allow_shared_subjects" in caught.value.hint
    (fold,) = make_folds(table, evaluation("allow_shared_subjects=true"), 0)
    assert fold.warnings[0].startswith("NOT subject-independent: train and test share 'a'")
    assert fold.counted_warnings[0].startswith("NOT subject-independent: train and test share 1 subject;")
    assert not fold.subject_independent


def test_a_person_who_only_trains_and_chooses_the_epoch_leaves_the_test_people_new() -> None:
    table = manifest(["B", "B", "C", "A"], ["train", "validation", "train", "test"])
    with pytest.raises(ManifestError, match="expected each person on one side; the test people are new"):
        make_folds(table, evaluation(), 0)
    (fold,) = make_folds(table, evaluation("allow_shared_subjects=true"), 0)
    assert fold.warnings == ("train and validation share 'B'; the test people are new",)
    assert fold.counted_warnings == ("train and validation share 1 subject; the test people are new",)
    assert fold.subject_independent


def test_all_sides_that_share_are_named_and_no_others() -> None:
    table = manifest(["B", "B", "A", "A"], ["train", "validation", "train", "test"])
    (fold,) = make_folds(table, evaluation("allow_shared_subjects=true"), 0)
    assert fold.warnings == (
        "NOT subject-independent: train and test share 'A'; train and validation share 'B'; "
        "these numbers say nothing about new people",
    )


def test_one_training_person_is_split_in_time_only_where_sharing_is_allowed() -> None:
    table = manifest(["a"] * 10 + ["b"], ["train"] * 10 + ["test"])
    with pytest.raises(ManifestError, match="only 1 subject"):
        make_folds(table, evaluation(), 0)
    (fold,) = make_folds(table, evaluation("allow_shared_subjects=true"), 0)
    assert fold.validation.tolist() == [8, 9] and fold.test.tolist() == [10]
    assert any("last part" in warning for warning in fold.warnings)
    assert fold.warnings[0] == "train and validation share 'a'; the test people are new"
    assert fold.subject_independent, "its one training subject chooses the epoch too, but does not test"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda: make_folds(manifest(["a", "b"]), evaluation(), 0), ManifestError, "no column 'split'"),
        (lambda: make_folds(manifest(["a", "b"]), evaluation("test_subjects=[z]"), 0), ConfigError, "'z'"),
        (lambda: make_folds(manifest(["a"]), evaluation("protocol=leave-one-subject-out"), 0), ManifestError, "1 sub"),
        (lambda: make_folds(manifest(["a", "b"], ["train", "validation"]), evaluation(), 0), ManifestError, "for test"),
    ],
)
def test_a_protocol_that_cannot_be_followed_is_refused(
    change: Callable[[], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        change()


def test_named_test_people_override_the_split_column() -> None:
    table = manifest(PEOPLE, ["train"] * len(PEOPLE))
    (fold,) = make_folds(table, evaluation("test_subjects=[p6, p2]"), 0)
    assert fold.subjects["test"] == ("p2", "p6") and len(fold.subjects["validation"]) == 1
