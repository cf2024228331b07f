"""Files that appear whole or not at all, and strict JSON."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from ...cache.records import Json
from ...errors import RunError, first_line


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, values: Mapping[str, Json]) -> None:
    """Write strict JSON, whole: NaN and infinity become null."""
    text = json.dumps(finite(values), indent=1, allow_nan=False, ensure_ascii=False)
    write_whole(path, text + "\n")


def read_json(path: Path, hint: str | None = None) -> dict[str, Json]:
    """The object in a JSON file. Errors: RunError naming the file where it is missing (with `hint`) or no object."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing", hint=hint) from error
    except (OSError, ValueError, RecursionError, MemoryError) as error:  # too deep, too large, or a number too long
        raise RunError(f"{path} is damaged: {first_line(error)}") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} holds a {type(values).__name__}; expected an object")
    return values


def flat(tree: Mapping[str, Json], where: str = "") -> dict[str, Json]:
    """Every leaf of nested objects by its full name, `a.b.c`; an empty object is a leaf."""
    leaves: dict[str, Json] = {}
    for key, value in tree.items():
        name = f"{where}.{key}" if where else str(key)
        leaves |= flat(value, name) if isinstance(value, Mapping) and value else {name: value}
    return leaves


def finite(value: Json) -> Json:
    """Values as JSON can hold them: NaN and infinity become None, tuples lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
