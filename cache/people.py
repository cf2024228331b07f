"""Who is meant in a video with several people: how much of it each takes, and who is only a picture of somebody."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import checked

Array = npt.NDArray[Any]

_FEWEST_COMPARED = 15  # looks, 3 s at 5 frames a second; over fewer a person may well keep still
_FEWEST_QUIET = 5  # looks without any change; a live face is then preferred, but nothing is said
_STILL_SHARE = 0.03  # of the looks may show a change in a still picture, and one look always: a slide is changed
_UNJUDGED = 0.25  # of a still picture's size counts against that of a face too briefly seen to be judged,...
_LEAST_LIVE = 0.02  # ...and this much against a live one, as one that takes less of the picture may be none at all
_NEAR = 0.8  # of the main person's size: who takes as much of the picture could as well be meant
_NAMED = 3  # tracks in a sentence
_LARGEST_PX = 1e6


@dataclass(frozen=True, slots=True)
class TrackFacts:
    """What became known of one track while its pictures were at hand."""

    frames: int  # rows it has
    side_px: float  # mean square root of its box's area
    compared: int  # looks at which its pixels were compared with those of a look before
    changed: int  # of these, how many showed another expression, or the face elsewhere in a picture that kept still

    def to_json(self) -> list[float]:
        """Its numbers in order; `facts_from_json` reads them back."""
        return [self.frames, self.side_px, self.compared, self.changed]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a video, over all tracks of theirs."""

    track: int  # the lowest of them
    frames: int
    side_px: float | None  # mean over the frames; None of features that were stored before it was measured
    compared: int = 0
    changed: int = 0

    @property
    def judged(self) -> bool:
        """Whether it was looked at often enough to tell a person from a picture."""
        return self.compared >= _FEWEST_COMPARED

    @property
    def still(self) -> bool:
        """Whether it is a still picture, as on a poster, a slide or a frozen tile. Who blinks is none."""
        return self.judged and self.changed <= max(1.0, _STILL_SHARE * self.compared)

    @property
    def live(self) -> bool:
        """Whether it is known to move."""
        return self.judged and not self.still

    @property
    def moves(self) -> bool:
        """Whether it is known to move, or was seen to for as long as it was looked at."""
        return self.live or (not self.judged and self.changed > 1)

    @property
    def quiet(self) -> bool:
        """Whether it is a still picture, or was too briefly seen for that and did not move: a slide that is changed."""
        return self.still or (self.compared >= _FEWEST_QUIET and self.changed == 0)

    @property
    def kind(self) -> str:
        """In a word what is known of it; empty where nothing is."""
        return "still" if self.still else "live" if self.live else ""

    @property
    def size(self) -> float:
        """How much of the picture it takes: frames times the side of its face; frames alone where that is not known."""
        return self.frames * (1.0 if self.side_px is None else self.side_px)

    def __str__(self) -> str:
        of = "" if self.side_px is None else f" of {self.side_px:.0f} px"
        return f"track {self.track} ({self.frames} {'frame' if self.frames == 1 else 'frames'}{of})"


def kind_of(facts: TrackFacts | None) -> str:
    """What is known of one track alone: live, still, or nothing."""
    return "" if facts is None else Person(0, facts.frames, facts.side_px, facts.compared, facts.changed).kind


def facts_from_json(value: object, name: str) -> dict[int, TrackFacts]:
    """Facts by track, as JSON has them. Errors: ValueError."""
    found: dict[int, TrackFacts] = {}
    for key, numbers in checked.mapping(value, name).items():
        track = checked.track(key, name)
        if not (isinstance(numbers, list) and len(numbers) == 4):
            raise ValueError(f"{name}.{key} is {reprlib.repr(numbers)}; expected four numbers")
        frames, side, compared, changed = numbers
        found[track] = TrackFacts(
            checked.whole(frames, name), checked.number(side, name, 0, _LARGEST_PX),
            checked.whole(compared, name), checked.whole(changed, name),
        )  # fmt: skip
    return found


def people(
    frames: Mapping[int, int], persons: Mapping[int, int], facts: Mapping[int, TrackFacts] | None = None
) -> list[Person]:
    """Everybody in a video, in the order in which they would be its main person.

    frames: rows of each track; persons: track -> person; facts: none of features that were stored before there were.
    A live face comes before one that was not seen to move, whatever its size; else who takes more of the picture comes
    first, and among equals the lowest track.
    """
    sums: dict[int, list[float]] = {}
    known = facts or {}
    sized = all(track in known for track in frames)
    for track, count in frames.items():
        of = known.get(track, TrackFacts(count, 0.0, 0, 0))
        total = sums.setdefault(persons.get(track, track), [0, 0.0, 0, 0])
        for place, number in enumerate((count, count * of.side_px, of.compared, of.changed)):
            total[place] += number
    found = [
        Person(track, int(count), side / max(1, count) if sized else None, int(compared), int(changed))
        for track, (count, side, compared, changed) in sums.items()
    ]
    largest = max((person.size for person in found), default=0)
    some_live = any(
        person.size >= (_LEAST_LIVE if person.live else _UNJUDGED) * largest for person in found if person.moves
    )

    def rank(person: Person) -> tuple[bool, float, int]:
        size = person.size * (_UNJUDGED if person.still else 1)
        return (some_live and not person.quiet, size, -person.track)

    return sorted(found, key=rank, reverse=True)


def main_person(track: Array, persons: Mapping[int, int], facts: Mapping[int, TrackFacts] | None = None) -> int:
    """The first of `people`; -1 where there is nobody. track: (R,), a row per face."""
    found = people(frames_of(track), persons, facts)
    return found[0].track if found else -1


def frames_of(track: Array) -> dict[int, int]:
    """Rows of each track. One person throughout is the common case, and training opens thousands of videos."""
    if len(track) and (track == track[0]).all():
        return {int(track[0]): len(track)}
    tracks, counts = np.unique(track, return_counts=True)
    return dict(zip(tracks.tolist(), counts.tolist(), strict=True))


def pictures(found: Sequence[Person]) -> list[str]:
    """A sentence that names the still pictures among `people`; none where everybody may be alive."""
    still = [person for person in found if person.still]
    if not still:
        return []
    are = "is a still picture" if len(still) == 1 else "are still pictures"
    main = f"main is track {found[0].track}{' all the same: nobody is seen to move' if found[0].still else ''}"
    return [f"{_listed(still)} {are}, as on a poster, a slide or a frozen tile: nothing in it moves; {main}"]


def rivals(found: Sequence[Person]) -> list[str]:
    """A sentence where others of `people` could as well be meant as the main one; none where it is clear."""
    if not found:
        return []
    main, *others = found
    near = [person for person in others if person.quiet == main.quiet and person.size >= _NEAR * main.size]
    if not near:
        return []
    how = "take about as much of the picture" if main.side_px is not None else "are in about as many frames"
    old = "" if main.side_px is not None else " (stored before it was measured who moves: --overwrite extracts again)"
    return [
        f"{len(near) + 1} people {how}: main is {main}, and {_listed(near)} could be meant as well{old}; "
        f"--subject track:{near[0].track}, or clips.subject in training, says whom you mean"
    ]


def unsaid_rivals(track: Array, persons: Mapping[int, int], facts: Mapping[int, TrackFacts]) -> list[str]:
    """The same for features that were stored before that was said then; none for others. track: (R,)."""
    return [] if facts else rivals(people(frames_of(track), persons))


def _listed(found: Sequence[Person]) -> str:
    shown = [str(person) for person in found[:_NAMED]]
    more = len(found) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
