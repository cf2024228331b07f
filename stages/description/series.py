"""What is known of one person in each kept frame: size, turn of the head, movement, and the named measures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array, FrameFeatures, Target
from .measures import MEASURES, measures
from .pose import head_pose

FURTHEST = 2.5  # usual steps from one kept frame to the next, over which a movement is one


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that describes a face: its usual scale, and what it is."""

    target: Target
    meaning: str


EYES = "eye distances"
POINTS_MEANING = "from 68 points; a turned head makes lengths across it shorter"
SIZE, TURN, NOD, TILT = "face_size", "turn_deg", "nod_deg", "tilt_deg"
MOVEMENT, EXPRESSIVITY = "movement", "expressivity"
OF_EVERY_FACE = (
    Measure(Target(SIZE, 0, 1, "of the picture's height"), "the side of a square as large as the face's box"),
    Measure(Target(TURN, -60, 60, "degrees"), "the face looks to the right of the picture; by an average head"),
    Measure(Target(NOD, -45, 45, "degrees"), "the face looks up; by an average head, so wrong by a constant"),
    Measure(Target(TILT, -45, 45, "degrees"), "the head leans to the right of the picture"),
    Measure(
        Target(MOVEMENT, 0, 3, f"{EYES}/s"),
        "how fast the middle between the eyes moves in the picture; a moving camera counts as well",
    ),
)
OF_FEATURES = Measure(
    Target(EXPRESSIVITY, 0, 1, "of the usual face"),
    "how far the face's features are from the person's own usual ones, over how large these are; what turn, nod, tilt "
    "and size explain is taken away. Light, hands and glasses count as well",
)
OF_POINTS = Measure(
    Target(EXPRESSIVITY, 0, 0.2, EYES),
    "how far 51 points of the face lie from where the person's own usually do (root mean square); what turn, nod, tilt "
    "and size explain is taken away",
)
_NAMED = {
    "mouth_opening": (0.0, 1.0), "mouth_width": (0.4, 1.4), "corner_lift": (-0.3, 0.3), "brow_raise": (0.2, 1.0),
    "eye_opening": (0.0, 0.5),
}  # fmt: skip
NAMED = tuple(Measure(Target(name, *_NAMED[name], EYES), POINTS_MEANING) for name in MEASURES)


def measures_of(*, pointed: bool) -> tuple[Measure, ...]:
    """What can be measured where there are 68 points of each face, or not; in the order of the columns."""
    return (*OF_EVERY_FACE, OF_POINTS if pointed else OF_FEATURES, *(NAMED if pointed else ()))


def series_of(features: FrameFeatures, row: Array, height_px: int) -> dict[str, Array]:
    """Name -> (N,) float64 of each kept frame, NaN where it is not known; all but the expressivity.

    row: (N,) the person's row in each kept frame, -1 where not seen. height_px: of the upright picture.
    """
    seen = row >= 0
    rows = row[seen]
    size = sides_px(features.box_px[rows]) / max(height_px, 1)
    angles = head_pose(features.landmarks_px[rows])
    found = {SIZE: size, TURN: angles[:, 0], NOD: angles[:, 1], TILT: angles[:, 2]}
    if "points_px" in features.optional:
        found |= measures(features.points_px[rows])
    series = {name: _spread(values, seen) for name, values in found.items()}
    series[MOVEMENT] = _movement(features, row)
    return series


def sides_px(box_px: Array) -> Array:
    """(R,) float64: the side of a square as large as each box (R, 4)."""
    sides = np.maximum(box_px[:, 2:] - box_px[:, :2], 0).astype(np.float64)
    return np.asarray(np.sqrt(np.prod(sides, axis=1)))


def _spread(values: Array, seen: Array) -> Array:
    """Values of the frames in which the person is seen, at their places among all."""
    spread = np.full(len(seen), np.nan)
    spread[seen] = values
    return spread


def _movement(features: FrameFeatures, row: Array) -> Array:
    """(N,) eye distances a second since the kept frame before; NaN at the first after a gap, and of another track.

    At a cut everybody is elsewhere at once: that is no movement, and would be one that all people share.
    """
    eyes = np.full((len(row), 2, 2), np.nan)
    eyes[row >= 0] = features.landmarks_px[row[row >= 0], :2]
    # One length for all of the recording: that of a single frame shrinks when the head turns.
    distance = _median(np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1))
    moved = np.full(len(row), np.nan)
    step_s = np.diff(features.time_s)
    near = (step_s > 0) & (step_s <= FURTHEST * usual_step_s(features.time_s))
    track = _spread(features.track[row[row >= 0]], row >= 0)
    near &= track[1:] == track[:-1]
    way = np.linalg.norm(np.diff(eyes.mean(1), axis=0), axis=1)
    if distance > 0:
        moved[1:][near] = way[near] / step_s[near] / distance
    return moved


def usual_step_s(time_s: Array) -> float:
    """Between kept frames; 0 where there are fewer than two."""
    return float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0


def mean_step_s(time_s: Array) -> float:
    """How long a kept frame stands for, pauses left out; 0 where there are fewer than two.

    Frames of a video are rarely kept at equal steps: at 12.5 a second, 5 of them lie .16 and .24 s apart.
    """
    steps = np.diff(time_s)
    return float(steps[steps <= FURTHEST * np.median(steps)].mean()) if len(steps) else 0.0


def _median(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def scales(shown: Sequence[Measure]) -> tuple[Target, ...]:
    """The measures as what is shown over time."""
    return tuple(measure.target for measure in shown)


def meanings(shown: Sequence[Measure]) -> Mapping[str, str]:
    """Name -> what it is."""
    return {measure.target.name: measure.meaning for measure in shown}
