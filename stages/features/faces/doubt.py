"""Whether a track has gone over from one person to another who took their place."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ....cache.records import Array
from .array_text import array_from_text, array_to_text
from .crop import APPEARANCE_SIZE

# A track goes on where the next face is in its place and alike enough, which people may be to one another. Told from
# somebody who moves by many looks: none of those after is like any of those before. Measured on ten people, each put
# in the place of each other one in six kinds of light: of 137 tracks that had gone over, 136 are found; of 720 steps
# of one person, 17 are taken for such, all of one recording in which a hand comes before the face and goes.
_LOOKS = 8  # on each side
_LIKENESS = 0.9
_NAMED = 3  # tracks in a sentence


class Doubts:
    """The last looks of each track, and when it may have gone over."""

    def __init__(self) -> None:
        self._recent: dict[int, tuple[list[float], Array]] = {}  # track -> times, (n, 768) float16 appearances
        self._found: dict[int, tuple[float, Array]] = {}  # track -> the first such time, the looks before it

    def look(self, track: int, time_s: float, appearance: Array) -> None:
        """A track was seen once more."""
        times, seen = self._recent.get(track, ([], np.zeros((0, len(appearance)), np.float16)))
        times = [*times, time_s][-2 * _LOOKS :]
        seen = np.concatenate([seen, appearance[None].astype(np.float16)])[-2 * _LOOKS :]
        self._recent[track] = times, seen
        if track in self._found:
            if _alike(self._found[track][1], seen[-1:]):
                del self._found[track]  # the same face again: a hand was before it, which is no face to compare with
                self._recent[track] = times[-1:], seen[-1:]
        elif len(times) == 2 * _LOOKS and not _alike(seen[:_LOOKS], seen[_LOOKS:]):
            self._found[track] = times[_LOOKS], seen[:_LOOKS]

    def end(self, track: int) -> None:
        """A track has ended: nothing comes any more that would take its doubt away."""
        self._recent.pop(track, None)
        if track in self._found:
            time_s, looks = self._found[track]
            self._found[track] = time_s, looks[:0]

    def sentences(self) -> list[str]:
        """One that names the tracks that may show two people; none where no track does."""
        if not self._found:
            return []
        named = [f"track {track} from {time_s:.1f} s on" for track, (time_s, _) in sorted(self._found.items())]
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        return [
            f"one track may show two people: {', '.join(named[:_NAMED])}{more}: its face is like none of those seen "
            "just before; look at the picture there, and cut the recording in two if it is somebody else"
        ]

    def state(self) -> dict[str, Any]:
        """Everything `from_state` needs, as JSON values; exact."""
        recent = [[track, times, array_to_text(seen, "<f2")] for track, (times, seen) in self._recent.items()]
        found = [[track, time_s, array_to_text(seen, "<f2")] for track, (time_s, seen) in self._found.items()]
        return {"recent": recent, "found": found}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Doubts":
        """Those that gave this state."""
        doubts = cls()
        doubts._recent = {track: (times, _looks(text)) for track, times, text in state["recent"]}
        doubts._found = {track: (time_s, _looks(text)) for track, time_s, text in state["found"]}
        return doubts


def _alike(before: Array, after: Array) -> bool:
    """Whether a look of one side is like one of the other."""
    return float((before.astype(np.float32) @ after.astype(np.float32).T).max()) >= _LIKENESS


def _looks(text: str) -> Array:
    return array_from_text(text, "<f2").reshape(-1, APPEARANCE_SIZE)
