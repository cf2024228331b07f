"""Reading an HDF5 file that a stranger may have made: what the library follows is checked before it follows it."""

import contextlib
import io
import json
import math
import zlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numcodecs.fletcher32 import Fletcher32  # type: ignore[import-untyped]

from ..errors import StoreError, first_line
from .blobs import DamageError, Held
from .layout import PATHS, ArraySpec, EntryHead
from .records import ALL_DTYPES, Array, Json

FAILURES = (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError)
WINDOW_BYTES = 1 << 20  # read at once from an object store
LOCAL_WINDOW_BYTES = 1 << 14
CHUNK_OVERHEAD = 64  # of gzip and the checksum, on what cannot be compressed
GZIP_LEVEL = 4
MOST_ATTRIBUTE_BYTES = 64  # text lies elsewhere in the file
_FLETCHER = Fletcher32()
_TYPES = {dtype: h5py.h5t.py_create(dtype) for dtype in ALL_DTYPES.values()}


class Source(io.RawIOBase):
    """A file of a store, read in windows. It takes no lock: entries are never changed in place."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.size = held.size("")
        self._window = LOCAL_WINDOW_BYTES if held.at_once == 1 else WINDOW_BYTES
        self._position, self._start, self._data = 0, 0, b""
        self._failure: StoreError | None = None

    @contextlib.contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Errors: DamageError for what the library cannot read, StoreError where the storage gave nothing to read."""
        try:
            yield
        except FAILURES as error:
            if self._failure is not None:
                raise self._failure from self._failure.__cause__
            raise DamageError(f"{what}: {first_line(error)}") from error

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.size - self._position))
        try:
            data = self._bytes(self._position, self._position + count)
        except StoreError as error:
            self._failure = error
            raise OSError(error.message) from error
        view[: len(data)] = data
        view[len(data) :] = bytes(len(view) - len(data))  # the library would take what was there before
        self._position += count
        return count

    def _bytes(self, start: int, stop: int) -> bytes:
        if not (self._start <= start and stop <= self._start + len(self._data)):
            self._data = self._held.get_range("", start, min(self.size, max(stop, start + self._window)))
            self._start = start
        return self._data[start - self._start : stop - self._start]


