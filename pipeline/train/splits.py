"""Who trains, who chooses the epoch and who tests: spans of a manifest into folds that share no subject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...cache.manifest import Manifest, check_subjects_disjoint
from ...cache.records import Array
from ...configs.schema import EvaluationConfig
from ...errors import ConfigError, ManifestError

if TYPE_CHECKING:
    from ...stages.temporal.clips import ClipTable

SHARED = "NOT subject-independent"  # how a warning begins that every table must show first
SIDES = ("train", "validation", "test")
ALLOW = "--set evaluation.allow_shared_subjects=true, and every table will say so first"


@dataclass(frozen=True, slots=True)
class Fold:
    """One division of the manifest's spans; `train`, `validation` and `test` are row numbers, ascending."""

    number: int
    train: Array
    validation: Array
    test: Array
    subjects: Mapping[str, tuple[str, ...]]  # side -> its subjects, sorted
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The fold's folder."""
        return f"{self.number:02d}"

    @property
    def sides(self) -> dict[str, Array]:
        """Side -> row numbers."""
        return dict(zip(SIDES, (self.train, self.validation, self.test), strict=True))


def make_folds(manifest: Manifest, config: EvaluationConfig, seed: int) -> list[Fold]:
    """The folds of the protocol.

    Errors: ManifestError for a subject on two sides (unless allowed), an empty side, or too few subjects;
    ConfigError for a test subject the manifest does not have.
    """
    names, person = np.unique(np.array(manifest.subjects), return_inverse=True)
    if config.protocol == "split":
        sides = [_fixed_split(manifest, config)]
    else:
        groups = _groups(manifest, names, person, config, seed)
        everyone = np.arange(len(manifest))
        sides = [(np.setdiff1d(everyone, test), np.empty(0, np.int64), test) for test in groups]
    folds = []
    for number, (train, validation, test) in enumerate(sides):
        warnings: tuple[str, ...] = ()
        rows = [train, validation, test]
        if len(validation) == 0:
            *rows[:2], warnings = _inner_validation(manifest, person, train, config, seed + number)
        subjects = [tuple(names[np.unique(person[side])].tolist()) for side in rows]
        named = dict(zip(SIDES, subjects, strict=True))
        folds.append(Fold(number, np.sort(rows[0]), np.sort(rows[1]), np.sort(rows[2]), named, warnings))
    return [_checked(fold, manifest, config) for fold in folds]


def _fixed_split(manifest: Manifest, config: EvaluationConfig) -> tuple[Array, Array, Array]:
    subjects = np.array(manifest.subjects)
    if config.test_subjects:
        missing = sorted(set(config.test_subjects) - set(manifest.subjects))
        if missing:
            raise ConfigError(
                f"evaluation.test_subjects names {missing[0]!r}, which {manifest.path or 'the manifest'} does not have",
                hint=f"its subjects: {', '.join(sorted(set(manifest.subjects))[:12])}",
            )
        tests = np.isin(subjects, config.test_subjects)
        return np.flatnonzero(~tests), np.empty(0, np.int64), np.flatnonzero(tests)
    if manifest.splits is None:
        raise ManifestError(
            f"{manifest.path or 'the manifest'} has no column 'split', and evaluation.protocol is 'split'",
            hint="--set evaluation.test_subjects=[NAME] or --set evaluation.protocol=leave-one-subject-out",
        )
    if not config.allow_shared_subjects:
        check_subjects_disjoint(manifest)
    split = np.array(manifest.splits)
    return np.flatnonzero(split == "train"), np.flatnonzero(split == "validation"), np.flatnonzero(split == "test")


def _groups(manifest: Manifest, names: Array, person: Array, config: EvaluationConfig, seed: int) -> list[Array]:
    """Test rows of each fold: a subject each, or subjects dealt out so that folds hold about as many spans."""
    folds = len(names) if config.protocol == "leave-one-subject-out" else config.folds
    if len(names) < max(folds, 2):
        raise ManifestError(
            f"{manifest.path or 'the manifest'} has {len(names)} subjects; {config.protocol} needs {max(folds, 2)}",
            hint="--set evaluation.protocol=split, or fewer evaluation.folds",
        )
    if config.protocol == "leave-one-subject-out":
        return [np.flatnonzero(person == number) for number in range(folds)]
    # Largest subject first into the emptiest fold; equal ones in random order.
    counts = np.bincount(person)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(names)), -counts))
    fold_of = np.empty(len(names), np.int64)
    size = np.zeros(folds)
    for subject in order:
        fold_of[subject] = size.argmin()
        size[fold_of[subject]] += counts[subject]
    return [np.flatnonzero(fold_of[person] == number) for number in range(folds)]


