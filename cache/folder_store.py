"""A store in a folder or under a URL: entries in one of the formats, journals and claims beside them."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from ..errors import EntryError, StoreError, UnreadableError
from .below import TEMPORARY
from .blobs import Blobs, DamageError, LinkError
from .claims import Claim
from .entry_format import EntryFormat, damaged_arrays, is_within, unreadable
from .held_local import storage_error
from .ids import check_id
from .journal import COMMITTED, Journal
from .layout import (
    EntryHead,
    attributes_of,
    contradictions,
    head_of,
    specs_of,
    write_arrays,
)
from .records import ALL_DTYPES, DTYPES, OPTIONAL, Array, FrameFeatures, Recipe, VideoInfo
from .store import Entry, EntryWriter, Store

MOST_MARK_BYTES = 1 << 10
TROUBLE = (DamageError, StoreError, MemoryError)
# An entry that another run replaces just now may be gone at one time and there at the next.
TRIES, AGAIN_S = 3, 0.05
MOST_TRIES = 20  # of an entry that stands whenever it is looked for, and was away each time it was read


class FolderStore(Store):
    """One recipe's entries under a folder or URL, as `<id>.zarr` or `<id>.h5`."""

    def __init__(self, blobs: Blobs, recipe: Recipe, entry_format: EntryFormat) -> None:
        self.blobs, self.recipe, self._format = blobs, recipe, entry_format
        self._digest = recipe.digest
        self.location = blobs.where
        self.format, self.root_file = entry_format.name, entry_format.root_file

    def ids(self) -> list[str]:
        return self.blobs.entries(self._format.suffix, self._format.root_file)

    def entry(self, entry_id: str, names: Sequence[str] = ()) -> Entry:
        return self._entry(entry_id, dict.fromkeys(names))

    def entries(self, ids: Iterable[str], names: Sequence[str] = ()) -> Iterator[Entry | EntryError]:
        if self.blobs.at_once == 1:
            yield from super().entries(ids, names)
            return
        with ThreadPoolExecutor(self.blobs.at_once) as pool:
            rest = iter(ids)
            while some := list(islice(rest, 16 * self.blobs.at_once)):
                yield from pool.map(partial(self._entry_or_error, names), some)

    def read(self, entry_id: str, *, values: bool = True) -> FrameFeatures:
        names = [name for name in ALL_DTYPES if values or name != "values"]
        arrays = dict(self._entry(entry_id, dict.fromkeys(names)).arrays)
        if not values:
            arrays["values"] = np.zeros((len(arrays["frame"]), 0), DTYPES["values"])
        return FrameFeatures(**arrays)

    def read_values(self, entry_id: str, start: int, stop: int) -> Array:
        return self._entry(entry_id, {"values": (start, stop)}).arrays["values"]

    def writer(self, entry_id: str, fingerprint: str, *, overwrite: bool = False, device: str = "cpu") -> EntryWriter:
        check_id(entry_id)
        key = self.key(entry_id)
        if self.stands(entry_id) and not overwrite:
            raise EntryError(
                f"{self.location}/{key} is stored already",
                hint="affect extract-features VIDEOS --store STORE --overwrite",
            )
        claim = self.claim(entry_id)
        try:
            journal = Journal(self.blobs, self.journal_key(entry_id), self.recipe.digest, fingerprint, device)
            return FolderWriter(self, entry_id, journal, claim, overwrite)
        except BaseException:
            claim.release()
            raise

    def verify(self, entry_id: str) -> list[str]:
        check_id(entry_id)
        missing = 0
        while True:
            try:
                if (found := self._try_verify(entry_id)) is not None:
                    return found
            except FileNotFoundError:
                missing += 1
                if not self._may_come_back(entry_id, missing):
                    return [self._rootless(entry_id).message]
            except TROUBLE as error:
                told = self._told(entry_id, error)
                if isinstance(told, UnreadableError):
                    raise told from error
                return [told.message]

    def stands(self, entry_id: str) -> bool:
        """Whether an entry is there, sound or damaged. Errors: UnreadableError."""
        try:
            return self.blobs.exists(self.key(entry_id), self._format.root_file)
        except TROUBLE as error:
            raise self._told(entry_id, error) from error

    def key(self, entry_id: str) -> str:
        """Where an entry lies, relative to the store."""
        return f"{entry_id}{self._format.suffix}"

    def journal_key(self, entry_id: str) -> str:
        """Where the progress of an entry lies, relative to the store."""
        return f".journal/{entry_id}.journal"

    def publish(self, entry_id: str, journal: Journal, info: VideoInfo, check: Callable[[], None]) -> None:
        """Compose an entry out of its journal and let it appear; `check` raises when the claim is lost."""
        try:
            VideoInfo.from_json(info.to_json())
        except ValueError as error:
            raise EntryError(f"{entry_id} cannot be stored: {error}") from error
        try:
            with self.blobs.scratch(self.journal_key(entry_id)) as scratch:
                seal = self._compose(scratch, journal, info)

                def mark() -> None:
                    check()
                    self.blobs.put(f"{journal.key}/{COMMITTED}", seal.encode())

                self.blobs.publish(scratch, self.key(entry_id), self._format.root_file, mark)
        except DamageError as damage:
            raise EntryError(
                f"the journal of {entry_id} in {self.location}: {damage}", hint="run the same command again"
            ) from damage

    def sweep(self) -> None:
        """Remove what killed runs left behind: journals of entries that stand, and half-removed folders."""
        names = self.blobs.names(".journal")
        hidden = {name.split("/")[0] for name in names if name.startswith(TEMPORARY)}
        empty = {name for name in names if name.endswith("/")}
        for name in hidden | empty:
            self.blobs.remove(f".journal/{name}")
        files: dict[str, set[str]] = {}
        for name in names:
            entry_id, mark, file = name.rpartition(".journal/")
            if mark and file:
                files.setdefault(entry_id, set()).add(file)
        for entry_id, found in files.items():
            if found == {"claim"} or (COMMITTED in found and self._is_committed(entry_id)):
                with contextlib.suppress(EntryError, DamageError):
                    claim = self.claim(entry_id)
                    try:
                        Journal(self.blobs, self.journal_key(entry_id), self.recipe.digest, "").clear()
                    finally:
                        claim.release()

    def _compose(self, path: Path, journal: Journal, info: VideoInfo) -> str:
        specs = specs_of(journal.frames, journal.rows, journal.size, journal.optional)
        try:
            with contextlib.ExitStack() as stack:
                composer = self._format.compose(path, specs, info)
                stack.callback(composer.abandon)
                arrays = write_arrays(composer, specs, journal.blocks())
                attributes = attributes_of(info, arrays, composer.extra())
                composer.finish(attributes)
        except OSError as error:
            raise storage_error(str(path.parent), path.name, error) from error
        return str(attributes["attributes_sha256"])

    def _is_committed(self, entry_id: str) -> bool:
        try:
            mark = self.blobs.get(f"{self.journal_key(entry_id)}/{COMMITTED}", MOST_MARK_BYTES)
            return mark == self.seal(entry_id).encode()
        except (FileNotFoundError, DamageError):
            return False

    def seal(self, entry_id: str) -> str:
        """The digest of an entry's attributes as they stand. Errors: FileNotFoundError, DamageError."""
        with self.blobs.hold(self.key(entry_id)) as held:
            return str(self._format.attributes_in(self._format.head(held)).get("attributes_sha256"))

    def claim(self, entry_id: str) -> Claim:
        """The right to change an entry, to be released. Errors: BusyError where another process has it."""
        check_id(entry_id)
        return Claim(self.blobs, f"{self.journal_key(entry_id)}/claim", f"{self.location}/{self.key(entry_id)}")

    def _head(self, data: bytes) -> EntryHead:
        return head_of(self._format.attributes_in(data), self._digest, self._format.attributes)

    def _entry(self, entry_id: str, wanted: Mapping[str, tuple[int, int] | None]) -> Entry:
        """Arrays that belong together, whole or rows [start, stop), also while another run replaces the entry."""
        check_id(entry_id)
        missing = 0
        while True:
            try:
                if (found := self._try_entry(entry_id, wanted)) is not None:
                    return found
            except FileNotFoundError:
                missing += 1
                if not self._may_come_back(entry_id, missing):
                    raise self._rootless(entry_id) from None
            except TROUBLE as error:
                raise self._told(entry_id, error) from error

    def _may_come_back(self, entry_id: str, missing: int) -> bool:
        """Whether to try again, after a while, for an entry that was away so often. Errors: EntryError for none."""
        if missing >= TRIES and not self.stands(entry_id):
            raise self._missing(entry_id) from None
        if missing < MOST_TRIES:
            time.sleep(AGAIN_S)
        return missing < MOST_TRIES

    def _rootless(self, entry_id: str) -> EntryError:
        return self._damaged(entry_id, f"{self._format.root_file or 'the file'} is missing")

    def _try_entry(self, entry_id: str, wanted: Mapping[str, tuple[int, int] | None]) -> Entry | None:
        """As `_entry`; None where another run replaced the entry meanwhile. Errors: FileNotFoundError, DamageError."""
        arrays: dict[str, Array] = {}
        with self.blobs.hold(self.key(entry_id)) as held:
            data = self._format.head(held)
            head = self._head(data)
            if not wanted:
                return Entry(entry_id, head.info, head.frames, arrays)
            try:
                with self._format.reader(held, head) as reader:
                    for name, span in wanted.items():
                        if name in OPTIONAL and name not in head.specs:
                            continue
                        rows = head.specs[name].shape[0]
                        start, stop = span or (0, rows)
                        assert 0 <= start <= stop <= rows, f"rows {span} of {rows}"
                        arrays[name] = reader.read(name, start, stop)
            except DamageError:
                if self._is_still(entry_id, data):
                    raise
                return None
            if not held.steady and not self._is_still(entry_id, data):
                return None
        if found := contradictions(arrays, head.frames):
            raise DamageError(found[0])
        return Entry(entry_id, head.info, head.frames, arrays)

    def _try_verify(self, entry_id: str) -> list[str] | None:
        """As `verify`; None where another run replaced the entry meanwhile. Errors: as `_try_entry`."""
        with self.blobs.hold(self.key(entry_id)) as held:
            data = self._format.head(held)
            head = self._head(data)
            try:
                with self._format.reader(held, head) as reader:
                    found = reader.damaged_metadata() or damaged_arrays(reader, head)
            except DamageError:
                if self._is_still(entry_id, data):
                    raise
                return None
        return found if self._is_still(entry_id, data) else None

    def _is_still(self, entry_id: str, head: bytes) -> bool:
        try:
            with self.blobs.hold(self.key(entry_id)) as held:
                return self._format.head(held) == head
        except FileNotFoundError:
            return False

    def _told(self, entry_id: str, error: Exception) -> EntryError:
        """The error of an entry that is damaged, or an UnreadableError where it is only not to be read now."""
        key = self.key(entry_id)
        if isinstance(error, LinkError) and is_within(key, error.place):
            return UnreadableError(
                f"{self.location}/{error.place} is a symbolic link; entries are read and written in the store's own "
                "folders alone",
                hint="put the files themselves in its place",
            )
        if isinstance(error, DamageError):
            return self._damaged(entry_id, str(error))
        return unreadable(f"{self.location}/{key}", error)

    def _missing(self, entry_id: str) -> EntryError:
        try:
            self.blobs.check_listed(entry_id)
        except TROUBLE as error:
            return unreadable(f"{self.location}/{entry_id}", error)
        return EntryError(f"{self.location} holds no entry {entry_id!r}", hint="affect inspect-cache STORE")

    def _damaged(self, entry_id: str, what: str) -> EntryError:
        return EntryError(
            f"{self.location}/{self.key(entry_id)} is damaged: {what}",
            hint="affect inspect-cache STORE --verify, then extract again: only damaged entries are made anew",
        )


