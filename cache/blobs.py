"""Named bytes in a local folder or under an object store's prefix, with the few atomic steps that a store needs."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path


class Blobs(ABC):
    """Keys are relative paths with `/`. A key that is not there raises FileNotFoundError where bytes are asked for.

    Errors: StoreError when the place is full, read-only or out of reach.
    """

    where: str  # for messages
    at_once: int  # requests worth having under way together

    @abstractmethod
    def get(self, key: str) -> bytes: ...

    @abstractmethod
    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of a key; fewer where it ends before."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Bytes under a key."""

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
        """Keys that end in `suffix`, without it, sorted; hidden folders are left out.

        `root_file`: entries are folders, and this file in them is published last.
        """

    @abstractmethod
    def exists(self, key: str, root_file: str | None = None) -> bool:
        """Whether a file or folder stands there, in the sense of `entries`."""

    @abstractmethod
    def remove(self, key: str, root_file: str | None = None) -> None:
        """Remove a file, or a folder with all in it, `root_file` first, and the folders above that are empty then."""

    @abstractmethod
    def scratch(self, key: str) -> contextlib.AbstractContextManager[Path]:
        """A free path on this machine, from which `publish` can let a file or folder appear; removed at the end."""

    @abstractmethod
    def publish(self, path: Path, key: str, root_file: str | None, first: Callable[[], None]) -> None:
        """Let what was composed at `path` appear under `key`, whole, replacing what stood there.

        first: the step right before; where the storage can do that, no other process swaps or publishes meanwhile.
        What it raises stops the publishing.
        """
