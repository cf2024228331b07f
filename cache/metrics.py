"""How well a run did: scores of methods over targets and levels, as metrics.json has them."""

import hashlib
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .checked import mapping, number, text, texts, whole
from .records import Json, Target

METHODS = ("blend", "model", "ridge", "mean")  # in the order of metrics.json; `stages.views.rules` names them
LEVELS = {"clips": "clip", "spans": "span", "videos": "video"}  # in metrics.json -> in predictions.csv
OVER_RIDGE = "ccc over ridge"  # the differences' place among the methods of metrics.json
ALL_TARGETS = "all targets"  # the averages' place among the targets of metrics.json
DIGEST = "sha256"  # in metrics.json, of its other values however they are laid out
FINITE = sys.float_info.max
ROUNDING = 1e-9  # by which a CCC may lie beyond 1
Leaf = TypeVar("Leaf")


@dataclass(frozen=True, slots=True)
class Score:
    """One metric with its interval; NaN with `reason` where the data do not define it."""

    value: float
    low: float = math.nan
    high: float = math.nan
    reason: str | None = None  # why it has no value, or one by definition alone: that says nothing
    no_interval: str | None = None  # why a value has none

    @property
    def bounded(self) -> bool:
        """Whether an interval is known."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def told(self) -> bool:
        """Whether its value says something; if not, the reason does."""
        return math.isfinite(self.value) and self.reason is None

    def to_json(self) -> dict[str, Json]:
        """Plain values; null where there is no number."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        words = {"reason": self.reason, "no_interval": self.no_interval}
        return {name: _or_null(value) for name, value in numbers.items()} | words

    @classmethod
    def from_json(cls, values: Json, most: float = FINITE) -> "Score":
        """What `to_json` made, or an older version, whose averages had no interval.

        most: what its value can be, either side of 0. Errors: ValueError for anything else.
        """
        found = mapping(values, "a score")
        low, high = (_or_nan(found.get(name)) for name in ("low", "high"))
        reason, no_interval = (None if found.get(name) is None else text(found[name], name)
                               for name in ("reason", "no_interval"))  # fmt: skip
        return cls(_or_nan(found.get("value"), most), low, high, reason, no_interval)


@dataclass(frozen=True, slots=True)
class Average:
    """A metric's mean over the targets or the subjects in which it is defined; NaN where it is in none."""

    score: Score
    parts: int  # how many targets, or subjects

    @property
    def value(self) -> float:
        """The mean itself."""
        return self.score.value

    def to_json(self, parts: str) -> dict[str, Json]:
        """Plain values; `parts` names what the mean is over."""
        return {**self.score.to_json(), parts: self.parts}


Scores = Mapping[str, Mapping[str, Mapping[str, Score]]]  # method -> target -> metric -> score


