"""How a video's arrays lie in an entry, whatever the format: names, chunk sizes, attributes and their digests."""

import hashlib
import json
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from . import checked
from .blobs import DamageError
from .records import ALL_DTYPES, DTYPES, FRAME_ARRAYS, OPTIONAL, Array, FrameFeatures, FrameStatus, Json, VideoInfo

__all__ = [
    "ATTRIBUTES", "ArraySpec", "Composer", "DamageError", "EntryHead", "attributes_of", "contradictions", "head_of",
    "info_of", "specs_of", "write_arrays",
]  # fmt: skip

ENTRY_VERSION = 1
CHUNK_BYTES = 1 << 20  # a checksum each; the least that a read of a few rows costs
CHUNKS_A_SHARD = 4  # chunks in one file of `values`; also what composing an entry holds in memory
ROW_SHAPES: dict[str, tuple[int, ...]] = {"box_px": (4,), "landmarks_px": (5, 2), "points_px": (68, 2)}
MOST_HEAD_BYTES = 8 << 20  # of attributes; 150,000 tracks fit
MOST_ROWS = 2**40
PATHS = {name: f"frames/{name}" if name in FRAME_ARRAYS else name for name in ALL_DTYPES}
ATTRIBUTES = frozenset(
    {*(item.name for item in fields(VideoInfo)), "entry_version", "complete", "arrays", "attributes_sha256"}
)
_OF_ARRAYS = frozenset(PATHS.values())
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One array of an entry. Depends on the numbers of frames, rows and features alone, if it is there."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int
    file_rows: int  # rows of a shard; chunk_rows where there are no shards


@dataclass(frozen=True, slots=True)
class EntryHead:
    """What an entry's attributes say, checked."""

    attributes: Mapping[str, Json]
    info: VideoInfo
    specs: Mapping[str, ArraySpec]  # every array, by name

    @property
    def frames(self) -> int:
        """N."""
        return self.specs["time_s"].shape[0]

    def sha256(self, name: str) -> Json:
        """That of an array's bytes, as the entry says; whatever that is, it is only compared."""
        return self.attributes["arrays"][PATHS[name]]["sha256"]


class Composer(Protocol):
    """An entry being composed in a file or folder that no reader sees yet."""

    def write(self, name: str, start: int, rows: Array) -> None:
        """Put rows [start, start + len(rows)) into an array; they come in order, whole files at a time."""
        ...

    def extra(self) -> dict[str, Json]:
        """What the format adds to the attributes, once every array is written."""
        ...

    def finish(self, attributes: dict[str, Json]) -> None:
        """Write the sealed attributes and close: what stands at the path is then a whole entry."""
        ...

    def abandon(self) -> None:
        """Let go of what is open, after a failure."""
        ...


