"""Numbers and times out of the cells of a table: each a number or missing, or an error that names line and column."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import ManifestError, shown
from .records import Array
from .tables import Table
from .workbook import MERGED, NO_RESULT

TimeUnit = Literal["auto", "s", "ms", "hms", "frame"]
MISSING_WORDS = (
    "nan",
    "NaN",
    "NAN",
    "Nan",
    "NA",
    "na",
    "N/A",
    "N/a",
    "n/a",
    "n.a.",
    "null",
    "NULL",
    "Null",
    "None",
    "none",
    "#N/A",
    "-",
    "--",
    "-nan",
    "-nan(ind)",
)
TRUTHS = ("true", "false", "yes", "no")
MOST_WORDS = 4  # kinds of missing words that are named
CLOCK = r"^(?:(?P<hours>\d{1,6}):)?(?P<minutes>\d{1,6}):(?P<seconds>\d{1,2}(?:[.,]\d{1,9})?)$"
INFINITE = r"(?i:inf|infinity)"
GROUPED = r"^[+-]?\d{1,3}([.,' \x{a0}\x{2009}\x{202f}]\d{3})+([.,]\d+)?$"
CELL_ERROR = r"^#(N/A|NV|[A-Z\x{c0}-\x{dc}][^ ]*[!?])$"  # what a spreadsheet shows in place of a value; #12 is a name
THOUSANDS = r"^[+-]?\d{1,3}([.,]\d{3})+$"
LATE = r"^(2[4-9]|[3-9]\d|\d{3,}):\d\d:00$"
TIMES_HINT = "hh:mm:ss and mm:ss are read; 1,6 is read where columns are separated by ; or tab"


def decimal_sign(table: Table, names: Sequence[str]) -> str:
    """`.` or `,`: the sign before the decimals in some columns of numbers.

    Errors: ManifestError where both stand in them: one of them might set thousands apart.
    """
    if table.points_only:
        return "."
    first: dict[str, tuple[int, str]] = {}
    for sign in ",.":
        for name in names:
            there = pc.and_(_matches(table, name, _number(sign)), pc.match_substring(table.cells[name], sign))
            row = _first(there)
            if row is not None and sign not in first:
                first[sign] = row, name
    if len(first) == 2:
        (row, name), (other, another) = first[","], first["."]
        raise ManifestError(
            f"{table.where(row)}: column {name!r} is {_cell(table, name, row)}, and column {another!r} is "
            f"{_cell(table, another, other)} in line {table.lines[other]}; expected one decimal sign",
            hint="write 1234,5 or 1234.5 throughout, and nothing between thousands",
        )
    return "," if "," in first else "."


def check_thousands(table: Table, names: Sequence[str]) -> None:
    """Errors: ManifestError for columns of milliseconds in which every sign may as well set thousands apart."""
    signed, plain = [], False
    for name in names:
        there = pc.match_substring_regex(table.cells[name], "[.,]")
        if (row := _first(there)) is not None:
            signed.append((row, name))
        if _first(pc.and_(there, pc.invert(_matches(table, name, THOUSANDS)))) is not None:
            return
        plain = plain or _first(_matches(table, name, r"^\d{4,}$")) is not None
    if signed and not plain:
        row, name = signed[0]
        raise ManifestError(
            f"{table.where(row)}: column {name!r} is {_cell(table, name, row)}, and no time has a sign elsewhere; "
            "expected to know whether it stands before decimals or between thousands",
            hint="write nothing between thousands: 1000, not 1.000",
        )


def cell_error(cell: str) -> str:
    """What helps with a cell in which a spreadsheet shows an error, or that has no value of its own; else empty."""
    if cell == NO_RESULT:
        return "a formula without a result: open the workbook in Excel or LibreOffice and save it, or paste the values"
    if cell == MERGED:
        return "the cell is merged with one above: unmerge them, and write the value into each row"
    if pc.match_substring_regex(cell, CELL_ERROR).as_py():
        return "a formula failed in the spreadsheet: mend it, or leave the cell empty"
    return ""


def numbers(table: Table, name: str, sign: str, *, of_words: str = "", hint: str = "") -> Array:
    """A column as (R,) float64, NaN where it is missing. sign: as `decimal_sign` says.

    of_words: what to say of a column that holds words; hint: of any cell of which nothing more is known.
    Errors: ManifestError for the first cell that is no number.
    """
    missing = is_missing(table, name)
    row = _first(pc.invert(pc.or_(_matches(table, name, _number(sign)), missing)))
    if row is not None:
        raise ManifestError(
            f"{table.where(row)}: column {name!r} is {_cell(table, name, row)}; expected a number",
            hint=_advice(table, name, row, of_words, hint),
        )
    pointed = pc.replace_substring(table.cells[name], ",", ".") if sign == "," else table.cells[name]
    return _floats(pc.if_else(missing, pa.scalar(None, pa.string()), pointed))


def is_missing(table: Table, name: str) -> Any:
    """(R,) bool, of the library: whether a cell is empty, or one of MISSING_WORDS."""
    return pc.is_in(table.cells[name], pa.array(["", *MISSING_WORDS]))


def is_numeric(table: Table, name: str) -> bool:
    """Whether every cell of a column is a number or missing."""
    number = pc.or_(_matches(table, name, _number(".")), _matches(table, name, _number(",")))
    return _first(pc.invert(pc.or_(number, is_missing(table, name)))) is None


def times(table: Table, names: Sequence[str], unit: TimeUnit, sign: str) -> tuple[list[Array], str]:
    """Columns of times, each (R,) float64, NaN where missing, and how they are written: `number`, or as a clock.

    A clock's times are in seconds, numbers as they stand. unit: `auto` takes what is there.
    Errors: ManifestError for the first cell that is neither, or not what others are.
    """
    clocks = [name for name in names if _first(_matches(table, name, CLOCK)) is not None]
    if unit in ("s", "ms", "frame") or (unit == "auto" and not clocks):
        hint = "--set labels.time_unit=hms, or --time-unit hms of prepare-labels" if clocks else TIMES_HINT
        return [numbers(table, name, sign, hint=hint) for name in names], "number"
    if table.sheet and "mm:ss" in _clock_words(table, names).split(" and "):
        table = _as_typed(table, names)
    return [_clock_s(table, name) for name in names], _clock_words(table, names)


def missing_words(table: Table, names: Sequence[str]) -> str:
    """Which words were read as missing values in some columns, and how many of them; empty where none was."""
    counts: dict[str, int] = {}
    for name in names:
        found = pc.value_counts(table.cells[name].filter(pc.is_in(table.cells[name], pa.array(MISSING_WORDS))))
        for item in found.to_pylist():
            counts[item["values"]] = counts.get(item["values"], 0) + item["counts"]
    few = sorted(counts.items(), key=lambda item: -item[1])[:MOST_WORDS]
    return f"missing: {', '.join(f'{count} {word!r}' for word, count in few)}" if few else ""


def _as_typed(table: Table, names: Sequence[str]) -> Table:
    """A sheet's times where 23:50 stands for mm:ss: then 24:10:00 is what Excel made of 24:10."""
    late = {
        name: pc.if_else(
            _matches(table, name, LATE), pc.utf8_slice_codeunits(table.cells[name], 0, -3), table.cells[name]
        )
        for name in names
    }
    return replace(table, cells={**table.cells, **late})


