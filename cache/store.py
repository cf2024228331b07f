"""The contract of a store: one recipe, one entry per video, each entry whole or not there.

A store is a folder (or an `s3://bucket/prefix`). Formats differ only in how an entry's arrays lie on disk.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..errors import EntryError
from .records import Array, FrameFeatures, Recipe, VideoInfo

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Entry:
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
    folds_case: bool = False  # whether ids that differ in case alone are one entry here

    def __repr__(self) -> str:
        backbone = self.recipe.fields.get("backbone", "features")
        return f"Store({self.location!r}, {self.format}, {backbone}, recipe {self.recipe.digest[:12]})"

    @abstractmethod
    def ids(self) -> list[str]:
        """Ids of complete entries, sorted."""

    def info(self, entry_id: str) -> VideoInfo:
        """Errors: EntryError for an id that is not here or whose attributes cannot be read."""
        return self.entry(entry_id).info

    @abstractmethod
    def entry(self, entry_id: str, names: Sequence[str] = ()) -> Entry:
        """What is known of a video with some of its arrays, by their names in FrameFeatures, all of one moment.

        Errors: EntryError; of those UnreadableError where nothing is known to be wrong with it.
        """

    def entries(self, ids: Iterable[str], names: Sequence[str] = ()) -> Iterator[Entry | EntryError]:
        """Each of many entries, in order; the error of one that is missing or damaged stands in its place."""
        return map(partial(self._entry_or_error, names), ids)

    def _entry_or_error(self, names: Sequence[str], entry_id: str) -> Entry | EntryError:
        try:
            return self.entry(entry_id, names)
        except EntryError as error:
            return error

    @abstractmethod
    def read(self, entry_id: str, *, values: bool = True) -> FrameFeatures:
        """The whole video; with `values=False` the `values` array is (R, 0) and costs nothing to read."""

    def to_frame(self, entry_id: str, *, values: bool = True) -> "pd.DataFrame":
        """The whole video as a pandas DataFrame: a row for each face and kept frame, and one where there was no face.

        With `values=False` without the features: when, who and where. Errors: EntryError.
        """
        from .feature_frame import feature_frame

        return feature_frame(self.read(entry_id, values=values), self.info(entry_id), self.recipe)

    @abstractmethod
    def read_values(self, entry_id: str, start: int, stop: int) -> Array:
        """Rows [start, stop) of `values`, (stop - start, D) float16."""

    @abstractmethod
    def writer(self, entry_id: str, fingerprint: str, *, overwrite: bool = False, device: str = "cpu") -> EntryWriter:
        """Claim an entry for writing, resuming its journal when that is of the same recipe, fingerprint and device.

        device: what computes the features; another one rounds in another way, and an entry is of one alone.

        Errors: EntryError when another live process holds the claim, or a complete entry stands and not `overwrite`.
        """

    @abstractmethod
    def verify(self, entry_id: str) -> list[str]:
        """What is damaged in an entry: one sentence each, empty when every checksum holds.

        Errors: EntryError where there is none, UnreadableError where it cannot be read now.
        """
