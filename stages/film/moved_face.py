"""A photograph's face moved by known, smooth deformations: what the demo's labels mean, in pixels."""

from dataclasses import dataclass

import numpy as np

from ...cache.records import Array

# Landmarks of skimage's `astronaut`, in its own pixels (x, y).
EYES = ((202.5, 101.5), (247.0, 103.5))
MOUTH_CORNERS = ((203.8, 140.8), (244.2, 141.6))
UPPER_LIP = (223.8, 139.5)
LOWER_LIP = (223.0, 151.0)
CHIN = (222.5, 175.0)
FACE_CENTRE = (224.0, 124.0)
EYE_DISTANCE_PX = 44.5
PATCH = (160, 60, 290, 225)  # x0 y0 x1 y1: holds every deformation; outside nothing moves


@dataclass(frozen=True, slots=True)
class Face:
    """A photograph and the displacement, in its pixels, that each unit of expression adds to its face."""

    photograph: Array  # (H, W, 3) uint8 RGB
    corner_lift: Array  # (h, w, 2) float32 over PATCH, along (x, y)
    opening: Array  # (h, w, 2) float32, of the mouth and the eyes

    def express(self, valence: float, arousal: float) -> Array:
        """The photograph with its expression changed, (H, W, 3) uint8. Both in [-1, 1]; 0 is nearly neutral."""
        import cv2

        x0, y0, x1, y1 = PATCH
        shift = self.corner_lift * (valence - 0.35) + self.opening * (arousal + 0.15)
        grid = np.stack(np.meshgrid(np.arange(x1 - x0), np.arange(y1 - y0)), axis=-1).astype(np.float32)
        source = (grid - shift).astype(np.float32)
        patch = self.photograph[y0:y1, x0:x1]
        moved = cv2.remap(patch, source[..., 0], source[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        frame = self.photograph.copy()
        frame[y0:y1, x0:x1] = moved
        return frame


def load_face() -> Face:
    """The face of scikit-image's `astronaut` (NASA, public domain), which lies inside the package."""
    from skimage import data

    lift = np.zeros_like(_bump((0, 0), 1, (0, 0)))
    for (x, y), outward in zip(MOUTH_CORNERS, (-1.0, 1.0), strict=True):
        lift = lift + _bump((x, y), 8.5, (2.2 * outward, -6.0))
    lift = lift + _bump(UPPER_LIP, 10.0, (0.0, -1.0)) + _bump(LOWER_LIP, 9.0, (0.0, 1.0))
    opening = _bump(LOWER_LIP, 12.0, (0.0, 4.6)) + _bump(CHIN, 16.0, (0.0, 4.0)) + _bump(UPPER_LIP, 9.0, (0.0, -2.6))
    for eye in EYES:
        opening = opening + _stretch(eye, 7.0, 0.42)
    return Face(data.astronaut(), lift.astype(np.float32), opening.astype(np.float32))


def _offsets(centre: tuple[float, float]) -> tuple[Array, Array]:
    x0, y0, x1, y1 = PATCH
    x, y = np.meshgrid(np.arange(x0, x1, dtype=np.float64), np.arange(y0, y1, dtype=np.float64))
    return x - centre[0], y - centre[1]


def _bump(centre: tuple[float, float], sigma_px: float, shift_px: tuple[float, float]) -> Array:
    """A shift that fades with distance, (h, w, 2). Below 1.6 sigma it cannot fold the picture."""
    x, y = _offsets(centre)
    weight = np.exp(-(x**2 + y**2) / (2 * sigma_px**2))
    return np.asarray(weight[..., None] * np.asarray(shift_px))


def _stretch(centre: tuple[float, float], sigma_px: float, share: float) -> Array:
    """A vertical stretch about a centre that fades with distance, (h, w, 2)."""
    x, y = _offsets(centre)
    weight = np.exp(-(x**2 + y**2) / (2 * sigma_px**2))
    return np.stack([np.zeros_like(x), share * weight * y], axis=-1)
