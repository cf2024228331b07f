"""Points of a face from the crop into the frame: the crop's own matrix, turned round."""

from dataclasses import dataclass

import cv2
import numpy as np

from ....cache.records import Array
from .crop import crop_matrix

# For each of 68 points, the one at its place in a mirrored face (numbers as in `measures`).
MIRROR = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PointsOf:
    """Where the points of a face are among its features, and how its crop was made."""

    columns: slice  # of the features: x, y, x, y, ... in 0-1 of the crop
    crop: str  # "aligned" or "box"
    mirrored: bool

    def __call__(self, values: Array, box_px: Array, landmarks_px: Array) -> Array:
        """(R, 68, 2) float32 pixels of the upright frame, the left eye of the picture first; values: (R, D)."""
        points = values[:, self.columns].reshape(len(values), len(MIRROR), 2)
        found = points_in_frame(points, box_px, landmarks_px, self.crop, mirrored=self.mirrored)
        return found[:, MIRROR] if self.mirrored else found


def points_in_frame(points: Array, box_px: Array, landmarks_px: Array, crop: str, *, mirrored: bool = False) -> Array:
    """(R, P, 2) float32 pixels of the upright frame, of (R, P, 2) points in 0-1 of each row's crop.

    box_px (R, 4), landmarks_px (R, 5, 2) and crop ("aligned" or "box") are those of the store. Rows whose landmarks are
    NaN are whole frames: the box is their crop. mirrored: the crop was (view hflip); point p stays p.
    """
    turned = np.asarray(points, np.float64).copy()
    if mirrored:
        turned[..., 0] = 1 - turned[..., 0]
    rows = [_row(*row, crop) for row in zip(turned, box_px, landmarks_px, strict=True)]
    return np.array(rows, np.float32).reshape(points.shape)


def _row(points: Array, box_px: Array, landmarks_px: Array, crop: str) -> Array:
    if np.isnan(landmarks_px).any():
        return np.asarray(box_px[:2] + points * (box_px[2:] - box_px[:2]))
    back = cv2.invertAffineTransform(crop_matrix(crop, box_px, landmarks_px, 1))
    return np.asarray(points @ back[:, :2].T + back[:, 2])
