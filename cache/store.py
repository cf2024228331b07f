"""The contract of a store: one recipe, one entry per video, each entry whole or not there.

A store is a folder (or an `s3://bucket/prefix`). Formats differ only in how an entry's arrays lie on disk.
"""

from abc import ABC, abstractmethod

from .records import Array, FrameFeatures, Recipe, VideoInfo


class EntryWriter(ABC):
    """One video being extracted, claimed by this process until `commit` or `release`.

    Use as a context manager: leaving it without `commit` keeps what was appended, for the next run to resume.
    """

    state: bytes  # as given with the last durable block; empty at the start
    frames: int  # kept frames already durable
    rows: int  # rows already durable

    @abstractmethod
    def append(self, block: FrameFeatures, state: bytes) -> None:
        """Make one block durable: after this returns, a killed process resumes behind it, with `state`."""

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

    recipe: Recipe
    format: str  # "zarr" | "hdf5" | "memory"

    @abstractmethod
    def ids(self) -> list[str]:
        """Ids of complete entries, sorted."""

    @abstractmethod
    def info(self, entry_id: str) -> VideoInfo:
        """Errors: EntryError for an id that is not here or whose attributes cannot be read."""

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

    @abstractmethod
    def rename(self, old_id: str, new_id: str) -> None:
        """Give an entry another id (its video was renamed)."""


def open_store(location: str) -> Store:
    """The store at a folder or URL. Errors: StoreError when there is none, or a newer or foreign one."""
    raise NotImplementedError


def create_store(location: str, recipe: Recipe, store_format: str = "zarr") -> Store:
    """The store at `location`, made when missing. Errors: StoreError naming the recipe field that differs."""
    raise NotImplementedError


def entry_id(relative_path: str) -> str:
    """A video's relative path as the id of its entry: safe characters, never outside the store's folder.

    Letters, digits, `.`, `_`, `-` and `/` stay; every other byte of the UTF-8 form becomes %XX, and so does a
    leading dot of a component, so `../x.mp4` cannot climb. Distinct paths give distinct ids.
    """
    raise NotImplementedError
