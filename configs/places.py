"""Words about a run without the folders of the machine they were said on: a run is passed on with all its files."""

import re
from collections.abc import Sequence

_PATH = re.compile(r"[^\s'\"<>|,;()\[\]{}=]*[/\\][^\s'\"<>|,;()\[\]{}=]*")
_QUOTED = re.compile(r"(?<=['\"])(?:[A-Za-z]:|~)?[/\\][^'\"\n]+(?=['\"])")
_ADDRESSES = {"--scheduler"}  # options whose value names a machine
_ABSOLUTE = re.compile(r"(?<![\w./\\])(?:~|[A-Za-z]:)?[/\\][^\s'\"<>|,;()\[\]{}=]+")
_RATES = re.compile(r"[a-z]+/s|\d+/\d+|/")


def last_name(place: str | None) -> str | None:
    """What a folder, file or address is called, without where it lies."""
    return place and (re.split(r"[/\\]", place.rstrip("/\\"))[-1] or None)


def without_places(text: str) -> str:
    """`text` with the last name alone of every path in it."""
    return _PATH.sub(_short, _QUOTED.sub(_short, text))


def without_absolute_places(text: str) -> str:
    """`text` with the last name alone of every path in it that begins at the root or in a home folder."""
    return _ABSOLUTE.sub(_short, _QUOTED.sub(_short, text))


def _short(found: re.Match[str]) -> str:
    return found[0] if _RATES.fullmatch(found[0]) else re.split(r"[/\\]", found[0].rstrip("/\\"))[-1]


def command_words(words: Sequence[str]) -> list[str]:
    """A command as it may be passed on: files by their names, no address of a machine."""
    said, hidden = [], False
    for word in words:
        option, separator, value = word.partition("=")
        if hidden or (option in _ADDRESSES and separator):
            said.append("..." if hidden else f"{option}=...")
        elif separator and re.search(r"[\[{]", value):
            said.append(f"{option}={without_places(value)}")
        elif separator and not re.search(r"[/\\]", option):
            said.append(f"{option}={last_name(value) or ''}")
        else:
            said.append(last_name(word) or "")
        hidden = word in _ADDRESSES and not hidden
    return said
