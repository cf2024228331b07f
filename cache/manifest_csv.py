"""Columns of a label table out of CSV text: every cell a text, a number or empty, or an error that names its line."""

import csv
import difflib
import io
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..configs.plain_text import from_cell, sentence
from ..errors import ManifestError, shown
from .records import Array

REQUIRED = ("video", "subject", "start_s", "end_s")
OWN_COLUMNS = (*REQUIRED, "split")
SPLITS = ("train", "validation", "test")
MISSING_WORDS = ["", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "null", "None"]
FIRST_LINE = 2  # line 1 holds the column names
MOST_BYTES = 256 << 20  # of a table: several million spans; reading one takes at most about 20 times as much memory
MOST_HEADER = 1 << 20  # characters of the column names
MOST_COLUMNS = 4096
MOST_NAME = 1000  # characters of a column's name
MOST_CELL = 4096  # characters of a cell of text: the longest path there is
NAMED = 12  # columns in a message


def read_text(path: Path) -> str:
    """The file's text. Errors: ManifestError for a file that is missing, empty or not UTF-8."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ManifestError(f"manifest {path} {what}; expected a CSV file", hint="--labels FILE.csv")
    try:
        data = read_bounded(path)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ManifestError(f"manifest {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ManifestError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8",
            hint="save the table as CSV UTF-8",
        ) from error
    if not text or text.isspace():
        raise ManifestError(f"manifest {path} is empty", hint=f"first line: {','.join(REQUIRED)},TARGET,...")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ManifestError(f"{path}, line {line}: a NUL byte; expected text", hint="save the table as CSV UTF-8")
    return text


def read_bounded(path: Path) -> bytes:
    """Errors: OSError; ManifestError for what is too large to be a label table."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > MOST_BYTES:
            raise too_large(path)
        data = file.read(MOST_BYTES + 1)  # a file may grow, and a device says it has none
    if len(data) > MOST_BYTES:
        raise too_large(path)
    return data


def too_large(path: Path) -> ManifestError:
    """That the table at `path` has more than MOST_BYTES."""
    return ManifestError(f"{path} has more than {MOST_BYTES >> 20} MiB; expected a label table")


def read_header(text: str, path: Path) -> list[str]:
    """Names of the columns. Errors: ManifestError where one of REQUIRED is missing, a name stands twice or is far too
    long, or there are more than MOST_COLUMNS."""
    begin = text[:MOST_HEADER]
    if len(text) > MOST_HEADER and "\n" not in begin:
        raise ManifestError(f"{path}, line 1: more than {MOST_HEADER} characters; expected the names of the columns")
    try:
        header = [from_cell(name.strip()) for name in next(csv.reader(io.StringIO(begin)))]
    except csv.Error as error:
        raise ManifestError(f"{path}, line 1: {error}", hint="save the table as CSV UTF-8") from error
    if len(header) > MOST_COLUMNS:
        raise ManifestError(f"{path}, line 1: {len(header)} columns; expected at most {MOST_COLUMNS}")
    if longest := max((name for name in header if len(name) > MOST_NAME), key=len, default=""):
        raise ManifestError(
            f"{path}, line 1: column {shown(longest)} has a name of {len(longest)} characters; "
            f"expected at most {MOST_NAME}"
        )
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        near = difflib.get_close_matches(missing[0], header, n=1)
        hint = f"rename {near[0]!r} to {missing[0]!r}?" if near else f"first line: {','.join(REQUIRED)},TARGET,..."
        if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
            hint = "separate the columns with commas"
        raise ManifestError(
            f"{path}, line 1: no column {', '.join(map(repr, missing))}; the columns are {_few(header)}", hint=hint
        )
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise ManifestError(f"{path}, line 1: column {twice[0]!r} stands twice", hint="give each column its own name")
    return header


def _few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (", ".join(names[:NAMED]) or "none") + more


