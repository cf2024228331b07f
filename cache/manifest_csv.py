"""Columns of a label table out of its cells: texts, spans, numbers and splits, or an error that names its line."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..configs.plain_text import from_cell
from ..configs.schema import MOST_LABEL
from ..errors import ManifestError, shown
from .cell_values import MISSING_WORDS, TimeUnit, cell_error, check_thousands, numbers, times
from .records import Array
from .tables import Table, few, read_header

REQUIRED = ("video", "subject", "start_s", "end_s")
IN_MS = {"start_s": "start_ms", "end_s": "end_ms"}  # names that say milliseconds
OWN_COLUMNS = (*REQUIRED, *IN_MS.values(), "split")
SPLITS = ("train", "validation", "test")
OTHER_UNITS = ("ms", "msec", "frame", "frames")  # than seconds, at the end of a column's name
FIRST_LINE = 2  # line 1 holds the column names
MOST_CELL = 4096  # characters of a cell of text: the longest path there is
NO_TARGET = (
    "is this column no target? --set labels.targets=[...] names those that are; for categories write a column of 0 "
    "and 1 for each, as prepare-labels spans does"
)


def is_manifest(names: Sequence[str]) -> bool:
    """Whether these are the columns of a label table."""
    return set(REQUIRED) <= set(names) or {"video", "subject", *IN_MS.values()} <= set(names)


def manifest_names(path: Path) -> list[str]:
    """The columns of the label table at `path`. Errors: ManifestError for what is none."""
    names = read_header(path, is_manifest)
    check_required(names, str(path), 1)
    return names


def check_required(names: Sequence[str], place: str, line: int) -> None:
    """Errors: ManifestError where one of REQUIRED is missing."""
    if is_manifest(names):
        return
    own = tuple(IN_MS.values()) if set(IN_MS.values()) & set(names) and not set(IN_MS) & set(names) else tuple(IN_MS)
    missing = [name for name in (*REQUIRED[:2], *own) if name not in names]
    near = difflib.get_close_matches(missing[0], names, n=1)
    hint = f"rename {near[0]!r} to {missing[0]!r}?" if near else f"first line: {','.join(REQUIRED)},TARGET,..."
    if near and missing[0] in IN_MS and near[0].endswith(OTHER_UNITS):
        hint = "both times in seconds, or both in ms: affect prepare-labels spans FOLDER makes seconds of other units"
    raise ManifestError(
        f"{place}, line {line}: no column {', '.join(map(repr, missing))}; the columns are {few(names)}", hint=hint
    )


def choose_targets(table: Table, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The wanted target columns; with none wanted, every column that is not one of OWN_COLUMNS."""
    others = tuple(name for name in table.names if name not in OWN_COLUMNS)
    where = f"{table.place}, line {table.header_line}"
    for name in others:
        if name not in wanted and name.casefold() in OWN_COLUMNS:
            raise ManifestError(f"{where}: column {name!r} is no target", hint=f"rename it to {name.casefold()!r}")
    for name in wanted:
        if name not in others:
            near = difflib.get_close_matches(name, others, n=1)
            raise ManifestError(
                f"{where}: no target column {name!r}; the others are {few(others)}",
                hint=f"did you mean {near[0]}?" if near else "--set labels.targets=[...]",
            )
    if not others:
        raise ManifestError(
            f"{where}: no target columns; the columns are {few(table.names)}",
            hint=f"add a column of numbers per target after {table.names[-1]}",
        )
    return wanted or others


def read_words(table: Table, name: str) -> list[str]:
    """A column of text, no cell empty."""
    words = table.texts(name)
    plain = {word: from_cell(word) for word in set(words)}  # a million rows name few videos
    if "" in plain:
        raise ManifestError(
            f"{table.where(words.index(''))}: column {name!r} is empty; expected a {name}",
            hint=f"write a {name}, or take the row out",
        )
    for word in plain:
        if advice := cell_error(word):
            raise ManifestError(
                f"{table.where(words.index(word))}: column {name!r} is {shown(word)}; expected a {name}", hint=advice
            )
    _check_lengths(words, name, table)
    return [plain[word] for word in words]


def _check_lengths(words: Sequence[str], name: str, table: Table) -> None:
    longest = max(set(words), key=len, default="")
    if len(longest) > MOST_CELL:
        raise ManifestError(
            f"{table.where(words.index(longest))}: column {name!r} has {len(longest)} characters; "
            f"expected at most {MOST_CELL}"
        )


