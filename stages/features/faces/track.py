"""Faces followed from look to look: which detection is whose, and where one shot ends and another begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....cache.records import Array
from ....configs.schema import FacesConfig
from .link import Linker, decode, encode

_IMPOSSIBLE = 1e6
# Least likeness of a sighting to its track (descriptors as `crop.describe`). Looks 0.32 s apart of one person are alike
# by 0.75 and more, different people by 0.70 at most; a hand before the face lowers it.
_LIKENESS = 0.6  # where boxes overlap, one look later
_LIKENESS_AFTER_GAP = 0.7  # where boxes overlap, after a missed look: someone else may have taken the place
_LIKENESS_AFAR = 0.75  # where they do not overlap, within...
_REACH = 2.0  # ...box sides of the last place...
_SIZE_CHANGE = 1.6  # ...and about as large


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
    look: Array  # (768,) float64, descriptor of the last sighting
    total: Array  # (768,) float64, sum of descriptors
    looks: int

    def move(self, frame: int, time_s: float, seen: Sighting) -> None:
        self.last, self.time_s, self.looks = frame, time_s, self.looks + 1
        self.box_px = seen.box_px
        self.look = seen.look.astype(np.float64)
        self.total = self.total + self.look


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
                look = face.look.astype(np.float64)
                self._active.append(Track(self._next, frame, frame, time_s, face.box_px, look, look, looks=1))
                self._next += 1
        self._previous = frame
        return owner

    def finish(self) -> dict[int, int]:
        """End every track; track -> person for the tracks that were joined."""
        self._end(list(self._active))
        return self._linker.persons()

    def _match(self, seen: Sequence[Sighting]) -> list[tuple[int, int]]:
        """(position in active, sighting) pairs of the cheapest assignment."""
        from scipy.optimize import linear_sum_assignment  # half a second that a run with nothing to do need not wait

        config = self._config
        if not self._active or not seen:
            return []
        boxes, found = np.stack([track.box_px for track in self._active]), np.stack([face.box_px for face in seen])
        likeness = self._likeness(np.stack([face.look for face in seen]).astype(np.float64))
        overlap = iou(boxes, found)
        missed = np.array([track.last != self._previous for track in self._active])
        near = (overlap >= config.min_iou) & (likeness >= np.where(missed, _LIKENESS_AFTER_GAP, _LIKENESS)[:, None])
        far = within_reach(boxes, found) & (likeness >= _LIKENESS_AFAR)
        sure = np.array([face.score for face in seen]) >= config.continue_score
        possible = (near | far) & sure
        cost = np.where(possible, np.where(near, 1 - overlap, 1) + 1 - likeness, _IMPOSSIBLE)
        rows, columns = linear_sum_assignment(cost)
        return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if possible[row, column]]

    def _likeness(self, looks: Array) -> Array:
        """(tracks, sightings): to a track's last look or to its mean, whichever is more alike."""
        totals = np.stack([track.total for track in self._active])
        means = totals / np.maximum(np.linalg.norm(totals, axis=1, keepdims=True), 1e-12)
        last = np.stack([track.look for track in self._active])
        return np.asarray(np.maximum(means @ looks.T, last @ looks.T))

    def _end(self, ended: Sequence[Track]) -> None:
        for track in ended:
            self._active.remove(track)
            self._linker.add(track.number, track.first, track.last, track.total, track.looks)

    def state(self) -> dict[str, Any]:
        """Everything `from_state` needs, as JSON values; exact."""
        active = [
            [t.number, t.first, t.last, t.time_s, encode(t.box_px), encode(t.look), encode(t.total), t.looks]
            for t in self._active
        ]
        return {"active": active, "next": self._next, "previous": self._previous, "linker": self._linker.state()}

    @classmethod
    def from_state(cls, config: FacesConfig, state: Mapping[str, Any]) -> "Tracker":
        """The tracker that gave this state."""
        tracker = cls(config)
        tracker._active = [
            Track(number, first, last, time_s, decode(box), decode(look), decode(total), looks)
            for number, first, last, time_s, box, look, total, looks in state["active"]
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


def within_reach(one: Array, other: Array) -> Array:
    """(n, m) whether boxes lie near one another and are of about the same size."""
    sides = [np.sqrt(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-3), axis=1)) for boxes in (one, other)]
    centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (one, other)]
    distance = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2)
    larger = np.maximum(sides[0][:, None], sides[1][None])
    smaller = np.minimum(sides[0][:, None], sides[1][None])
    return np.asarray((distance <= _REACH * larger) & (larger <= _SIZE_CHANGE * smaller))


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
