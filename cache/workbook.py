"""The sheet of a workbook as rows of cells, each cell as its text in a CSV would be."""

import datetime
import io
import math
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AffectError, ManifestError, first_line, listed, shown
from .text_rows import Row

if TYPE_CHECKING:
    from openpyxl import Workbook

ZIP = b"PK\x03\x04"
OLD_OFFICE = b"\xd0\xcf\x11\xe0"  # .xls, also a workbook under a password
MOST_ROWS = 1 << 20  # of a sheet, as Excel has it
HEAD = 1 << 16  # bytes of a part in which a document type would stand
SHEETS_NAMED = 6
SAVE_AS = "save it as .xlsx or as CSV UTF-8"
# What stands for a cell whose value is in no file, or in another cell; as a spreadsheet writes its own errors.
NO_RESULT, MERGED = "#FORMULA!", "#MERGED!"
MOST_MERGED = 1 << 16  # ranges of cells of a sheet; a table has none
_PIECE, _OVERLAP = 1 << 20, 256  # bytes of a sheet that are looked at together
_MERGE = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]*?ref=\"([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})\"")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")


def workbook_rows(
    data: bytes, path: Path, holds: Callable[[Sequence[Row]], bool], sheet: str, *, most: tuple[int, int], head: int
) -> tuple[str, Iterator[Row]]:
    """The name of a sheet and its rows, a line being a row's number.

    holds: whether the first `head` rows of a sheet are those of the table that is meant; sheet: its name, empty where
    it has to be found; most: bytes of all parts, unpacked, and columns.
    Errors: ManifestError for what is no workbook, grows far beyond its size, or has not one such sheet.
    """
    book = _guarded(path, lambda: _opened(data, path, most[0]))
    names = [one.title for one in book.values.worksheets]
    if sheet:
        if sheet not in names:
            raise ManifestError(
                f"{path} has no sheet {shown(sheet)}; its sheets are {_some(names)}", hint="name one of them"
            )
        return sheet, _rows(book, sheet, path, most[1])
    shown_sheets = [one.title for one in book.values.worksheets if one.sheet_state == "visible"]
    first = {name: list(islice(_rows(book, name, path, most[1]), head)) for name in shown_sheets}
    filled = [name for name, rows in first.items() if any(any(cells) for _, cells in rows)]
    fitting = [name for name in filled if holds(first[name])]
    if len(fitting) > 1:
        raise ManifestError(
            f"{path} has {len(fitting)} sheets that may be meant: {_some(fitting)}",
            hint="name one: --set labels.sheet=NAME, or --sheet NAME of prepare-labels",
        )
    if not filled:
        raise ManifestError(
            f"{path} is empty; expected a sheet with the names of columns in its first row",
            hint="a hidden sheet is read by its name: --set labels.sheet=NAME, or --sheet NAME of prepare-labels",
        )
    chosen = (fitting or filled)[0]
    return chosen, _rows(book, chosen, path, most[1])


def _some(names: Sequence[str]) -> str:
    return listed([shown(name, 60) for name in names], SHEETS_NAMED)


def _opened(data: bytes, path: Path, most_bytes: int) -> "_Book":
    with zipfile.ZipFile(io.BytesIO(data)) as parts:  # it gives no more of a part than its size says
        if sum(part.file_size for part in parts.infolist()) > most_bytes:
            raise ManifestError(f"{path} has more than {most_bytes >> 20} MiB; expected a label table")
        for part in parts.infolist():
            with parts.open(part) as file:
                if b"<!DOCTYPE" in file.read(HEAD).replace(b"\0", b"").upper():
                    raise ManifestError(f"{path}: its part {shown(part.filename)} has a document type, as no sheet has")
    return _Book(data, _loaded(data, results=True))


def _loaded(data: bytes, *, results: bool) -> "Workbook":
    from openpyxl import load_workbook

    return load_workbook(io.BytesIO(data), read_only=True, data_only=results, keep_links=False)


@dataclass
class _Book:
    """A workbook with the results of its formulas, and where they are asked for, the formulas themselves."""

    data: bytes
    values: "Workbook"
    _marks: "dict[str, _Marks]" = field(default_factory=dict)

    def marks(self, name: str) -> "_Marks":
        """Those of a sheet, which is searched once: its head is read before it is chosen."""
        if name not in self._marks:
            self._marks[name] = _marks(self.data, self.values[name])
        found = self._marks[name]
        return replace(found, merged=list(found.merged))

    @cached_property
    def formulas(self) -> "Workbook":
        return _loaded(self.data, results=False)

    @cached_property
    def uncomputed(self) -> bool:
        """Whether it asks to be computed when it is opened: then a result of 0 stands for none."""
        return bool(getattr(self.values.calculation, "fullCalcOnLoad", False))

    def texts(self, row: Sequence[Any], made: Sequence[Any]) -> list[str]:
        """The cells of a row. made: the same with formulas, or nothing where the sheet has none."""
        cells = [_text(cell) for cell in row]
        for number, (cell, formula) in enumerate(zip(row, made, strict=False)):
            if formula.data_type != "f":
                continue
            # An empty text is a result.
            if (cell.value is None and cell.data_type != "str") or (cell.value == 0 and self.uncomputed):
                cells[number] = NO_RESULT
        return cells


