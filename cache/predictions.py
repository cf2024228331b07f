"""What is said of a video, and how well a run says it: scores of people over time, and a run's held-out metrics."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from .records import Array, Json, Target

LARGEST, NOBODY = -2, -1  # in the place of a person: each frame's largest face, and nobody seen


class ScoreReason(IntEnum):
    """Why a clip has no score; tables carry the sentence, arrays the number."""

    sentence: str

    def __new__(cls, number: int, sentence: str = "") -> "ScoreReason":
        member = int.__new__(cls, number)
        member._value_ = number
        member.sentence = sentence
        return member

    SCORED = 0
    NO_FACE = 1, "no face in the clip"
    TOO_FEW_FRAMES = 2, "too few frames with a face"  # fewer than `min_valid` asks for
    NO_NUMBER = 3, "the model gave no number"  # its output is not finite


FEWEST_PEOPLE = 3  # of the training: with fewer nobody can tell how far people lie apart


@dataclass(frozen=True, slots=True)
class RangeCheck:
    """What is known of how clips are found to be out of range."""

    people: int  # whose clips the models were trained on
    rate: float | None  # share of a new person's clips that is marked all the same; None: no clip is judged

    @property
    def sentence(self) -> str:
        """What a reader of the marks must know."""
        if self.rate is not None:
            share = f"{100 * self.rate:.0f}"
            return f"about {share} % of a new person's clips are marked by chance (measured on {self.people} people)"
        if self.people >= FEWEST_PEOPLE:
            few = "trained on too few clips"
        else:
            few = f"trained on {self.people} {'person' if self.people == 1 else 'people'}, too few"
        return f"{few} to tell which clips are unlike the training recordings: none is marked"


@dataclass(frozen=True, slots=True)
class ClipScores:
    """What M models say of C clips, for K targets; NaN where `reason` is not SCORED."""

    numbers: Array  # (C,) int64, which clips of the table they were made from
    mean: Array  # (C, K) float32, over the models
    std: Array  # (C, K) float32, sample standard deviation over the models, which ranks no errors; NaN with one model
    attention: Array  # (C, 2w + 1) float32, weight of each neighbouring clip; NaN at neighbours that are masked
    coverage: Array  # (C,) float32, share of the clip's frames with a usable face
    reason: Array  # (C,) uint8, ScoreReason
    distance: Array  # (C,) float32, from the training features; 1 = the threshold, NaN = not known
    out_of_range: Array  # (C,) bool, distance above 1: unlike the features the models were trained on

    def __post_init__(self) -> None:
        clips = len(self.numbers)
        for name in ("numbers", "coverage", "reason", "distance", "out_of_range"):
            assert getattr(self, name).shape == (clips,), f"{name} is not (C,)"
        assert self.mean.shape == self.std.shape == (clips, self.mean.shape[-1]), "mean and std are not (C, K)"
        assert self.attention.ndim == 2 and len(self.attention) == clips, "attention is not (C, 2w + 1)"

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"ClipScores({len(self)} clips, {self.mean.shape[1]} targets)"

    @classmethod
    def concatenate(cls, pieces: Sequence["ClipScores"]) -> "ClipScores":
        """Consecutive pieces as one."""
        return cls(
            **{item.name: np.concatenate([getattr(piece, item.name) for piece in pieces]) for item in fields(cls)}
        )


@dataclass(frozen=True, slots=True)
class PersonPrediction:
    """One person of one video: C clips in time order, and the M kept frames that show the face.

    Scores are in the targets' own units.
    """

    track: int  # the person; LARGEST or NOBODY where it is none
    start_s: Array  # (C,) float64, from the video's first frame; clips may overlap
    end_s: Array  # (C,) float64
    clips: ClipScores
    face_time_s: Array  # (M,) float64, kept frames in which the person was seen
    face_box_px: Array  # (M, 4) float32, x0 y0 x1 y1 in the upright frame

    def __post_init__(self) -> None:
        assert self.start_s.shape == self.end_s.shape == (len(self.clips),), "start_s and end_s are not (C,)"
        assert self.face_box_px.shape == (len(self.face_time_s), 4), "face_box_px is not (M, 4)"

    def __repr__(self) -> str:
        return f"PersonPrediction({self.label}, {len(self.clips)} clips, {self.clips.mean.shape[1]} targets)"

    @property
    def label(self) -> str:
        """The person in words."""
        return {LARGEST: "largest face", NOBODY: "nobody seen"}.get(self.track, f"person {self.track}")

    def edges_s(self) -> tuple[Array, Array]:
        """The stretch (C,), (C,) that each clip alone stands for: its own, or up to half-way to an overlapping one."""
        if len(self.start_s) == 0:
            return self.start_s, self.end_s
        middle = (self.start_s + self.end_s) / 2
        between = (middle[1:] + middle[:-1]) / 2
        left = np.maximum(
            self.start_s, np.append(-np.inf, np.where(self.start_s[1:] < self.end_s[:-1], between, -np.inf))
        )
        right = np.minimum(self.end_s, np.append(np.where(self.start_s[1:] < self.end_s[:-1], between, np.inf), np.inf))
        return left, right

    def video_score(self) -> tuple[Array, Array]:
        """Mean over the scored clips (K,) and their mean spread over models (K,); NaN where no clip was scored."""
        return _mean(self.clips.mean), _mean(self.clips.std)


def _mean(values: Array) -> Array:
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(0, dtype=np.float64)
    mean: Array = np.divide(total, known.sum(0), out=np.full(total.shape, np.nan), where=known.any(0))
    return mean


@dataclass(frozen=True, slots=True)
class VideoPrediction:
    """One video with every chosen person, scored for K targets."""

    video: str  # its id in the store, or a pseudonym
    source: Path | None  # the recording; None where it is unknown or must not be named
    duration_s: float
    width_px: int  # upright
    height_px: int
    targets: tuple[Target, ...]  # (K,)
    training_means: tuple[float | None, ...]  # (K,) of the training labels: what a model that learnt nothing would say
    persons: tuple[PersonPrediction, ...]
    clock_offset_s: float = 0.0  # what a player's clock shows at the first video frame
    models: int = 1
    warnings: tuple[str, ...] = ()
    range_check: RangeCheck | None = None  # None: nothing is known of it

    def __post_init__(self) -> None:
        assert len(self.training_means) == len(self.targets), "a training mean for each target"
        for person in self.persons:
            assert person.clips.mean.shape[1] == len(self.targets), f"{person} has not {len(self.targets)} targets"

    def __repr__(self) -> str:
        people = f"{len(self.persons)} {'person' if len(self.persons) == 1 else 'people'}"
        return f"VideoPrediction({self.video!r}, {self.duration_s:.1f} s, {people}, {len(self.targets)} targets)"


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
