"""Values read from a file, each of the type and in the range that it can have, or a ValueError that says which is not.

Whoever sent a file may have written anything into it. What comes out of here is plain, finite and small enough.
"""

import json
import re
import reprlib
import sys
from collections.abc import Mapping
from numbers import Integral
from typing import Any

Json = Any
LARGEST = 2**63 - 1
WORD = 1 << 16  # characters of a sentence or a name
DEPTH = 16  # levels of a recipe
_DIGEST = re.compile("[0-9a-f]{64}")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # of a surrogate pair, whole or not


def loaded(text: str) -> Json:
    """What JSON text says. Errors: ValueError, also for half a surrogate pair, which no file and no terminal takes;
    RecursionError for what is nested too deeply."""
    found = json.loads(text)
    if _HALF.search(text):
        json.dumps(found, ensure_ascii=False).encode()
    return found


def parsed(data: bytes) -> dict[str, Json]:
    """The mapping in JSON text. Errors: ValueError, also for what is nested too deeply."""
    try:
        found = loaded(data.decode())
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"is {type(found).__name__}, not a mapping")
    return found


def whole(value: Json, name: str, low: int = 0, high: int = LARGEST) -> int:
    """A whole number in a range, both ends included."""
    if type(value) is int and low <= value <= high:
        return value
    if isinstance(value, Integral) and not isinstance(value, bool) and low <= int(value) <= high:
        return int(value)  # from a reader that gives numbers of numpy
    raise ValueError(f"{name} is {reprlib.repr(value)}; expected a whole number from {low} to {high}")


def number(value: Json, name: str, low: float, high: float) -> float:
    """A number in a range of finite ends."""
    if isinstance(value, (int, float)) and value is not True and value is not False and low <= value <= high:
        return float(value)
    raise ValueError(f"{name} is {reprlib.repr(value)}; expected a number from {low:g} to {high:g}")


def text(value: Json, name: str) -> str:
    """A name or a sentence."""
    if type(value) is str and len(value) <= WORD:
        return value
    raise ValueError(f"{name} is {reprlib.repr(value)}; expected text")


def digest(value: Json, name: str) -> str:
    """A sha256 in hexadecimal."""
    if type(value) is str and _DIGEST.fullmatch(value):
        return value
    raise ValueError(f"{name} is {reprlib.repr(value)}; expected a sha256 in hexadecimal")


def mapping(value: Json, name: str) -> dict[str, Json]:
    """A mapping, whatever its values."""
    if type(value) is dict:
        return value
    raise ValueError(f"{name} is {reprlib.repr(value)}; expected a mapping")


def texts(value: Json, name: str) -> tuple[str, ...]:
    """A list of sentences."""
    if type(value) is list:
        return tuple(text(item, f"one of {name}") for item in value)
    raise ValueError(f"{name} is {reprlib.repr(value)}; expected a list")


def tracks(value: Json, name: str) -> dict[int, int]:
    """Numbers of tracks by numbers of tracks, as JSON has them: the first as text."""
    found: dict[int, int] = {}
    for key, item in mapping(value, name).items():
        found[track(key, name)] = whole(item, f"{name}.{key}", 0, 2**31 - 1)
    return found


def track(key: str, name: str) -> int:
    """The number of a track, which JSON has as text."""
    if not (key.isascii() and key.isdecimal() and len(key) <= 10 and str(int(key)) == key):
        raise ValueError(f"{name} has {reprlib.repr(key)}; expected the number of a track")
    return whole(int(key), name, 0, 2**31 - 1)


def plain(value: Json, name: str, depth: int = DEPTH) -> Json:
    """A value of any kind that JSON has, with finite numbers, and not nested deeply."""
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return whole(value, name, -LARGEST, LARGEST)
    if type(value) is float:
        return number(value, name, -sys.float_info.max, sys.float_info.max)
    if type(value) is str:
        return text(value, name)
    if depth == 0:
        raise ValueError(f"{name} is nested too deeply")
    if isinstance(value, list):
        return [plain(item, name, depth - 1) for item in value]
    return {key: plain(item, f"{name}.{key[:80]}", depth - 1) for key, item in mapping(value, name).items()}


def known(values: Mapping[str, Json], names: frozenset[str], what: str) -> None:
    """Errors: ValueError for a name that is none of those."""
    if not values.keys() <= names:
        strange = sorted(values.keys() - names)
        raise ValueError(f"{what} has {reprlib.repr(strange[0])}, which is not known here")
