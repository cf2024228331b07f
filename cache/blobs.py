"""Named bytes in a local folder or under an object store's prefix, with the few atomic steps that a store needs."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path


class DamageError(Exception):
    """What is wrong with what a store holds; stores turn it into an error with the entry's path."""


class LinkError(DamageError):
    """`place`, relative to the store, is a link: nothing is read, written or removed through one."""

    def __init__(self, place: str) -> None:
        super().__init__(f"{place} is a symbolic link; a store holds files and folders of its own")
        self.place = place


class Held(ABC):
    """What stands under one key: a file, which has the name "", or a folder of files.

    A context manager: what is held is let go at its end. A name that is not there raises FileNotFoundError.
    Errors: DamageError for what is no file, or larger than it may be; StoreError.
    """

    steady: bool  # all that is read is of one moment, whatever is published meanwhile
    at_once: int  # requests worth having under way together

    @abstractmethod
    def get(self, name: str, most: int) -> bytes:
        """All bytes of a file of at most that many."""

    @abstractmethod
    def get_range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop); fewer where the file ends before."""

    @abstractmethod
    def get_tail(self, name: str, count: int) -> tuple[bytes, int]:
        """The last bytes, and how many there are in all."""

    @abstractmethod
    def size(self, name: str) -> int:
        """Bytes of a file."""

    @abstractmethod
    def below(self, folder: str) -> "Held":
        """A folder in this one, to be let go by itself."""

    def close(self) -> None:  # noqa: B027 - an object store holds nothing
        """Let go."""

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Blobs(ABC):
    """Keys are relative paths with `/`. A key that is not there raises FileNotFoundError where bytes are asked for.

    Errors: StoreError when the place is full, read-only or out of reach; DamageError for what is no file of a store:
    a link, a pipe, a device, or more bytes than asked for.
    """

    where: str  # for messages
    at_once: int  # requests worth having under way together

    @abstractmethod
    def get(self, key: str, most: int) -> bytes:
        """All bytes under a key, at most that many."""

    @abstractmethod
    def hold(self, key: str) -> Held:
        """What stands under a key, to read several pieces of it."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Replace a key's bytes at once and durably."""

    @abstractmethod
    def swap(self, key: str, data: bytes | None, expected: bytes | None) -> bool:
        """Whether the key held `expected` (None: nothing) and now holds `data` (None: nothing), as one step."""

    @abstractmethod
    def renew(self, key: str, data: bytes) -> bool:
        """Whether the key still holds `data`; its time of change is then now, without needing space."""

    @abstractmethod
    def silence_s(self, key: str) -> float:
        """Seconds since the key last changed, by the storage's own clock (hosts may disagree on the time)."""

    @abstractmethod
    def names(self, prefix: str) -> list[str]:
        """Keys directly or deeper under `prefix/`, relative to it, sorted; a folder empty there ends in `/`."""

    @abstractmethod
    def entries(self, suffix: str, root_file: str | None) -> list[str]:
        """Keys that end in `suffix`, without it, sorted; hidden folders are left out, what cannot be listed is not.

        `root_file`: entries are folders, and this file in them is published last.
        """

    def check_listed(self, folder: str) -> None:  # noqa: B027 - an object store has no folders
        """Errors: StoreError for a folder that is there and does not say what is in it."""

    @abstractmethod
    def exists(self, key: str, root_file: str | None = None) -> bool:
        """Whether something stands there, in the sense of `entries`."""

    def folds_case(self, file: str) -> bool:
        """Whether keys that differ in case alone are one key here; `file`, with a letter in its name, is there."""
        return False

    @abstractmethod
    def remove(self, key: str, root_file: str | None = None) -> None:
        """Remove a file, or a folder with all in it, `root_file` first, and the folders above that are empty then."""

    @abstractmethod
    def move(self, key: str, to: str, root_file: str | None, first: Callable[[], None]) -> None:
        """Let what stands under `key` appear under `to`, whole, where nothing may stand, and be gone from `key`.

        Whoever looks sees it under one of them at least; where the storage can move, under one alone. first: as in
        `publish`. Errors: FileNotFoundError where nothing stands under `key`.
        """

    @abstractmethod
    def scratch(self, key: str) -> contextlib.AbstractContextManager[Path]:
        """A free path on this machine, from which `publish` can let a file or folder appear; removed at the end."""

    @abstractmethod
    def publish(self, path: Path, key: str, root_file: str | None, first: Callable[[], None]) -> None:
        """Let what was composed at `path` appear under `key`, whole, replacing what stood there.

        first: the step right before; where the storage can do that, no other process swaps or publishes meanwhile.
        What it raises stops the publishing.
        """
