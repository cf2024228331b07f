"""Looks and crops made on a device out of whole pictures, beside those that the CPU makes and the package uses.

The same numbers but for a grey level here and there (`tests/benchmarks/test_device_pictures.py`). Whether sending whole
pictures is worth it, `make gpu` measures: see docs/log.md, 2026-11-27.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor

from affect.cache.records import Array
from affect.stages.features.faces.crop import part_of


def look(picture: Tensor, size_px: tuple[int, int]) -> Tensor:
    """(h, w, 3) uint8 of (H, W, 3) uint8, averaged down to that width and height, as `cv2.INTER_AREA` does."""
    height, width = picture.shape[:2]
    down, across = _area(height, size_px[1], picture.device), _area(width, size_px[0], picture.device)
    scaled = down @ picture.permute(2, 0, 1).float() @ across.T
    return (scaled + 0.5).floor().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)


def crop(picture: Tensor, matrix: Array, size_px: int) -> Tensor:
    """(S, S, 3) uint8 of (H, W, 3) uint8: `faces.crop.cut_out` on the picture's device."""
    if (part := part_of(tuple(picture.shape), matrix, size_px)) is not None:
        (left, top), (right, bottom), small_px, matrix = part
        picture = look(picture[top:bottom, left:right], small_px)
    places = Places.of(matrix, size_px, picture)
    pixels = picture.reshape(-1, 3)
    upper, lower = (
        torch.lerp(pixels[row + places.left].float(), pixels[row + places.right].float(), places.across)
        for row in (places.top, places.bottom)
    )
    return torch.lerp(upper, lower, places.down).round().to(torch.uint8)


@dataclass(frozen=True, slots=True)
class Places:
    """Of each pixel of a crop: the four of the picture around it, and where between them it lies."""

    left: Tensor  # (S, S) int64 columns
    right: Tensor
    top: Tensor  # (S, S) int64 rows, as offsets into the pixels
    bottom: Tensor
    across: Tensor  # (S, S, 1) float32, 0 to 1
    down: Tensor

    @classmethod
    def of(cls, matrix: Array, size_px: int, picture: Tensor) -> "Places":
        """matrix: from the picture's pixels to the crop's. Outside, the picture's edge is repeated."""
        height, width = picture.shape[:2]
        back = torch.from_numpy(cv2.invertAffineTransform(matrix).astype(np.float32)).to(picture.device)
        steps = torch.arange(size_px, dtype=torch.float32, device=picture.device)
        x, y = (row[0] * steps[None] + (row[1] * steps[:, None] + row[2]) for row in back)
        column, row = x.floor(), y.floor()
        left, right = (side.long().clamp(0, width - 1) for side in (column, column + 1))
        top, bottom = (side.long().clamp(0, height - 1) * width for side in (row, row + 1))
        return cls(left, right, top, bottom, (x - column)[..., None], (y - row)[..., None])


@cache
def _area(whole: int, part: int, device: torch.device) -> Tensor:
    """(part, whole) float32: what each pixel of a side that is averaged down takes of those of the whole side."""
    step = whole / part
    low = torch.arange(part)[:, None] * step
    pixel = torch.arange(whole)[None]
    covered = (torch.minimum(low + step, pixel + 1) - torch.maximum(low, pixel)).clamp(0)
    return (covered / covered.sum(1, keepdim=True)).float().to(device)
