"""What is said of a video: scores of every person over time, and how far each may be trusted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .records import Array

LARGEST, NOBODY = -2, -1
REASONS = ("", "no face in the clip", "too few frames with a face", "the model gave no number")


@dataclass(frozen=True, slots=True)
class Target:
    """One predicted quantity, in the units of its own scale."""

    name: str
    low: float
    high: float
    unit: str = ""
    training_mean: float | None = None  # what a model that learnt nothing would say


@dataclass(frozen=True, slots=True)
class PersonPrediction:
    """One person of one video: C clips in time order, K targets, 2w+1 clips of context, M frames with a face.

    A clip without a usable face has NaN scores and a reason. `std` is NaN where fewer than two models had a say.
    """

    track: int  # the person; LARGEST for each frame's largest face, NOBODY where nobody was seen
    start_s: Array  # (C,) float64, from the video's first frame; clips may overlap
    end_s: Array  # (C,) float64
    mean: Array  # (C, K) float32, over the run's models
    std: Array  # (C, K) float32, spread over the run's models
    coverage: Array  # (C,) float32, share of the clip's frames with a usable face
    out_of_range: Array  # (C,) bool, features unlike those the models were trained on
    reason: Array  # (C,) uint8, index into REASONS
    attention: Array  # (C, 2w+1) float32, where the model looked; NaN where it looked nowhere
    distance: Array  # (C,) float32, from the training features; above 1 is out of range, NaN where unknown
    face_time_s: Array  # (M,) float64, kept frames in which the person was seen
    face_box_px: Array  # (M, 4) float32, x0 y0 x1 y1 in the upright frame

    def __post_init__(self) -> None:
        clips, seen = len(self.start_s), len(self.face_time_s)
        assert self.mean.shape == self.std.shape == (clips, self.mean.shape[-1]), "mean and std are (C, K)"
        for name in ("end_s", "coverage", "out_of_range", "reason", "distance"):
            assert getattr(self, name).shape == (clips,), f"{name} is not (C,)"
        assert self.attention.ndim == 2 and len(self.attention) == clips, "attention is (C, 2w+1)"
        assert self.face_box_px.shape == (seen, 4), "face_box_px is (M, 4)"

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
        return _mean(self.mean), _mean(self.std)


def _mean(values: Array) -> Array:
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(0, dtype=np.float64)
    mean: Array = np.divide(total, known.sum(0), out=np.full(total.shape, np.nan), where=known.any(0))
    return mean


@dataclass(frozen=True, slots=True)
class VideoPrediction:
    """One video with every chosen person."""

    video: str  # its id in the store, or a pseudonym
    source: Path | None  # the recording; None where it is unknown or must not be named
    duration_s: float
    width_px: int  # upright
    height_px: int
    targets: tuple[Target, ...]
    persons: tuple[PersonPrediction, ...]
    clock_offset_s: float = 0.0  # what a player's clock shows at the first video frame
    models: int = 1
    warnings: tuple[str, ...] = ()
