"""The bytes of a table in text as rows of cells: its encoding, its separator, and the line that each row begins in."""

import codecs
import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..errors import ManifestError

SEPARATORS = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}  # and what a sentence calls them
MOST_HEADER = 1 << 20  # characters of the column names
LOOKED_AT = 30  # lines, from which the separator is told
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAVE_AS = "save the table as CSV UTF-8"
_SEP_LINE = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)  # which Excel obeys
Row = tuple[int, list[str]]  # the line it begins in, its cells


@dataclass(frozen=True, slots=True)
class TextForm:
    """How the rows of a text file are to be read."""

    encoding: str  # as Python calls it
    separator: str
    skipped: int = 0  # lines at the start that are no row: `sep=;`

    @property
    def words(self) -> tuple[str, ...]:
        """What is not the usual, UTF-8 between commas, in words."""
        name = {"utf-8": "", "utf-8-sig": "", "cp1252": "cp1252"}.get(self.encoding, self.encoding.upper())
        separated = f"{SEPARATORS.get(self.separator, repr(self.separator))} separated"
        return tuple(filter(None, [separated if self.separator != "," else "", name]))


def text_form(data: bytes, path: Path, holds: Callable[[Sequence[Row]], bool]) -> TextForm:
    """The encoding and the separator of a table. holds: whether rows are those of the table that is meant.

    Errors: ManifestError naming the line where it is no text, or its first line is longer than names can be.
    """
    encoding = _encoding(data, path)
    lines: list[str] = []
    for line in islice(_lines(data, encoding, path), LOOKED_AT):
        if not lines and len(line) > MOST_HEADER:
            raise ManifestError(
                f"{path}, line 1: more than {MOST_HEADER} characters; expected the names of the columns"
            )
        lines.append(line[:MOST_HEADER])
    said = _SEP_LINE.fullmatch(lines[0]) if lines else None
    if said:
        return TextForm(encoding, said[1], skipped=1)
    return TextForm(encoding, max(SEPARATORS, key=lambda separator: _likelihood(lines, separator, holds)))


def text_rows(data: bytes, form: TextForm, path: Path) -> Iterator[Row]:
    """The rows of the file, blank ones included, each as it is.

    Errors: ManifestError for a quote that is not closed, a NUL, or a cell that is far too long.
    """
    lines = _lines(data, form.encoding, path)
    for _ in islice(lines, form.skipped):
        pass
    rows = csv.reader(lines, delimiter=form.separator, skipinitialspace=True, strict=True)
    begins = form.skipped + 1
    try:
        for row in rows:
            yield begins, row
            begins = form.skipped + rows.line_num + 1
    except csv.Error as error:
        raise ManifestError(
            f"{path}, line {begins}: {error}", hint='a quote (") that opens a cell has to close it'
        ) from error


def _lines(data: bytes, encoding: str, path: Path) -> Iterator[str]:
    """The lines with their ends, which may be those of Unix, Windows or an old Mac."""
    lines = io.TextIOWrapper(io.BytesIO(data), encoding, newline="")
    if b"\0" not in data:
        return lines
    return _without_nul(lines, path)


def _without_nul(lines: Iterator[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise ManifestError(f"{path}, line {number}: a NUL byte; expected text", hint=SAVE_AS)
        yield line


def _encoding(data: bytes, path: Path) -> str:
    """UTF-8, UTF-16 or UTF-32 as the file says or shows; else Windows' Western European one, where it can be that."""
    marked = next((name for mark, name in MARKS if data.startswith(mark)), None)
    if marked is not None and marked != "utf-8-sig":
        return _decodes(data, marked, path)
    even, odd = (data[start:4096:2].count(0) for start in (0, 1))
    if max(even, odd) * 8 > len(data[:4096]) and min(even, odd) * 8 < max(even, odd):
        return _decodes(data, "utf-16-le" if odd > even else "utf-16-be", path)
    try:
        data.decode("utf-8")
        return marked or "utf-8"
    except UnicodeDecodeError as error:
        where = f"{path}, line {_line_of(data, error.start)}: byte 0x{data[error.start]:02x}"
        others = set(data.decode("utf-8", "replace")) - {"\ufffd"}
        if marked or any(char > "\x7f" for char in others):
            raise ManifestError(f"{where} is not UTF-8, as other parts of the file are", hint=SAVE_AS) from error
    try:
        data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{where} is not UTF-8, nor is the file cp1252", hint=SAVE_AS) from error
    return "cp1252"


def _decodes(data: bytes, encoding: str, path: Path) -> str:
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path} cannot be read as {encoding.upper()}, which it seems to be: {error.reason} at byte {error.start}",
            hint=SAVE_AS,
        ) from error
    return encoding


def _line_of(data: bytes, place: int) -> int:
    return data[:place].replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1


def _likelihood(
    lines: Sequence[str], separator: str, holds: Callable[[Sequence[Row]], bool]
) -> tuple[bool, float, int]:
    """Whether the rows are those of the table that is meant, the share of them with the usual number of cells, that."""
    rows: list[Row] = []
    with contextlib.suppress(csv.Error):  # whoever reads the table meets it again, and names the line
        for number, row in enumerate(csv.reader(lines, delimiter=separator, skipinitialspace=True), 1):
            rows.append((number, row))
    widths = Counter(len(row) for _, row in rows if any(row))
    cells, count = widths.most_common(1)[0] if widths else (0, 0)
    return holds(rows), count / widths.total() if cells > 1 else 0.0, cells
