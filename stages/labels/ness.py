"""Clinical interviews: PANSS negative symptoms and CAINS expression, one row of ratings per interview.

A table may hold both instruments. They become a manifest each: both have a total of their own, and a run has one.
The data sets `panss` and `cains` are one instrument of a table, `ness` is every one that it holds.

Source: Kay, Fiszbein & Opler, Schizophrenia Bulletin 1987 (PANSS, items 1 to 7, seven negative items);
Kring et al., American Journal of Psychiatry 2013 (CAINS, items 0 to 4, four expression items).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ...cache.records import Target
from ...cache.tables import Fits, Table, read_table
from ...errors import ManifestError
from .registry import Reader, ReaderInput
from .tables import (
    Cells,
    LabelRow,
    Prepared,
    Problem,
    VideoFiles,
    drop_repeats,
    header,
    number,
    plain,
    records,
    scaled,
    text,
    understood,
    video_named,
)

VIDEO_COLUMNS = ("video", "file", "interview", "recording")
SUBJECT_COLUMNS = ("subject", "patient", "participant", "id", "subjectid", "patientid", "participantid")
TOTAL_OF_ONE = "total"  # a column's name that says whose total it is only where a table holds one instrument


@dataclass(frozen=True, slots=True)
class Instrument:
    """A rating scale: its items with the column names they go by, which of them are targets, and its total's."""

    name: str
    items: Mapping[str, tuple[str, ...]]
    rated: tuple[str, ...]
    total: tuple[str, ...]
    low: float  # of an item
    high: float

    @property
    def targets(self) -> tuple[Target, ...]:
        """The rated items and last the total, in the instrument's own units."""
        total = Target("total", self.low * len(self.items), self.high * len(self.items), "points")
        return (*(Target(name, self.low, self.high, "points") for name in self.rated), total)


PANSS = Instrument(
    "panss",
    {f"n{n}": (f"n{n}", f"panssn{n}") for n in range(1, 8)},
    ("n3", "n6", "n1"),
    ("pansstotal", "panssnegative", "panssnegativetotal", "negativetotal", TOTAL_OF_ONE),
    1, 7,
)  # fmt: skip
CAINS = Instrument(
    "cains",
    {
        "facial": ("facial", "facialexpression", "cainsfacial", "exp1", "cains10"),
        "vocal": ("vocal", "vocalexpression", "cainsvocal", "exp2", "cains11"),
        "gestures": ("gestures", "expressivegestures", "cainsgestures", "exp3", "cains12"),
        "speech": ("speech", "quantityofspeech", "cainsspeech", "exp4", "cains13"),
    },
    ("facial", "vocal", "gestures", "speech"),
    ("cainstotal", "cainsexpression", "cainsexptotal", "expressiontotal", TOTAL_OF_ONE),
    0, 4,
)  # fmt: skip


def instruments_in(columns: Sequence[str]) -> list[Instrument]:
    """The instruments of which a table has every rated item."""
    return [
        instrument
        for instrument in (PANSS, CAINS)
        if all(_column(columns, instrument.items[item]) is not None for item in instrument.rated)
    ]


def fits(wanted: Sequence[Instrument], file: Path) -> bool:
    """Whether a table holds one of these instruments; a manifest has such columns too and is none."""
    names, holds = header(file, _holds(wanted)), _holds(wanted)
    return "start_s" not in names and holds(names)


def _holds(wanted: Sequence[Instrument]) -> Fits:
    return lambda names: any(instrument in wanted for instrument in instruments_in(names))


def read(wanted: Sequence[Instrument], data: ReaderInput) -> list[Prepared]:
    """The ratings of each of these instruments that the table holds, a `Prepared` each, named where they are several.

    Errors: ManifestError naming the columns that a table of none of them lacks.
    """
    path = data.tables[0]
    table = read_table(path, _holds(wanted), data.reading.sheet)
    held = instruments_in(table.names)
    ignored: set[str] = set()
    unclear: list[Problem] = []
    if len(held) > 1:
        ignored = {column for column in table.names if plain(column) == TOTAL_OF_ONE}
        names = [instrument.name for instrument in held]
        detail = f"of {' or '.join(names)}? call it {' total or '.join(names)} total; left out"
        unclear = [Problem("column is ambiguous", column, detail) for column in table.names if column in ignored]
    chosen = [instrument for instrument in wanted if instrument in held] or wanted[:1]
    found = [(instrument, read_instrument(table, instrument, data.videos, ignored)) for instrument in chosen]
    return [
        replace(part, problems=(*unclear, *part.problems), part=instrument.name if len(chosen) > 1 else "",
                understood=(understood(table),))
        for instrument, part in found
    ]  # fmt: skip


def read_instrument(table: Table, instrument: Instrument, videos: VideoFiles, ignored: Collection[str]) -> Prepared:
    """A row per interview whose video is there, spanning all of it, in the instrument's own units.

    ignored: columns that are not looked at. The total is the table's own, and where it has none the sum of all items.
    A value outside its scale is left out. Errors: ManifestError naming the columns a table lacks.
    """
    columns, path = [name for name in table.names if name not in ignored], table.path
    video_column = _required(columns, VIDEO_COLUMNS, "video", path)
    subject_column = _required(columns, SUBJECT_COLUMNS, "subject", path)
    for item in instrument.rated:
        _required(columns, instrument.items[item], item, path)
    rows: list[LabelRow] = []
    problems: list[Problem] = []
    used: set[str] = set()
    for cells in records(table):
        name = text(cells[video_column])
        file = video_named(name, videos, problems)
        if file is None:
            continue
        used.add(file)
        values = _ratings(cells, columns, instrument, name, problems)
        if np.isnan(values).all() or not text(cells[subject_column]):
            problems.append(Problem("no usable value", name, "" if text(cells[subject_column]) else "no subject"))
            continue
        rows.append(LabelRow(videos.paths[file], text(cells[subject_column]), 0.0, float("inf"), values))
    return Prepared(drop_repeats(rows, problems), instrument.targets, (*problems, *videos.unused(used)))


def _ratings(
    cells: Cells, columns: Sequence[str], instrument: Instrument, name: str, problems: list[Problem]
) -> tuple[float, ...]:
    """The values of `instrument.targets`."""
    items: dict[str, float] = {}
    for item, names in instrument.items.items():
        column = _column(columns, names)
        value = float("nan") if column is None else number(cells[column], name, column, problems)
        items[item] = scaled(value, Target(item, instrument.low, instrument.high), name, problems)
    column = _column(columns, instrument.total)
    total = sum(items.values()) if column is None else number(cells[column], name, column, problems)
    return (*(items[item] for item in instrument.rated), scaled(total, instrument.targets[-1], name, problems))


def _column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    known = {plain(column): column for column in columns}
    return next((known[name] for name in names if name in known), None)


def _required(columns: Sequence[str], names: Sequence[str], what: str, path: Path) -> str:
    column = _column(columns, names)
    if column is None:
        raise ManifestError(
            f"{path}: no column for {what}; the columns are {', '.join(columns)}", hint=f"name it {names[0]}"
        )
    return column


def _reader(wanted: Sequence[Instrument], expected: str) -> Reader:
    return Reader((".csv", ".xlsx"), f"{expected}, one row per interview", partial(fits, wanted), partial(read, wanted))


NESS_READER = _reader((PANSS, CAINS), "a table of PANSS or CAINS items")
PANSS_READER = _reader((PANSS,), "a table with columns n1, n3 and n6")
CAINS_READER = _reader((CAINS,), "a table with columns facial, vocal, gestures and speech")
