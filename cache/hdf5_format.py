"""Entries as HDF5 files: `<id>.h5`, chunked, fletcher32 on every chunk, checksummed metadata.

The attributes also stand as one line of JSON in the user block before the HDF5 part: reading them there takes a
twentieth of the time, which counts when a run looks at 10,000 stored videos.
"""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from . import checked
from .blobs import DamageError, Held
from .hdf5_reader import FAILURES, GZIP_LEVEL, Hdf5Reader, Source, to_hdf5
from .layout import ATTRIBUTES, MOST_HEAD_BYTES, PATHS, ArraySpec, EntryHead, attributes_of
from .records import Array, Json, VideoInfo

# From this version on the library keeps a checksum of every piece of metadata.
LIBRARY = ("v110", "v110")
FIRST_BYTES = 8192  # more than most user blocks
NO_SHA256 = "0" * 64


class Hdf5Format:
    """Reads and composes entries with h5py."""

    name = "hdf5"
    suffix = ".h5"
    root_file: str | None = None
    attributes = ATTRIBUTES

    def compose(self, path: Path, specs: dict[str, ArraySpec], info: VideoInfo) -> "Hdf5Composer":
        """An entry as a new file at `path`, its user block large enough for the attributes of `info`."""
        return Hdf5Composer(path, specs, info)

    def head(self, held: Held) -> bytes:
        """The line of JSON that a file begins with; what is there when it does not end.

        Errors: FileNotFoundError, DamageError.
        """
        data = held.get_range("", 0, FIRST_BYTES)
        while (end := data.find(b"\n")) < 0 and data.startswith(b"{"):
            if len(data) > MOST_HEAD_BYTES:
                raise DamageError(f"its user block has no end in {MOST_HEAD_BYTES} bytes")
            more = held.get_range("", len(data), 2 * len(data))
            if not more:
                break
            data += more
        return data[: end if end >= 0 else None]

    def attributes_in(self, head: bytes) -> dict[str, Json]:
        """The attributes in the user block. Errors: DamageError where it holds none."""
        try:
            return checked.parsed(head)
        except ValueError:
            raise DamageError("its user block cannot be read") from None

    @contextlib.contextmanager
    def reader(self, held: Held, head: EntryHead) -> Iterator["Hdf5Reader"]:
        """Whoever reads the arrays."""
        with Source(held) as source:
            with source.guarded("the file"):
                file = h5py.File(source, "r")
            with file:
                yield Hdf5Reader(file, source, head)


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
            self._file.attrs[name] = to_hdf5(value)
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
                options.update(compression="gzip", compression_opts=GZIP_LEVEL, shuffle=True)
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


def _line(attributes: dict[str, Json]) -> bytes:
    return json.dumps(attributes, ensure_ascii=True).encode() + b"\n"