def _rows(book: "_Book", name: str, path: Path, most_columns: int) -> Iterator[Row]:
    sheet: Any = book.values[name]
    marks = _guarded(path, lambda: book.marks(name))
    rows = _cells(sheet)
    formulas = _cells(_guarded(path, lambda: book.formulas)[name]) if marks.formulas else None
    end: tuple[Any, ...] | None = None
    number = 0
    while (row := _guarded(path, lambda: next(rows, end))) is not None:
        number += 1
        made = _guarded(path, lambda: next(formulas, ())) if formulas is not None else ()
        cells = _guarded(path, lambda row=row, made=made: book.texts(row, made))  # type: ignore[misc]  # as defaults
        while cells and not cells[-1]:
            cells.pop()  # a cell that has a colour alone may lie far to the right
        if number > MOST_ROWS or len(cells) > most_columns:
            what = f"{len(cells)} columns" if number <= MOST_ROWS else "a row"
            raise ManifestError(
                f"{path}, sheet {shown(name)}, line {number}: {what}; expected at most {most_columns} columns "
                f"and {MOST_ROWS} rows",
                hint="take the table to a sheet of its own",
            )
        if cells:
            marks.fill(number, cells)
        yield number, cells


def _cells(sheet: Any) -> Iterator[tuple[Any, ...]]:
    sheet.reset_dimensions()  # as the file says, not as it is
    rows: Iterator[tuple[Any, ...]] = sheet.iter_rows()
    return rows


@dataclass(slots=True)
class _Marks:
    """What the rows that the library gives do not tell of a sheet."""

    formulas: bool = False  # whether there are any
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)  # first and last row, first and last column
    _active: list[tuple[int, int, int, int]] = field(init=False, default_factory=list)

    def fill(self, row: int, cells: list[str]) -> None:
        """Mark the cells of a row, taken in order, that belong to one above, which alone holds their value."""
        while self.merged and self.merged[-1][0] < row:
            self._active.append(self.merged.pop())
        self._active = [place for place in self._active if place[1] >= row]
        for _, _, first, last in self._active:
            for column in range(first, last + 1):
                if column >= len(cells):
                    cells += [""] * (column + 1 - len(cells))
                cells[column] = cells[column] or MERGED


def _marks(data: bytes, sheet: Any) -> _Marks:
    """Those of a sheet; of cells that are merged across columns alone, nothing is to be said."""
    marks, found = _Marks(), set[tuple[int, int, int, int]]()
    with zipfile.ZipFile(io.BytesIO(data)) as parts, parts.open(sheet._worksheet_path) as file:
        before = b""
        while piece := file.read(_PIECE):
            text = before + piece
            marks.formulas = marks.formulas or _FORMULA.search(text) is not None
            for left, top, right, bottom in _MERGE.findall(text):
                if int(top) < int(bottom) and len(found) < MOST_MERGED:
                    found.add((int(top), int(bottom), _column(left), _column(right)))
            before = text[-_OVERLAP:]
    marks.merged = sorted(found, reverse=True)
    return marks


def _column(letters: bytes) -> int:
    """The number of a column, from 0."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number - 1


def _guarded(path: Path, act: Callable[[], Any]) -> Any:
    """What the library gives. Errors: ManifestError for whatever it says of a file that is no workbook."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which no cell's value depends on
            return act()
    except (AffectError, MemoryError, RecursionError):
        raise
    except Exception as error:  # a damaged or forged workbook makes it raise nearly anything
        raise ManifestError(f"{path} cannot be read as a table: {first_line(error)}", hint=SAVE_AS) from error


def _text(cell: Any) -> str:
    """A cell as it would stand in a CSV: 7.0 is the 7 that was typed, a time of day hh:mm:ss, or h:mm if shown so."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.time):
        day = datetime.timedelta(
            hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
        )
        return _clock(day, cell.number_format or "")
    if isinstance(value, datetime.timedelta) and value >= datetime.timedelta(0):
        return _clock(value, cell.number_format or "")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value).encode("utf-8", "replace").decode().strip()


def _clock(time: datetime.timedelta, shown_as: str) -> str:
    seconds = time.total_seconds()
    minutes, hours = int(seconds // 60) % 60, int(seconds // 3600)
    if "s" not in shown_as.lower() and seconds % 60 == 0:
        return f"{hours}:{minutes:02d}"  # somebody typed 0:01, and means what a CSV would say: a second
    rest = math.fmod(seconds, 60)
    return f"{hours:02d}:{minutes:02d}:{rest:06.3f}" if rest % 1 else f"{hours:02d}:{minutes:02d}:{int(rest):02d}"
