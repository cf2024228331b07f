"""Faces followed from look to look: which detection is whose, and where one shot ends and another begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from ...cache.records import Array
from ...configs.schema import FacesConfig
from .link import Linker, decode, encode

_IMPOSSIBLE = 1e6
_LOOKS_WEIGHT = 0.5  # of unlikeness beside 1 - IoU, when several faces compete
_LEAST_LIKENESS = 0.3  # of a detection to its track one look later
_LEAST_LIKENESS_AFTER_GAP = 0.6  # and after a missed look: someone else may have taken the place


@dataclass(eq=False, frozen=True, slots=True)
class Sighting:
    """One face at one look."""

    box_px: Array  # (4,) float64
    landmarks_px: Array  # (5, 2) float64
    score: float
    look: Array  # (768,) float32 descriptor


@dataclass(eq=False, slots=True)
class Track:
    """One face followed; the box is that of its last sighting."""

    number: int
    first: int  # kept frame
    last: int
    time_s: float  # of the last sighting
    box_px: Array
    total: Array  # (768,) float64, sum of descriptors
    looks: int

    def move(self, frame: int, time_s: float, seen: Sighting) -> None:
        self.last, self.time_s, self.looks = frame, time_s, self.looks + 1
        self.box_px = seen.box_px
        self.total = self.total + seen.look


class Tracker:
    """Tracks of one video, in time order; ended ones go to the linker."""

    def __init__(self, config: FacesConfig) -> None:
        self._config = config
        self._active: list[Track] = []
        self._linker = Linker()
        self._next = 0  # number of the next track
        self._previous = -1  # kept frame of the last look

    def update(self, frame: int, time_s: float, seen: Sequence[Sighting], *, cut: bool) -> list[int | None]:
        """The track of each sighting, None where no track is sure of it. Call it at every look, sightings or not."""
        config = self._config
        self._end([track for track in self._active if cut or time_s - track.time_s > config.max_gap_s + 1e-6])
        owner: list[int | None] = [None] * len(seen)
        for position, number in self._match(seen):
            self._active[position].move(frame, time_s, seen[number])
            owner[number] = self._active[position].number
        for number, face in enumerate(seen):
            if owner[number] is None and face.score >= config.start_score:
                owner[number] = self._next
                self._active.append(
                    Track(self._next, frame, frame, time_s, face.box_px, face.look.astype(np.float64), looks=1)
                )
                self._next += 1
        self._previous = frame
        return owner

    def finish(self) -> dict[int, int]:
        """End every track; track -> person for the tracks that were joined."""
        self._end(list(self._active))
        return self._linker.persons()

    def _match(self, seen: Sequence[Sighting]) -> list[tuple[int, int]]:
        """(position in active, sighting) pairs of the cheapest assignment."""
        config = self._config
        if not self._active or not seen:
            return []
        overlap = iou(np.stack([track.box_px for track in self._active]), np.stack([face.box_px for face in seen]))
        totals = np.stack([track.total for track in self._active])
        means = totals / np.maximum(np.linalg.norm(totals, axis=1, keepdims=True), 1e-12)
        likeness = means @ np.stack([face.look for face in seen]).astype(np.float64).T
        least = [
            _LEAST_LIKENESS if track.last == self._previous else _LEAST_LIKENESS_AFTER_GAP for track in self._active
        ]
        sure = np.array([face.score for face in seen]) >= config.continue_score
        possible = (overlap >= config.min_iou) & sure & (likeness >= np.array(least)[:, None])
        cost = np.where(possible, 1 - overlap + _LOOKS_WEIGHT * (1 - likeness), _IMPOSSIBLE)
        rows, columns = linear_sum_assignment(cost)
        return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if possible[row, column]]

    def _end(self, ended: Sequence[Track]) -> None:
        for track in ended:
            self._active.remove(track)
            self._linker.add(track.number, track.first, track.last, track.total, track.looks)

    def state(self) -> dict[str, Any]:
        """Everything `from_state` needs, as JSON values; exact."""
        active = [
            [t.number, t.first, t.last, t.time_s, encode(t.box_px), encode(t.total), t.looks] for t in self._active
        ]
        return {"active": active, "next": self._next, "previous": self._previous, "linker": self._linker.state()}

    @classmethod
    def from_state(cls, config: FacesConfig, state: Mapping[str, Any]) -> "Tracker":
        """The tracker that gave this state."""
        tracker = cls(config)
        tracker._active = [
            Track(number, first, last, time_s, decode(box), decode(total), looks)
            for number, first, last, time_s, box, total, looks in state["active"]
        ]
        tracker._linker = Linker.from_state(state["linker"])
        tracker._next, tracker._previous = state["next"], state["previous"]
        return tracker


def iou(one: Array, other: Array) -> Array:
    """(n, m) overlap over union of (n, 4) and (m, 4) boxes x0 y0 x1 y1."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (one, other)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9))


class CutFinder:
    """Where shots begin, by mean absolute difference of 32x24 grey thumbnails (0-255).

    Looked for between neighbouring decoded frames, and between kept ones for dissolves. Inside one shot neighbours
    differ by at most 12, frames a third of a second apart by at most 16 (four recordings of talking faces).
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._last: Array | None = None
        self._last_kept: Array | None = None
        self._since_kept = False

    def see(self, thumbnail: Array) -> None:
        """The next decoded frame, kept or not; leave damaged ones out."""
        self._since_kept |= self._differs(self._last, thumbnail)
        self._last = thumbnail

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
