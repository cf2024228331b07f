"""Entries as Zarr v3 groups: `<id>.zarr`, `values` in shards, crc32c on every chunk."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numcodecs import Blosc  # type: ignore[import-untyped]
from obstore.exceptions import BaseError
from zarr.abc.store import ByteRequest, Store
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.errors import BaseZarrError
from zarr.storage import LocalStore, ObjectStore, WrapperStore

from ..errors import StoreError, first_line
from .blobs import Blobs
from .blobs_local import LocalFolder
from .blobs_object import ObjectFolder
from .layout import ArraySpec, DamageError, spec_in
from .records import Array, Json, VideoInfo

ROOT_FILE = "zarr.json"
GROUPS = ("frames",)
_BLOSC = Blosc()  # what it decodes says how it was encoded
# What zarr and its codecs raise on bytes that are not what they wrote.
FAILURES = (ValueError, TypeError, KeyError, IndexError, RuntimeError, OSError, AttributeError, BaseZarrError)


class ZarrFormat:
    """Reads and composes entries with zarr."""

    name = "zarr"
    suffix = ".zarr"
    root_file: str | None = ROOT_FILE

    def compose(self, path: Path, specs: dict[str, ArraySpec], info: VideoInfo) -> "ZarrComposer":
        """An entry as a new folder at `path`."""
        return ZarrComposer(path, specs)

    def head(self, blobs: Blobs, key: str) -> bytes:
        """The file of the entry's group. Errors: FileNotFoundError."""
        return blobs.get(f"{key}/{ROOT_FILE}")

    def attributes(self, head: bytes) -> dict[str, Json]:
        """The attributes in the group's file. Errors: DamageError where it is no Zarr v3 group's."""
        try:
            root = json.loads(head)
            attributes = root["attributes"]
        except (ValueError, KeyError, TypeError):
            raise DamageError(f"{ROOT_FILE} cannot be read") from None
        if not isinstance(attributes, dict) or (root.get("zarr_format"), root.get("node_type")) != (3, "group"):
            raise DamageError(f"{ROOT_FILE} is not that of a Zarr v3 group")
        return attributes

    def read(
        self, blobs: Blobs, key: str, attributes: dict[str, Json], wanted: Mapping[str, tuple[int, int] | None]
    ) -> dict[str, Array]:
        """Arrays by name, whole or rows [start, stop). Errors: DamageError naming the array."""
        found = {}
        for name, span in wanted.items():
            spec = spec_in(attributes, name)
            start, stop = span or (0, spec.shape[0])
            try:
                rows = _sharded_rows if name == "values" else _small_rows
                found[name] = rows(blobs, key, spec, start, stop)
            except FAILURES as error:
                raise DamageError(f"{spec.path}: {first_line(error)}") from error
        return found

    def damaged_metadata(self, blobs: Blobs, key: str, attributes: dict[str, Json]) -> list[str]:
        """Files that describe arrays and groups and are not as written; one sentence each."""
        found = []
        for name, digest in attributes["metadata_sha256"].items():
            try:
                data = blobs.get(f"{key}/{name}")
            except FileNotFoundError:
                found.append(f"{name} is missing")
                continue
            if hashlib.sha256(data).hexdigest() != digest:
                found.append(f"{name} does not match its checksum")
        if blobs.get(f"{key}/{ROOT_FILE}") != _root(attributes):
            found.append(f"{ROOT_FILE} is not as it was written")
        return found


