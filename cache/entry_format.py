"""What an entry's format has to do, and what is told of an entry that is damaged or not to be read."""

import contextlib
import errno
import hashlib
import os
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import UnreadableError
from .blobs import DamageError, Held
from .layout import ArraySpec, Composer, EntryHead, contradictions
from .records import DTYPES, Array, Json, VideoInfo

MOST_FAILURES = 10  # named of one array


class EntryReader(Protocol):
    """The arrays of one entry. Errors: DamageError naming the array, StoreError for what cannot be read now."""

    def read(self, name: str, start: int, stop: int) -> Array:
        """Rows [start, stop) of an array."""
        ...

    def damaged_metadata(self) -> list[str]:
        """What describes the arrays and is not as it was written, one sentence each; empty where all is sound."""
        ...


class EntryFormat(Protocol):
    """How the arrays of an entry lie on disk; `ZarrFormat` and `Hdf5Format`."""

    name: str  # as in store.json and after --format
    suffix: str  # of an entry's file or folder, behind its id
    root_file: str | None  # entries are folders, and this file is published last
    attributes: frozenset[str]  # the names of those that an entry has

    def compose(self, path: Path, specs: dict[str, ArraySpec], info: VideoInfo) -> Composer:
        """A new entry at a free path, with room for these arrays and for attributes like those of `info`."""
        ...

    def head(self, held: Held) -> bytes:
        """The bytes that hold an entry's attributes: the same bytes, the same entry.

        Errors: FileNotFoundError, DamageError, StoreError.
        """
        ...

    def attributes_in(self, head: bytes) -> dict[str, Json]:
        """The attributes in those bytes, not yet checked against their seal. Errors: DamageError."""
        ...

    def reader(self, held: Held, head: EntryHead) -> contextlib.AbstractContextManager[EntryReader]:
        """Whoever reads the arrays. Errors: DamageError, StoreError."""
        ...


def damaged_arrays(reader: EntryReader, head: EntryHead) -> list[str]:
    """What is wrong with an entry's arrays, one sentence each; every byte of them is read. Errors: StoreError."""
    found: list[str] = []
    for name, spec in head.specs.items():
        digest, failures = hashlib.sha256(), list[str]()
        for start in range(0, spec.shape[0], spec.chunk_rows):
            stop = min(spec.shape[0], start + spec.chunk_rows)
            try:
                digest.update(np.ascontiguousarray(reader.read(name, start, stop)).tobytes())
            except DamageError as damage:
                failures.append(f"rows {start} to {stop - 1} of {damage}")
            if len(failures) == MOST_FAILURES:
                failures.append(f"more of {spec.path} was not looked at")
                break
        if not failures and digest.hexdigest() != head.sha256(name):
            failures.append(f"{spec.path} does not match its checksum")
        found += failures
    if found:
        return found
    return contradictions(
        {name: reader.read(name, 0, head.specs[name].shape[0]) for name in DTYPES if name != "values"}, head.frames
    )


def is_within(key: str, place: str) -> bool:
    """Whether a place is the entry itself, or a folder above it."""
    return key == place or key.startswith(f"{place}/")


def unreadable(place: str, error: Exception) -> UnreadableError:
    """What to say of an entry that the storage does not give now, or that does not fit into memory."""
    cause = error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    hint = "run the same command again when the storage answers"
    if isinstance(error, MemoryError):
        why, hint = "it needs more memory than there is", "close other programs, then run the same command again"
    else:
        why = os.strerror(number) if number else str(error).partition("\n")[0]
    if number in {errno.EACCES, errno.EPERM}:
        hint = "give this user the right to read it, then run the same command again"
    elif number in {errno.EMFILE, errno.ENFILE}:
        hint = "raise the limit of open files (ulimit -n), then run the same command again"
    return UnreadableError(f"{place} cannot be read now ({why}); nothing is known to be wrong with it", hint=hint)
