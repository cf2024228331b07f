"""Named measures of a face from its 68 points: lengths over the distance of the eyes, so that no face's size counts.

The points are numbered as in Multi-PIE and 300-W, here from 0: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, outer
lips 48-59, inner lips 60-67. Beside each measure stand the movements of the Facial Action Coding System that it follows
(AU); the formulas are our own unless said. Heights are across the line of the eyes, so a tilted head changes nothing; a
turned one does.

Source: Sagonas et al., "300 Faces in-the-Wild Challenge", ICCV Workshops 2013 (points); Ekman & Friesen, "Facial Action
Coding System", 1978 (movements); Ren et al., "Face Alignment at 3000 FPS", CVPR 2014 (lengths over the eyes' distance).
"""

from collections.abc import Callable, Mapping

import numpy as np

from ...cache.records import Array

POINTS = 68
_LEFT_EYE, _RIGHT_EYE = slice(36, 42), slice(42, 48)  # left in the picture, and right
_LEFT_BROW, _RIGHT_BROW = slice(17, 22), slice(22, 27)
_LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))  # upper and lower
_LEFT_CORNER, _RIGHT_CORNER, _UPPER_LIP, _LOWER_LIP = 48, 54, 62, 66


def mouth_opening(points: Array) -> Array:
    """(R,) |p66 - p62| / e: between the inner edges of the lips at their middle (AU 25, 26, 27)."""
    return _length(points, _LOWER_LIP, _UPPER_LIP) / eye_distance(points)


def mouth_width(points: Array) -> Array:
    """(R,) |p54 - p48| / e: between the corners of the mouth (wide: AU 12, 20; narrow: AU 18)."""
    return _length(points, _RIGHT_CORNER, _LEFT_CORNER) / eye_distance(points)


def corner_lift(points: Array) -> Array:
    """(R,) up . ((p48 + p54) / 2 - (p62 + p66) / 2) / e: the corners above the lips' middle (AU 12; below: 15)."""
    corners = points[:, [_LEFT_CORNER, _RIGHT_CORNER]].mean(1)
    return _height(points, corners - points[:, [_UPPER_LIP, _LOWER_LIP]].mean(1))


def brow_raise(points: Array) -> Array:
    """(R,) up . (mean(p17..p26) - mean(p36..p47)) / e: the brows above the eyes (AU 1, 2; lowered: AU 4)."""
    brows = (points[:, _LEFT_BROW].mean(1) + points[:, _RIGHT_BROW].mean(1)) / 2
    return _height(points, brows - (_centre(points, _LEFT_EYE) + _centre(points, _RIGHT_EYE)) / 2)


def eye_opening(points: Array) -> Array:
    """(R,) mean of |p41 - p37|, |p40 - p38|, |p47 - p43|, |p46 - p44| / e: between the lids (AU 5; closed: AU 43, 45).

    The four distances are those of the eye aspect ratio, which divides by the eyes' own width instead.
    Source: Soukupova & Cech, "Real-Time Eye Blink Detection using Facial Landmarks", CVWW 2016.
    """
    lids = np.stack([_length(points, lower, upper) for upper, lower in _LIDS])
    opening: Array = lids.mean(0) / eye_distance(points)
    return opening


MEASURES: Mapping[str, Callable[[Array], Array]] = {
    "mouth_opening": mouth_opening,
    "mouth_width": mouth_width,
    "corner_lift": corner_lift,
    "brow_raise": brow_raise,
    "eye_opening": eye_opening,
}


def measures(points: Array) -> dict[str, Array]:
    """Every measure by name, each (R,) float64, of (R, 68, 2) points in any unit; NaN where the eyes are one point."""
    points = np.asarray(points, np.float64).reshape(-1, POINTS, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {name: measure(points) for name, measure in MEASURES.items()}
    flat = eye_distance(points) == 0
    return {name: np.where(flat, np.nan, values) for name, values in found.items()}


def eye_distance(points: Array) -> Array:
    """(R,) e = |mean(p42..p47) - mean(p36..p41)|, in the points' unit: between the centres of the eyes."""
    return np.asarray(np.linalg.norm(_centre(points, _RIGHT_EYE) - _centre(points, _LEFT_EYE), axis=1))


def _centre(points: Array, part: slice) -> Array:
    return np.asarray(points[:, part].mean(1))


def _length(points: Array, one: int, other: int) -> Array:
    return np.asarray(np.linalg.norm(points[:, one] - points[:, other], axis=1))


def _height(points: Array, vector: Array) -> Array:
    """(R,) how far (R, 2) goes up, across the line of the eyes, over their distance."""
    x, y = (_centre(points, _RIGHT_EYE) - _centre(points, _LEFT_EYE)).T
    return np.asarray((vector[:, 0] * y - vector[:, 1] * x) / (x * x + y * y))
