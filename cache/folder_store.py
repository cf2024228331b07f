"""A store in a folder or under a URL: entries in one of the formats, journals and claims beside them."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import EntryError
from .blobs import Blobs
from .blobs_local import TEMPORARY, storage_error
from .claims import Claim
from .ids import check_id
from .journal import COMMITTED, Journal
from .layout import (
    ArraySpec,
    Composer,
    DamageError,
    attributes_of,
    contradictions,
    info_of,
    spec_in,
    specs_of,
    write_arrays,
)
from .records import DTYPES, Array, FrameFeatures, Json, Recipe, VideoInfo
from .store import Entry, EntryWriter, Store

TRIES = 3  # an entry that another run replaces just now may be gone at one time and there at the next


class EntryFormat(Protocol):
    """How the arrays of an entry lie on disk; `ZarrFormat` and `Hdf5Format`."""

    name: str  # as in store.json and after --format
    suffix: str  # of an entry's file or folder, behind its id
    root_file: str | None  # entries are folders, and this file is published last

    def compose(self, path: Path, specs: dict[str, ArraySpec], info: VideoInfo) -> Composer:
        """A new entry at a free path, with room for these arrays and for attributes like those of `info`."""
        ...

    def head(self, blobs: Blobs, key: str) -> bytes:
        """The bytes that hold an entry's attributes: the same bytes, the same entry. Errors: FileNotFoundError."""
        ...

    def attributes(self, head: bytes) -> dict[str, Json]:
        """The attributes in those bytes, not yet checked against their seal. Errors: DamageError."""
        ...

    def read(
        self, blobs: Blobs, key: str, attributes: dict[str, Json], wanted: Mapping[str, tuple[int, int] | None]
    ) -> dict[str, Array]:
        """Arrays by name, each whole (None) or its rows [start, stop). Errors: DamageError naming the array."""
        ...

    def damaged_metadata(self, blobs: Blobs, key: str, attributes: dict[str, Json]) -> list[str]:
        """What describes the arrays and is not as it was written, one sentence each; empty where all is sound."""
        ...


