"""Who is meant in a video with several people: the word that a person types, checked in one place."""

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import InputError

_WORDS: tuple[Literal["main", "largest", "all"], ...] = ("main", "largest", "all")
_TRACK = re.compile(r"track:([0-9]{1,9})")  # tracks are numbered in int32


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose features are meant; `str` gives the word back that `parse` takes.

    main: the live face that takes most of the picture, by its frames and its size; largest: each frame's largest face;
    all: everybody, which only a prediction may ask for; track: the person that this track belongs to, with every track
    linked to it.
    """

    kind: Literal["main", "largest", "all", "track"]  # how the person is chosen
    track: int | None = None  # of kind "track" alone

    def __post_init__(self) -> None:
        assert (self.kind == "track") == (self.track is not None), f"{self.kind} with track {self.track}"

    @classmethod
    def parse(cls, word: str) -> "Subject":
        """The subject that `main`, `largest`, `all` or `track:N` names. Errors: InputError for another word."""
        if match := _TRACK.fullmatch(word):
            return cls("track", int(match[1]))
        for kind in _WORDS:
            if word == kind:
                return cls(kind)
        raise InputError(
            f"subject is {word!r}; expected main, largest, all or track:N",
            hint="affect inspect-cache STORE --tracks lists who is in a video",
        )

    def __str__(self) -> str:
        return f"track:{self.track}" if self.kind == "track" else self.kind


MAIN = Subject("main")
