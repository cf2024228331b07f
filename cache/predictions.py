"""What is said of a video: scores of people over time, and how far they may be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from pathlib import Path
from typing import Literal

import numpy as np

from .description import Description
from .records import Array, Target

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

    @property
    def judged(self) -> Array:
        """(C,) bool: of which it is known whether they are out of range."""
        known: Array = ~np.isnan(self.distance)
        return known

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
    picture_fps: float | None = None  # of a recording that is numbered pictures
    clock_offset_s: float = 0.0  # what a player's clock shows at the first video frame
    stream: int | Literal["auto"] = "auto"  # of the recording, as features.stream
    models: int = 1
    warnings: tuple[str, ...] = ()
    range_check: RangeCheck | None = None  # None: nothing is known of it
    description: Description | None = None  # of faces without any label

    def __post_init__(self) -> None:
        assert len(self.training_means) == len(self.targets), "a training mean for each target"
        for person in self.persons:
            assert person.clips.mean.shape[1] == len(self.targets), f"{person} has not {len(self.targets)} targets"

    def __repr__(self) -> str:
        people = f"{len(self.persons)} {'person' if len(self.persons) == 1 else 'people'}"
        return f"VideoPrediction({self.video!r}, {self.duration_s:.1f} s, {people}, {len(self.targets)} targets)"
