"""Who is who across cuts and occlusions: tracks of one person joined, as they end, by how they look."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....cache.records import Array
from .array_text import array_from_text, array_to_text

# Between mean appearances; one person's 3-second means reach 0.91, other people's at most 0.70. Of 90 pairs of ten
# others none reaches it in even light; under a lamp beside or above them two to four do.
LEAST_LIKENESS = 0.85
_LEAST_MARGIN = 0.05  # over the second most similar person: where two fit, neither is joined
_LEAST_SIGHTINGS = 3  # a track seen less often is not joined to anything
_MOST_PERSONS = 256  # remembered: those seen last


@dataclass(eq=False, slots=True)
class Person:
    """One or more tracks taken for one person."""

    tracks: list[int]
    spans: list[tuple[int, int]]  # first and last kept frame of each track
    total: Array  # (768,) float64, sum of the appearances

    def __repr__(self) -> str:
        return f"Person(tracks={self.tracks}, spans={self.spans})"

    def overlaps(self, start: int, end: int) -> bool:
        """Whether the person was on screen at one of these kept frames."""
        return any(start <= last and first <= end for first, last in self.spans)


class Linker:
    """Joins each ended track to the person it resembles, never to one who was on screen at the same time."""

    def __init__(self) -> None:
        self._persons: list[Person] = []  # those that can still be joined, in the order they were last seen
        self._joined: dict[int, int] = {}  # track -> person, where they differ

    def add(self, track: int, start: int, end: int, total: Array, sightings: int) -> None:
        """An ended track: its first and last kept frame, the sum of its appearances, and how many they are."""
        if sightings < _LEAST_SIGHTINGS:
            return
        person = self._most_similar(start, end, total)
        if person is None:
            person = Person([], [], np.zeros(len(total)))
        else:
            self._persons.remove(person)
        person.tracks.append(track)
        person.spans.append((start, end))
        person.total = person.total + total
        self._persons.append(person)
        del self._persons[:-_MOST_PERSONS]
        lowest = min(person.tracks)
        self._joined.update({member: lowest for member in person.tracks if member != lowest})

    def persons(self) -> dict[int, int]:
        """track -> the lowest track of its person, for tracks that were joined to a lower one."""
        return dict(sorted(self._joined.items()))

    def _most_similar(self, start: int, end: int, total: Array) -> Person | None:
        ranked = sorted(
            ((_likeness(person.total, total), -number) for number, person in enumerate(self._persons)), reverse=True
        )
        if not ranked or ranked[0][0] < LEAST_LIKENESS:
            return None
        if len(ranked) > 1 and ranked[0][0] - ranked[1][0] < _LEAST_MARGIN:
            return None
        best = self._persons[-ranked[0][1]]
        return None if best.overlaps(start, end) else best

    def state(self) -> dict[str, Any]:
        """Everything `from_state` needs, as JSON values; exact."""
        persons = [
            {"tracks": person.tracks, "spans": person.spans, "total": array_to_text(person.total)}
            for person in self._persons
        ]
        return {"persons": persons, "joined": sorted(self._joined.items())}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Linker":
        """The linker that gave this state."""
        linker = cls()
        linker._persons = [
            Person(list(item["tracks"]), [(a, b) for a, b in item["spans"]], array_from_text(item["total"]))
            for item in state["persons"]
        ]
        linker._joined = dict(state["joined"])
        return linker


def _likeness(one: Array, other: Array) -> float:
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))
