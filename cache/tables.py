"""The one reader of tables: the bytes of a CSV or of a workbook to columns of cells, and what was understood of it.

Every cell is text here; `cell_values.py` makes numbers and times of them.
"""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..configs.plain_text import from_cell
from ..errors import ManifestError, listed, shown
from .foreign import PYTORCH, foreign
from .records import Array
from .regular import open_regular
from .text_rows import MOST_HEADER, Row, text_form, text_rows
from .workbook import OLD_OFFICE, SAVE_AS, ZIP, workbook_rows

MOST_BYTES = 256 << 20  # of a table: several million spans; reading one takes at most about 20 times as much memory
MOST_COLUMNS = 4096
MOST_NAME = 1000  # characters of a column's name
NAMED = 12  # columns in a message
WORKBOOKS = (".xlsx", ".xlsm")
HEAD_ROWS = 10  # in which the names of the columns are looked for: a title may stand above them
BLOCK_CELLS = 10_000  # held as text of Python at once
UNNAMED = re.compile(r"(Unnamed: ?\d+(\.\d+|_level_\d+)?)?")  # also what pandas calls a column of row numbers

Fits = Callable[[Sequence[str]], bool]  # whether names of columns are those of the table that is meant
Keep = Callable[[str], bool]  # whether the cells of a column are wanted, by its name


@dataclass(frozen=True, slots=True)
class Table:
    """R rows of named columns. A cell is the text that was typed, without white space around it; blank rows are out."""

    path: Path
    sheet: str  # of a workbook; empty for text
    names: tuple[str, ...]  # (C,)
    cells: Mapping[str, "pa.StringArray"]  # name -> (R,) text
    lines: Array  # (R,) int64, line of the file, or of the sheet, that a row begins in
    header_line: int  # that of the names
    points_only: bool  # a decimal comma would end a cell here
    layout: tuple[str, ...]  # how it was read, where that is not the usual way: "';' separated", "cp1252"
    line_word: str = "line"  # what a message calls a line: a row, where the file has none

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def place(self) -> str:
        """The file, with the sheet of a workbook, for messages."""
        return _place(self.path, self.sheet)

    def where(self, row: int) -> str:
        """`FILE, line N` of a row, for messages."""
        return f"{self.place}, {self.line_word} {self.lines[row]}"

    def texts(self, name: str) -> list[str]:
        """A column as (R,) texts."""
        words: list[str] = self.cells[name].to_pylist()
        return words


@dataclass(frozen=True, slots=True)
class _Opened:
    """A table whose rows are still to be read."""

    rows: Iterator[Row]
    sheet: str
    points_only: bool
    words: tuple[str, ...]

    @property
    def ragged(self) -> bool:
        """Whether a row's empty cells may be missing, as in a sheet, where no separator tells them."""
        return bool(self.sheet)


def read_table(
    path: Path,
    fits: Fits | None = None,
    sheet: str = "",
    *,
    keep: Keep | None = None,
    most_bytes: int = MOST_BYTES,
    repeated: Collection[str] = (),
) -> Table:
    """The table in a text file (UTF-8, UTF-16 or cp1252; `,` `;` or tabs between columns) or in a workbook.

    fits: tells the row of names from a title above it, and the sheet that is meant from others; `sheet` names it.
    keep: the columns that are wanted, all unless said; repeated: names that may stand twice, for the same cells.
    Columns without a name are left out.
    Errors: ManifestError naming file, line and column for what is no table: a row with more or fewer cells than there
    are columns, a name that stands twice, too many columns.
    """
    return _table(path, _open(path, read_bounded(path, most_bytes), fits, sheet), fits, keep, repeated)


def read_head(path: Path, rows: int, fits: Fits | None = None, repeated: Collection[str] = ()) -> Table:
    """The first `rows` rows of a table at most, or fewer where they are long. Errors: as `read_table`."""
    opened = _open_head(path, fits)
    return _table(path, replace(opened, rows=islice(opened.rows, HEAD_ROWS + rows)), fits, None, repeated)


def _table(path: Path, opened: "_Opened", fits: Fits | None, keep: Keep | None, repeated: Collection[str]) -> Table:
    place = _place(path, opened.sheet)
    line, header, rows, titled = _header(opened.rows, fits, place)
    named = _named(header, line, place, repeated)
    kept = {name: number for name, number in named.items() if keep is None or keep(name)}
    cells, lines, unnamed = _columns(rows, header, (named, kept), line, place, ragged=opened.ragged)
    words = [*opened.words, *([f"column names in line {line}"] if titled else [])]
    if unnamed:
        words.append(f"{unnamed} column{'s' if unnamed > 1 else ''} without a name left out")
    return Table(path, opened.sheet, tuple(kept), cells, lines, line, opened.points_only, tuple(words))