class FolderWriter(EntryWriter):
    """Appends to an entry's journal under a claim, and turns it into the entry."""

    def __init__(self, store: FolderStore, entry_id: str, journal: Journal, claim: Claim, overwrite: bool) -> None:
        self._store, self._id, self._journal, self._claim = store, entry_id, journal, claim
        if not overwrite and store.stands(entry_id):
            # Another run finished it before this one had the claim.
            self._journal.clear()
            raise EntryError(f"{store.location}/{store.key(entry_id)} was stored by another run just now")
        _remove_leftovers(store.blobs, journal.key, store.blobs.names(journal.key))
        self._journal.load()

    @property
    def state(self) -> bytes:
        return self._journal.state

    @property
    def frames(self) -> int:
        return self._journal.frames

    @property
    def rows(self) -> int:
        return self._journal.rows

    def append(self, block: FrameFeatures, state: bytes) -> None:
        self._claim.check()
        self._journal.append(block, state)

    def commit(self, info: VideoInfo) -> None:
        assert info.recipe_digest == self._store.recipe.digest, "the video's info names another recipe"
        assert info.fingerprint == self._journal.fingerprint, "the video's info names another video"
        self._claim.check()
        self._store.publish(self._id, self._journal, info, self._claim.check)
        self._journal.clear()
        self.release()

    def release(self) -> None:
        self._claim.release()


def _remove_leftovers(blobs: Blobs, key: str, names: Iterable[str]) -> None:
    kept = ("block-", COMMITTED, "claim")
    for name in {name.split("/")[0] for name in names if not name.startswith(kept)}:
        blobs.remove(f"{key}/{name}")
