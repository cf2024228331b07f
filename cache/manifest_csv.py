"""Columns of a label table out of its cells: texts, spans, numbers and splits, or an error that names its line."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..configs.plain_text import from_cell
from ..errors import ManifestError
from .cell_values import TimeUnit, numbers, times
from .records import Array
from .tables import Table, few, read_header

REQUIRED = ("video", "subject", "start_s", "end_s")
IN_MS = {"start_s": "start_ms", "end_s": "end_ms"}  # names that say milliseconds
OWN_COLUMNS = (*REQUIRED, *IN_MS.values(), "split")
SPLITS = ("train", "validation", "test")
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
    missing = [name for name in REQUIRED if name not in names]
    near = difflib.get_close_matches(missing[0], names, n=1)
    hint = f"rename {near[0]!r} to {missing[0]!r}?" if near else f"first line: {','.join(REQUIRED)},TARGET,..."
    raise ManifestError(
        f"{place}, line {line}: no column {', '.join(map(repr, missing))}; the columns are {few(names)}", hint=hint
    )


def choose_targets(table: Table, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The wanted target columns; with none wanted, every column that is not one of OWN_COLUMNS."""
    others = tuple(name for name in table.names if name not in OWN_COLUMNS)
    where = f"{table.place}, line {table.header_line}"
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
    """Columns of targets as (M, K) float64, NaN where empty. Errors: ManifestError for a cell that is no number."""
    columns = []
    for name in names:
        values = numbers(table, name, sign, of_words=NO_TARGET)
        _check_finite(table, name, values)
        columns.append(values)
    return np.column_stack(columns)


def _check_finite(table: Table, name: str, values: Array) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        raise ManifestError(
            f"{table.where(int(infinite.argmax()))}: column {name!r} is infinite; expected a finite number",
            hint="leave the cell empty where there is no value",
        )


@dataclass(frozen=True, slots=True)
class Spans:
    """Starts and ends, each (M,) float64; an empty start is 0, an empty end infinite."""

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
    (start, end), written = times(table, columns, unit, sign)
    start, end = np.nan_to_num(start, nan=0.0), np.where(np.isnan(end), np.inf, end)
    _check_finite(table, columns[0], start)
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


def read_splits(table: Table) -> list[str] | None:
    """A word of SPLITS for each row; None without the column, or where all of it is empty."""
    words = table.texts("split") if "split" in table.names else []
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