class ZarrComposer:
    """An entry being written to a folder of this machine."""

    def __init__(self, path: Path, specs: dict[str, ArraySpec]) -> None:
        self._path = path
        store = LocalStore(path)
        for group in GROUPS:
            zarr.create_group(store, path=group)
        self._arrays: dict[str, zarr.Array[Any]] = {}
        for name, spec in specs.items():
            row_shape = tuple(max(1, length) for length in spec.shape[1:])
            sharded = name == "values"
            self._arrays[name] = zarr.create_array(
                store,
                name=spec.path,
                shape=spec.shape,
                dtype=spec.dtype,
                chunks=(spec.chunk_rows, *row_shape),
                shards=(spec.file_rows, *row_shape) if sharded else None,
                filters=None,
                serializer=BytesCodec() if spec.dtype.itemsize > 1 else "auto",
                compressors=[Crc32cCodec()]
                if sharded
                else [
                    BloscCodec(cname="zstd", clevel=5, shuffle="shuffle", typesize=spec.dtype.itemsize),
                    Crc32cCodec(),
                ],
                config={"write_empty_chunks": True},
            )

    def write(self, name: str, start: int, rows: Array) -> None:
        """Put rows into an array, whole chunks or shards at a time."""
        self._arrays[name][start : start + len(rows)] = rows

    def finish(self, attributes: dict[str, Json]) -> None:
        """Write the root file, which alone makes an entry of the folder."""
        (self._path / ROOT_FILE).write_bytes(_root(attributes))

    def abandon(self) -> None:
        """Nothing is open between two writes."""

    def extra(self) -> dict[str, Json]:
        """Checksums of the files that carry none of their own."""
        files = sorted(file for file in self._path.rglob(ROOT_FILE) if file.parent != self._path)
        return {
            "metadata_sha256": {
                file.relative_to(self._path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
            }
        }


def _sharded_rows(blobs: Blobs, key: str, spec: ArraySpec, start: int, stop: int) -> Array:
    array = zarr.open_array(_Strict(_zarr_store(blobs)), path=f"{key}/{spec.path}", mode="r")
    if array.shape != spec.shape or array.dtype != spec.dtype:
        raise ValueError(f"is {array.dtype} {array.shape}, not {spec.dtype} {spec.shape}")
    return np.asarray(array[start:stop])


def _small_rows(blobs: Blobs, key: str, spec: ArraySpec, start: int, stop: int) -> Array:
    """Rows of an array without shards, read past zarr, which opens an array anew for each entry.

    Measured: three small arrays of an entry take 1.2 ms this way, 10 ms by zarr, and 33 ms by zarr with consolidated
    metadata. Training opens these arrays of up to 10,000 entries.
    """
    tail = "/0" * (len(spec.shape) - 1)
    pieces = [np.zeros((0, *spec.shape[1:]), spec.dtype)]
    for number in range(start // spec.chunk_rows, -(-stop // spec.chunk_rows)):
        try:
            data = blobs.get(f"{key}/{spec.path}/c/{number}{tail}")
        except FileNotFoundError:
            raise ValueError(f"c/{number}{tail} is missing") from None
        if google_crc32c.value(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise ValueError(f"c/{number}{tail} does not match its checksum")
        rows = np.frombuffer(_BLOSC.decode(data[:-4]), spec.dtype).reshape(spec.chunk_rows, *spec.shape[1:])
        first = number * spec.chunk_rows
        pieces.append(rows[max(0, start - first) : stop - first])
    return np.concatenate(pieces)


class _Strict(WrapperStore[Store]):
    """A store in which a missing chunk is an error: zarr would read it as zeros."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        try:
            found = await super().get(key, prototype, byte_range)
        except BaseError as error:
            raise StoreError(f"{key}: {first_line(error)}") from error
        if found is None and not key.endswith((ROOT_FILE, ".zarray", ".zgroup", ".zattrs", ".zmetadata")):
            raise OSError(f"{key.rpartition('.zarr/')[2]} is missing or cut short")
        return found


def _zarr_store(blobs: Blobs) -> Store:
    if isinstance(blobs, LocalFolder):
        return LocalStore(blobs.root, read_only=True)
    assert isinstance(blobs, ObjectFolder)
    return ObjectStore(blobs.store, read_only=True)


def _root(attributes: dict[str, Json]) -> bytes:
    root = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    return json.dumps(root, indent=1, ensure_ascii=True).encode()
