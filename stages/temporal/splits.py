"""Who trains, who chooses the epoch and who tests: spans of a manifest into folds that share no subject."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...cache.manifest import Manifest
from ...cache.records import Array
from ...cache.spelling import people_of
from ...configs.schema import EvaluationConfig
from ...errors import ConfigError, ManifestError, listed

SIDES = ("train", "validation", "test")
PAIRS = (("train", "test"), ("validation", "test"), ("train", "validation"))
NAMED = 5  # people or videos in a message
ALLOW = "--set evaluation.allow_shared_subjects=true, and every table will say so first"
ONE_SPELLING = (
    "write each person's name in one way in all rows; people who differ need names that differ in more than case, "
    f"zeros and punctuation; or {ALLOW}"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What must be said of a fold: with the names of people and videos, and with their numbers instead."""

    named: str
    counted: str
    sides: tuple[str, ...] = ()  # the two of PAIRS that share what is named; without them the words are a sentence


@dataclass(frozen=True, slots=True)
class Fold:
    """One division of the manifest's spans; `train`, `validation` and `test` are row numbers, ascending."""

    number: int
    train: Array
    validation: Array
    test: Array
    subjects: Mapping[str, tuple[str, ...]]  # side -> its subjects, sorted
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        """The fold's folder."""
        return f"{self.number:02d}"

    @property
    def subject_independent(self) -> bool:
        """Whether the numbers of this fold say something about new people: its test side shares nothing."""
        return not any("test" in finding.sides for finding in self.findings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its sides share, as one sentence, then all else that must be said."""
        return self._said([(finding.sides, finding.named) for finding in self.findings])

    @property
    def counted_warnings(self) -> tuple[str, ...]:
        """The same without the name of a subject or a video."""
        return self._said([(finding.sides, finding.counted) for finding in self.findings])

    @property
    def sides(self) -> dict[str, Array]:
        """Side -> row numbers."""
        return dict(zip(SIDES, (self.train, self.validation, self.test), strict=True))

    def sides_of(self, *, refit: bool) -> dict[str, Array]:
        """Side -> row numbers as they are used: with `refit` the validation spans train too."""
        sides = self.sides
        if refit:
            sides |= {"train": np.union1d(self.train, self.validation), "validation": self.validation[:0]}
        return sides

    def _said(self, findings: Sequence[tuple[tuple[str, ...], str]]) -> tuple[str, ...]:
        notes = tuple(words for sides, words in findings if not sides)
        of_pair = {pair: [words for sides, words in findings if sides == pair] for pair in PAIRS}
        shared = "; ".join(f"{' and '.join(pair)} share {', '.join(words)}" for pair, words in of_pair.items() if words)
        if not shared:
            return notes
        if self.subject_independent:
            return f"{shared}; the test people are new", *notes
        return f"NOT subject-independent: {shared}; these numbers say nothing about new people", *notes


def make_folds(manifest: Manifest, config: EvaluationConfig, seed: int) -> list[Fold]:
    """The folds of the protocol. Names that only differ in how they are written are one person's.

    Errors: ManifestError for a person on two sides, or with several names where folds are made of people (both unless
    allowed), an empty side, or too few people; ConfigError for a test subject the manifest does not have.
    """
    person = people_by_row(manifest.subjects)
    alike = _several_names(manifest, person)
    if config.protocol == "split":
        sides = [_fixed_split(manifest, config)]
    else:
        if alike and not config.allow_shared_subjects:
            raise _spelling_error(manifest, alike, config.protocol)
        groups = _groups(manifest, person, config, seed)
        everyone = np.arange(len(manifest))
        sides = [(np.setdiff1d(everyone, test), np.empty(0, np.int64), test) for test in groups]
    folds = []
    for number, (training, given, test) in enumerate(sides):
        chosen, findings = (
            (given, ()) if len(given) else _inner_validation(manifest, person, training, config, seed + number)
        )
        train = np.setdiff1d(training, chosen)
        rows = zip(SIDES, (train, chosen, test), strict=True)
        subjects = {side: tuple(sorted({manifest.subjects[row] for row in mine})) for side, mine in rows}
        folds.append(Fold(number, train, chosen, test, subjects, findings))
    return [_checked(fold, manifest, person, alike, config) for fold in folds]


def people_by_row(subjects: Sequence[str]) -> Array:
    """(M,) int64: the number of each row's person, the same for all spellings of a name, in the order of the names."""
    names, row = np.unique(np.array(subjects), return_inverse=True)
    keys = people_of(names.tolist())
    numbers: dict[str, int] = {}
    person: Array = np.array([numbers.setdefault(keys[name], len(numbers)) for name in names.tolist()], np.int64)[row]
    return person


def few(words: Sequence[str], between: str = ", ") -> str:
    """The first words, and how many more there are."""
    return listed(words, NAMED, between)


def _several_names(manifest: Manifest, person: Array) -> dict[int, dict[str, int]]:
    """Person -> each name and its first row, for people who have several."""
    names: dict[int, dict[str, int]] = defaultdict(dict)
    for row, (number, name) in enumerate(zip(person.tolist(), manifest.subjects, strict=True)):
        names[number].setdefault(name, row)
    return {number: found for number, found in names.items() if len(found) > 1}


def _spelling_error(manifest: Manifest, alike: Mapping[int, Mapping[str, int]], protocol: str) -> ManifestError:
    people = [
        " and ".join(f"{name!r} (line {manifest.line(row)})" for name, row in names.items()) for names in alike.values()
    ]
    return ManifestError(
        f"{manifest.path or 'the manifest'}: {few(people, '; ')} look like one person; {protocol} needs each person "
        "under one name",
        hint=ONE_SPELLING,
    )


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
    split = np.array(manifest.splits)
    return np.flatnonzero(split == "train"), np.flatnonzero(split == "validation"), np.flatnonzero(split == "test")


def _groups(manifest: Manifest, person: Array, config: EvaluationConfig, seed: int) -> list[Array]:
    """Test rows of each fold: a person each, or people dealt out so that folds hold about as many spans."""
    counts = np.bincount(person)
    people = len(counts)
    folds = people if config.protocol == "leave-one-subject-out" else config.folds
    if people < max(folds, 2):
        raise ManifestError(
            f"{manifest.path or 'the manifest'} has {people} subjects; {config.protocol} needs {max(folds, 2)}",
            hint="--set evaluation.protocol=split, or fewer evaluation.folds",
        )
    if config.protocol == "leave-one-subject-out":
        return [np.flatnonzero(person == number) for number in range(folds)]
    # Largest subject first into the emptiest fold; equal ones in random order.
    order = np.lexsort((np.random.default_rng(seed).permutation(people), -counts))
    fold_of = np.empty(people, np.int64)
    size = np.zeros(folds)
    for subject in order:
        fold_of[subject] = size.argmin()
        size[fold_of[subject]] += counts[subject]
    return [np.flatnonzero(fold_of[person] == number) for number in range(folds)]


def _inner_validation(
    manifest: Manifest, person: Array, train: Array, config: EvaluationConfig, seed: int
) -> tuple[Array, tuple[Finding, ...]]:
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
    return train[_last_block(manifest, train, config.validation_share)], (Finding(warning, warning),)


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


def _checked(
    fold: Fold, manifest: Manifest, person: Array, alike: Mapping[int, Mapping[str, int]], config: EvaluationConfig
) -> Fold:
    """The fold, with what is to be said of its people.

    Errors: ManifestError for one on two sides, unless that is allowed, or for an empty side.
    """
    for side, rows in fold.sides.items():
        if len(rows) == 0:
            raise ManifestError(
                f"{manifest.path or 'the manifest'}: no span is left for {side} in fold {fold.name}",
                hint="column 'split' holds train, validation or test; or --set evaluation.test_subjects=[NAME]",
            )
    shared, on_two = [], set()
    for pair in PAIRS:
        first, second = (person[fold.sides[side]] for side in pair)
        both = np.intersect1d(first, second).tolist()
        if both:
            names = [_shared_name(fold, manifest, person, number) for number in both]
            shared.append(Finding(few(names), f"{len(both)} subject{'s' * (len(both) > 1)}", pair))
            on_two |= set(both)
    kept = {number: names for number, names in alike.items() if number not in on_two}
    checked = replace(fold, findings=(*shared, *fold.findings, *_named_twice(kept)))
    if on_two and not config.allow_shared_subjects:
        raise _shared_error(checked, manifest, person, sorted(on_two))
    return checked


def _shared_name(fold: Fold, manifest: Manifest, person: Array, number: int) -> str:
    """A person's name, with the other ways in which it is written."""
    name, *others = dict.fromkeys(name for name, _, _ in _places(fold, manifest, person, number))
    return f"{name!r} (also {', '.join(map(repr, others))})" if others else repr(name)


def _places(fold: Fold, manifest: Manifest, person: Array, number: int) -> list[tuple[str, str, int]]:
    """Name, side and first row of a person: one for each name on each side."""
    found: dict[tuple[str, str], int] = {}
    for side, rows in fold.sides.items():
        for row in rows[person[rows] == number].tolist():
            found.setdefault((manifest.subjects[row], side), row)
    return [(name, side, row) for (name, side), row in found.items()]


def _named_twice(alike: Mapping[int, Mapping[str, int]]) -> tuple[Finding, ...]:
    if not alike:
        return ()
    people = [" and ".join(map(repr, names)) for names in alike.values()]
    return (
        Finding(
            f"{few(people, '; ')} look like one person; each name counts as a subject of its own",
            f"{len(people)} people seem to have several names; each name counts as a subject of its own",
        ),
    )


def _shared_error(fold: Fold, manifest: Manifest, person: Array, people: Sequence[int]) -> ManifestError:
    """Who is on two sides, and in which lines."""
    said, respelt = [], False
    for number in people:
        places = _places(fold, manifest, person, number)
        if len({name for name, _, _ in places}) == 1:
            sides = " and ".join(f"{side} (line {manifest.line(row)})" for _, side, row in places)
            said.append(f"subject {places[0][0]!r} is in {sides}")
        else:
            names = " and ".join(f"{name!r} in {side} (line {manifest.line(row)})" for name, side, row in places)
            said.append(f"{names} look like one person")
            respelt = True
    new = "; the test people are new" if fold.subject_independent else ""
    return ManifestError(
        f"{manifest.path or 'the manifest'}: {few(said, '; ')}; expected each person on one side{new}",
        hint=ONE_SPELLING if respelt else ALLOW,
    )