def specs_of(frames: int, rows: int, size: int, optional: tuple[str, ...] = ()) -> dict[str, ArraySpec]:
    """Every array of an entry by name, with those that are optional and there.

    Chunks are cut evenly, so that the last one is not mostly padding.
    """
    specs = {}
    for name in (*DTYPES, *optional):
        dtype = ALL_DTYPES[name]
        count = frames if name in FRAME_ARRAYS else rows
        row_shape = (size,) if name == "values" else ROW_SHAPES.get(name, ())
        most = max(1, CHUNK_BYTES // max(1, dtype.itemsize * int(np.prod(row_shape))))
        if name == "values":
            shards = _parts(count, most * CHUNKS_A_SHARD)
            chunks = _parts(count, most * shards)
            chunk_rows = max(1, _parts(count, shards * chunks))
            file_rows = chunk_rows * chunks
        else:
            chunk_rows = file_rows = max(1, _parts(count, _parts(count, most)))
        specs[name] = ArraySpec(PATHS[name], (count, *row_shape), dtype, chunk_rows, file_rows)
    return specs


def _parts(count: int, most: int) -> int:
    return max(1, -(-count // most))


def write_arrays(
    composer: Composer, specs: Mapping[str, ArraySpec], blocks: Iterable[FrameFeatures]
) -> dict[str, Json]:
    """Stream blocks into an entry, a file's rows at a time; shape, dtype and sha256 of each array, by path."""
    digests = {name: hashlib.sha256() for name in specs}
    waiting: dict[str, list[Array]] = {name: [] for name in specs}
    done = dict.fromkeys(specs, 0)

    def flush(name: str, least: int) -> None:
        while (count := sum(map(len, waiting[name]))) >= least and count:
            rows = np.concatenate(waiting[name])
            piece, rest = rows[: specs[name].file_rows], rows[specs[name].file_rows :]
            waiting[name] = [rest] if len(rest) else []
            digests[name].update(np.ascontiguousarray(piece).tobytes())
            composer.write(name, done[name], piece)
            done[name] += len(piece)

    for block in blocks:
        for name, spec in specs.items():
            waiting[name].append(getattr(block, name))
            flush(name, spec.file_rows)
    for name, spec in specs.items():
        flush(name, 1)
        assert done[name] == spec.shape[0], f"{name}: {done[name]} rows came, {spec.shape[0]} were announced"
    return {spec.path: {**_description(spec), "sha256": digests[name].hexdigest()} for name, spec in specs.items()}


def attributes_of(info: VideoInfo, arrays: dict[str, Json], extra: Mapping[str, Json]) -> dict[str, Json]:
    """An entry's attributes, sealed with a digest of themselves."""
    attributes = {**info.to_json(), "entry_version": ENTRY_VERSION, "complete": True, "arrays": arrays, **extra}
    return {**attributes, "attributes_sha256": _seal(attributes)}


def info_of(attributes: Mapping[str, Json], recipe_digest: str) -> VideoInfo:
    """What an entry's attributes say. Errors: DamageError when the seal is broken, or another recipe made the entry."""
    if attributes.get("complete") is not True:
        raise DamageError("its attributes do not say that it is complete")
    plain = dict(attributes)
    seal = plain.pop("attributes_sha256", None)
    try:
        if seal != _seal(plain):
            raise DamageError("its attributes do not match their checksum")
        version = checked.whole(attributes.get("entry_version"), "entry_version", 1)
        if version > ENTRY_VERSION:
            raise DamageError(f"it has entry version {version}, newer than {ENTRY_VERSION}")
        if attributes.get("recipe_digest") != recipe_digest:
            made_by = checked.digest(attributes.get("recipe_digest"), "recipe_digest")
            raise DamageError(f"it was made by recipe {made_by[:12]}, not by this store's")
        return VideoInfo.from_json(attributes)
    except (ValueError, RecursionError) as error:
        raise DamageError(f"its attributes cannot be: {error}") from None


def head_of(attributes: Mapping[str, Json], recipe_digest: str, names: frozenset[str]) -> EntryHead:
    """What an entry's attributes, of these names, say of the video and of every array.

    Errors: as `info_of`, and DamageError for arrays that our own writer does not make.
    """
    info = info_of(attributes, recipe_digest)
    try:
        checked.known(attributes, names, "its attributes")
        return EntryHead(attributes, info, _specs_in(attributes.get("arrays")))
    except ValueError as error:
        raise DamageError(f"its attributes cannot be: {error}") from None


def _specs_in(arrays: Json) -> Mapping[str, ArraySpec]:
    """Every array by name, if it is said to be as the numbers of frames, rows and features decide."""
    said = checked.mapping(arrays, "arrays")
    checked.known(said, _OF_ARRAYS, "arrays")
    lengths = []
    for path, dimensions in ((PATHS["time_s"], 1), (PATHS["values"], 2)):
        shape = checked.mapping(said.get(path), path).get("shape")
        if type(shape) is not list or len(shape) != dimensions:
            raise ValueError(f"the shape of {path} is {reprlib.repr(shape)}; expected {dimensions} lengths")
        lengths += [checked.whole(length, f"the shape of {path}", 0, MOST_ROWS) for length in shape]
    specs, descriptions = _described(*lengths, tuple(name for name in OPTIONAL if PATHS[name] in said))
    for path, expected in descriptions.items():
        found = said.get(path)
        if type(found) is not dict or {**expected, "sha256": found.get("sha256")} != found:
            raise ValueError(f"{path} is {reprlib.repr(found)}; expected {expected} and its sha256")
    return specs


@lru_cache(maxsize=4096)
def _described(
    frames: int, rows: int, size: int, optional: tuple[str, ...]
) -> tuple[Mapping[str, ArraySpec], Mapping[str, Json]]:
    """As `specs_of`, and what an entry's attributes say of each array, by path, besides its digest."""
    specs = specs_of(frames, rows, size, optional)
    return specs, {spec.path: _description(spec) for spec in specs.values()}


def _description(spec: ArraySpec) -> dict[str, Json]:
    return {"shape": list(spec.shape), "dtype": spec.dtype.name, "chunk_rows": spec.chunk_rows}


def _seal(attributes: Mapping[str, Json]) -> str:
    return hashlib.sha256(_canonical(attributes).encode()).hexdigest()


def contradictions(arrays: Mapping[str, Array], frames: int) -> list[str]:
    """What cannot be, although every checksum holds: frame numbers out of range, or times that go back.

    arrays: some of an entry's, by name; frames: N.
    """
    found = []
    frame, time_s = arrays.get("frame"), arrays.get("time_s")
    if frame is not None and len(frame):
        if frame.min() < 0 or frame.max() >= frames:
            found.append(f"frame has numbers outside 0 to {frames - 1}")
        if (frame[1:] < frame[:-1]).any():
            found.append("frame is not in order")
    status, track = arrays.get("status"), arrays.get("track")
    if status is not None and len(status) and status.max() > max(FrameStatus):
        found.append("frames/status has numbers that no frame has")
    if track is not None and len(track) and track.min() < 0:
        found.append("track has numbers below 0")
    if time_s is not None and (not np.isfinite(time_s).all() or (time_s[1:] < time_s[:-1]).any()):
        found.append("frames/time_s goes back, or has values that are no times")
    return found
