"""Columns of a label table out of CSV text: every cell a text, a number or empty, or an error that names its line."""

import csv
import difflib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import ManifestError
from .records import Array

REQUIRED = ("video", "subject", "start_s", "end_s")
OWN_COLUMNS = (*REQUIRED, "split")
SPLITS = ("train", "validation", "test")
MISSING_WORDS = ["", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "null", "None"]
FIRST_LINE = 2  # line 1 holds the column names


def read_text(path: Path) -> str:
    """The file's text. Errors: ManifestError for a file that is missing, empty or not UTF-8."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ManifestError(f"manifest {path} {what}; expected a CSV file", hint="--labels FILE.csv")
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ManifestError(f"manifest {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ManifestError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8",
            hint="save the table as CSV UTF-8",
        ) from error
    if not text.strip():
        raise ManifestError(f"manifest {path} is empty", hint=f"first line: {','.join(REQUIRED)},TARGET,...")
    return text


def read_header(text: str, path: Path) -> list[str]:
    """Names of the columns. Errors: ManifestError where one of REQUIRED is missing or a name stands twice."""
    try:
        header = [name.strip() for name in next(csv.reader(io.StringIO(text)))]
    except csv.Error as error:
        raise ManifestError(f"{path}, line 1: {error}", hint="save the table as CSV UTF-8") from error
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        near = difflib.get_close_matches(missing[0], header, n=1)
        hint = f"rename {near[0]!r} to {missing[0]!r}?" if near else f"first line: {','.join(REQUIRED)},TARGET,..."
        if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
            hint = "separate the columns with commas"
        raise ManifestError(
            f"{path}, line 1: no column {', '.join(map(repr, missing))}; the columns are {', '.join(header)}", hint=hint
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ManifestError(f"{path}, line 1: column {twice[0]!r} stands twice", hint="give each column its own name")
    return header


def choose_targets(header: Sequence[str], wanted: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """The wanted target columns; with none wanted, every column that is not one of OWN_COLUMNS."""
    others = tuple(name for name in header if name and name not in OWN_COLUMNS)
    for name in wanted:
        if name not in others:
            near = difflib.get_close_matches(name, others, n=1)
            raise ManifestError(
                f"{path}, line 1: no target column {name!r}; the others are {', '.join(others) or 'none'}",
                hint=f"did you mean {near[0]}?" if near else "--set labels.targets=[...]",
            )
    if not others:
        raise ManifestError(
            f"{path}, line 1: no target columns; the columns are {', '.join(header)}",
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
                io.StringIO(text),
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
            f"{path}: {str(error).strip()}", hint=f"every row needs the {len(header)} columns of line 1"
        ) from error


def read_words(table: pd.DataFrame, name: str, lines: Array, path: Path) -> list[str]:
    """A column of text, no cell empty."""
    words = table[name].str.strip()
    empty = (words.isna() | (words == "")).to_numpy()
    if empty.any():
        raise ManifestError(f"{path}, line {lines[empty.argmax()]}: column {name!r} is empty; expected a {name}")
    return [str(word) for word in words.tolist()]


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
                f"{path}, line {lines[row]}: column {name!r} is {column.iloc[row]!r}; expected a number", hint=hint
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
