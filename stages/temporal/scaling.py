"""Between a target's own units and the numbers the network is trained on; and the features' spread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array, Json, Target

FLOOR = 0.25  # of the root mean square deviation: nearly dead features would explode when standardised


@dataclass(frozen=True, slots=True)
class LabelScaling:
    """training value = (value - offset) / scale, for K targets."""

    targets: tuple[str, ...]
    offset: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def from_ranges(cls, targets: Sequence[Target]) -> "LabelScaling":
        """[-1, 1] with zero kept for a range around zero, [0, 1] for any other (PANSS and CAINS items)."""
        offset, scale = [], []
        for target in targets:
            assert target.bounded, f"{target.name} has no range"
            signed = target.low < 0 < target.high
            offset.append(0.0 if signed else float(target.low))
            scale.append(float(max(-target.low, target.high) if signed else target.high - target.low))
        return cls(tuple(target.name for target in targets), tuple(offset), tuple(scale))

    def to_training(self, labels: Array) -> Array:
        """(..., K) float32 from labels in their own units."""
        values: Array = ((labels - np.array(self.offset)) / np.array(self.scale)).astype(np.float32)
        return values

    def to_units(self, prediction: Array) -> Array:
        """(..., K) float64 in the targets' own units."""
        values: Array = prediction.astype(np.float64) * np.array(self.scale) + np.array(self.offset)
        return values

    def spread_to_units(self, spread: Array) -> Array:
        """(..., K) float64: standard deviations in the targets' own units."""
        values: Array = spread.astype(np.float64) * np.array(self.scale)
        return values

    def to_json(self) -> dict[str, Json]:
        """Plain values; `from_json` reads them back."""
        return {"targets": list(self.targets), "offset": list(self.offset), "scale": list(self.scale)}

    @classmethod
    def from_json(cls, values: Mapping[str, Json]) -> "LabelScaling":
        """Errors: KeyError or TypeError for other values than `to_json` makes."""
        return cls(tuple(values["targets"]), tuple(map(float, values["offset"])), tuple(map(float, values["scale"])))


def floored_spread(mean: Array, mean_square: Array) -> Array:
    """(D,) standard deviations, none below a quarter of their root mean square; 1 where nothing varies."""
    variance = np.maximum(mean_square - mean**2, 0.0)
    floor = FLOOR * float(np.sqrt(variance.mean()))
    spread: Array = np.maximum(np.sqrt(variance), floor)
    return np.where(spread > 0, spread, 1.0)
