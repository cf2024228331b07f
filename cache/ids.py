"""A video's path as the id of its entry, and what an id looks like."""

import hashlib
import os
import re
from collections.abc import Iterable

from ..errors import EntryError, InputError, shown


def entry_id(relative_path: str) -> str:
    """A video's relative path as the id of its entry: safe characters, never outside the store's folder.

    Letters, digits, `.`, `_`, `-` and `/` stay; every other byte of the UTF-8 form becomes %XX, and so does a
    leading dot of a component, so `../x.mp4` cannot climb. So do a dot at its end and the first letter of `con`,
    `nul.mp4` and other names that Windows keeps for itself. Distinct paths give distinct ids: a component or path too
    long for a file system ends, or begins, in `%~` and a hash instead.
    """
    components = [_component(name) for name in os.fsencode(relative_path).split(b"/")]
    if sum(map(len, components)) + len(components) > LONGEST_ID:
        components = [f"%~{_hash(os.fsencode(relative_path))}", components[-1]]
    return "/".join(components)


def check_id(entry_id: str) -> None:
    """Errors: EntryError when an id is not one that `entry_id` makes, so that none leads out of the store."""
    if not is_id(entry_id):
        raise EntryError(
            f"{entry_id!r} is not the id of an entry", hint="affect inspect-cache STORE lists the ids of a store"
        )


def differ_in_case(ids: Iterable[str], others: Iterable[str] = ()) -> dict[str, str]:
    """Ids that are not another one here or among the others, but would be where `A` and `a` are one name: id -> other.

    macOS and Windows have such file systems.
    """
    known: dict[str, str] = {}
    for name in (*others, *ids):
        known.setdefault(name.casefold(), name)
    return {name: known[name.casefold()] for name in ids if known[name.casefold()] != name}


def no_entry(location: str, entry_id: str) -> InputError:
    """That a store has no entry of an id that somebody typed."""
    return InputError(f"{location} holds no entry {shown(entry_id)}", hint="affect inspect-cache STORE")


def is_id(entry_id: str) -> bool:
    """Whether it is an id that `entry_id` makes."""
    return len(entry_id) < LONGEST_ID and all(map(_is_component, entry_id.split("/")))


LONGEST_COMPONENT = 200  # file systems allow 255, and suffixes follow
LONGEST_ID = 700  # object stores allow 1024 for the whole key
_SUFFIXES = (".zarr", ".h5", ".journal")
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789")})
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_CUT_ESCAPE = re.compile(r"%[0-9A-F]?\Z")
_ID_COMPONENT = re.compile(r"[A-Za-z0-9_%-](?:[A-Za-z0-9._-]|%[0-9A-F]{2}|%?~)*|%~[0-9a-f]+")


def _is_component(part: str) -> bool:
    matches = len(part) <= LONGEST_COMPONENT and _ID_COMPONENT.fullmatch(part) is not None
    return matches and not part.endswith(_SUFFIXES)


def _component(name: bytes) -> str:
    text = "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in name) or "%2F"
    if text.startswith("."):
        text = f"%2E{text[1:]}"
    if text.endswith("."):
        text = f"{text[:-1]}%2E"
    if text.partition(".")[0].lower() in _DEVICES:
        text = f"%{ord(text[0]):02X}{text[1:]}"
    for suffix in _SUFFIXES:
        # A folder of videos named like an entry would lie inside that entry.
        if text.endswith(suffix):
            text = f"{text.removesuffix(suffix)}%2E{suffix[1:]}"
    if len(text) <= LONGEST_COMPONENT:
        return text
    kept = _CUT_ESCAPE.sub("", text[:150])  # half of a %XX is of no id
    return f"{kept}%~{_hash(name)}"


def _hash(name: bytes) -> str:
    return hashlib.sha256(name).hexdigest()[:40]