@dataclass(frozen=True, slots=True)
class LevelMetrics:
    """How well every method did on the held-out rows of one level: labelled spans, clips or videos."""

    rows: int
    subjects: int
    scores: Scores
    averages: Mapping[str, Mapping[str, Average]]  # method -> metric -> mean over the targets
    per_subject: Mapping[str, Scores]  # subject -> scores of that subject's rows alone, without intervals
    # method -> target, or ALL_TARGETS -> metric -> mean over subjects of their own
    subject_means: Mapping[str, Mapping[str, Mapping[str, Average]]] = field(default_factory=dict)
    # method -> its mean CCC over the targets minus ridge regression's, paired by subject
    over_ridge: Mapping[str, Score] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Plain values of all but what is per subject, which stands elsewhere in the file."""
        values: dict[str, Json] = {"rows": self.rows, "subjects": self.subjects}
        for method, targets in self.scores.items():
            averages = {metric: mean.to_json("targets") for metric, mean in self.averages[method].items()}
            values[method] = {**_each(targets, Score.to_json), ALL_TARGETS: averages}
        values[OVER_RIDGE] = {method: score.to_json() for method, score in self.over_ridge.items()}
        return values

    def subjects_to_json(self) -> dict[str, Json]:
        """Subject -> method -> target -> metric -> number; null where it is not defined."""
        return _each(self.per_subject, lambda score: _or_null(score.value))

    def means_to_json(self) -> dict[str, Json]:
        """Method -> target, or all of them -> metric -> mean over subjects of their own."""
        return _each(self.subject_means, lambda mean: mean.to_json("subjects"))

    @classmethod
    def from_json(cls, values: Json, subjects: Json, means: Json) -> "LevelMetrics":
        """What `to_json`, `subjects_to_json` and `means_to_json` made. Errors: KeyError, ValueError for all else."""
        found = mapping(values, "a level")
        methods = {
            name: mapping(of, name) for name, of in found.items() if name not in ("rows", "subjects", OVER_RIDGE)
        }
        if not methods.keys() <= set(METHODS):
            raise ValueError(
                f"a level has the methods {', '.join(methods)[:200]}; expected some of {', '.join(METHODS)}"
            )
        averages = {name: _averages(of[ALL_TARGETS], "targets") for name, of in methods.items()}
        if not all("ccc" in of for of in averages.values()):
            raise ValueError("a method has no mean CCC")
        return cls(
            rows=whole(found["rows"], "rows"),
            subjects=whole(found["subjects"], "subjects"),
            scores={
                method: {name: _scores(scores) for name, scores in targets.items() if name != ALL_TARGETS}
                for method, targets in methods.items()
            },
            averages=averages,
            per_subject=_read(subjects, 4, lambda value: Score(_or_nan(value))),
            subject_means=_read(means, 2, lambda item: _averages(item, "subjects")),
            over_ridge=_read(found.get(OVER_RIDGE, {}), 1, lambda score: Score.from_json(score, 2 + ROUNDING)),
        )


@dataclass(frozen=True, slots=True)
class Metrics:
    """How well a run did on what its folds held out: the whole of metrics.json."""

    warnings: tuple[str, ...]
    shares_people: bool  # whether the test side of a fold shares people, recordings or frames with another side
    protocol: str
    targets: tuple[Target, ...]
    interval: str  # the share that intervals cover, as "95 %"
    interval_method: str  # how they were found
    icc: str  # which of the intraclass correlations
    folds_done: tuple[str, ...]
    folds_failed: Mapping[str, str]  # fold -> reason
    validation_ccc: float  # mean CCC of the inner validation clips: what a choice between settings may look at
    validation_by_fold: Mapping[str, float]
    clips: LevelMetrics
    spans: LevelMetrics
    videos: LevelMetrics

    def to_json(self) -> dict[str, Json]:
        """The content of metrics.json, in its order; last a digest of all before it."""
        levels = {"clips": self.clips, "spans": self.spans, "videos": self.videos}
        values: dict[str, Json] = {
            "warnings": list(self.warnings),
            "subject_independent": not self.shares_people,
            "protocol": self.protocol,
            "targets": [target.name for target in self.targets],
            "units": {target.name: target.unit for target in self.targets},
            "ranges": {target.name: [_or_null(target.low), _or_null(target.high)] for target in self.targets},
            "interval": f"{self.interval}, {self.interval_method}",
            "icc": self.icc,
            "folds": {"done": list(self.folds_done), "failed": dict(self.folds_failed)},
            "validation": {
                "ccc": _or_null(self.validation_ccc),
                "folds": {name: _or_null(value) for name, value in self.validation_by_fold.items()},
            },
            **{name: level.to_json() for name, level in levels.items()},
            "per_subject": {name: level.subjects_to_json() for name, level in levels.items()},
            "subject_means": {name: level.means_to_json() for name, level in levels.items()},
        }
        return values | {DIGEST: _digest(values)}

    @classmethod
    def from_json(cls, values: Mapping[str, Json]) -> "Metrics":
        """What `to_json` made. Errors: KeyError, ValueError for anything else."""
        interval, _, method = text(values["interval"], "interval").partition(", ")
        folds, validation = mapping(values["folds"], "folds"), mapping(values["validation"], "validation")
        ranges, units = mapping(values["ranges"], "ranges"), mapping(values["units"], "units")
        alone = mapping(values["per_subject"], "per_subject")
        means = mapping(values.get("subject_means", {}), "subject_means")  # older files have none
        if type(values["subject_independent"]) is not bool:
            raise ValueError("subject_independent is neither true nor false")
        return cls(
            warnings=texts(values["warnings"], "warnings"),
            shares_people=not values["subject_independent"],
            protocol=text(values["protocol"], "protocol"),
            targets=tuple(_target(name, ranges[name], units[name]) for name in texts(values["targets"], "targets")),
            interval=interval,
            interval_method=method,
            icc=text(values["icc"], "icc"),
            folds_done=texts(folds["done"], "folds.done"),
            folds_failed=_read(folds["failed"], 1, lambda reason: text(reason, "a fold's reason")),
            validation_ccc=_or_nan(validation["ccc"]),
            validation_by_fold=_read(validation["folds"], 1, _or_nan),
            **{level: LevelMetrics.from_json(values[level], alone[level], means.get(level, {})) for level in LEVELS},
        )


def is_as_written(values: Mapping[str, Json]) -> bool:
    """Whether what was read from a metrics.json is what was written; earlier versions wrote no digest to tell by."""
    if DIGEST not in values:
        return True
    try:
        return bool(values[DIGEST] == _digest({name: value for name, value in values.items() if name != DIGEST}))
    except RecursionError:  # nested as no metrics are
        return False


def _digest(values: Mapping[str, Json]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _target(name: str, bounds: Json, unit: Json) -> Target:
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise ValueError("a target's range is no pair")
    low, high = (None if bound is None else number(bound, "a bound", -FINITE, FINITE) for bound in bounds)
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    return Target(name, low, high, text(unit, "a unit"))


def _scores(values: Json) -> dict[str, Score]:
    """Metric -> score. Errors: ValueError."""
    found = mapping(values, "scores")
    return {name: Score.from_json(score, 1 + ROUNDING if name == "ccc" else FINITE) for name, score in found.items()}


def _averages(values: Json, parts: str) -> dict[str, Average]:
    """Metric -> mean over so many parts. Errors: KeyError, ValueError."""
    return {name: Average(score, whole(values[name][parts], parts)) for name, score in _scores(values).items()}


def _read(values: Json, depth: int, leaf: Callable[[Json], Leaf]) -> dict[str, Any]:
    """So many objects in one another, with their leaves read. Errors: ValueError for another tree, and the leaf's."""
    found = mapping(values, "what holds scores")
    return {name: leaf(item) if depth == 1 else _read(item, depth - 1, leaf) for name, item in found.items()}


def _each(tree: Mapping[str, Any], of: Callable[[Any], Any]) -> dict[str, Any]:
    """The same tree with other leaves."""
    return {name: _each(item, of) if isinstance(item, Mapping) else of(item) for name, item in tree.items()}


def _or_null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_nan(value: Json, most: float = FINITE) -> float:
    return math.nan if value is None else number(value, "a number of it", -most, most)
