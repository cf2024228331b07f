"""What happens while a command works: its stream holds these, and ends with its summary.

A command is a generator. Whoever runs it loops over its events: the terminal draws bars, the outputs write, a notebook
shows what it likes, a test keeps them all. Closing the generator ends the work and keeps what is done.
"""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

Summary = TypeVar("Summary")


def summary_of(events: Generator[Any, None, None], kind: type[Summary]) -> Summary:
    """The summary, of this kind, that a command's stream ends with; every other event is let pass."""
    last = None
    with contextlib.closing(events):
        for event in events:
            last = event
    assert isinstance(last, kind), f"the stream ended with {last!r}"
    return last


@dataclass(frozen=True, slots=True)
class Step:
    """A command of several steps begins one of them."""

    words: str


@dataclass(frozen=True, slots=True)
class Planned:
    """How many videos there are to work on."""

    videos: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the extraction of one video stands."""

    id: str
    position_s: float
    duration_s: float | None
    frames: int  # kept so far


@dataclass(frozen=True, slots=True)
class VideoOutcome:
    """What became of one video."""

    id: str
    path: str
    status: Literal["done", "skipped", "failed", "busy"]
    reason: str = ""  # why it was skipped or failed; empty when done
    frames: int = 0
    rows: int = 0
    face_share: float = 0.0  # of kept frames, with at least one face's row
    warnings: tuple[str, ...] = ()

    @property
    def stored(self) -> bool:
        """Whether its features are in the store."""
        return self.status in ("done", "skipped")
