"""Which pictures make a recording, and the time of each: from their numbers and a rate, or from a table."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd
from pathlib import Path

import numpy as np

from ....cache.cell_values import decimal_sign, times
from ....cache.pictures import is_list, series_at
from ....cache.records import Array
from ....cache.tables import Table, read_table
from ....errors import ManifestError, VideoError, listed, shown

MOST_FRAMES = 10_000_000  # a hundred hours: beyond that, a number in a name is no frame's
RATE_HINT = "--picture-fps 25 says how many pictures there are in a second"
PATHS = ("path", "picture", "image", "frame", "file", "filename")
TIMES = {"time_s": 1.0, "time": 1.0, "timestamp": 1.0, "time_ms": 0.001, "timestamp_ms": 0.001}  # name -> its unit, s
_LIST_HINT = (
    "columns: path, time_s; paths count from the table's folder. For a table of features: affect import-features"
)


@dataclass(frozen=True, slots=True)
class PictureList:
    """F frames of a recording: the picture of each, and when it is shown."""

    files: Sequence[Path | None]  # (F,); None: its number is missing
    time_s: Array  # (F,) float64 from the first frame, non-decreasing
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """Frames without a picture."""
        return sum(file is None for file in self.files)

    @property
    def fps(self) -> float | None:
        """Mean rate; None where all times are the same."""
        return (len(self.time_s) - 1) / self.time_s[-1] if self.time_s[-1] > 0 else None


def picture_list(path: Path, fps: float | None = None) -> PictureList:
    """The pictures of a folder, of a pattern such as `faces/%05d.jpg`, or of a table of paths and times.

    fps: of the frames that the numbers count; a table says its times itself.
    Errors: VideoError where there are none, the rate is not known, or a number cannot be a frame's.
    """
    if is_list(path):
        try:
            return _of_table(path)
        except ManifestError as error:
            raise VideoError(error.message, hint=error.hint) from error
    series = series_at(path)
    if fps is None:
        raise VideoError(f"{path} holds {len(series.files)} numbered pictures; expected to know their rate",
                         hint=RATE_HINT)  # fmt: skip
    numbers = list(series.files)
    step, origin = _counted(numbers)
    frames = (numbers[-1] - origin) // step + 1
    if frames > MOST_FRAMES:
        raise VideoError(
            f"{path}: picture {numbers[-1]} would be frame {frames:,} of the recording; expected "
            f"pictures numbered by frames, at most {MOST_FRAMES:,}",
            hint="list pictures and times in a CSV, with the columns path and time_s",
        )
    files: list[Path | None] = [None] * frames
    for number, name in series.files.items():
        files[(number - origin) // step] = series.folder / name
    said = []
    if step > 1:
        said.append(f"the numbers of its pictures go up by {step}; {fps:g} a second are counted by number: "
                    f"{fps / step:g} pictures")  # fmt: skip
    if numbers[0] > origin:
        said.append(f"times count from picture {origin}; the first that is there, {numbers[0]}, is at "
                    f"{(numbers[0] - origin) / fps:.2f} s")  # fmt: skip
    return PictureList(files, np.arange(frames) * step / fps, tuple(said))


def _counted(numbers: Sequence[int]) -> tuple[int, int]:
    """How far the number goes up from frame to frame, and that of the first frame: 0 or 1 unless it cannot be."""
    step = reduce(gcd, (number - numbers[0] for number in numbers)) or 1
    return step, numbers[0] if numbers[0] <= step else (1 if step == 1 else numbers[0] % step)


def _of_table(path: Path) -> PictureList:
    def fits(names: Sequence[str]) -> bool:
        return _one_of(PATHS, names) is not None

    table = read_table(path, fits)
    column, clock = _one_of(PATHS, table.names), _one_of(tuple(TIMES), table.names)
    if column is None or clock is None:
        lacks = f"one of {', '.join(PATHS)}" if column is None else f"one of {', '.join(TIMES)}"
        raise VideoError(f"{table.place} has the columns {listed(table.names, 12)}; expected {lacks}", hint=_LIST_HINT)
    if len(table) == 0:
        raise VideoError(f"{table.place} lists no picture; expected some", hint=_LIST_HINT)
    files = [_below(path.parent, name, table.where(row)) for row, name in enumerate(table.texts(column))]
    time_s, said = _times(table, clock)
    if (np.diff(time_s) < 0).any():
        row = int(np.flatnonzero(np.diff(time_s) < 0)[0]) + 1
        raise VideoError(
            f"{table.where(row)}: column {clock!r} goes back from {time_s[row - 1]:g} s to {time_s[row]:g} s; expected "
            "times that go up",
            hint="sort the rows by time; one table for each recording",
        )
    return PictureList(files, time_s - time_s[0], said)


def _below(folder: Path, name: str, where: str) -> Path:
    """A picture that a table, maybe a stranger's, names. Errors: VideoError for one outside the table's folder."""
    place = Path(os.path.abspath(folder / name))  # noqa: PTH100 - a link in the folder may stay one
    if not place.is_relative_to(os.path.abspath(folder)):  # noqa: PTH100
        raise VideoError(f"{where}: {shown(name)} is outside the table's folder; expected a picture below it",
                         hint="put the table into a folder above the pictures; paths count from there")  # fmt: skip
    return place


def _times(table: Table, column: str) -> tuple[Array, tuple[str, ...]]:
    """Times in seconds, and in a sentence how they were written if not as numbers."""
    (time_s,), written = times(table, [column], "auto", decimal_sign(table, [column]))
    wrong = ~np.isfinite(time_s)
    if wrong.any():
        row = int(wrong.argmax())
        raise VideoError(f"{table.where(row)}: column {column!r} holds no time; expected one", hint=_LIST_HINT)
    if written != "number":
        return time_s, (f"times of its pictures are read as {written}",)
    return time_s * TIMES[column.lower()], ()


def _one_of(known: Sequence[str], names: Sequence[str]) -> str | None:
    """The first column, as it is written, that has one of the known names."""
    found = {name.lower(): name for name in names}
    return next((found[name] for name in known if name in found), None)
