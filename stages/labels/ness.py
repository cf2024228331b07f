"""Clinical interviews: PANSS negative symptoms and CAINS expression, one row of ratings per interview.

Source: Kay, Fiszbein & Opler, Schizophrenia Bulletin 1987 (PANSS, items 1 to 7, seven negative items);
Kring et al., American Journal of Psychiatry 2013 (CAINS, items 0 to 4, four expression items).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from ...errors import ManifestError
from .tables import (
    Cells,
    LabelRow,
    Prepared,
    Problem,
    Scale,
    VideoFiles,
    drop_repeats,
    number,
    plain,
    read_cells,
    records,
    scaled,
    text,
)

ScaleName = Literal["panss", "cains"]
VIDEO_COLUMNS = ("video", "file", "interview", "recording")
SUBJECT_COLUMNS = ("subject", "patient", "participant", "id", "subjectid", "patientid", "participantid")


@dataclass(frozen=True, slots=True)
class Instrument:
    """A rating scale: its items with the column names they go by, which of them are targets, and its total."""

    items: dict[str, tuple[str, ...]]
    targets: tuple[str, ...]
    low: float
    high: float

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The targets and the total, in the scale's own units."""
        total = Scale("total", self.low * len(self.items), self.high * len(self.items), "points")
        return (*(Scale(name, self.low, self.high, "points") for name in self.targets), total)


INSTRUMENTS: dict[ScaleName, Instrument] = {
    "panss": Instrument({f"n{n}": (f"n{n}", f"panssn{n}") for n in range(1, 8)}, ("n3", "n6", "n1"), 1, 7),
    "cains": Instrument(
        {
            "facial": ("facial", "facialexpression", "cainsfacial", "exp1", "cains10"),
            "vocal": ("vocal", "vocalexpression", "cainsvocal", "exp2", "cains11"),
            "gestures": ("gestures", "expressivegestures", "cainsgestures", "exp3", "cains12"),
            "speech": ("speech", "quantityofspeech", "cainsspeech", "exp4", "cains13"),
        },
        ("facial", "vocal", "gestures", "speech"), 0, 4,
    ),
}  # fmt: skip
TOTALS: dict[ScaleName, tuple[str, ...]] = {
    "panss": ("pansstotal", "panssnegative", "panssnegativetotal", "negativetotal", "total"),
    "cains": ("cainstotal", "cainsexpression", "cainsexptotal", "expressiontotal", "total"),
}


def scales_in(path: Path) -> list[ScaleName]:
    """The instruments of which a table has every target item."""
    columns = list(read_cells(path).columns)
    return [
        name
        for name, instrument in INSTRUMENTS.items()
        if all(_column(columns, instrument.items[item]) is not None for item in instrument.targets)
    ]


def read_ness(path: Path, scale: ScaleName, videos: VideoFiles) -> Prepared:
    """A row per interview whose video is there, spanning all of it, in the scale's own units.

    The total is the table's own, and where it has none the sum of all items. A value outside its scale is left out.
    Errors: ManifestError naming the columns a table lacks.
    """
    table = read_cells(path)
    columns = list(table.columns)
    instrument = INSTRUMENTS[scale]
    video_column = _required(columns, VIDEO_COLUMNS, "video", path)
    subject_column = _required(columns, SUBJECT_COLUMNS, "subject", path)
    for item in instrument.targets:
        _required(columns, instrument.items[item], item, path)
    rows: list[LabelRow] = []
    problems: list[Problem] = []
    used: set[str] = set()
    for cells in records(table):
        name = text(cells[video_column])
        file = _file(name, videos)
        if file is None:
            problems.append(Problem("labels without a video", name))
            continue
        used.add(file)
        values = _ratings(cells, columns, scale, name, problems)
        if np.isnan(values).all() or not text(cells[subject_column]):
            problems.append(Problem("no usable value", name, "" if text(cells[subject_column]) else "no subject"))
            continue
        rows.append(LabelRow(videos.paths[file], text(cells[subject_column]), 0.0, float("inf"), values))
    return Prepared(drop_repeats(rows, problems), instrument.scales, (*problems, *videos.unused(used)))


def _ratings(
    cells: Cells, columns: Sequence[str], scale: ScaleName, name: str, problems: list[Problem]
) -> tuple[float, ...]:
    """The targets' values, and last the total."""
    instrument = INSTRUMENTS[scale]
    items: dict[str, float] = {}
    for item, names in instrument.items.items():
        column = _column(columns, names)
        value = float("nan") if column is None else number(cells[column], name, column, problems)
        items[item] = scaled(value, Scale(item, instrument.low, instrument.high), name, problems)
    column = _column(columns, TOTALS[scale])
    total = sum(items.values()) if column is None else number(cells[column], name, column, problems)
    return (*(items[item] for item in instrument.targets), scaled(total, instrument.scales[-1], name, problems))


def _file(name: str, videos: VideoFiles) -> str | None:
    """The video an interview's row names: a path, a file name, or one without suffix."""
    wanted = PurePosixPath(name)
    matching = [path for path in videos.paths if PurePosixPath(path) == wanted or PurePosixPath(path).name == name]
    return next(iter(matching or videos.with_stem(wanted.stem if wanted.suffix else name)), None) if name else None


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
