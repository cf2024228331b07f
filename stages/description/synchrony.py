"""Whether two people of a video change together: correlations in windows, over lags, against what chance gives.

As Ramseyer & Tschacher, "Nonverbal synchrony in psychotherapy", J. Consulting and Clinical Psychology 2011: the mean of
|z|, Fisher's z of the correlation in each window and at each lag. What two people have who do not react to each other
is found from the same two curves with one of them shifted in time, so that its own slowness is kept.
"""

from dataclasses import dataclass

import numpy as np

from ...cache.records import Array

WINDOW_S = 20.0
MOST_LAG_S = 3.0
# With less, the shifts are too few that differ: two who share nothing had p <= .05 in 12 to 21 of 100 at 60 to 66 s.
LEAST_TOGETHER_S = 120.0
LEAST_KNOWN = 0.75  # of a window, in which both are known
SHIFTS = 99  # with them the smallest p is 1 / 100
_MOST_Z = 3.0


@dataclass(frozen=True, slots=True)
class Synchrony:
    """Of two curves: how strongly they go together, and how strongly they would by chance."""

    together_s: float  # both are known
    synchrony: float  # mean |z|; NaN where too little is known
    chance: float  # the mean of it over shifts
    p: float  # share of shifts, and of what was found, that is at least as strong
    lag_s: float  # at which they agree best; positive: the second follows the first; NaN where they do at none


def synchrony(first: Array, second: Array, step_s: float) -> Synchrony:
    """Of two curves (N,) on one grid of times, `step_s` apart; NaN where not known.

    Curves that do not vary in a window say nothing there.
    """
    known = np.isfinite(first) & np.isfinite(second)
    together_s = float(known.sum() * step_s)
    width, most = max(4, round(WINDOW_S / step_s)), round(MOST_LAG_S / step_s)
    nothing = Synchrony(together_s, float("nan"), float("nan"), float("nan"), float("nan"))
    if together_s < LEAST_TOGETHER_S or len(first) < 2 * width:
        return nothing
    by_lag = _by_lag(first, second, width, most)
    if not np.isfinite(by_lag).any():
        return nothing
    strength = float(np.nanmean(np.abs(by_lag)))
    # No shift as small as the lags that are looked at, in either direction around the end.
    least = most + width
    shifts = np.unique(np.linspace(least, len(first) - least, SHIFTS).round().astype(int))
    shifts = shifts[(shifts >= least) & (shifts <= len(first) - least)]
    by_shift = (np.abs(_by_lag(first, np.roll(second, shift), width, most)) for shift in shifts)
    chance = np.array([np.nanmean(z) for z in by_shift if np.isfinite(z).any()])
    if not len(chance):
        return nothing
    p = (1 + int((chance >= strength).sum())) / (1 + len(chance))
    # Where the curves agree best, not where they differ most: who answers a smile smiles.
    mean = np.nanmean(by_lag, 0)
    best = int(np.nanargmax(mean))
    inside = 0 < best < 2 * most  # at an end, what lies beyond may be better still
    alike = mean[best] > -np.nanmin(mean)  # else one moves while the other rests
    lag_s = (best - most) * step_s if inside and alike else float("nan")
    return Synchrony(together_s, strength, float(chance.mean()), p, lag_s)


def _by_lag(first: Array, second: Array, width: int, most: int) -> Array:
    """(W, 2 most + 1) Fisher's z of each half-overlapping window at each lag; NaN where it is not known."""
    starts = np.arange(most, len(first) - width - most + 1, max(1, width // 2))
    if not len(starts):
        return np.full((0, 2 * most + 1), np.nan)
    here = first[starts[:, None] + np.arange(width)]  # (W, width)
    lags = np.arange(-most, most + 1)
    there = second[(starts[:, None] + lags)[:, :, None] + np.arange(width)]  # (W, L, width)
    both = np.isfinite(here)[:, None] & np.isfinite(there)
    count = both.sum(2)
    a, b = np.where(both, here[:, None], 0.0), np.where(both, there, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        a = np.where(both, a - (a.sum(2) / count)[..., None], 0.0)
        b = np.where(both, b - (b.sum(2) / count)[..., None], 0.0)
        size = np.sqrt((a * a).sum(2) * (b * b).sum(2))
        r = np.where(size > 1e-12, (a * b).sum(2) / size, np.nan)
    z = np.clip(np.arctanh(np.clip(r, -0.999999, 0.999999)), -_MOST_Z, _MOST_Z)
    z[count < LEAST_KNOWN * width] = np.nan
    return np.asarray(z)