def choose_targets(header: Sequence[str], wanted: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """The wanted target columns; with none wanted, every column that is not one of OWN_COLUMNS."""
    others = tuple(name for name in header if name and name not in OWN_COLUMNS)
    for name in wanted:
        if name not in others:
            near = difflib.get_close_matches(name, others, n=1)
            raise ManifestError(
                f"{path}, line 1: no target column {name!r}; the others are {_few(others)}",
                hint=f"did you mean {near[0]}?" if near else "--set labels.targets=[...]",
            )
    if not others:
        raise ManifestError(
            f"{path}, line 1: no target columns; the columns are {_few(header)}",
            hint=f"add a column of numbers per target after {header[-1]}",
        )
    return wanted or others


def read_table(text: str, header: Sequence[str], targets: Sequence[str], path: Path) -> pd.DataFrame:
    """Every column, a row per line of the file, blank lines included; those that are no numbers stay text."""
    numbers = ("start_s", "end_s", *targets)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.BytesIO(text.encode()),  # half or a quarter of what a StringIO takes
                header=0,
                names=list(header),
                index_col=False,
                dtype={name: "str" for name in header if name not in numbers},
                na_values={name: MISSING_WORDS if name in numbers else [""] for name in header},
                keep_default_na=False,
                skip_blank_lines=False,
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise ManifestError(
            f"{path}: {sentence(str(error))[:500]}", hint=f"every row needs the {len(header)} columns of line 1"
        ) from error


def read_words(table: pd.DataFrame, name: str, lines: Array, path: Path) -> list[str]:
    """A column of text, no cell empty."""
    words = table[name].str.strip()
    empty = (words.isna() | (words == "")).to_numpy()
    if empty.any():
        raise ManifestError(f"{path}, line {lines[empty.argmax()]}: column {name!r} is empty; expected a {name}")
    _check_lengths(words, name, lines, path)
    return [from_cell(str(word)) for word in words.tolist()]


def _check_lengths(words: "pd.Series[str]", name: str, lines: Array, path: Path) -> None:
    long = (words.str.len() > MOST_CELL).to_numpy(bool, na_value=False)
    if long.any():
        row = int(long.argmax())
        raise ManifestError(
            f"{path}, line {lines[row]}: column {name!r} has {len(words.iloc[row])} characters; "
            f"expected at most {MOST_CELL}"
        )


def read_numbers(table: pd.DataFrame, name: str, lines: Array, path: Path) -> Array:
    """A column as (M,) float64, NaN where empty. Errors: ManifestError for the first cell that is no number."""
    column = table[name]
    if pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
        numbers = pd.to_numeric(column.astype("str").where(column.notna()), errors="coerce")
        wrong = (numbers.isna() & column.notna()).to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            hint = "leave the cell empty where there is no value"
            if name not in OWN_COLUMNS:
                hint = "is this column no target? --set labels.targets=[...] names those that are"
            raise ManifestError(
                f"{path}, line {lines[row]}: column {name!r} is {shown(column.iloc[row])}; expected a number", hint=hint
            )
        column = numbers
    values = column.to_numpy(np.float64)
    infinite = np.isinf(values)
    if name != "end_s" and infinite.any():
        row = int(infinite.argmax())
        raise ManifestError(f"{path}, line {lines[row]}: column {name!r} is infinite; expected a finite number")
    return values


def read_spans(table: pd.DataFrame, lines: Array, path: Path) -> tuple[Array, Array]:
    """Starts and ends in seconds, each (M,) float64; an empty start is 0, an empty end infinite."""
    start_s = np.nan_to_num(read_numbers(table, "start_s", lines, path), nan=0.0)
    end_s = read_numbers(table, "end_s", lines, path)
    end_s = np.where(np.isnan(end_s), np.inf, end_s)
    for name, values in (("start_s", start_s), ("end_s", end_s)):
        if (values < 0).any():
            row = int((values < 0).argmax())
            raise ManifestError(f"{path}, line {lines[row]}: {name} is {values[row]:g}; expected seconds, at least 0")
    if (end_s <= start_s).any():
        row = int((end_s <= start_s).argmax())
        raise ManifestError(
            f"{path}, line {lines[row]}: end_s is {end_s[row]:g} and start_s {start_s[row]:g}; "
            "expected end_s after start_s",
            hint="spans are [start_s, end_s) in seconds; an empty end_s means the video's end",
        )
    return start_s, end_s


def read_splits(table: pd.DataFrame, lines: Array, path: Path) -> list[str] | None:
    """A word of SPLITS for each row; None without the column, or where all of it is empty."""
    if "split" not in table or table["split"].isna().all():
        return None
    words = table["split"].str.strip()
    _check_lengths(words, "split", lines, path)
    wrong = (~words.isin(SPLITS)).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        word = words.iloc[row]
        near = difflib.get_close_matches(str(word), SPLITS, n=1, cutoff=0.3)
        raise ManifestError(
            f"{path}, line {lines[row]}: split is {'empty' if pd.isna(word) else repr(word)}; "
            f"expected {', '.join(SPLITS)}",
            hint=f"did you mean {near[0]}?" if near else "every row needs a split, or none",
        )
    return [str(word) for word in words.tolist()]
