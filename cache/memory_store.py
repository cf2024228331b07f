"""A store that lives in this process: for tests, and for predictions that nobody wants to keep."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import EntryError
from .ids import check_id
from .journal import check_order
from .layout import contradictions
from .records import Array, FrameFeatures, Recipe, VideoInfo
from .store import Entry, EntryWriter, Store


@dataclass
class _Progress:
    fingerprint: str
    device: str
    blocks: list[FrameFeatures] = field(default_factory=list)
    state: bytes = b""


class MemoryStore(Store):
    """Entries, journals and claims in dictionaries; the same contract as a store on disk."""

    format = "memory"

    def __init__(self, recipe: Recipe, location: str = "memory") -> None:
        self.recipe, self.location = recipe, location
        self._entries: dict[str, tuple[VideoInfo, FrameFeatures]] = {}
        self._journals: dict[str, _Progress] = {}
        self._claims: set[str] = set()
        self._lock = threading.RLock()

    def ids(self) -> list[str]:
        return sorted(self._entries)

    def entry(self, entry_id: str, names: Sequence[str] = ()) -> Entry:
        info, features = self._kept(entry_id)
        arrays = features.arrays()
        return Entry(entry_id, info, len(features.time_s), {name: arrays[name] for name in names if name in arrays})

    def read(self, entry_id: str, *, values: bool = True) -> FrameFeatures:
        found = self._kept(entry_id)[1]
        if values:
            return found
        return replace(found, values=found.values[:, :0])

    def read_values(self, entry_id: str, start: int, stop: int) -> Array:
        values = self._kept(entry_id)[1].values
        assert 0 <= start <= stop <= len(values), f"rows {start} to {stop} of {len(values)}"
        return values[start:stop]

    def writer(self, entry_id: str, fingerprint: str, *, overwrite: bool = False, device: str = "cpu") -> EntryWriter:
        check_id(entry_id)
        with self._lock:
            if not overwrite and entry_id in self._entries:
                raise EntryError(f"{self.location}/{entry_id} is stored already", hint="overwrite it, or leave it")
            if entry_id in self._claims:
                raise EntryError(
                    f"{self.location}/{entry_id} is being written by this process", hint="wait for that writer"
                )
            self._claims.add(entry_id)
            progress = self._journals.get(entry_id)
            if progress is None or (progress.fingerprint, progress.device) != (fingerprint, device):
                self._journals[entry_id] = progress = _Progress(fingerprint, device)
            return _MemoryWriter(self, entry_id, progress)

    def verify(self, entry_id: str) -> list[str]:
        features = self._kept(entry_id)[1]
        return contradictions(features.arrays(), len(features.time_s))

    def keep(self, entry_id: str, info: VideoInfo, features: FrameFeatures) -> None:
        """Let an entry appear, its journal gone."""
        for array in features.arrays().values():
            array.flags.writeable = False
        with self._lock:
            self._entries[entry_id] = (info, features)
            self._journals.pop(entry_id, None)

    def let_go(self, entry_id: str) -> None:
        """End a claim."""
        with self._lock:
            self._claims.discard(entry_id)

    def _kept(self, entry_id: str) -> tuple[VideoInfo, FrameFeatures]:
        check_id(entry_id)
        if entry_id not in self._entries:
            raise EntryError(f"{self.location} holds no entry {entry_id!r}")
        return self._entries[entry_id]


class _MemoryWriter(EntryWriter):
    def __init__(self, store: MemoryStore, entry_id: str, progress: _Progress) -> None:
        self._store, self._id, self._progress = store, entry_id, progress
        self._held = True

    @property
    def state(self) -> bytes:
        return self._progress.state

    @property
    def frames(self) -> int:
        return sum(len(block.time_s) for block in self._progress.blocks)

    @property
    def rows(self) -> int:
        return sum(len(block.frame) for block in self._progress.blocks)

    def append(self, block: FrameFeatures, state: bytes) -> None:
        assert self._held, "the writer was released"
        last = [int(earlier.frame[-1]) for earlier in self._progress.blocks if len(earlier.frame)]
        check_order(block, last[-1] if last else 0, self.frames)
        copy = FrameFeatures(**{name: np.array(array) for name, array in block.arrays().items()})
        self._progress.blocks.append(copy)
        self._progress.state = state

    def commit(self, info: VideoInfo) -> None:
        assert self._held, "the writer was released"
        assert info.recipe_digest == self._store.recipe.digest, "the video's info names another recipe"
        assert info.fingerprint == self._progress.fingerprint, "the video's info names another video"
        blocks = self._progress.blocks or [FrameFeatures.empty(0)]
        self._store.keep(self._id, info, FrameFeatures.concatenate(blocks))
        self.release()

    def release(self) -> None:
        if self._held:
            self._held = False
            self._store.let_go(self._id)
