"""Tables and ELAN documents as blocks: the labels in time of one video and one person, before they become spans."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np

from ...cache.cell_values import (
    TimeUnit,
    cell_error,
    check_thousands,
    decimal_sign,
    missing_words,
    numbers,
    times,
)
from ...cache.manifest_csv import SPLITS
from ...cache.records import Array, Target
from ...cache.tables import Table, few, read_table
from ...errors import ManifestError, shown
from .columns import Roles, fits, roles_of
from .elan import COLUMNS, Tier, read_eaf
from .registry import ReaderInput
from .tables import SPLIT_WORDS, Problem, VideoFiles, video_named
from .units import WORDS
from .values import Source, of_numbers, values_of

NO_SUBJECT = "no column for the subject: each video counts as a person"
NO_VIDEO = "write the video's name in each row; or take the column out, and name the table after its video, as S01.csv"
NO_PERSON = "write in each row who it is; or take the column out, and each video counts as a person"


@dataclass(frozen=True, slots=True)
class Block:
    """The labels of one video and person in one table, n of them."""

    path: Path
    form: str  # what its table was read as, in words: the same for tables that are alike
    video: str
    subject: str
    split: str | None
    lines: Array  # (n,) of the table
    start: Array  # (n,) in `unit`
    end: Array | None  # (n,); None for points in time
    unit: TimeUnit  # auto: nobody has said it
    fixed: bool  # whether that stands, whatever the videos say
    origin_s: float  # the time of the first frame on the table's clock
    targets: tuple[Target, ...]  # (K,)
    values: Array  # (n, K) float64, NaN where missing
    written: str  # how the times are written, as mm:ss; empty where they are numbers of one unit
    sources: tuple[Source, ...]  # (K,) what each target was made of


def table_blocks(path: Path, data: ReaderInput, problems: list[Problem]) -> list[Block]:
    """The blocks of a table of points or spans. Errors: ManifestError naming file, line and column."""
    table = read_table(path, fits, data.reading.sheet)
    roles = roles_of(table.names)
    if roles is None:
        raise ManifestError(
            f"{table.place}, line {table.header_line}: no column for a time, or none beside it; the columns are "
            f"{few(table.names)}",
            hint="time,TARGET,... or start,end,TARGET,... or video,time,TARGET,...",
        )
    sign = decimal_sign(table, [*roles.time, *(name for name in roles.values if of_numbers(table, name))])
    start, end, unit, written = _edges(table, roles, data.reading.time_unit, sign)
    targets, values, sources = values_of(table, roles.values, sign, problems)
    form = "; ".join(filter(None, (
        f"columns {few(table.names)}", *table.layout, "decimal comma" if sign == "," else "",
        "" if roles.subject else NO_SUBJECT, missing_words(table, roles.values),
    )))  # fmt: skip
    asked = data.reading.time_unit != "auto"
    blocks = []
    for (name, subject, split), rows in _by_video(table, roles).items():
        video = _video_of(path, name if roles.video else None, data.videos, problems)
        kept = rows[~np.isnan(start[rows]) & (True if end is None else ~np.isnan(end[rows]))]
        if len(kept) < len(rows):
            problems.append(Problem("no usable value", name or path.name, f"{len(rows) - len(kept)} rows have no time"))
        if video is not None and len(kept):
            blocks.append(Block(
                path, form, video, subject or PurePosixPath(video).stem, split, table.lines[kept], start[kept],
                None if end is None else end[kept], unit, asked or bool(written), 0.0, targets, values[kept],
                written, sources,
            ))  # fmt: skip
    return blocks


def eaf_blocks(path: Path, data: ReaderInput, problems: list[Problem]) -> list[Block]:
    """The blocks of an ELAN document, one for each tier. Errors: ManifestError naming file and line."""
    document = read_eaf(path)
    found = [(data.videos.named(name), origin_s) for name, origin_s in document.media]
    media = next(((files[0], origin_s) for files, origin_s in found if len(files) == 1), None)
    if media is None:
        video = _video_of(path, None, data.videos, problems)
        if video is None:
            return []
        media = video, 0.0
    video, origin_s = media
    offset_s = data.clock_offset_s.get(video, 0.0) - origin_s
    people = {tier.participant for tier in document.tiers} - {""}
    nobody = people.pop() if len(people) == 1 else PurePosixPath(video).stem
    blocks: list[Block] = []
    for tier in document.tiers:
        subject = tier.participant or nobody
        blocks += _tier_block(path, tier, video=video, subject=subject, offset_s=offset_s, problems=problems)
    return blocks


def _tier_block(
    path: Path, tier: Tier, *, video: str, subject: str, offset_s: float, problems: list[Problem]
) -> Iterator[Block]:
    table = tier.table
    sign = decimal_sign(table, [COLUMNS[2]]) if of_numbers(table, COLUMNS[2]) else "."
    start, end = (numbers(table, name, ".") for name in COLUMNS[:2])
    _check_order(table, start, end, "mend the annotation in ELAN, or delete it")
    targets, values, sources = values_of(table, COLUMNS[2:], sign, problems, name=tier.name)
    if targets:
        form = "; ".join(filter(None, ("an ELAN document", missing_words(table, COLUMNS[2:]))))
        yield Block(
            path, form, video, subject, None, table.lines, start, end, "ms", True, offset_s, targets, values, "",
            sources,
        )  # fmt: skip


def named_after(path: Path, videos: VideoFiles) -> list[str]:
    """Videos whose name a table bears, alone or with further words before or behind it: `S01_valence.csv`."""
    if found := videos.named(path.stem):
        return found
    parts = [found.start() for found in re.finditer(r"[ _.\-]", path.stem)]
    for end in reversed(parts):
        if found := videos.with_stem(path.stem[:end]):
            return found
    return next((found for begin in parts if (found := videos.with_stem(path.stem[begin + 1 :]))), [])


def _video_of(path: Path, name: str | None, videos: VideoFiles, problems: list[Problem]) -> str | None:
    """The video that a row names, or where there is no such column, the one that the table is named after."""
    if name is not None:
        return video_named(name, videos, problems)
    files = named_after(path, videos)
    return video_named(files[0] if len(files) == 1 else path.stem, videos, problems)


def _edges(table: Table, roles: Roles, asked: TimeUnit, sign: str) -> tuple[Array, Array | None, TimeUnit, str]:
    """Starts, ends (None for points), their unit and how they are written, where they are not numbers of one unit.

    Errors: ManifestError for a time that cannot be.
    """
    units = roles.units if asked == "auto" else (asked,) * len(roles.time)
    if set(units) not in ({units[0]}, {"s", "ms"}):
        one, other = (f"column {name!r} holds {WORDS[unit]}" for name, unit in zip(roles.time, units, strict=True))
        raise ManifestError(
            f"{table.place}, line {table.header_line}: {one}, and {other}, by their names; expected one unit, or "
            "seconds and milliseconds",
            hint="write both in one unit; where a name is wrong, --time-unit s, ms, hms or frame says it for both",
        )
    check_thousands(table, [name for name, unit in zip(roles.time, units, strict=True) if unit == "ms"])
    columns, written = times(table, roles.time, "hms" if units[0] == "hms" else asked, sign)
    _check_times(table, roles.time, columns, units[0] if written == "number" else "hms")
    unit = units[0]
    if written != "number":
        unit = "hms"
    elif len(set(units)) == 1:
        written = ""
    else:
        columns = [column / 1000 if own == "ms" else column for column, own in zip(columns, units, strict=True)]
        written = ", ".join(f"{name!r} {WORDS[own]}" for name, own in zip(roles.time, units, strict=True))
        unit = "s"
    if not roles.spans:
        return columns[0], None, unit, written
    start, second = columns
    end = start + second if roles.duration else second
    _check_order(
        table, start, end, "a duration is above 0: mend it, or take the row out" if roles.duration else
        f"swap them, or take the row out; if {roles.time[1]!r} is no end of a span, give the column another name",
    )  # fmt: skip
    return start, end, unit, written


def _check_times(table: Table, names: Sequence[str], columns: Sequence[Array], unit: TimeUnit) -> None:
    """Refuse a start before the video, and parts of frames. A missing time is neither."""
    negative = columns[0] < 0
    if negative.any():
        row = int(negative.argmax())
        raise ManifestError(
            f"{table.where(row)}: column {names[0]!r} is {columns[0][row]:g}; expected at least 0",
            hint="times count from the video's first frame: shift them all by one amount, or take the row out",
        )
    for name, column in zip(names, columns, strict=True):
        parts = ~np.isnan(column) & (column != np.round(column))
        if unit == "frame" and parts.any():
            row = int(parts.argmax())
            raise ManifestError(
                f"{table.where(row)}: column {name!r} is {column[row]:g}; expected a whole number of a frame",
                hint="--time-unit s or ms, if these are times",
            )


def _check_order(table: Table, start: Array, end: Array, hint: str) -> None:
    wrong = end <= start
    if wrong.any():
        row = int(wrong.argmax())
        raise ManifestError(
            f"{table.where(row)}: from {start[row]:g} to {end[row]:g}; expected an end after the start", hint=hint
        )


def _by_video(table: Table, roles: Roles) -> dict[tuple[str, str, str | None], Array]:
    """(video, subject, split) -> rows, the first two empty where the table does not say them."""
    rows = np.arange(len(table))
    videos, subjects, splits = (
        table.texts(name) if name else [""] * len(table) for name in (roles.video, roles.subject, roles.split)
    )
    known = {word: _split(word, table, splits.index(word)) for word in set(splits)}
    keys = [(video, subject, known[word] or "") for video, subject, word in zip(videos, subjects, splits, strict=True)]
    order = sorted(rows.tolist(), key=keys.__getitem__)  # stable: rows keep their order
    found = {}
    for key, group in groupby(order, key=keys.__getitem__):
        member = np.array(list(group))
        for name, word in zip((roles.video, roles.subject), key, strict=False):
            if name and not word:
                raise ManifestError(
                    f"{table.where(int(member[0]))}: column {name!r} is empty; expected a name in every row",
                    hint=NO_VIDEO if name == roles.video else NO_PERSON,
                )
            if name and (advice := cell_error(word or "")):
                raise ManifestError(f"{table.where(int(member[0]))}: column {name!r} is {shown(word)}", hint=advice)
        found[key[0], key[1], key[2] or None] = member
    return found


def _split(word: str, table: Table, row: int) -> str | None:
    if not word:
        return None
    known = next((split for start, split in SPLIT_WORDS.items() if word.lower().startswith(start[:3])), None)
    known = "validation" if word.lower().startswith("dev") else known
    if known is None:
        raise ManifestError(
            f"{table.where(row)}: split is {shown(word)}; expected {', '.join(SPLITS)}",
            hint="write one of these; without the column, --set evaluation.protocol chooses who is tested",
        )
    return known