def _clock_s(table: Table, name: str) -> Array:
    parts = pc.extract_regex(table.cells[name], CLOCK)
    hours, minutes, seconds = (pc.struct_field(parts, part) for part in ("hours", "minutes", "seconds"))
    long = pc.not_equal(hours, "")
    values = [
        _floats(pc.replace_substring(pc.if_else(pc.equal(part, ""), "0", part), ",", "."))
        for part in (hours, minutes, seconds)
    ]
    over = (values[2] >= 60) | ((values[1] >= 60) & np.asarray(pc.fill_null(long, False)))
    wrong = np.asarray(pc.is_null(parts)) & ~np.asarray(is_missing(table, name)) | over
    if wrong.any():
        row = int(wrong.argmax())
        raise ManifestError(
            f"{table.where(row)}: column {name!r} is {_cell(table, name, row)}; expected hh:mm:ss or mm:ss, with "
            "minutes and seconds below 60",
            hint="write all times of a table in one way: as hh:mm:ss.fff, or as numbers",
        )
    seconds_s: Array = 3600 * values[0] + 60 * values[1] + values[2]
    return seconds_s


def _clock_words(table: Table, names: Sequence[str]) -> str:
    long, short = (
        any(_first(_matches(table, name, pattern)) is not None for name in names)
        for pattern in (r"^\d+:\d+:\d", r"^\d+:\d+([.,]\d+)?$")
    )
    return " and ".join(word for word, there in (("hh:mm:ss", long), ("mm:ss", short)) if there) or "hh:mm:ss"


def _advice(table: Table, name: str, row: int, of_words: str, hint: str) -> str:
    """What helps with a cell that is no number."""
    cell, cells = table.cells[name][row].as_py(), table.cells[name]
    comma = pc.match_substring_regex(cell, _number(",")).as_py()
    if known := cell_error(cell):
        return known
    if pc.match_substring_regex(cell, GROUPED).as_py() and (not comma or table.points_only):
        return "write nothing between thousands, and a point before decimals: 1234.5"
    if hint:
        return hint
    if comma:
        return "1,6 is read where columns are separated by ; or tab; else write 1.6"
    if "\N{MINUS SIGN}" in cell:
        return "write a hyphen for minus: -0.5"
    if cell.lower() in TRUTHS:
        return "write 1 and 0 for TRUE and FALSE"
    if cell.endswith("%"):
        return "write the number alone, in one unit throughout: 10, or 0.1"
    if pc.match_substring_regex(cell, r"^\d{4}-\d\d-\d\d").as_py():
        return "a spreadsheet made a date of it: format the column as text, and type the values again"
    if not cell.isascii() and any(letter.isdigit() for letter in cell):
        return "write it with the digits 0 to 9, a point and nothing else"
    other = pc.or_(_matches(table, name, r"\d"), is_missing(table, name))
    many = pc.sum(pc.invert(other)).as_py() * 2 > len(cells)
    return of_words if many and of_words else "leave the cell empty where there is no value"


def _number(sign: str) -> str:
    sign = "\\" + sign
    return rf"^[+-]?((\d+{sign}?\d*|{sign}\d+)([eE][+-]?\d+)?|{INFINITE})$"


def _matches(table: Table, name: str, pattern: str) -> Any:
    """(R,) bool, of the library."""
    return pc.match_substring_regex(table.cells[name], pattern)


def _first(mask: Any) -> int | None:
    """The first row that is true."""
    row = pc.index(mask, True).as_py()
    return None if row < 0 else int(row)


def _floats(cells: Any) -> Array:
    """(R,) float64, NaN where null."""
    values: Array = np.asarray(pc.fill_null(pc.cast(cells, pa.float64()), float("nan")), np.float64)
    return values


def _cell(table: Table, name: str, row: int) -> str:
    return shown(table.cells[name][row].as_py())