def read_labels(table: Table, names: Sequence[str], sign: str) -> Array:
    """Columns of targets as (M, K) float64, NaN where empty. Errors: as `label_values`."""
    return np.column_stack([label_values(table, name, sign, NO_TARGET) for name in names])


def label_values(table: Table, name: str, sign: str, of_words: str = "") -> Array:
    """A column of labels as (R,) float64, NaN where it is missing. of_words: as in `numbers`.

    Errors: ManifestError for a cell that is no number, or beyond what training can compute with.
    """
    values = numbers(table, name, sign, of_words=of_words)
    beyond = np.abs(values) > MOST_LABEL
    if beyond.any():
        row = int(beyond.argmax())
        cell = shown(table.cells[name][row].as_py())
        raise ManifestError(
            f"{table.where(row)}: column {name!r} is {cell}; expected a number from {-MOST_LABEL:g} to {MOST_LABEL:g}",
            hint="leave the cell empty where there is no value",
        )
    return values


@dataclass(frozen=True, slots=True)
class Spans:
    """Starts and ends, each (M,) float64; an empty end is infinite, and 0 the start where both are empty."""

    start_s: Array
    end_s: Array
    unit: TimeUnit  # auto: they are numbers, taken as seconds, and nobody has said that they are
    words: str  # how they are written: seconds, milliseconds, hh:mm:ss


def read_spans(table: Table, unit: TimeUnit, sign: str) -> Spans:
    """The spans of a table. Errors: ManifestError for a time that is none or negative, or an end before its start."""
    in_ms = "start_s" not in table.names or "end_s" not in table.names
    columns = tuple(IN_MS.values()) if in_ms else tuple(IN_MS)
    if in_ms and unit == "auto":
        unit = "ms"
    if unit == "ms":
        check_thousands(table, columns)
    (start, end), written = times(table, columns, unit, sign)
    _check_missing(table, columns, start, end)
    start, end = np.where(np.isnan(start), 0.0, start), np.where(np.isnan(end), np.inf, end)
    for name, values in zip(columns, (start, end), strict=True):
        if (values < 0).any():
            row = int((values < 0).argmax())
            raise ManifestError(f"{table.where(row)}: {name} is {values[row]:g}; expected seconds, at least 0")
    if (end <= start).any():
        row = int((end <= start).argmax())
        raise ManifestError(
            f"{table.where(row)}: {columns[1]} is {end[row]:g} and {columns[0]} {start[row]:g}; "
            f"expected {columns[1]} after {columns[0]}",
            hint="spans are [start_s, end_s) in seconds; an empty end_s means the video's end",
        )
    if written != "number":
        return Spans(start, end, "hms", written)
    if unit == "ms":
        return Spans(start / 1000, end / 1000, "ms", "milliseconds")
    return Spans(start, end, unit, "seconds")


def _check_missing(table: Table, columns: Sequence[str], start: Array, end: Array) -> None:
    """Errors: ManifestError for a time that is missing in a word, for an infinite start, and one without its end."""
    for name in columns:
        said = np.asarray(pc.is_in(table.cells[name], pa.array(MISSING_WORDS)))
        said |= np.isinf(start) if name == columns[0] else False
        if said.any():
            row = int(said.argmax())
            raise ManifestError(
                f"{table.where(row)}: {name} is {shown(table.cells[name][row].as_py())}; expected a time",
                hint="take the row out if its time is not known; an empty end is the video's end",
            )
    alone = np.isnan(start) & ~np.isnan(end)
    if alone.any():
        raise ManifestError(
            f"{table.where(int(alone.argmax()))}: {columns[0]} is empty, and {columns[1]} is not; expected a time",
            hint="write 0 for the video's start; both empty are the whole video",
        )


def read_splits(table: Table) -> list[str] | None:
    """A word of SPLITS for each row; None without the column, or where all of it is empty."""
    words = [word.lower() for word in table.texts("split")] if "split" in table.names else []
    if not any(words):
        return None
    _check_lengths(words, "split", table)
    if set(words) - set(SPLITS):
        row = next(row for row, word in enumerate(words) if word not in SPLITS)
        near = difflib.get_close_matches(words[row], SPLITS, n=1, cutoff=0.3)
        raise ManifestError(
            f"{table.where(row)}: split is {repr(words[row]) if words[row] else 'empty'}; expected {', '.join(SPLITS)}",
            hint=f"did you mean {near[0]}?" if near else "every row needs a split, or none",
        )
    return words
