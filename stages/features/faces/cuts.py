"""Where one shot ends and another begins."""

from collections.abc import Callable

import numpy as np

from ....cache.records import Array


class CutFinder:
    """Cuts by mean absolute difference of 32x24 grey thumbnails (0-255).

    Looked for between neighbouring decoded frames, and between kept ones for dissolves. Inside one shot neighbours
    differ by at most 12, frames a third of a second apart by at most 16 (four recordings of talking faces).
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._last: Array | None = None
        self._last_kept: Array | None = None
        self._since_kept = False

    def see(self, thumbnail: Callable[[], Array]) -> None:
        """The next decoded frame, kept or not; leave damaged ones out."""
        seen = thumbnail()
        if self._differs(self._last, seen):
            self._since_kept = True
        self._last = seen

    def keep(self) -> bool:
        """Whether a cut lies between the previous kept frame and the one just seen, which is kept."""
        assert self._last is not None
        cut = self._since_kept or self._differs(self._last_kept, self._last)
        self._last_kept, self._since_kept = self._last, False
        return cut

    def _differs(self, one: Array | None, other: Array) -> bool:
        if one is None:
            return False
        return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean()) > self._threshold


class NoCuts:
    """In the place of a cut finder where nobody is followed: it looks at nothing, which costs no time."""

    def see(self, thumbnail: Callable[[], Array]) -> None:
        """Nothing."""

    def keep(self) -> bool:
        """False."""
        return False
