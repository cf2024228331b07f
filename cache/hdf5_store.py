"""Entries as HDF5 files: `<id>.h5`, chunked, fletcher32 on every chunk, checksummed metadata."""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import obstore

from .blobs import Blobs, LocalFolder
from .layout import PATHS, ArraySpec, DamageError, expect
from .objects import ObjectFolder
from .records import Array, Json

# From this version on the library keeps a checksum of every piece of metadata.
LIBRARY = ("v110", "v110")
FAILURES = (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError)
WINDOW_BYTES = 1 << 20  # read at once from an object store


class Hdf5Format:
    """Reads and composes entries with h5py."""

    name = "hdf5"
    suffix = ".h5"
    root_file: str | None = None

    def compose(self, path: Path, specs: dict[str, ArraySpec]) -> "Hdf5Composer":
        return Hdf5Composer(path, specs)

    def attributes(self, blobs: Blobs, key: str) -> dict[str, Json]:
        """Errors: FileNotFoundError, DamageError."""
        try:
            with _opened(blobs, key) as file:
                return {name: _from_hdf5(value) for name, value in file.attrs.items()}
        except FileNotFoundError:
            raise
        except FAILURES as error:
            raise DamageError(f"its attributes cannot be read ({_first_line(error)})") from error

    def read(
        self, blobs: Blobs, key: str, attributes: dict[str, Json], wanted: dict[str, tuple[int, int] | None]
    ) -> dict[str, Array]:
        """Arrays by name, whole or rows [start, stop). Errors: DamageError naming the array."""
        found: dict[str, Array] = {}
        path = "the file"
        try:
            with _opened(blobs, key) as file:
                for name, rows in wanted.items():
                    shape, dtype = expect(attributes, name)
                    path = PATHS[name]
                    array = file[path]
                    if array.shape != shape or array.dtype != dtype:
                        raise DamageError(f"{path} is {array.dtype} {array.shape}, not {dtype} {shape}")
                    start, stop = rows or (0, shape[0])
                    found[name] = np.asarray(array[start:stop])
        except FAILURES as error:
            raise DamageError(f"{path}: {_first_line(error)}") from error
        return found

    def damaged_metadata(self, blobs: Blobs, key: str, attributes: dict[str, Json]) -> list[str]:
        """Always empty: the library checks its metadata whenever it reads."""
        return []


class Hdf5Composer:
    """An entry being written to a file of this machine."""

    def __init__(self, path: Path, specs: dict[str, ArraySpec]) -> None:
        self._file = h5py.File(path, "x", libver=LIBRARY)
        for spec in specs.values():
            whole = 0 not in spec.shape
            options: dict[str, Any] = (
                {"chunks": (spec.chunk_rows, *spec.shape[1:]), "fletcher32": True} if whole else {}
            )
            if whole and spec.path != "values":
                options.update(compression="gzip", compression_opts=4, shuffle=True)
            self._file.create_dataset(spec.path, spec.shape, spec.dtype, **options)

    def write(self, name: str, start: int, rows: Array) -> None:
        self._file[PATHS[name]][start : start + len(rows)] = rows

    def extra(self) -> dict[str, Json]:
        return {}

    def finish(self, attributes: dict[str, Json]) -> None:
        for name, value in attributes.items():
            self._file.attrs[name] = _to_hdf5(value)
        self._file.close()

    def abandon(self) -> None:
        with contextlib.suppress(*FAILURES):
            self._file.close()


class _Window(io.RawIOBase):
    """A file of an object store, read in windows."""

    def __init__(self, folder: ObjectFolder, key: str) -> None:
        self._store, self._key = folder.store, key
        self._size: int = obstore.head(folder.store, key)["size"]
        self._position, self._start, self._data = 0, 0, b""

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._position))
        if not (self._start <= self._position and self._position + count <= self._start + len(self._data)):
            stop = min(self._size, self._position + max(count, WINDOW_BYTES))
            self._data = bytes(obstore.get_range(self._store, self._key, start=self._position, end=stop))
            self._start = self._position
        offset = self._position - self._start
        view[:count] = self._data[offset : offset + count]
        self._position += count
        return count


@contextlib.contextmanager
def _opened(blobs: Blobs, key: str) -> Iterator[h5py.File]:
    if isinstance(blobs, LocalFolder):
        with h5py.File(blobs.path(key), "r") as file:
            yield file
        return
    assert isinstance(blobs, ObjectFolder)
    with _Window(blobs, key) as window, h5py.File(window, "r") as file:
        yield file


def _to_hdf5(value: Json) -> Any:
    """Scalars as they are, nothing as an empty attribute, lists and mappings as JSON text."""
    if value is None:
        return h5py.Empty("f")
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _from_hdf5(value: Any) -> Json:
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, str):
        return json.loads(value) if value[:1] in "[{" and value else value
    return value.item() if isinstance(value, np.generic) else value


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
