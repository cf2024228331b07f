"""Who trains, who chooses the epoch and who tests: spans of a manifest into folds that share no subject."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...cache.manifest import Manifest, check_subjects_disjoint
from ...cache.records import Array
from ...configs.schema import EvaluationConfig
from ...errors import ConfigError, ManifestError

if TYPE_CHECKING:
    from ...stages.temporal.clips import ClipTable

SIDES = ("train", "validation", "test")
NAMED = 5  # subjects in a message
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
    counted_warnings: tuple[str, ...] = ()  # the same without a subject's name
    shares_people: bool = False  # a subject is on two sides
    shares_frames: bool = False  # clips see frames of another side, in themselves or through their context

    @property
    def name(self) -> str:
        """The fold's folder."""
        return f"{self.number:02d}"

    @property
    def subject_independent(self) -> bool:
        """Whether the numbers of this fold say something about new people."""
        return not (self.shares_people or self.shares_frames)

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
    for number, (training, given, test) in enumerate(sides):
        chosen, warnings = (
            (given, ()) if len(given) else _inner_validation(manifest, person, training, config, seed + number)
        )
        train = np.setdiff1d(training, chosen)
        rows = zip(SIDES, (train, chosen, test), strict=True)
        subjects = {side: tuple(names[np.unique(person[mine])].tolist()) for side, mine in rows}
        folds.append(Fold(number, train, chosen, test, subjects, warnings, warnings))
    return [_checked(fold, manifest, config) for fold in folds]


def _fixed_split(manifest: Manifest, config: EvaluationConfig) -> tuple[Array, Array, Array]:
    """Training, validation and test rows that the manifest or `evaluation.test_subjects` names."""
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
) -> tuple[Array, tuple[str, ...]]:
    """Those of the training rows that choose the epoch, and what must be said about them."""
    people = np.unique(person[train])
    if len(people) >= 2:
        count = min(max(round(config.validation_share * len(people)), 1), len(people) - 1)
        chosen = np.random.default_rng(seed).permutation(people)[:count]
        return train[np.isin(person[train], chosen)], ()
    if not config.allow_shared_subjects:
        raise ManifestError(
            f"only {len(people)} subject would train, so none is left to choose the epoch on; expected at least 2",
            hint=ALLOW,
        )
    warning = "one training subject: the epoch is chosen on the last part of the training videos, not on other people"
    return train[_last_block(manifest, train, config.validation_share)], (warning,)


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
    shared, counted = [], []
    for first, second in (("train", "test"), ("validation", "test"), ("train", "validation")):
        both = sorted(set(fold.subjects[first]) & set(fold.subjects[second]))
        if both:
            more = f" and {len(both) - NAMED} more" if len(both) > NAMED else ""
            shared.append(f"{first} and {second} share {', '.join(map(repr, both[:NAMED]))}{more}")
            counted.append(f"{first} and {second} share {len(both)} subjects")
    if not shared:
        return fold
    if not config.allow_shared_subjects:
        raise ManifestError(f"the split is not subject-independent: {'; '.join(shared)}", hint=ALLOW)
    named, unnamed = (
        f"NOT subject-independent: {'; '.join(words)}; these numbers say nothing about new people"
        for words in (shared, counted)
    )
    warnings, counted_warnings = (named, *fold.warnings), (unnamed, *fold.counted_warnings)
    return replace(fold, warnings=warnings, counted_warnings=counted_warnings, shares_people=True)


def overlapping_clips(clips: "ClipTable", side: Array) -> dict[str, int]:
    """Side -> how many of its clips have, in themselves or their context, a frame that a clip of another side has.

    side: (C,) 0 train, 1 validation, 2 test, -1 unused. Context is counted as if nothing were masked; in a segment it
    is the span.
    """
    reach = clips.length * clips.context
    low = clips.first - reach
    high = clips.first + clips.length + reach
    if clips.context_edges == "segment":
        low, high = clips.span_first, clips.span_end
    seen: dict[str, int] = {}
    videos_of = [np.unique(clips.video[side == number]) for number in range(len(SIDES))]
    videos, sides = np.unique(np.concatenate(videos_of), return_counts=True)
    for video in videos[sides > 1]:
        mine = np.flatnonzero((clips.video == video) & (side >= 0))
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
