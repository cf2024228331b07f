"""What every data set's reader starts from and ends in: a table of cells, rows of labels, and what was wrong."""

import io
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import pandas as pd

from ...cache.manifest import Manifest
from ...cache.manifest_csv import MOST_BYTES, MOST_COLUMNS, MOST_HEADER, read_bounded, too_large
from ...cache.records import Target
from ...errors import ManifestError

Cells = Mapping[str, object]
Kind = Literal[
    "video without labels",
    "labels without a video",
    "value outside its scale",
    "value is no number",
    "no usable value",
    "repeated row",
    "does not fit the video",
    "one of several people",
    "video cannot be read",
    "column is ambiguous",
]
SPLIT_WORDS = {"train": "train", "valid": "validation", "test": "test"}  # as data sets say them -> as manifests do


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that kept a label or a video out of the manifest, or a value out of its row."""

    kind: Kind
    name: str  # the video's or the label's name in the data set
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One labelled span; NaN where a target has no value."""

    video: str
    subject: str
    start_s: float
    end_s: float  # infinite: to the video's end
    values: tuple[float, ...]
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """The labels of one manifest, and everything that did not become one."""

    rows: tuple[LabelRow, ...]
    targets: tuple[Target, ...]
    problems: tuple[Problem, ...]
    part: str = ""  # tells the manifests of one data set apart where there are several

    def manifest(self) -> Manifest:
        """The rows as a manifest, in order. Errors: ManifestError where no row is left."""
        if not self.rows:
            first = "; ".join(f"{p.kind}: {p.name} {p.detail}".strip() for p in self.problems[:3])
            what = f"label of {self.part}" if self.part else "label"
            raise ManifestError(f"no {what} is left to write ({first or 'the tables are empty'})")
        splits = [row.split for row in self.rows if row.split is not None]
        if len(splits) not in (0, len(self.rows)):
            lone = next(row for row in self.rows if row.split is None)
            raise ManifestError(
                f"{lone.video} is in no split, {len(splits)} other rows are in one",
                hint="let train, valid or test stand in the name of every annotation file, or of its folder",
            )
        return Manifest(
            videos=[row.video for row in self.rows],
            subjects=[row.subject for row in self.rows],
            start_s=np.array([row.start_s for row in self.rows], np.float64),
            end_s=np.array([row.end_s for row in self.rows], np.float64),
            splits=splits or None,
            targets=self.targets,
            labels=np.array([row.values for row in self.rows], np.float64),
        )


@dataclass(frozen=True, slots=True)
class VideoFiles:
    """The data set's videos: path below its root -> path to write into the manifest."""

    paths: Mapping[str, str]

    def with_stem(self, stem: str) -> list[str]:
        """Paths whose file name without suffix is `stem`, whatever its case."""
        return [path for path in self.paths if PurePosixPath(path).stem.lower() == stem.lower()]

    def unused(self, used: set[str]) -> tuple[Problem, ...]:
        """A problem for each video that no row names."""
        return tuple(Problem("video without labels", path) for path in sorted(set(self.paths) - used))


def read_cells(path: Path) -> pd.DataFrame:
    """The cells of a CSV or Excel table as they were typed, so that subject 007 stays that.

    Errors: ManifestError for a file that is neither.
    """
    try:
        data = io.BytesIO(read_bounded(path))
        if path.suffix.lower() in {".xlsx", ".xlsm"}:
            with zipfile.ZipFile(data) as parts:  # it gives no more of a part than its size says
                if sum(part.file_size for part in parts.infolist()) > MOST_BYTES:
                    raise too_large(path)
            table = pd.read_excel(data, engine="openpyxl", dtype=object)
        else:
            if (columns := len(header(path))) > MOST_COLUMNS:
                raise ManifestError(f"{path} has {columns} columns or more; expected at most {MOST_COLUMNS}")
            table = pd.read_csv(data, encoding="utf-8-sig", skipinitialspace=True, dtype=object)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ManifestError(f"{path} cannot be read as a table: {error}", hint="CSV UTF-8 or .xlsx") from error
    table.columns = [str(name).strip() for name in table.columns]
    return table.dropna(how="all")


def header(path: Path) -> list[str]:
    """The words of a text file's first line, between commas, in lower case; of a very long line those at its start."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        return [word.strip().lower() for word in lines.readline(MOST_HEADER).split(",", MOST_COLUMNS + 1)]


def records(table: pd.DataFrame) -> list[Cells]:
    """The rows of a table, column -> cell."""
    return [{str(name): cell for name, cell in cells.items()} for cells in table.to_dict("records")]


def require_columns(table: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """Refuse a table without these columns. Errors: ManifestError naming what is missing and what is there."""
    missing = [name for name in names if name not in table]
    if missing:
        raise ManifestError(
            f"{path}: no column {', '.join(map(repr, missing))}; the columns are {', '.join(map(str, table.columns))}",
            hint=f"expected {','.join(names)}",
        )


def text(cell: object) -> str:
    """A cell as words: Excel's 7.0 is the 7 that was typed; empty for an empty cell."""
    if isinstance(cell, float | np.floating):
        if np.isnan(cell):
            return ""
        if float(cell).is_integer():
            return str(int(cell))
    return str(cell).strip()


def number(cell: object, name: str, column: str, problems: list[Problem]) -> float:
    """A cell as a number, NaN where empty; NaN and a problem where it is something else."""
    try:
        return float(text(cell)) if text(cell) else float("nan")
    except ValueError:
        problems.append(Problem("value is no number", name, f"{column} is {cell!r}"))
        return float("nan")


def scaled(value: float, target: Target, name: str, problems: list[Problem]) -> float:
    """The value; NaN and a problem where it lies outside its target's range."""
    if np.isnan(value) or target.low <= value <= target.high:
        return value
    problems.append(
        Problem("value outside its scale", name, f"{target.name} is {value:g}; {target.low:g} to {target.high:g}")
    )
    return float("nan")


def drop_repeats(rows: Sequence[LabelRow], problems: list[Problem]) -> tuple[LabelRow, ...]:
    """The rows with each span of a video once; the first stands."""
    seen: Counter[tuple[str, str, float, float]] = Counter()
    kept = []
    for row in rows:
        key = (row.video, row.subject, row.start_s, row.end_s)
        seen[key] += 1
        if seen[key] == 1:
            kept.append(row)
        else:
            problems.append(Problem("repeated row", row.video, f"{row.start_s:g} to {row.end_s:g} s"))
    return tuple(kept)


def plain(name: str) -> str:
    """A column's name for comparing: lower case letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
