"""How much a face changes: its distance from the person's own usual face, without what the head's place explains."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...cache.records import Array, FrameFeatures
from .measures import eye_distance
from .series import NOD, SIZE, TILT, TURN

ROWS_AT_ONCE = 2048
FEWEST_ROWS_A_TERM = (
    50  # a minute at 5 a second; with fewer, chance explains much and the usual face alone is taken away
)
INNER = slice(17, 68)  # without the jaw, which follows the turn of the head more than the face

Rows = Callable[[int, int], Array]  # of a video: rows [start, stop), (stop - start, D)


def expressivity(rows: Rows, count: int, people: Sequence[tuple[Array, dict[str, Array]]], *, over: str) -> list[Array]:
    """(N,) of each person: sqrt(mean_d (x_d - usual_d)^2) in each kept frame; NaN where not seen.

    The usual face is the least squares fit of the features, over all frames of the person, by a constant and, where
    there are frames enough, turn, nod, tilt, size and the squares of turn and nod.

    rows, count: the video's rows, read piece by piece, twice. people: (row, series) of each, as `series_of`.
    over: "usual" divides by the root mean square of the person's mean features; "nothing" leaves the features' unit.
    """
    fits = [_Fit(row, series, count) for row, series in people]
    for start, values in _pieces(rows, count):
        for fit in fits:
            fit.learn(start, values)
    for fit in fits:
        fit.solve()
    for start, values in _pieces(rows, count):
        for fit in fits:
            fit.measure(start, values)
    return [fit.found(relative=over == "usual") for fit in fits]


def shapes(features: FrameFeatures) -> Rows:
    """Points of the inner face in distances of the eyes, from the middle between them, the eyes' line level."""

    def rows(start: int, stop: int) -> Array:
        points = np.asarray(features.points_px[start:stop], np.float64)
        left, right = points[:, 36:42].mean(1), points[:, 42:48].mean(1)
        along = (right - left) / np.maximum(eye_distance(points), 1e-9)[:, None] ** 2
        from_middle = points[:, INNER] - ((left + right) / 2)[:, None]
        across = np.stack([-along[:, 1], along[:, 0]], 1)
        level = np.stack([(from_middle * axis[:, None]).sum(2) for axis in (along, across)], 2)
        # A distance of two coordinates: the root mean square is taken over points.
        return np.asarray(level.reshape(len(points), -1) * np.sqrt(2))

    return rows


def _pieces(rows: Rows, count: int) -> Iterator[tuple[int, Array]]:
    for start in range(0, count, ROWS_AT_ONCE):
        yield start, np.asarray(rows(start, min(start + ROWS_AT_ONCE, count)), np.float32)


class _Fit:
    """One person's usual face, learnt from all of their rows."""

    def __init__(self, row: Array, series: dict[str, Array], count: int) -> None:
        self.frames = np.flatnonzero(row >= 0)
        self.rows = row[self.frames]  # ascending, as rows are in the order of frames
        self.terms = _terms(series, self.frames)
        self.left = np.full(len(row), np.nan)
        self.products: Array | None = None  # terms by features
        self.usual: Array | None = None
        self.norm = 0.0

    def _here(self, start: int, values: Array) -> tuple[slice, Array]:
        """Which of the person's rows lie in a piece, and their values."""
        low, high = np.searchsorted(self.rows, (start, start + len(values)))
        return slice(int(low), int(high)), values[self.rows[low:high] - start]

    def learn(self, start: int, values: Array) -> None:
        here, own = self._here(start, values)
        product = self.terms[here].T @ own.astype(np.float64)
        self.products = product if self.products is None else self.products + product

    def solve(self) -> None:
        if self.products is None or not len(self.rows):
            return
        self.usual = np.linalg.lstsq(self.terms.T @ self.terms, self.products, rcond=None)[0]
        mean = self.products[0] / len(self.rows)
        self.norm = float(np.sqrt((mean**2).mean()))

    def measure(self, start: int, values: Array) -> None:
        if self.usual is None:
            return
        here, own = self._here(start, values)
        apart = own - self.terms[here] @ self.usual
        self.left[self.frames[here]] = np.sqrt((apart**2).mean(1))

    def found(self, *, relative: bool) -> Array:
        if not relative:
            return self.left
        return self.left / self.norm if self.norm > 0 else np.full_like(self.left, np.nan)


def _terms(series: dict[str, Array], frames: Array) -> Array:
    """(n, q) a constant, and where there are frames enough what the head's place explains; each of size about one."""
    size = np.log(np.maximum(series[SIZE][frames], 1e-6))
    angles = [series[name][frames] for name in (TURN, NOD, TILT)]
    places = np.stack([*angles, size, angles[0] ** 2, angles[1] ** 2], 1)
    places = np.where(np.isfinite(places), places, np.nan)
    constant = np.ones((len(frames), 1))
    if len(frames) < FEWEST_ROWS_A_TERM * (places.shape[1] + 1) or np.isnan(places).all(0).any():
        return constant
    places = places - np.nanmean(places, 0)
    spread = np.nanstd(places, 0)
    places = np.nan_to_num(places / np.where(spread > 0, spread, 1.0))
    return np.hstack([constant, places])