def read_header(path: Path, fits: Fits | None = None) -> list[str]:
    """The names of a table's columns as they stand there; of a text file nothing behind its first lines is read.

    Errors: ManifestError for what is no text and no workbook.
    """
    opened = _open_head(path, fits)
    return _header(opened.rows, fits, _place(path, opened.sheet))[1][: MOST_COLUMNS + 1]


def _open_head(path: Path, fits: Fits | None) -> "_Opened":
    """The first lines of a text file, or a workbook."""
    with _file(path) as file:
        head = file.read(MOST_HEADER)
    if head.startswith(ZIP):
        head = read_bounded(path)
    elif len(head) == MOST_HEADER:
        end = max(head.rfind(b"\n"), head.rfind(b"\r")) + 1
        # Whole lines, also of UTF-16; of a line that goes on, as much as one cell may hold.
        head = head[: end + (head[end : end + 1] == b"\0")] if end else head[: csv.field_size_limit() - 4]
    return _open(path, head, fits, "")


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return listed(names, NAMED) or "none"


def read_bounded(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The bytes of a table. Errors: ManifestError for a file that is missing, unreadable, or too large to be one."""
    try:
        with _file(path) as file:
            size = os.fstat(file.fileno()).st_size
            # It may grow, and a device says that it holds nothing.
            data = file.read(most_bytes + 1) if size <= most_bytes else b""
    except OSError as error:
        raise ManifestError(f"table {path} cannot be read: {error.strerror}") from error
    if max(size, len(data)) > most_bytes:
        wanted = "label table" if most_bytes == MOST_BYTES else "smaller table"
        raise ManifestError(f"{path} has more than {most_bytes >> 20} MiB; expected a {wanted}")
    return data


def _file(path: Path) -> io.BufferedReader:
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ManifestError(f"table {path} {what}; expected a CSV file or a workbook", hint="FILE.csv or FILE.xlsx")
    try:
        strange = foreign(path, own=("zip", "broken zip", "empty"))
        if strange is None:
            return open_regular(path)
    except OSError as error:
        raise ManifestError(f"table {path} cannot be read: {error.strerror}") from error
    hint = SAVE_AS if strange.hint == PYTORCH else strange.hint
    raise ManifestError(f"{path} is {strange.what}; expected a table", hint=hint)


def _place(path: Path, sheet: str) -> str:
    return f"{path}, sheet {shown(sheet, 60)}" if sheet else str(path)


def _open(path: Path, data: bytes, fits: Fits | None, sheet: str) -> _Opened:
    """The rows of what `data` is, by its first bytes and not by its name."""
    if data.startswith(ZIP):
        name, rows = workbook_rows(
            data, path, lambda rows: _meant(rows, fits), sheet, most=(MOST_BYTES, MOST_COLUMNS), head=HEAD_ROWS
        )
        return _Opened(rows, name, False, (f"sheet {shown(name, 60)}",))
    if path.suffix.lower() in WORKBOOKS and not data.startswith(OLD_OFFICE):
        raise ManifestError(
            f"{path} cannot be read as a table: it is no workbook, whatever its name says", hint=SAVE_AS
        )
    if data.startswith(OLD_OFFICE):
        raise ManifestError(f"{path} is an old Excel file (.xls), or one under a password", hint=SAVE_AS)
    if sheet:
        raise ManifestError(f"{path} is no workbook, and a sheet {shown(sheet)} is asked for", hint="leave it out")
    form = text_form(data, path, lambda rows: _meant(rows, fits))
    return _Opened(text_rows(data, form, path), "", form.separator == ",", form.words)


def _meant(rows: Sequence[Row], fits: Fits | None) -> bool:
    """Whether one of these rows has the names of the columns that are looked for."""
    return fits is not None and any(fits(_words(cells)) for _, cells in rows)


def _words(cells: Sequence[str]) -> list[str]:
    return [from_cell(cell.strip()) for cell in cells]


def _header(rows: Iterator[Row], fits: Fits | None, place: str) -> tuple[int, list[str], Iterator[Row], bool]:
    """Line and names of the columns, the rows behind them, and whether other words stand above them.

    Errors: ManifestError where there is no row.
    """
    head = list(islice(rows, HEAD_ROWS))
    names = [_words(cells) for _, cells in head]
    filled = [number for number, words in enumerate(names) if any(words)]
    if not filled:
        raise ManifestError(
            f"{place} is empty; expected the names of columns in its first row", hint="is it the right file?"
        )
    meant = [number for number in filled if _meant([head[number]], fits)]
    wide = [number for number in filled if sum(map(bool, names[number])) > 1]  # a title is one cell
    chosen = (meant or wide or filled)[0]
    return head[chosen][0], names[chosen], chain(head[chosen + 1 :], rows), chosen > filled[0]


def _named(header: Sequence[str], line: int, place: str, repeated: Collection[str]) -> dict[str, int]:
    """Name -> place of each column that has one. Errors: ManifestError for too many, too long, or twice the same."""
    if len(header) > MOST_COLUMNS:
        raise ManifestError(f"{place}, line {line}: {len(header)} columns; expected at most {MOST_COLUMNS}")
    named = {name: number for number, name in enumerate(header) if not UNNAMED.fullmatch(name)}
    if longest := max((name for name in named if len(name) > MOST_NAME), key=len, default=""):
        raise ManifestError(
            f"{place}, line {line}: column {shown(longest)} has a name of {len(longest)} characters; "
            f"expected at most {MOST_NAME}"
        )
    counts = Counter(header)
    twice = sorted(name for name in named if counts[name] > 1 and name not in repeated)
    if twice:
        raise ManifestError(
            f"{place}, line {line}: column {twice[0]!r} stands twice", hint="give each column its own name"
        )
    return named


def _columns(
    rows: Iterator[Row],
    header: Sequence[str],
    columns: tuple[Mapping[str, int], Mapping[str, int]],
    header_line: int,
    place: str,
    *,
    ragged: bool,
) -> tuple[dict[str, "pa.StringArray"], Array, int]:
    """The cells of each wanted column, the line of each row, and how many columns without a name hold something.

    columns: place of each that has a name, and of those that are wanted.
    """
    named, kept = columns
    beyond: set[int] = set()  # cells of a sheet beside its last column
    blocks: dict[str, list[pa.Array]] = {name: [] for name in kept}
    blank = {number for number, name in enumerate(header) if name not in named}
    unnamed, width = len(blank), len(header)
    lines: list[int] = []
    block: list[list[str]] = []
    most = max(1, BLOCK_CELLS // width)
    for line, typed in rows:
        if (not typed or not typed[0].strip()) and not "".join(typed).strip():
            continue
        row = typed
        if len(typed) != width:
            if ragged:
                beyond.update(number for number in range(width, len(typed)) if typed[number])
            else:
                _check_width(typed, header, named, f"{place}, line {line}", header_line)
            row = (typed + [""] * width)[:width]
        if blank:
            blank -= {number for number in blank if row[number].strip()}
        lines.append(line)
        block.append(row)
        if len(block) == most:
            _pack(block, kept, blocks)
            block = []
    _pack(block, kept, blocks)
    cells = {name: pa.chunked_array(parts, pa.string()).combine_chunks() for name, parts in blocks.items()}
    return cells, np.array(lines, np.int64), unnamed - len(blank) + len(beyond)


def _pack(block: Sequence[Sequence[str]], named: Mapping[str, int], blocks: Mapping[str, list["pa.Array"]]) -> None:
    for name, number in named.items() if block else ():
        blocks[name].append(pc.utf8_trim_whitespace(pa.array([row[number] for row in block], pa.string())))


def _check_width(
    row: Sequence[str], header: Sequence[str], named: Mapping[str, int], where: str, header_line: int
) -> None:
    """Errors: ManifestError for a row with a cell behind the last column, or none in a column that has a name."""
    hint = f"every row needs the {len(header)} columns of line {header_line}; an empty cell needs its separator too"
    more = next((number for number, cell in enumerate(row) if number >= len(header) and cell.strip()), None)
    if more is not None:
        comma = f"{hint}; a decimal comma needs ; or a tab between the columns"
        above = f"the names of columns are looked for in the first {HEAD_ROWS} rows: take out what stands above them"
        raise ManifestError(
            f"{where}: {len(row)} cells for {len(header)} columns; cell {more + 1}, {shown(row[more])}, is in none",
            hint=comma if len(named) > 1 else above,
        )
    missing = next((name for name, number in named.items() if number >= len(row)), None)
    if missing is not None:
        raise ManifestError(
            f"{where}: {len(row)} cells for {len(header)} columns; there is none for {missing!r}", hint=hint
        )
