"""Strict JSON in files that appear whole or not at all."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from ..errors import RunError, first_line, named
from .checked import loaded
from .files import check_within, write_whole
from .records import Json
from .regular import read_regular


def write_json(path: Path, values: Mapping[str, Json], root: Path | None = None) -> None:
    """Write strict JSON, whole: NaN and infinity become null. root: as in `write_whole`."""
    text = json.dumps(finite(values), indent=1, allow_nan=False, ensure_ascii=False)
    write_whole(path, text + "\n", root)


def read_json(path: Path, hint: str | None = None, root: Path | None = None) -> dict[str, Json]:
    """The object in a JSON file. root: the folder below which no link is followed; None: the file's own.

    Errors: RunError naming the file where it is missing (with `hint`) or no object, DiskError where it cannot be read.
    """
    check_within(path, root or path.parent, RunError)
    try:
        values = loaded(read_regular(path).decode())
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing", hint=hint) from error
    except OSError as error:
        raise named(error, path) from error
    except (ValueError, RecursionError, MemoryError) as error:  # no UTF-8, no JSON, nested too deeply, or too large
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
