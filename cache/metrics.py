"""How well a run did: scores of methods over targets and levels, as metrics.json has them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .records import Json, Target


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
    def from_json(cls, values: Mapping[str, Json]) -> "Score":
        """What `to_json` made, or an older version, whose averages had no interval."""
        value, low, high = (_or_nan(values.get(name)) for name in ("value", "low", "high"))
        return cls(value, low, high, values.get("reason"), values.get("no_interval"))


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
OVER_RIDGE = "ccc over ridge"  # the differences' place among the methods of metrics.json
ALL_TARGETS = "all targets"  # the averages' place among the targets of metrics.json


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
    def from_json(
        cls, values: Mapping[str, Json], subjects: Mapping[str, Json], means: Mapping[str, Json]
    ) -> "LevelMetrics":
        """What `to_json`, `subjects_to_json` and `means_to_json` made."""
        methods = {name: targets for name, targets in values.items() if name not in ("rows", "subjects", OVER_RIDGE)}
        return cls(
            rows=int(values["rows"]),
            subjects=int(values["subjects"]),
            scores={
                method: {
                    name: {metric: Score.from_json(score) for metric, score in scores.items()}
                    for name, scores in targets.items()
                    if name != ALL_TARGETS
                }
                for method, targets in methods.items()
            },
            averages={
                method: {
                    metric: Average(Score.from_json(mean), mean["targets"])
                    for metric, mean in targets[ALL_TARGETS].items()
                }
                for method, targets in methods.items()
            },
            per_subject=_each(subjects, lambda value: Score(_or_nan(value))),
            subject_means={
                method: {
                    name: {metric: Average(Score.from_json(mean), mean["subjects"]) for metric, mean in of.items()}
                    for name, of in targets.items()
                }
                for method, targets in means.items()
            },
            over_ridge={method: Score.from_json(score) for method, score in values.get(OVER_RIDGE, {}).items()},
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
        """The content of metrics.json, in its order."""
        levels = {"clips": self.clips, "spans": self.spans, "videos": self.videos}
        return {
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

    @classmethod
    def from_json(cls, values: Mapping[str, Json]) -> "Metrics":
        """What `to_json` made. Errors: KeyError, TypeError, ValueError or AttributeError for anything else."""
        interval, _, method = values["interval"].partition(", ")
        folds, validation = values["folds"], values["validation"]
        means = values.get("subject_means", {})  # older files have none
        return cls(
            warnings=tuple(map(str, values["warnings"])),
            shares_people=not values["subject_independent"],
            protocol=values["protocol"],
            targets=tuple(_target(name, values["ranges"][name], values["units"][name]) for name in values["targets"]),
            interval=interval,
            interval_method=method,
            icc=values["icc"],
            folds_done=tuple(folds["done"]),
            folds_failed=dict(folds["failed"]),
            validation_ccc=_or_nan(validation["ccc"]),
            validation_by_fold={name: _or_nan(value) for name, value in validation["folds"].items()},
            **{
                name: LevelMetrics.from_json(values[name], values["per_subject"][name], means.get(name, {}))
                for name in ("clips", "spans", "videos")
            },
        )


def _target(name: str, bounds: Sequence[float | None], unit: str) -> Target:
    low, high = bounds
    return Target(name, -math.inf if low is None else low, math.inf if high is None else high, unit)


def _each(tree: Mapping[str, Any], of: Callable[[Any], Any]) -> dict[str, Any]:
    """The same tree with other leaves."""
    return {name: _each(item, of) if isinstance(item, Mapping) else of(item) for name, item in tree.items()}


def _or_null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
