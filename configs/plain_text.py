"""Text that leaves: what a terminal, an XML, a page or a spreadsheet would obey instead of showing is spelled out."""

import json
import os
import re
import shlex
from collections.abc import Sequence
from subprocess import list2cmdline

# C0 and C1 controls with DEL; marks, overrides and isolates of the writing direction; separators of lines and
# paragraphs; and what no file in UTF-8, or no XML, can hold.
_OBEYED = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_CMD = re.compile(r"[\s&|<>^()=;,!%]")  # what cmd obeys, or divides words at, where it is not quoted
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# A spreadsheet computes a cell that begins like this; the last four are the wide forms of the first four.
_COMPUTED = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_QUOTED = re.compile(r"'+[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def spelled(text: str) -> str:
    r"""`text` on one line, with nothing in it that is obeyed: `\n`, `\u001b`, `\u202e` in place of those characters.

    The spelling is that of JSON, so a JSON text stays the same value.
    """
    return _OBEYED.sub(lambda found: _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


def encodable(text: str, encoding: str | None) -> str:
    r"""`text` in the characters of an encoding, such as cp1252 behind a pipe on Windows: no number loses its sign.

    Other characters that it lacks are spelled as in JSON, so a JSON text stays the same value.
    """
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        text = text.replace("\N{MINUS SIGN}", "-").replace("\N{HORIZONTAL ELLIPSIS}", "...")
        return "".join(part if _fits(part, encoding or "utf-8") else json.dumps(part)[1:-1] for part in text)
    return text


def _fits(character: str, encoding: str) -> bool:
    try:
        return bool(character.encode(encoding))
    except UnicodeEncodeError:
        return False


def sentence(text: str) -> str:
    """As `spelled`, with each run of white space as one space: for messages, in which libraries break lines."""
    return spelled(" ".join(text.split()))


def command_line(words: Sequence[str], *, windows: bool) -> str:
    """Words as they are typed again: for a POSIX shell, or for cmd on Windows; on one line, whatever is in a name."""
    if windows:
        bare = [f'"{word}"' if _CMD.search(word) and '"' not in word else list2cmdline([word]) for word in words]
        return " ".join(bare)
    return " ".join(_ansi(word) if _OBEYED.search(word) else shlex.quote(word) for word in words)


def _ansi(word: str) -> str:
    """A word in `$'...'`, which bash, zsh, ksh and newer shells by POSIX read, its odd bytes by their numbers."""
    plain = {92: "\\\\", 39: "\\'"}
    spelt = (plain.get(byte, chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in os.fsencode(word))
    return f"$'{''.join(spelt)}'"


def shortened(text: str, most: int) -> str:
    """`text` with its middle left out where it has more than `most` characters."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2 - 1]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (most - most // 2) :]}"


def cell(text: str) -> str:
    """`text` as a cell of a CSV that no spreadsheet computes: after a `'` where it begins with = + - @ or white space.

    `from_cell` gives the text back, whatever it was.
    """
    return f"'{text}" if _COMPUTED.match(text) else text


def from_cell(text: str) -> str:
    """What was written as this cell by `cell`."""
    return text[1:] if _QUOTED.match(text) else text
