"""Labels at points in time as one value for each window of a video."""

import warnings
from collections.abc import Callable

import numpy as np

from ...cache.records import Array
from .registry import Reduction

MIN_VALID = 0.5  # least share of a window's points with a value, and of the window that lies in the video
MOST_WINDOWS = 1_000_000  # of a video
TOLERANCE_S = 1e-6  # a point this much before a window's start is on it


def _of_present(pick: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The value in the row that `pick` chooses of each column; mask (n, K) -> (K,) int64."""
    return lambda block: block[pick(~np.isnan(block)), np.arange(block.shape[1])]


REDUCE: dict[Reduction, Callable[[Array], Array]] = {  # (n, K) with NaN where missing -> (K,)
    "mean": lambda block: np.nanmean(block, axis=0),
    "median": lambda block: np.nanmedian(block, axis=0),
    "min": lambda block: np.nanmin(block, axis=0),
    "max": lambda block: np.nanmax(block, axis=0),
    "first": _of_present(lambda there: there.argmax(axis=0)),
    "last": _of_present(lambda there: len(there) - 1 - there[::-1].argmax(axis=0)),
}


def window_starts(length_s: float, span_s: float, step_s: float) -> Array:
    """(W,) float64: starts of the windows that lie in a video at least by half; one where it is shorter than that."""
    count = int(max(1, min(MOST_WINDOWS, np.floor((length_s - MIN_VALID * span_s) / step_s + 1e-6) + 1)))
    starts: Array = np.round(np.arange(count) * step_s, 6)
    return starts


def reduced(time_s: Array, values: Array, starts_s: Array, span_s: float, reduction: Reduction) -> Array:
    """(W, K) float64: the values of each window, NaN where fewer than half of its points have one.

    time_s: (N,), ascending; values: (N, K), NaN where missing. A point belongs to [start, start + span_s).
    """
    begin, end = (np.searchsorted(time_s, edge - TOLERANCE_S) for edge in (starts_s, starts_s + span_s))
    windows = np.full((len(starts_s), values.shape[1]), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without any value, which stay NaN
        for number, (low, high) in enumerate(zip(begin.tolist(), end.tolist(), strict=True)):
            if high > low:
                block = values[low:high]
                enough = (~np.isnan(block)).sum(axis=0) >= MIN_VALID * (high - low)
                windows[number] = np.where(enough, REDUCE[reduction](block), np.nan)
    return windows
