"""What the `zarr.json` of each array says: what our writer makes of its shape and chunks, and nothing else."""

import hashlib
import json
from functools import lru_cache
from typing import Any

from . import checked
from .blobs import DamageError
from .layout import PATHS, ArraySpec
from .records import ALL_DTYPES, Json

ROOT_FILE = "zarr.json"


def check_description(data: bytes, spec: ArraySpec, digest: Json) -> None:
    """Errors: DamageError for a description that is not the one that was sealed, or not of this array."""
    if hashlib.sha256(data).hexdigest() == digest and describes(data, spec):
        return
    try:
        said = checked.parsed(data)
    except ValueError as error:
        raise DamageError(f"{ROOT_FILE} cannot be read ({error})") from None
    shape = said.get("shape")
    found = f"{said.get('data_type')!s:.40} {tuple(shape) if isinstance(shape, list) else shape!s:.80}"
    if found != (expected := f"{spec.dtype} {spec.shape}"):
        raise DamageError(f"is {found}, not {expected}")
    raise DamageError(f"{ROOT_FILE} is not as it was written")


def describes(data: bytes, spec: ArraySpec) -> bool:
    """Whether a description is that of an array, in the words of this zarr or of another."""
    numbers = (spec.shape[0], spec.file_rows, spec.chunk_rows)
    expected = _words(spec.path, spec.shape[1:]) % (numbers if spec.path == PATHS["values"] else numbers[:2])
    if data == expected:
        return True
    try:
        return bool(_bare(checked.parsed(data)) == _bare(json.loads(expected)))
    except (ValueError, RecursionError):
        return False


@lru_cache
def _words(path: str, row_shape: tuple[int, ...]) -> bytes:
    """The description of an array as zarr writes it, with %d for its rows, those of a file, and those of a chunk."""
    dtype = ALL_DTYPES[path.rpartition("/")[2]]
    item_bytes, chunk_row = dtype.itemsize, [max(1, length) for length in row_shape]
    as_bytes: dict[str, Any] = {"name": "bytes"}
    if item_bytes > 1:
        as_bytes["configuration"] = {"endian": "little"}
    crc: dict[str, Any] = {"name": "crc32c"}
    if path == PATHS["values"]:
        inner = {"chunk_shape": ["CHUNK", *chunk_row], "codecs": [as_bytes, crc], "index_codecs": [as_bytes, crc],
                 "index_location": "end"}  # fmt: skip
        codecs = [{"name": "sharding_indexed", "configuration": inner}]
    else:
        blosc = {"typesize": item_bytes, "cname": "zstd", "clevel": 5, "shuffle": "shuffle", "blocksize": 0}
        codecs = [as_bytes, {"name": "blosc", "configuration": blosc}, crc]
    description = {
        "shape": ["ROWS", *row_shape],
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": ["FILE", *chunk_row]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0 if dtype.kind == "f" else 0,
        "codecs": codecs,
        "attributes": {},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    text = json.dumps(description, indent=2)
    for word in ("ROWS", "FILE", "CHUNK"):
        text = text.replace(f'"{word}"', "%d")
    return text.encode()


def _bare(value: Json) -> Json:
    """Without what is empty: zarr has begun, and may cease, to write such words."""
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items() if item not in (None, {}, [])}
    return [_bare(item) for item in value] if isinstance(value, list) else value