class Hdf5Reader:
    """The arrays of one entry. The library finds the pieces of the file; what is in them is unpacked here.

    So nothing that a stranger wrote decides which file, which filter or how much memory is used.
    """

    def __init__(self, file: h5py.File, source: Source, head: EntryHead) -> None:
        self._file, self._source, self._head = file, source, head
        self._stored: dict[tuple[str, int], int] = {}  # bytes of each chunk that was read

    def read(self, name: str, start: int, stop: int) -> Array:
        """Rows [start, stop) of an array. Errors: DamageError naming the array, StoreError."""
        spec = self._head.specs[name]
        with self._source.guarded(spec.path):
            dataset = self._dataset(spec)
            if 0 in spec.shape or start == stop:
                return np.zeros((stop - start, *spec.shape[1:]), spec.dtype)
            pieces = []
            for number in range(start // spec.chunk_rows, -(-stop // spec.chunk_rows)):
                first = number * spec.chunk_rows
                pieces.append(self._chunk(dataset, spec, number)[max(0, start - first) : stop - first])
            return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def damaged_metadata(self) -> list[str]:
        """Attributes that are not as in the user block, and datasets that our writer does not make."""
        found = []
        try:
            with self._source.guarded("its attributes"):
                found += self._strange_attributes()
            for spec in self._head.specs.values():
                with self._source.guarded(spec.path):
                    self._dataset(spec)
        except DamageError as damage:
            found.append(str(damage))
        return found

    def _dataset(self, spec: ArraySpec) -> h5py.h5d.DatasetID:
        """An array's dataset. Errors: DamageError for one that our writer does not make."""
        here = self._file.id
        for name in spec.path.split("/"):
            if here.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
                raise DamageError(f"{spec.path}: {name} is a link to another place")
            here = h5py.h5o.open(here, name.encode())
        if not isinstance(here, h5py.h5d.DatasetID):
            raise DamageError(f"{spec.path}: is no dataset")
        if (problem := _problem(here, spec)) is not None:
            raise DamageError(f"{spec.path}: {problem}")
        plain = spec.path == PATHS["values"]
        if plain and math.prod(spec.shape) * spec.dtype.itemsize > self._source.size:
            raise DamageError(f"{spec.path}: {spec.shape} cannot lie in a file of {self._source.size} bytes")
        return here

    def _chunk(self, dataset: h5py.h5d.DatasetID, spec: ArraySpec, number: int) -> Array:
        chunk_shape = (spec.chunk_rows, *spec.shape[1:])
        size = math.prod(chunk_shape) * spec.dtype.itemsize
        room = bytearray(size + size // 1000 + CHUNK_OVERHEAD)
        mask, data = dataset.read_direct_chunk((number * spec.chunk_rows, *(0 for _ in spec.shape[1:])), out=room)
        if mask:
            raise DamageError(f"{spec.path}: chunk {number} was written without its checksum")
        self._stored[spec.path, number] = len(data)
        if sum(self._stored.values()) > self._source.size:
            raise DamageError(f"{spec.path}: its chunks lie on top of each other")
        body = _FLETCHER.decode(bytes(data))
        if spec.path != PATHS["values"]:
            body = _inflated(body, size, spec.dtype.itemsize)
        if len(body) != size:
            raise DamageError(f"{spec.path}: chunk {number} has {len(body)} bytes; expected {size}")
        return np.frombuffer(body, spec.dtype).reshape(chunk_shape)

    def _strange_attributes(self) -> list[str]:
        root, expected = self._file.id, self._head.attributes
        found = []
        if h5py.h5a.get_num_attrs(root) != len(expected):
            found.append(f"it has {h5py.h5a.get_num_attrs(root)} attributes; expected {len(expected)}")
        for name, value in sorted(expected.items()):
            if not h5py.h5a.exists(root, name.encode()) or not _is_attribute(self._file, name, to_hdf5(value)):
                found.append(f"attribute {name} is not as it was written")
        return found


def _problem(dataset: h5py.h5d.DatasetID, spec: ArraySpec) -> str | None:
    """What our writer does otherwise."""
    space, plan = dataset.get_space(), dataset.get_create_plist()
    if space.get_simple_extent_type() != h5py.h5s.SIMPLE or space.get_simple_extent_dims(True) != spec.shape:
        return f"is of another shape than {spec.shape}"
    if space.get_simple_extent_dims() != spec.shape or dataset.get_type() != _TYPES[spec.dtype]:
        return f"is no {spec.dtype} {spec.shape}"
    if h5py.h5a.get_num_attrs(dataset):
        return "has attributes"
    if plan.get_external_count():
        return "lies in another file"
    if 0 in spec.shape:
        return None if plan.get_layout() == h5py.h5d.CONTIGUOUS else "has a layout that is not written here"
    if plan.get_layout() != h5py.h5d.CHUNKED or plan.get_chunk() != (spec.chunk_rows, *spec.shape[1:]):
        return "has a layout that is not written here"
    filters = [plan.get_filter(number)[::2] for number in range(plan.get_nfilters())]
    packed = [(h5py.h5z.FILTER_SHUFFLE, (spec.dtype.itemsize,)), (h5py.h5z.FILTER_DEFLATE, (GZIP_LEVEL,))]
    expected = [] if spec.path == PATHS["values"] else packed
    if filters != [*expected, (h5py.h5z.FILTER_FLETCHER32, ())]:
        return "has filters that are not written here"
    return None


def _inflated(data: bytes, size: int, item_bytes: int) -> bytes:
    """A chunk as it was before gzip and shuffle, `size` bytes at most. Errors: DamageError."""
    unpack = zlib.decompressobj()
    try:
        shuffled = unpack.decompress(data, size + 1)
    except zlib.error as error:
        raise DamageError(first_line(error)) from error
    if len(shuffled) != size or not unpack.eof:
        raise DamageError(f"a chunk is not of {size} bytes")
    return np.frombuffer(shuffled, np.uint8).reshape(item_bytes, -1).T.tobytes()


def _is_attribute(file: h5py.File, name: str, expected: Any) -> bool:
    attribute = h5py.h5a.open(file.id, name.encode())
    extent, kind = attribute.get_space().get_simple_extent_type(), attribute.get_type()
    if extent == h5py.h5s.NULL or isinstance(expected, h5py.Empty):
        return extent == h5py.h5s.NULL and isinstance(expected, h5py.Empty)
    classes = {h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM, h5py.h5t.STRING}
    if extent != h5py.h5s.SCALAR or kind.get_class() not in classes or kind.get_size() > MOST_ATTRIBUTE_BYTES:
        return False
    stored = file.attrs[name]
    return isinstance(stored, (str, np.generic)) and bool(stored == expected)


def to_hdf5(value: Json) -> Any:
    """Scalars as they are, nothing as an empty attribute, lists and mappings as JSON text."""
    if value is None:
        return h5py.Empty("f")
    return json.dumps(value) if isinstance(value, (list, dict)) else value
