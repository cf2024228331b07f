"""Faces followed from look to look: which detection is whose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....cache.records import Array
from ....configs.schema import FacesConfig
from .array_text import array_from_text, array_to_text
from .doubt import Doubts
from .link import Linker

_IMPOSSIBLE = 1e6
# Least likeness of a sighting to its track, by appearances as `crop.describe` gives them. From one look to the next,
# 0.32 s apart, one person is alike by 0.75 and more, another by 0.70 at most; a hand before the face lowers it. Ten
# other people were alike by more than 0.6 in 25 of 90 pairs, and by 0.83 in one: such tracks are doubted afterwards.
_LIKENESS = 0.6  # where boxes overlap, one look later
_LIKENESS_AFTER_GAP = 0.7  # where boxes overlap, after a missed look: someone else may be there now
_LIKENESS_AFAR = 0.75  # where they do not overlap, within...
_REACH = 2.0  # ...box sides of the last box...
_SIZE_CHANGE = 1.6  # ...and about as large


@dataclass(eq=False, frozen=True, slots=True)
class Sighting:
    """One face at one look."""

    box_px: Array  # (4,) float64
    landmarks_px: Array  # (5, 2) float64
    score: float
    appearance: Array  # (768,) float32, of `crop.describe`

    def __repr__(self) -> str:
        return f"Sighting(box_px={self.box_px.round(1).tolist()}, score={self.score:.3f})"


@dataclass(eq=False, slots=True)
class Track:
    """One face followed; the box is that of its last sighting."""

    number: int
    start: int  # kept frame of the first sighting
    end: int  # kept frame of the last sighting
    time_s: float  # of the last sighting
    box_px: Array
    appearance: Array  # (768,) float64, at the last sighting
    total: Array  # (768,) float64, sum of the appearances
    sightings: int

    def __repr__(self) -> str:
        return f"Track({self.number}, frames {self.start} to {self.end}, {self.sightings} sightings)"

    def move(self, frame: int, time_s: float, seen: Sighting) -> None:
        """The track seen once more, at that kept frame."""
        self.end, self.time_s, self.sightings = frame, time_s, self.sightings + 1
        self.box_px = seen.box_px
        self.appearance = seen.appearance.astype(np.float64)
        self.total = self.total + self.appearance


class Tracker:
    """Tracks of one video, in time order; ended ones go to the linker."""

    def __init__(self, config: FacesConfig) -> None:
        self._config = config
        self._active: list[Track] = []
        self._linker = Linker()
        self._doubts = Doubts()
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
                appearance = face.appearance.astype(np.float64)
                track = Track(self._next, frame, frame, time_s, face.box_px, appearance, appearance, sightings=1)
                self._active.append(track)
                self._next += 1
        for owned, face in zip(owner, seen, strict=True):
            if owned is not None:
                self._doubts.look(owned, time_s, face.appearance)
        self._previous = frame
        return owner

    @property
    def going_on(self) -> list[int]:
        """Numbers of the tracks that have not ended."""
        return [track.number for track in self._active]

    def finish(self) -> None:
        """End every track."""
        self._end(list(self._active))

    def persons(self) -> dict[int, int]:
        """track -> person, for the ended tracks that were joined."""
        return self._linker.persons()

    def doubts(self) -> list[str]:
        """A sentence where a track may have gone over to somebody else."""
        return self._doubts.sentences()

    def _match(self, seen: Sequence[Sighting]) -> list[tuple[int, int]]:
        """(position in active, sighting) pairs of the cheapest assignment."""
        from scipy.optimize import linear_sum_assignment  # half a second that a run with nothing to do need not wait

        config = self._config
        if not self._active or not seen:
            return []
        boxes, found = np.stack([track.box_px for track in self._active]), np.stack([face.box_px for face in seen])
        likeness = self._likeness(np.stack([face.appearance for face in seen]).astype(np.float64))
        overlap = iou(boxes, found)
        missed = np.array([track.end != self._previous for track in self._active])
        near = (overlap >= config.min_iou) & (likeness >= np.where(missed, _LIKENESS_AFTER_GAP, _LIKENESS)[:, None])
        far = within_reach(boxes, found) & (likeness >= _LIKENESS_AFAR)
        sure = np.array([face.score for face in seen]) >= config.continue_score
        possible = (near | far) & sure
        cost = np.where(possible, np.where(near, 1 - overlap, 1) + 1 - likeness, _IMPOSSIBLE)
        rows, columns = linear_sum_assignment(cost)
        return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if possible[row, column]]

    def _likeness(self, appearances: Array) -> Array:
        """(tracks, sightings): to a track's last appearance or to its mean, whichever is more alike."""
        totals = np.stack([track.total for track in self._active])
        means = totals / np.maximum(np.linalg.norm(totals, axis=1, keepdims=True), 1e-12)
        last = np.stack([track.appearance for track in self._active])
        return np.asarray(np.maximum(means @ appearances.T, last @ appearances.T))

    def _end(self, ended: Sequence[Track]) -> None:
        for track in ended:
            self._active.remove(track)
            self._doubts.end(track.number)
            self._linker.add(track.number, track.start, track.end, track.total, track.sightings)

    def state(self) -> dict[str, Any]:
        """Everything `from_state` needs, as JSON values; exact."""
        active = [
            [t.number, t.start, t.end, t.time_s, *map(array_to_text, (t.box_px, t.appearance, t.total)), t.sightings]
            for t in self._active
        ]
        later = {"linker": self._linker.state(), "doubts": self._doubts.state()}
        return {"active": active, "next": self._next, "previous": self._previous, **later}

    @classmethod
    def from_state(cls, config: FacesConfig, state: Mapping[str, Any]) -> "Tracker":
        """The tracker that gave this state."""
        tracker = cls(config)
        tracker._active = [
            Track(
                number, start, end, time_s, array_from_text(box), array_from_text(last), array_from_text(total), count
            )
            for number, start, end, time_s, box, last, total, count in state["active"]
        ]
        tracker._linker = Linker.from_state(state["linker"])
        if "doubts" in state:  # a journal from before there were any goes on, and doubts from here
            tracker._doubts = Doubts.from_state(state["doubts"])
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
