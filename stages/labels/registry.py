"""The data sets whose labels can be read. Adding one is a file with its `READER`, and a line in `READERS`.

Nothing heavy is imported before a reader is asked for: the command line offers the names alone.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ...errors import InputError

if TYPE_CHECKING:
    from ...cache.cell_values import TimeUnit
    from ...cache.records import Array
    from ...errors import VideoError
    from .tables import Prepared, VideoFiles

READERS = {  # name -> module and the `Reader` in it
    "amigos": ".amigos:READER",
    "omg": ".omg:READER",
    "ness": ".ness:NESS_READER",
    "panss": ".ness:PANSS_READER",
    "cains": ".ness:CAINS_READER",
    "aff-wild2": ".aff_wild2:READER",
    "spans": ".spans:READER",
}
SPAN_S = 2.0  # length of a labelled span where every frame has a label
MOST_SPAN_S = 86400.0
Reduction = Literal["mean", "median", "min", "max", "first", "last"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
TIME_UNITS = ("auto", "s", "ms", "hms", "frame")


@dataclass(frozen=True, slots=True)
class Reading:
    """How labels are to be read, as far as a data set leaves it open."""

    span_s: float | None = None  # length of a labelled span; None: `SPAN_S` where every frame has a label
    step_s: float | None = None  # from one span to the next; None: a span's length
    reduction: Reduction = "mean"  # of the labels in a span
    time_unit: "TimeUnit" = "auto"
    sheet: str = ""  # of a workbook; empty: the one with the columns that are looked for

    def __post_init__(self) -> None:
        """Errors: InputError for a length out of bounds, or a word that is none of those that are known."""
        for name, value in (("span", self.span_s), ("step", self.step_s)):
            if value is not None and not 0 < value <= MOST_SPAN_S:  # also for what is no number
                raise InputError(f"--{name}-s is {value:g}; expected seconds, above 0 to {MOST_SPAN_S:g}")
        for name, word, words in (("reduce", self.reduction, REDUCTIONS), ("time-unit", self.time_unit, TIME_UNITS)):
            if word not in words:
                raise InputError(f"--{name} is {word!r}; expected {', '.join(words)}")

    def check_used_by(self, data_set: str) -> None:
        """Errors: InputError where something is said that is of no use to a data set."""
        if data_set == "spans":
            return
        usual = Reading(self.span_s, sheet=self.sheet)
        names = {"step-s": "step_s", "reduce": "reduction", "time-unit": "time_unit"}
        unused = [name for name, own in names.items() if getattr(self, own) != getattr(usual, own)]
        if unused:
            raise InputError(
                f"--{unused[0]} is of no use to {data_set}", hint="it is an option of prepare-labels spans"
            )


@dataclass(frozen=True, slots=True)
class ReaderInput:
    """What was found of a data set on disk."""

    tables: Sequence[Path]  # its annotation files, at least one
    videos: "VideoFiles"
    times: "Mapping[str, Array | VideoError]"  # frame times (F,) of the videos that `Reader.timed` named, or why none
    reading: Reading = field(default_factory=Reading)
    clock_offset_s: Mapping[str, float] = field(default_factory=dict)  # of those: the player's time at the first frame


def no_video(tables: Sequence[Path], videos: "VideoFiles") -> Sequence[str]:
    """No video's frame times are needed."""
    return ()


def never(tables: Sequence[Path]) -> bool:
    """No table has a player's times."""
    return False


@dataclass(frozen=True, slots=True)
class Reader:
    """How a data set's annotation files are told from others, and what becomes of them.

    read: a `Prepared` for each manifest to write; more than one where their targets are not for one run.
    timed: the videos, by their paths below the root, whose frame times `read` needs; on_clock: whether some of these
    tables have the times that a player shows, and not those from the first frame.
    """

    suffixes: tuple[str, ...]  # of annotation files, in lower case
    expected: str  # what an annotation file is, for the message where there is none
    fits: Callable[[Path], bool]  # whether a file with such a suffix is one
    read: "Callable[[ReaderInput], Sequence[Prepared]]"
    many: bool = False  # whether several annotation files are expected
    timed: "Callable[[Sequence[Path], VideoFiles], Sequence[str]]" = no_video
    on_clock: Callable[[Sequence[Path]], bool] = never


def reader_of(name: str) -> Reader:
    """The reader of a data set. Errors: InputError for a name that has none."""
    if name not in READERS:
        raise InputError(f"there is no data set {name!r}; expected {', '.join(READERS)}")
    module, _, reader = READERS[name].partition(":")
    found: Reader = getattr(importlib.import_module(module, __package__), reader)
    return found
