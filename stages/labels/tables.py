"""What every data set's reader starts from and ends in: a table of cells, rows of labels, and what was wrong."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...cache.cell_values import MISSING_WORDS, is_numeric
from ...cache.manifest import Manifest
from ...cache.records import Target
from ...cache.spelling import folded
from ...cache.tables import Fits, Table, few, read_header
from ...cache.walk import without_video_suffix
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
    "column is no target",
    "name is ambiguous",
]
NOTHING_LEFT: Mapping[Kind, str] = {  # what helps where this kept every label out
    "labels without a video": "--videos DIR names the folder of the recordings; a table, or its column for the video, "
    "has to have the names of the files there",
    "name is ambiguous": "call each recording as it is called in the labels, or write the whole file name there",
    "does not fit the video": "--videos DIR, if these are the wrong recordings",
    "column is no target": "a target is a column of numbers, or of a few words that come again",
    "value is no number": "write numbers, with a point before the decimals, and nothing else in their cells",
    "value outside its scale": "mend these values; or name the table that is meant with --table",
    "video cannot be read": "affect check-videos says what is wrong with a recording",
}
PANDAS_WORDS = ("NaN", "<NA>", "#NA", "#N/A N/A", "-NaN", "-nan", "1.#QNAN", "1.#IND", "-1.#QNAN", "-1.#IND")
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
    understood: tuple[str, ...] = ()  # a line for each table, or for all that are alike: what it was read as

    def manifest(self) -> Manifest:
        """The rows as a manifest, in order. Errors: ManifestError where no row is left."""
        if not self.rows:
            first = "; ".join(f"{p.kind}: {p.name} {p.detail}".strip() for p in self.problems[:3])
            what = f"label of {self.part}" if self.part else "label"
            hints = [NOTHING_LEFT[p.kind] for p in self.problems if p.kind in NOTHING_LEFT]
            raise ManifestError(
                f"no {what} is left to write ({first or 'the tables are empty'})",
                hint=hints[0] if hints else "a row needs a video, and a number in one of its labels",
            )
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


@dataclass(frozen=True)
class VideoFiles:
    """The data set's videos: path below its root -> path to write into the manifest."""

    paths: Mapping[str, str]

    def with_stem(self, stem: str) -> list[str]:
        """Paths whose file name without suffix is `stem`, whatever its case."""
        return self._stems.get(stem.lower(), [])

    def named(self, name: str) -> list[str]:
        """Paths of the file that a data set calls `name`: its path, its file name, or that without suffix.

        Where there is none, of those whose name differs only in case, zeros and punctuation; and then in a prefix that
        one of both has, as P01 for 1. Several of these cannot be told apart.
        """
        wanted = PurePosixPath(name.replace("\\", "/"))
        if not wanted.name:
            return []
        if name in self.paths:
            return [name]
        stem = without_video_suffix(wanted.name)
        same = self._names.get(wanted.name) or self.with_stem(stem) or self.with_stem(wanted.stem)
        key = folded(stem)
        if same or key in self._folded:
            return same or self._folded[key]
        return self._bare.get(key, []) or self._folded.get(bare(key), [])

    def unused(self, used: set[str]) -> tuple[Problem, ...]:
        """A problem for each video that no row names."""
        return tuple(Problem("video without labels", path) for path in sorted(set(self.paths) - used))

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return _by(self.paths, lambda path: path.name)

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        return _by(self.paths, lambda path: path.stem.lower())

    @cached_property
    def _folded(self) -> dict[str, list[str]]:
        return _by(self.paths, lambda path: folded(path.stem))

    @cached_property
    def _bare(self) -> dict[str, list[str]]:
        return _by(self.paths, lambda path: bare(folded(path.stem)))


def video_named(name: str, videos: VideoFiles, problems: list[Problem]) -> str | None:
    """The one video that a data set calls `name`; None and a problem where there is none, or it may be several."""
    files = videos.named(name)
    if len(files) == 1:
        return files[0]
    if files:
        problems.append(Problem("name is ambiguous", name, f"it may be {' or '.join(files[:4])}"))
    else:
        problems.append(Problem("labels without a video", name))
    return None


def _by(paths: Iterable[str], key: Callable[[PurePosixPath], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(key(PurePosixPath(path)), []).append(path)
    return found


def bare(key: str) -> str:
    """A folded name without the letters before its first number: `p1 a` is `1 a`."""
    return re.sub(r"^[^\W\d]+ ?(?=\d)", "", key)


def header(path: Path, fits: Fits | None = None) -> list[str]:
    """The names of a table's columns, in lower case. Errors: ManifestError for what is no table."""
    return [name.lower() for name in read_header(path, fits)]


def understood(table: Table) -> str:
    """In one line, what a table was read as."""
    rows = f"{len(table)} row{'s' if len(table) != 1 else ''}"
    comma = ["decimal comma"] if _comma_columns(table) else []
    return f"{table.path.name}: {'; '.join([rows, f'columns {few(table.names)}', *table.layout, *comma])}"


def records(table: Table) -> list[Cells]:
    """The rows of a table, column -> cell; empty where a cell says that it is missing."""
    missing = pa.array(["", *MISSING_WORDS, *PANDAS_WORDS])
    comma = _comma_columns(table)
    columns = []
    for name in table.names:
        cells = pc.if_else(pc.is_in(table.cells[name], missing), "", table.cells[name])
        columns.append((pc.replace_substring(cells, ",", ".") if name in comma else cells).to_pylist())
    return [dict(zip(table.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _comma_columns(table: Table) -> set[str]:
    """Columns of numbers with a decimal comma; none where other numbers of the table have a point."""
    if table.points_only:
        return set()
    numeric = [name for name in table.names if is_numeric(table, name)]
    with_sign = [
        {name for name in numeric if pc.any(pc.match_substring(table.cells[name], sign)).as_py()} for sign in ",."
    ]
    return set() if with_sign[1] else with_sign[0]


def require_columns(table: Table, names: Sequence[str], path: Path) -> None:
    """Refuse a table without these columns. Errors: ManifestError naming what is missing and what is there."""
    missing = [name for name in names if name not in table.names]
    if missing:
        raise ManifestError(
            f"{path}: no column {', '.join(map(repr, missing))}; the columns are {few(table.names)}",
            hint=f"expected {','.join(names)}",
        )


def text(cell: object) -> str:
    """A cell as words; empty for an empty cell."""
    return str(cell).strip()


def number(cell: object, name: str, column: str, problems: list[Problem]) -> float:
    """A cell as a number, NaN where empty; NaN and a problem where it is something else."""
    words = text(cell)
    try:
        return float(words.replace("_", " ")) if words else float("nan")  # Python's own numbers may have _ in them
    except ValueError:
        problems.append(Problem("value is no number", name, f"{column} is {words!r}"))
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
