"""The cells of a table of features as numbers: times, whose face, how sure, and features that float16 can hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....cache.cell_values import MISSING_WORDS, TimeUnit, decimal_sign, is_numeric, numbers, times
from ....cache.parquet import is_parquet, read_parquet
from ....cache.records import Array
from ....cache.tables import Table, read_head, read_table
from ....errors import ManifestError, listed, shown
from .kinds import BOX, POINTS, REPEATED, Roles, TimeSource, fits

MOST_BYTES = 1 << 30  # of a table in text: all 714 columns of OpenFace for two hours at 30 frames a second
HEAD_ROWS = 200  # by which columns of words are told from columns of numbers
LARGEST = float(np.finfo(np.float16).max)
LIKE_A_NUMBER = r"^[+-]?[\d.,' ]*\d[\d.,' ]*([eE][+-]?\d+)?$|^(?i:[+-]?inf(inity)?)$|%$"
MOST_FRAME = 1 << 40
LONGEST_S = 30 * 86400.0  # a time beyond is a date, or in another unit
LARGEST_PX = 1e6
LONG_STEP = 2.0  # s; times that are further apart are hardly seconds
COARSE_SLACK_S = 1.5  # how far whole seconds may be from what a frame rate makes of a number
MOST_LOSS = 0.01  # of a feature's own spread that float16 may take without a word
NAMED = 6


@dataclass(frozen=True, slots=True)
class Columns:
    """R rows of a table, of one video or of several."""

    table: Table
    time_s: Array  # (R,) float64
    index: Array | None  # (R,) int64, number of the frame in the video, from 0; None: the table has none
    track: Array  # (R,) int64
    tracked: bool  # whether `track` follows a face from frame to frame
    renames: bool  # whether one name may stand for two faces of a frame
    video: Array  # (R,) of `videos`
    videos: tuple[str, ...]  # as they stand in the table; one that is empty where it does not say
    values: Array  # (R, D) float16; 0 where there is no value
    missing: Array  # (R,) int64, how many of the D are; all of a face that the tool says it did not find
    sure: Array  # (R,) bool: the tool is as sure of the face as was asked for
    score: Array  # (R,) float32; 1 where there is no confidence
    box_px: Array  # (R, 4) float32
    points_px: Array  # (R, 68, 2) float32, NaN where missing; (0, 0, 2) where there are none
    notes: tuple[str, ...]  # in sentences: what was done to them, and what float16 takes away

    @property
    def order(self) -> Array:
        """(R,) what rows of a video are in order by: their frames, or else their times."""
        return self.time_s if self.index is None else self.index


def head_of(path: Path) -> Table:
    """The first rows of a table. Errors: ManifestError for a file that is none."""
    return read_parquet(path, rows=HEAD_ROWS) if is_parquet(path) else read_head(path, HEAD_ROWS, fits, REPEATED)


def are_words(table: Table, name: str) -> bool:
    """Whether most cells of a column are words, dates or truths, so that it is no feature.

    A number that is written in another way is none of these: whoever reads it says so.
    """
    if is_numeric(table, name):
        return False
    missing = pc.is_in(table.cells[name], pa.array(["", *MISSING_WORDS]))
    number = pc.match_substring_regex(table.cells[name], LIKE_A_NUMBER)
    words = pc.invert(pc.or_(missing, number))
    return 2 * int(pc.sum(words).as_py() or 0) > len(table) - int(pc.sum(missing).as_py() or 0)


def videos_of(table: Table, roles: Roles) -> tuple[str, ...]:
    """The videos that a table names, in order; one empty name where it names none."""
    found = pc.unique(table.cells[roles.video]).to_pylist() if roles.video else []
    return tuple(found) if found else ("",)


def read_columns(
    path: Path, roles: Roles, names: Sequence[str], said: TimeSource, *, min_confidence: float, points: bool
) -> Columns:
    """A table's rows. names: its D columns of features; points: whether to take POINTS too.

    Errors: ManifestError naming line and column for what cannot be: words in a column of numbers, a row without a time,
    an infinite feature or one beyond float16.
    """
    numeric = {*names, *(POINTS if points else ()), *(BOX if roles.box else ()), roles.confidence, roles.success}
    wanted = {*numeric, roles.time, roles.frame, roles.face, roles.video, roles.coarse} - {""}
    if is_parquet(path):
        table = read_parquet(path, wanted.__contains__)
    else:
        table = read_table(path, fits, keep=wanted.__contains__, most_bytes=MOST_BYTES, repeated=REPEATED)
    absent = sorted(wanted - set(table.names))
    if absent:
        raise ManifestError(
            f"{table.place}: no column of numbers {listed(absent, NAMED)}; expected all that make the store's features",
            hint="--columns takes columns that all tables have, into a new --store",
        )
    if not len(table):
        raise ManifestError(f"{table.place} has column names but no rows; expected a row for each frame")
    sign = decimal_sign(table, [name for name in table.names if name in numeric or name in (roles.time, roles.frame)])
    index = _index(table, roles, sign) if roles.frame else None
    time_s = _time_s(table, roles, sign) if roles.time else _time_of_frames(table, roles, index, said.fps)
    values, missing, notes = _features(table, names, sign)
    track, tracked, named = _tracks(table, roles, sign)
    video, videos = _codes(table, roles.video)
    score = numbers(table, roles.confidence, sign) if roles.confidence else np.ones(len(table))
    surest = float(np.nanmax(score, initial=0))
    if surest > 1.001:
        raise ManifestError(
            f"{table.place}: column {roles.confidence!r} is up to {surest:g}; expected a confidence of 0 to 1",
            hint="write shares in place of percents, or give the column another name",
        )
    sure = score >= min_confidence  # not where it is missing
    if roles.success:
        missing[~(numbers(table, roles.success, sign) >= 0.5)] = max(1, len(names))
    found = _points(table, sign) if points else np.zeros((0, 0, 2), np.float32)
    return Columns(
        table, time_s, index, track, tracked, roles.kind == "py-feat", video, videos, values, missing, sure,
        np.nan_to_num(score).astype(np.float32), _boxes(table, roles, sign, found), found,
        (*notes, *named),
    )  # fmt: skip


def _index(table: Table, roles: Roles, sign: str) -> Array:
    """(R,) int64: numbers of frames from 0, whether a tool counts from 0 or from 1."""
    frame = numbers(table, roles.frame, sign)
    wrong = ~((frame >= 0) & (frame <= MOST_FRAME) & (frame == np.round(frame)))
    _refuse(table, roles.frame, wrong, "a whole number, 0 or more")
    lowest = float(frame.min())
    first = 1 if lowest == 1 or (lowest > 0 and roles.kind == "openface") else 0
    index: Array = (frame - first).astype(np.int64)
    return index


def _time_s(table: Table, roles: Roles, sign: str) -> Array:
    """(R,) float64, in seconds."""
    unit: TimeUnit = roles.unit
    (time,), how = times(table, [roles.time], unit, sign)
    _refuse(table, roles.time, ~np.isfinite(time), "the time of the row")
    if how == "number" and unit == "auto":
        steps = np.diff(np.unique(time))
        step = float(np.median(steps)) if len(steps) else 0.0
        if step > LONG_STEP or (step == 1 and bool((time == np.round(time)).all())):
            raise ManifestError(
                f"{table.place}: the times in column {roles.time!r} are {step:g} apart; expected to be told the unit",
                hint="--time-unit s, ms or frame; or let the column's name end in it, as time_ms",
            )
    time_s = time / 1000 if unit == "ms" else time
    _refuse(table, roles.time, (time_s < 0) | (time_s > LONGEST_S), "seconds from the video's first frame")
    return np.asarray(time_s, np.float64)


def _time_of_frames(table: Table, roles: Roles, index: Array | None, fps: float | None) -> Array:
    """(R,) float64: times of numbers of frames at a rate, if whole seconds in the table do not gainsay it."""
    assert index is not None and fps is not None, "roles without a time have frames and a rate"
    time_s = index / fps
    _refuse(table, roles.frame, time_s > LONGEST_S, "the number of a frame")
    if roles.coarse:
        (coarse,), _ = times(table, [roles.coarse], "auto", ".")
        off = np.abs(coarse - time_s) > COARSE_SLACK_S  # not where it is missing
        if off.any():
            row = int(off.argmax())
            raise ManifestError(
                f"{table.where(row)}: frame {index[row]} is at {time_s[row]:.1f} s with {fps:g} frames a second, and "
                f"{roles.coarse} says {coarse[row]:g} s",
                hint="--fps is the frame rate of the video, as check-videos says it",
            )
    return np.asarray(time_s, np.float64)


def _features(table: Table, names: Sequence[str], sign: str) -> tuple[Array, Array, list[str]]:
    values = np.zeros((len(table), len(names)), np.float16)
    missing = np.zeros(len(table), np.int64)
    coarse: dict[str, float] = {}
    holes: dict[str, int] = {}
    for place, name in enumerate(names):
        exact = numbers(table, name, sign, of_words="--columns names the columns that are features")
        _refuse(table, name, np.isinf(exact), "a finite number")
        _refuse(
            table, name, np.abs(exact) > LARGEST, f"at most {LARGEST:g}, the largest number that is stored (float16)",
            hint="leave the column out (--columns), or give it a larger unit",
        )  # fmt: skip
        there = np.isfinite(exact)
        exact = exact[there]
        values[there, place] = exact
        missing += ~there
        if not there.all():
            holes[name] = int((~there).sum())
        spread = float(exact.std()) if len(exact) else 0.0
        lost = float(np.sqrt(np.mean((values[there, place].astype(np.float64) - exact) ** 2))) if spread else 0.0
        if lost > MOST_LOSS * spread:
            coarse[name] = lost / spread
    notes = []
    partly = int(((missing > 0) & (missing < len(names))).sum())
    if partly:
        most = sorted(holes, key=lambda name: -holes[name])
        words = listed([f"{name} in {holes[name]}" for name in most], NAMED)
        notes.append(f"{partly} rows lack some of their features ({words}), and count as without a face")
    if coarse:
        order = sorted(coarse, key=lambda name: -coarse[name])
        words = listed([f"{name} {coarse[name]:.1%}" for name in order], NAMED)
        notes.append(f"stored as float16, which loses more than 1 % of the spread of {len(coarse)} columns: {words}")
    return values, missing, notes


def _tracks(table: Table, roles: Roles, sign: str) -> tuple[Array, bool, list[str]]:
    """(R,) int64: numbers of faces as they stand, or of names in the order they come in."""
    if not roles.face or not pc.any(pc.greater(pc.utf8_length(table.cells[roles.face]), 0)).as_py():
        return np.zeros(len(table), np.int64), roles.kind != "py-feat", []
    if is_numeric(table, roles.face):
        numbered = numbers(table, roles.face, sign)
        if bool(((numbered >= 0) & (numbered < 2**31) & (numbered == np.round(numbered)) | np.isnan(numbered)).all()):
            return np.nan_to_num(numbered).astype(np.int64), True, []
    track, names = _codes(table, roles.face)
    known = [name for name in names if name]
    order = {name: number for number, name in enumerate(known)}
    numbers_of = np.array([order.get(name, 0) for name in names], np.int64)
    words = listed([f"{shown(name, 40)} is track {number}" for name, number in order.items()], NAMED)
    return numbers_of[track], True, [f"{roles.face}: {words}"] if known else []


def _codes(table: Table, name: str) -> tuple[Array, tuple[str, ...]]:
    """(R,) int64 numbers of the words of a column, in the order they come in, and these words."""
    if not name:
        return np.zeros(len(table), np.int64), ("",)
    coded: Any = pc.dictionary_encode(table.cells[name])
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    return np.asarray(coded.indices, np.int64), tuple(coded.dictionary.to_pylist())


def _points(table: Table, sign: str) -> Array:
    """(R, 68, 2) float32."""
    flat = np.stack([_pixels(table, name, sign) for name in POINTS], axis=1)
    return np.stack([flat[:, :68], flat[:, 68:]], axis=2)


def _boxes(table: Table, roles: Roles, sign: str, points: Array) -> Array:
    """(R, 4) float32: the tool's own boxes, or around the points; 0 where neither is there."""
    boxes = np.zeros((len(table), 4), np.float32)
    if roles.box:
        x, y, width, height = (_pixels(table, name, sign) for name in BOX)
        boxes = np.stack([x, y, x + width, y + height], axis=1)
    elif len(points):
        boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)
    return np.nan_to_num(boxes).astype(np.float32)


def _pixels(table: Table, name: str, sign: str) -> Array:
    """(R,) float32, NaN where missing."""
    found = numbers(table, name, sign)
    _refuse(table, name, np.abs(found) > LARGEST_PX, f"pixels, at most {LARGEST_PX:g}")
    return found.astype(np.float32)


def _refuse(table: Table, name: str, wrong: Array, expected: str, hint: str | None = None) -> None:
    """Errors: ManifestError for the first row in which a column is wrong."""
    if wrong.any():
        row = int(wrong.argmax())
        cell = shown(table.cells[name][row].as_py())
        raise ManifestError(f"{table.where(row)}: column {name!r} is {cell}; expected {expected}", hint=hint)