class FolderStore(Store):
    """One recipe's entries under a folder or URL, as `<id>.zarr` or `<id>.h5`."""

    def __init__(self, blobs: Blobs, recipe: Recipe, entry_format: EntryFormat) -> None:
        self.blobs, self.recipe, self._format = blobs, recipe, entry_format
        self._digest = recipe.digest
        self.location = blobs.where
        self.format = entry_format.name

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
        names = [name for name in DTYPES if values or name != "values"]
        arrays = dict(self._entry(entry_id, dict.fromkeys(names)).arrays)
        if not values:
            arrays["values"] = np.zeros((len(arrays["frame"]), 0), DTYPES["values"])
        return FrameFeatures(**arrays)

    def read_values(self, entry_id: str, start: int, stop: int) -> Array:
        return self._entry(entry_id, {"values": (start, stop)}).arrays["values"]

    def writer(self, entry_id: str, fingerprint: str, *, overwrite: bool = False) -> EntryWriter:
        check_id(entry_id)
        key = self.key(entry_id)
        if not overwrite and self.stands(entry_id):
            raise EntryError(
                f"{self.location}/{key} is stored already",
                hint="affect extract-features VIDEOS --store STORE --overwrite",
            )
        claim = self._claim(entry_id)
        try:
            return FolderWriter(self, entry_id, fingerprint, claim, overwrite)
        except BaseException:
            claim.release()
            raise

    def verify(self, entry_id: str) -> list[str]:
        try:
            _, attributes, _ = self._head(entry_id)
        except EntryError as error:
            return [error.message]
        found = self._format.damaged_metadata(self.blobs, self.key(entry_id), attributes)
        return found + self._damaged_arrays(entry_id, attributes)

    def stands(self, entry_id: str) -> bool:
        """Whether an entry is there, sound or damaged."""
        return self.blobs.exists(self.key(entry_id), self._format.root_file)

    def key(self, entry_id: str) -> str:
        """Where an entry lies, relative to the store."""
        return f"{entry_id}{self._format.suffix}"

    def journal_key(self, entry_id: str) -> str:
        """Where the progress of an entry lies, relative to the store."""
        return f".journal/{entry_id}.journal"

    def publish(self, entry_id: str, journal: Journal, info: VideoInfo, check: Callable[[], None]) -> None:
        """Compose an entry out of its journal and let it appear; `check` raises when the claim is lost."""
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
                with contextlib.suppress(EntryError):
                    claim = self._claim(entry_id)
                    try:
                        Journal(self.blobs, self.journal_key(entry_id), self.recipe.digest, "").clear()
                    finally:
                        claim.release()

    def _compose(self, path: Path, journal: Journal, info: VideoInfo) -> str:
        specs = specs_of(journal.frames, journal.rows, journal.size)
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
            mark = self.blobs.get(f"{self.journal_key(entry_id)}/{COMMITTED}").decode()
        except FileNotFoundError:
            return False
        return bool(mark == self._seal(entry_id))

    def _seal(self, entry_id: str) -> Json:
        """The digest of an entry's attributes as they stand; None where there are none."""
        try:
            head = self._format.head(self.blobs, self.key(entry_id))
            return self._format.attributes(head).get("attributes_sha256")
        except (FileNotFoundError, DamageError):
            return None

    def _claim(self, entry_id: str) -> Claim:
        check_id(entry_id)
        return Claim(self.blobs, f"{self.journal_key(entry_id)}/claim", f"{self.location}/{self.key(entry_id)}")

    def _head(self, entry_id: str) -> tuple[bytes, dict[str, Json], VideoInfo]:
        """The bytes that hold an entry's attributes, the attributes, and what they say of the video."""
        check_id(entry_id)
        for _ in range(TRIES):
            try:
                head = self._format.head(self.blobs, self.key(entry_id))
                attributes = self._format.attributes(head)
                return head, attributes, info_of(attributes, self._digest)
            except FileNotFoundError:
                if not self.stands(entry_id):
                    raise self._missing(entry_id) from None
            except DamageError as damage:
                raise self._damaged(entry_id, str(damage)) from damage
        raise self._damaged(entry_id, f"{self._format.root_file} is missing")

    def _entry(self, entry_id: str, wanted: Mapping[str, tuple[int, int] | None]) -> Entry:
        """Arrays that belong together, whole or rows [start, stop), also while another run replaces the entry."""
        while True:
            head, attributes, info = self._head(entry_id)
            frames = spec_in(attributes, "time_s").shape[0]
            for name, span in wanted.items():
                rows = spec_in(attributes, name).shape[0]
                assert span is None or 0 <= span[0] <= span[1] <= rows, f"rows {span} of {rows}"
            failure, arrays = None, dict[str, Array]()
            try:
                if wanted:
                    arrays = self._format.read(self.blobs, self.key(entry_id), attributes, wanted)
            except DamageError as damage:
                failure = damage
            if wanted and not self._is_still(entry_id, head):
                continue
            if failure:
                raise self._damaged(entry_id, str(failure)) from failure
            if found := contradictions(arrays, frames):
                raise self._damaged(entry_id, found[0])
            return Entry(entry_id, info, frames, arrays)

    def _is_still(self, entry_id: str, head: bytes) -> bool:
        try:
            return self._format.head(self.blobs, self.key(entry_id)) == head
        except FileNotFoundError:
            return False

    def _damaged_arrays(self, entry_id: str, attributes: dict[str, Json]) -> list[str]:
        found = []
        for name in DTYPES:
            spec = spec_in(attributes, name)
            digest, failures = hashlib.sha256(), []
            for start in range(0, spec.shape[0], spec.chunk_rows):
                stop = min(spec.shape[0], start + spec.chunk_rows)
                try:
                    rows = self._format.read(self.blobs, self.key(entry_id), attributes, {name: (start, stop)})[name]
                    digest.update(np.ascontiguousarray(rows).tobytes())
                except DamageError as damage:
                    failures.append(f"rows {start} to {stop - 1} of {damage}")
            if not failures and digest.hexdigest() != attributes["arrays"][spec.path]["sha256"]:
                failures.append(f"{spec.path} does not match its checksum")
            found += failures
        if found:
            return found
        arrays = self._format.read(self.blobs, self.key(entry_id), attributes, dict.fromkeys(("time_s", "frame")))
        return contradictions(arrays, len(arrays["time_s"]))

    def _missing(self, entry_id: str) -> EntryError:
        return EntryError(f"{self.location} holds no entry {entry_id!r}", hint="affect inspect-cache STORE")

    def _damaged(self, entry_id: str, what: str) -> EntryError:
        return EntryError(
            f"{self.location}/{self.key(entry_id)} is damaged: {what}",
            hint="affect inspect-cache STORE --verify, then extract again: only damaged entries are made anew",
        )


class FolderWriter(EntryWriter):
    """Appends to an entry's journal under a claim, and turns it into the entry."""

    def __init__(self, store: FolderStore, entry_id: str, fingerprint: str, claim: Claim, overwrite: bool) -> None:
        self._store, self._id, self._claim = store, entry_id, claim
        key = store.journal_key(entry_id)
        self._journal = Journal(store.blobs, key, store.recipe.digest, fingerprint)
        if not overwrite and store.stands(entry_id):
            # Another run finished it before this one had the claim.
            self._journal.clear()
            raise EntryError(f"{store.location}/{store.key(entry_id)} was stored by another run just now")
        _remove_leftovers(store.blobs, key, store.blobs.names(key))
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