def _inner_validation(
    manifest: Manifest, person: Array, train: Array, config: EvaluationConfig, seed: int
) -> tuple[Array, Array, tuple[str, ...]]:
    """Training rows without the validation rows, the validation rows, and what must be said about them."""
    people = np.unique(person[train])
    if len(people) >= 2:
        count = min(max(round(config.validation_share * len(people)), 1), len(people) - 1)
        chosen = np.random.default_rng(seed).permutation(people)[:count]
        held = np.isin(person[train], chosen)
        return train[~held], train[held], ()
    if not config.allow_shared_subjects:
        raise ManifestError(
            f"only {len(people)} subject would train, so none is left to choose the epoch on; expected at least 2",
            hint=ALLOW,
        )
    held = _last_block(manifest, train, config.validation_share)
    warning = "one training subject: the epoch is chosen on the last part of the training videos, not on other people"
    return train[~held], train[held], (warning,)


def _last_block(manifest: Manifest, rows: Array, share: float) -> Array:
    """(len(rows),) bool: the last `share` of each video's spans, at least one span in all."""
    held = np.zeros(len(rows), bool)
    videos = np.array(manifest.videos)[rows]
    for video in np.unique(videos):
        mine = np.flatnonzero(videos == video)
        mine = mine[np.argsort(manifest.start_s[rows[mine]], kind="stable")]
        held[mine[len(mine) - round(share * len(mine)) :]] = True
    if not held.any() and len(rows) > 1:
        held[np.argmax(manifest.start_s[rows])] = True
    return held


def _checked(fold: Fold, manifest: Manifest, config: EvaluationConfig) -> Fold:
    """The fold, warned where it shares subjects. Errors: ManifestError where it must not, or for an empty side."""
    for side, rows in fold.sides.items():
        if len(rows) == 0:
            raise ManifestError(
                f"{manifest.path or 'the manifest'}: no span is left for {side} in fold {fold.name}",
                hint="column 'split' holds train, validation or test; or --set evaluation.test_subjects=[NAME]",
            )
    shared = {
        f"{first} and {second}": both
        for first, second in (("train", "test"), ("validation", "test"), ("train", "validation"))
        if (both := _common(fold.subjects[first], fold.subjects[second]))
    }
    if not shared:
        return fold
    words = "; ".join(f"{pair} share {_listed(names)}" for pair, names in shared.items())
    if not config.allow_shared_subjects:
        raise ManifestError(f"the split is not subject-independent: {words}", hint=ALLOW)
    said = f"{SHARED}: {words}; these numbers say nothing about new people"
    return replace(fold, warnings=(said, *fold.warnings))


def _common(first: Sequence[str], second: Sequence[str]) -> list[str]:
    return sorted(set(first) & set(second))


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def overlapping_clips(clips: "ClipTable", side: Array) -> dict[str, int]:
    """Side -> how many of its clips have, in themselves or their context, a frame that a clip of another side has.

    side: (C,) 0 train, 1 validation, 2 test, -1 unused. Context is counted as if nothing were masked.
    """
    reach = clips.length * clips.context
    low = clips.first - reach
    high = clips.first + clips.length + reach
    seen: dict[str, int] = {}
    used = side >= 0
    pairs = np.unique(clips.video[used] * len(SIDES) + side[used])  # of video and side
    videos, sides = np.unique(pairs // len(SIDES), return_counts=True)
    for video in videos[sides > 1]:
        mine = np.flatnonzero((clips.video == video) & used)
        for number, name in enumerate(SIDES):
            own, others = mine[side[mine] == number], mine[side[mine] != number]
            count = _meeting(low[own], high[own], clips.first[others], (clips.first + clips.length)[others])
            if count:
                seen[name] = seen.get(name, 0) + count
    return seen


def _meeting(low: Array, high: Array, other_low: Array, other_high: Array) -> int:
    """How many of the intervals [low, high) meet one of the others."""
    begun = np.searchsorted(np.sort(other_low), high, side="left")
    ended = np.searchsorted(np.sort(other_high), low, side="right")
    return int((begun > ended).sum())
