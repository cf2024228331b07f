"""The data sets whose labels can be read. Adding one is a file with its `READER`, and a line in `READERS`.

Nothing heavy is imported before a reader is asked for: the command line offers the names alone.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError

if TYPE_CHECKING:
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
}


@dataclass(frozen=True, slots=True)
class ReaderInput:
    """What was found of a data set on disk."""

    tables: Sequence[Path]  # its annotation files, at least one
    videos: "VideoFiles"
    times: "Mapping[str, Array | VideoError]"  # frame times (F,) of the videos that `Reader.timed` named, or why none
    span_s: float  # length of a labelled span where every frame has a label


def no_video(tables: Sequence[Path], videos: "VideoFiles") -> Sequence[str]:
    """No video's frame times are needed."""
    return ()


@dataclass(frozen=True, slots=True)
class Reader:
    """How a data set's annotation files are told from others, and what becomes of them.

    read: a `Prepared` for each manifest to write; more than one where their targets are not for one run.
    timed: the videos, by their paths below the root, whose frame times `read` needs.
    """

    suffixes: tuple[str, ...]  # of annotation files, in lower case
    expected: str  # what an annotation file is, for the message where there is none
    fits: Callable[[Path], bool]  # whether a file with such a suffix is one
    read: "Callable[[ReaderInput], Sequence[Prepared]]"
    many: bool = False  # whether several annotation files are expected
    timed: "Callable[[Sequence[Path], VideoFiles], Sequence[str]]" = no_video


def reader_of(name: str) -> Reader:
    """The reader of a data set. Errors: InputError for a name that has none."""
    if name not in READERS:
        raise InputError(f"there is no data set {name!r}; expected {', '.join(READERS)}")
    module, _, reader = READERS[name].partition(":")
    found: Reader = getattr(importlib.import_module(module, __package__), reader)
    return found
