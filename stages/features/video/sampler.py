"""Which frames are kept."""

from dataclasses import dataclass
from typing import Literal

_SAMPLING_TOLERANCE_S = 0.0005


@dataclass(slots=True)
class Sampler:
    """Which frames are kept: the first at or after each grid time k / fps, or every one.

    Half a millisecond is forgiven, so that 25 frames a second at 3.125 keep exactly every eighth.
    """

    fps: float | Literal["source"]  # "source": every frame
    _next: int = 0  # the first grid time that no frame was kept for

    def keeps(self, time_s: float) -> bool:
        """Whether the frame at this time is kept; times must not decrease."""
        if self.fps == "source":
            return True
        grid = int((time_s + _SAMPLING_TOLERANCE_S) * self.fps + 1e-9)
        if grid < self._next:
            return False
        self._next = grid + 1
        return True
