"""The contract of a store: one recipe, one entry per video, each entry whole or not there.

A store is a folder (or an `s3://bucket/prefix`). Formats differ only in how an entry's arrays lie on disk.
"""

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import EntryError
from .records import Array, FrameFeatures, Recipe, VideoInfo


@dataclass(frozen=True, slots=True)
class Look:
    """What a store holds of one video, as far as it was asked for."""

    id: str
    info: VideoInfo
    frames: int  # N
    arrays: Mapping[str, Array]  # by name, as in FrameFeatures


class EntryWriter(ABC):
    """One video being extracted, claimed by this process until `commit` or `release`.

    Use as a context manager: leaving it without `commit` keeps what was appended, for the next run to resume.
    """

    @property
    @abstractmethod
    def state(self) -> bytes:
        """As given with the last durable block; empty at the start."""

    @property
    @abstractmethod
    def frames(self) -> int:
        """Kept frames already durable."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """Rows already durable."""

    @abstractmethod
    def append(self, block: FrameFeatures, state: bytes) -> None:
        """Make one block durable: after this returns, a killed process resumes behind it, with `state`.

        Errors: EntryError when another process took the claim over; StoreError when the store is full or out of reach.
        """

    @abstractmethod
    def commit(self, info: VideoInfo) -> None:
        """Let the entry appear, whole, under its id; drop the journal and the claim."""

    @abstractmethod
    def release(self) -> None:
        """Give the claim back; the journal stays for whoever resumes."""

    def __enter__(self) -> "EntryWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


class Store(ABC):
    """Features of many videos, all made by one recipe."""

    location: str  # the folder or URL, as in messages
    recipe: Recipe
    format: str  # "zarr" | "hdf5" | "memory"
    weights: str | None = None  # where the backbone's file lay when the store was made; no part of the recipe

    @abstractmethod
    def ids(self) -> list[str]:
        """Ids of complete entries, sorted."""

    def info(self, entry_id: str) -> VideoInfo:
        """Errors: EntryError for an id that is not here or whose attributes cannot be read."""
        return self.look(entry_id).info

    @abstractmethod
    def look(self, entry_id: str, names: Sequence[str] = ()) -> Look:
        """What is known of a video with some of its arrays, by their names in FrameFeatures, all of one moment.

        Errors: EntryError.
        """

    def looks(self, ids: Iterable[str], names: Sequence[str] = ()) -> Iterator[Look | EntryError]:
        """A look at each of many entries, in order; the error of one that is missing or damaged stands in its place."""
        return map(partial(self._look_or_error, names), ids)

    def _look_or_error(self, names: Sequence[str], entry_id: str) -> Look | EntryError:
        try:
            return self.look(entry_id, names)
        except EntryError as error:
            return error

    @abstractmethod
    def read(self, entry_id: str, *, values: bool = True) -> FrameFeatures:
        """The whole video; with `values=False` the `values` array is (R, 0) and costs nothing to read."""

    @abstractmethod
    def read_values(self, entry_id: str, start: int, stop: int) -> Array:
        """Rows [start, stop) of `values`, (stop - start, D) float16."""

    @abstractmethod
    def writer(self, entry_id: str, fingerprint: str, *, overwrite: bool = False) -> EntryWriter:
        """Claim an entry for writing, resuming its journal when that is of the same recipe and fingerprint.

        Errors: EntryError when another live process holds the claim, or a complete entry stands and not `overwrite`.
        """

    @abstractmethod
    def verify(self, entry_id: str) -> list[str]:
        """What is damaged in an entry: one sentence each, empty when every checksum holds."""

    @abstractmethod
    def delete(self, entry_id: str) -> None:
        """Remove an entry, and nothing else."""


def open_store(location: str | Path) -> Store:
    """The store at a folder or URL. Errors: StoreError when there is none, or a newer or foreign one."""
    from .store_file import open_at

    return open_at(str(location))


def store_exists(location: str | Path) -> bool:
    """Whether there is a store at `location`; False for an empty, missing or foreign folder."""
    from .store_file import exists_at

    return exists_at(str(location))


def create_store(
    location: str | Path, recipe: Recipe, store_format: str | None = None, weights: str | None = None
) -> Store:
    """The store at `location`, made when missing (format: zarr unless said).

    Errors: StoreError naming every recipe field that differs, or another format than the one asked for.
    """
    from .store_file import create_at

    return create_at(str(location), recipe, store_format, weights)


def entry_id(relative_path: str) -> str:
    """A video's relative path as the id of its entry: safe characters, never outside the store's folder.

    Letters, digits, `.`, `_`, `-` and `/` stay; every other byte of the UTF-8 form becomes %XX, and so does a
    leading dot of a component, so `../x.mp4` cannot climb. Distinct paths give distinct ids: a component or path too
    long for a file system ends, or begins, in `%~` and a hash instead.
    """
    components = [_component(name) for name in os.fsencode(relative_path).split(b"/")]
    if sum(map(len, components)) + len(components) > LONGEST_ID:
        components = [f"%~{_hash(os.fsencode(relative_path))}", components[-1]]
    return "/".join(components)


def check_id(entry_id: str) -> None:
    """Errors: EntryError when an id is not one that `entry_id` makes, so that none leads out of the store."""
    if not all(_ID_COMPONENT.fullmatch(part) and not part.endswith(_SUFFIXES) for part in entry_id.split("/")):
        raise EntryError(
            f"{entry_id!r} is not the id of an entry", hint="affect inspect-cache STORE lists the ids of a store"
        )


LONGEST_COMPONENT = 200  # file systems allow 255, and suffixes follow
LONGEST_ID = 700  # object stores allow 1024 for the whole key
_SUFFIXES = (".zarr", ".h5", ".journal")
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_ID_COMPONENT = re.compile(r"[A-Za-z0-9_%-](?:[A-Za-z0-9._-]|%[0-9A-F]{2}|%?~)*|%~[0-9a-f]+")


def _component(name: bytes) -> str:
    text = "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in name) or "%2F"
    if text.startswith("."):
        text = f"%2E{text[1:]}"
    for suffix in _SUFFIXES:
        # A folder of videos named like an entry would lie inside that entry.
        if text.endswith(suffix):
            text = f"{text.removesuffix(suffix)}%2E{suffix[1:]}"
    return text if len(text) <= LONGEST_COMPONENT else f"{text[:150]}%~{_hash(name)}"


def _hash(name: bytes) -> str:
    return hashlib.sha256(name).hexdigest()[:40]
