"""Entries as HDF5 files: `<id>.h5`, chunked, fletcher32 on every chunk, checksummed metadata.

The attributes also stand as one line of JSON in the user block before the HDF5 part: reading them there takes a
twentieth of the time, which counts when a run looks at 10,000 stored videos.
"""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import first_line
from .blobs import Blobs
from .blobs_local import LocalFolder
from .layout import PATHS, ArraySpec, DamageError, attributes_of, spec_in
from .records import Array, Json, VideoInfo

# From this version on the library keeps a checksum of every piece of metadata.
LIBRARY = ("v110", "v110")
FAILURES = (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError)
FIRST_BYTES = 8192  # more than most user blocks
WINDOW_BYTES = 1 << 20  # read at once from an object store
NO_SHA256 = "0" * 64


class Hdf5Format:
    """Reads and composes entries with h5py."""

    name = "hdf5"
    suffix = ".h5"
    root_file: str | None = None

    def compose(self, path: Path, specs: dict[str, ArraySpec], info: VideoInfo) -> "Hdf5Composer":
        """An entry as a new file at `path`, its user block large enough for the attributes of `info`."""
        return Hdf5Composer(path, specs, info)

    def head(self, blobs: Blobs, key: str) -> bytes:
        """The line of JSON that a file begins with; what is there when it does not end. Errors: FileNotFoundError."""
        data = blobs.get_range(key, 0, FIRST_BYTES)
        while (end := data.find(b"\n")) < 0 and data.startswith(b"{"):
            more = blobs.get_range(key, len(data), 2 * len(data))
            if not more:
                break
            data += more
        return data[: end if end >= 0 else None]

    def attributes(self, head: bytes) -> dict[str, Json]:
        """The attributes in the user block. Errors: DamageError where it holds none."""
        try:
            attributes = json.loads(head)
        except ValueError:
            raise DamageError("its user block cannot be read") from None
        if not isinstance(attributes, dict):
            raise DamageError("its user block holds no attributes")
        return attributes

    def read(
        self, blobs: Blobs, key: str, attributes: dict[str, Json], wanted: Mapping[str, tuple[int, int] | None]
    ) -> dict[str, Array]:
        """Arrays by name, whole or rows [start, stop). Errors: DamageError naming the array."""
        found: dict[str, Array] = {}
        path = "the file"
        try:
            with _opened(blobs, key) as file:
                for name, rows in wanted.items():
                    spec = spec_in(attributes, name)
                    path = spec.path
                    array = file[path]
                    if array.shape != spec.shape or array.dtype != spec.dtype:
                        raise ValueError(f"is {array.dtype} {array.shape}, not {spec.dtype} {spec.shape}")
                    start, stop = rows or (0, spec.shape[0])
                    found[name] = np.asarray(array[start:stop])
        except FAILURES as error:
            raise DamageError(f"{path}: {first_line(error)}") from error
        return found

    def damaged_metadata(self, blobs: Blobs, key: str, attributes: dict[str, Json]) -> list[str]:
        """Attributes that are not as in the user block; the library checks its own metadata when it reads."""
        try:
            with _opened(blobs, key) as file:
                stored = {name: _from_hdf5(value) for name, value in file.attrs.items()}
        except FAILURES as error:
            return [f"its attributes cannot be read ({first_line(error)})"]
        names = sorted(set(attributes) | set(stored))
        return [
            f"attribute {name} is not as it was written"
            for name in names
            if stored.get(name, NO_SHA256) != attributes.get(name, NO_SHA256)
        ]


class Hdf5Composer:
    """An entry being written to a file of this machine."""

    def __init__(self, path: Path, specs: dict[str, ArraySpec], info: VideoInfo) -> None:
        arrays = {
            spec.path: {
                "shape": list(spec.shape), "dtype": spec.dtype.name, "chunk_rows": spec.chunk_rows, "sha256": NO_SHA256,
            }
            for spec in specs.values()
        }  # fmt: skip
        room = len(_line(attributes_of(info, arrays, {})))
        self._room = max(512, 1 << (room - 1).bit_length())
        self._sink = _Sink(path)
        self._file = h5py.File(self._sink, "w", libver=LIBRARY, userblock_size=self._room)
        for spec in specs.values():
            self._create(spec)

    def write(self, name: str, start: int, rows: Array) -> None:
        """Put rows into an array. Errors: OSError where the disk refused them."""
        if rows.size:
            self._file[PATHS[name]][start : start + len(rows)] = rows
            self._sink.check()

    def extra(self) -> dict[str, Json]:
        """Nothing: the library checks its own metadata."""
        return {}

    def finish(self, attributes: dict[str, Json]) -> None:
        """Write the attributes, close, and write them again as the user block, which comes last on disk."""
        for name, value in attributes.items():
            self._file.attrs[name] = _to_hdf5(value)
        self._file.close()
        line = _line(attributes)
        assert len(line) <= self._room
        self._sink.seek(0)
        self._sink.write(line)
        self._sink.check()

    def abandon(self) -> None:
        """Close, whatever the state of the file."""
        with contextlib.suppress(*FAILURES):
            self._file.close()
        self._sink.close()

    def _create(self, spec: ArraySpec) -> None:
        options: dict[str, Any] = {}
        if 0 not in spec.shape:
            options.update(chunks=(spec.chunk_rows, *spec.shape[1:]), fletcher32=True)
            if spec.path != "values":
                options.update(compression="gzip", compression_opts=4, shuffle=True)
        self._file.create_dataset(spec.path, spec.shape, spec.dtype, **options)


class _Sink(io.FileIO):
    """A new file that keeps a failure to write for `check`: HDF5 itself would crash on it when it closes the file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+")
        self._failure: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self._failure is None:
            try:
                done += super().write(view[done:])
            except OSError as error:
                self._failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._failure = self._failure or error
            return size or 0

    def check(self) -> None:
        """Errors: the first OSError of a write."""
        if self._failure is not None:
            raise self._failure


class _Window(io.RawIOBase):
    """A file of an object store, read in windows."""

    def __init__(self, blobs: Blobs, key: str) -> None:
        self._blobs, self._key = blobs, key
        self._size = blobs.size(key)
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
            self._data = self._blobs.get_range(self._key, self._position, stop)
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
    else:
        with _Window(blobs, key) as window, h5py.File(window, "r") as file:
            yield file


def _line(attributes: dict[str, Json]) -> bytes:
    return json.dumps(attributes, ensure_ascii=True).encode() + b"\n"


def _to_hdf5(value: Json) -> Any:
    """Scalars as they are, nothing as an empty attribute, lists and mappings as JSON text."""
    if value is None:
        return h5py.Empty("f")
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _from_hdf5(value: Any) -> Json:
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, str):
        return json.loads(value) if value[:1] in ("[", "{") else value
    return value.item() if isinstance(value, np.generic) else value
