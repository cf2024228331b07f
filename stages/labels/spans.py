"""Labels of one's own in time: tables of points or spans, and ELAN tiers, to spans that a run can be trained on.

A table is about one video, whose name it then bears, or has a column that names the video of each row.
- Points (`time,valence,...`, a row for each frame or so) become windows: the mean of their labels, or a reduction of
  another kind.
- Spans (`start,end,...`, `onset,duration,...`) and annotations of ELAN stay as they are, unless windows are asked for.
- Words become a target each, 1 where a label is that word and 0 where it is another.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from ...cache.cell_values import TimeUnit
from ...cache.records import Array
from ...errors import VideoError
from .blocks import Block, eaf_blocks, named_after, table_blocks
from .columns import fits, roles_of
from .registry import SPAN_S, Reader, ReaderInput
from .tables import LabelRow, Prepared, Problem, VideoFiles, header
from .units import WORDS, Times, choose_unit
from .values import check_apart
from .windows import reduced, window_starts

EAF = ".eaf"
Key = tuple[str, str, float, float, str | None]  # video, subject, start_s, end_s, split


def table_fits(file: Path) -> bool:
    """Whether a file is an ELAN document, or a table with times and values that is no manifest yet."""
    return _is_eaf(file) or fits(header(file, fits))


def timed(tables: Sequence[Path], videos: VideoFiles) -> list[str]:
    """The videos that the tables are named after; every one where a table may name others."""
    named: set[str] = set()
    for table in tables:
        roles = None if _is_eaf(table) else roles_of(header(table, fits))
        if roles is None or roles.video:
            return list(videos.paths)
        named.update(named_after(table, videos))
    return sorted(named)


def read(data: ReaderInput) -> list[Prepared]:
    """A row for each span, or each window, that has a label. Errors: ManifestError naming file, line and column."""
    problems: list[Problem] = []
    found: list[Block] = []
    for path in data.tables:
        found += (eaf_blocks if _is_eaf(path) else table_blocks)(path, data, problems)
    unread = {name: why.message for name, why in data.times.items() if isinstance(why, VideoError)}
    usable = [block for block in found if block.video not in unread]
    lost = dict.fromkeys(block.video for block in found if block.video in unread)
    problems += [Problem("video cannot be read", name, unread[name]) for name in lost]
    lines: list[str] = []
    blocks: list[Block] = []
    for alike in _alike(usable):
        more, words = _in_seconds(alike, data)
        lines.append(_understood(alike, words))
        blocks += more
    blocks = _told_apart(blocks)
    check_apart(pair for block in blocks for pair in zip(block.targets, block.sources, strict=True))
    targets = {target.name: target for block in blocks for target in block.targets}
    rows: dict[Key, dict[str, float]] = {}
    for block in blocks:
        for key, values in _spans(block, data, problems):
            row = rows.setdefault(key, {})
            if row.keys() & values.keys():
                problems.append(Problem("repeated row", key[0], f"{key[2]:g} to {key[3]:g} s"))
            rows[key] = values | row
    made = [
        LabelRow(data.videos.paths[video], subject, start_s, end_s,
                 tuple(values.get(name, float("nan")) for name in targets), split)
        for (video, subject, start_s, end_s, split), values in sorted(rows.items(), key=lambda item: item[0][:4])
    ]  # fmt: skip
    unused = data.videos.unused({block.video for block in found})
    return [Prepared(tuple(made), tuple(targets.values()), (*problems, *unused), understood=tuple(lines))]


def _is_eaf(path: Path) -> bool:
    return path.suffix.lower() == EAF


def _alike(blocks: Sequence[Block]) -> list[list[Block]]:
    """Blocks of tables that were read in the same way, so that their times are in one unit."""
    groups: dict[tuple[str, TimeUnit, str, bool], list[Block]] = {}
    for block in blocks:
        groups.setdefault((block.form, block.unit, block.written, block.end is None), []).append(block)
    return list(groups.values())


def _understood(blocks: Sequence[Block], times: str) -> str:
    """In one line, what alike tables were read as."""
    paths = {block.path for block in blocks}
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    what = "points in time" if blocks[0].end is None else "spans"
    count, videos = sum(len(block.lines) for block in blocks), len({block.video for block in blocks})
    read = f"{count} {what} in {videos} video{'s'[: videos != 1]}"
    return f"{blocks[0].path.name}{more}: {read}; {blocks[0].form}; times {times}"


def _in_seconds(blocks: Sequence[Block], data: ReaderInput) -> tuple[list[Block], str]:
    """The blocks with their times in seconds from the first frame, and in words what the times were."""
    unit = blocks[0].unit
    guessed = False
    if not blocks[0].fixed:
        place = f"{blocks[0].path}{' and others' if len({block.path for block in blocks}) > 1 else ''}"
        unit, guessed = choose_unit([_times(block, data) for block in blocks], unit, place)
    why = f", the only unit that fits the videos (--time-unit {unit} says it)" if guessed else ""
    if unit != "frame":
        scale = 1000.0 if unit == "ms" else 1.0
        return [
            replace(
                block,
                start=block.start / scale - block.origin_s,
                end=None if block.end is None else block.end / scale - block.origin_s,
            )
            for block in blocks
        ], f"{blocks[0].written or WORDS[unit]}{why}"
    base = int(min(block.start.min() for block in blocks) == 1)
    return [
        replace(
            block,
            start=_time_of_frame(block.start - base, data, block),
            end=None if block.end is None else _time_of_frame(block.end - base, data, block),
        )
        for block in blocks
    ], f"{WORDS[unit]} from {base}{why}"


def _times(block: Block, data: ReaderInput) -> Times:
    return Times(block.start, block.end, _length_s(data, block.video), len(_frames_s(data, block.video)))


def _frames_s(data: ReaderInput, video: str) -> Array:
    time_s = data.times[video]
    assert not isinstance(time_s, VideoError), "its blocks have been left out"
    return time_s


def _length_s(data: ReaderInput, video: str) -> float:
    """To the end of the last frame, taken to last as long as the one before."""
    time_s = _frames_s(data, video)
    return float(time_s[-1] + (time_s[-1] - time_s[-2] if len(time_s) > 1 else 0.0))


def _time_of_frame(number: Array, data: ReaderInput, block: Block) -> Array:
    """(n,) float64: when each frame is shown; the video's end for the one behind the last, infinite beyond."""
    known = np.append(_frames_s(data, block.video), [_length_s(data, block.video), np.inf])
    times: Array = known[np.clip(number.astype(np.int64), 0, len(known) - 1)]
    return times


def _told_apart(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with other names for targets that several tables of a video have: by their folders, or file names."""
    owners: dict[tuple[str, str, str], set[Path]] = {}
    for block in blocks:
        for target in block.targets:
            owners.setdefault((block.video, block.subject, target.name), set()).add(block.path)
    clashing = {path for paths in owners.values() if len(paths) > 1 for path in paths}
    by_folder = len({path.parent for path in clashing}) > 1
    return [_prefixed(block, by_folder) if block.path in clashing else block for block in blocks]


def _prefixed(block: Block, by_folder: bool) -> Block:
    stem, video = block.path.stem, PurePosixPath(block.video).stem
    rest = re.sub(re.escape(video), "", stem, count=1, flags=re.IGNORECASE)
    prefix = block.path.parent.name if by_folder else rest.strip(" _-.")
    if not prefix:
        return block
    one = len(block.targets) == 1 and not block.sources[0].word  # of a word, the name has to say which
    return replace(
        block,
        targets=tuple(replace(item, name=prefix if one else f"{prefix}_{item.name}") for item in block.targets),
    )


def _spans(block: Block, data: ReaderInput, problems: list[Problem]) -> Iterator[tuple[Key, dict[str, float]]]:
    """The spans of a block with a value of one of its targets at least."""
    length_s, reading = _length_s(data, block.video), data.reading
    end = block.start if block.end is None else block.end
    inside = (block.start < length_s) & (end >= 0)
    if not inside.all():
        detail = f"{int((~inside).sum())} of {len(inside)} labels lie outside of its {length_s:.2f} s; first line "
        problems.append(
            Problem("does not fit the video", block.video, f"{detail}{block.lines[int(inside.argmin())]}; left out")
        )
    start, values = np.maximum(block.start[inside], 0.0), block.values[inside]
    if block.end is not None and reading.span_s is None and reading.step_s is None:
        starts, ends, labels = np.round(start, 6), np.round(block.end[inside], 6), values
    else:
        span_s = reading.span_s or SPAN_S
        starts = window_starts(length_s, span_s, reading.step_s or span_s)
        ends = np.round(starts + span_s, 6)
        if block.end is None:
            order = np.argsort(start, kind="stable")
            time_s, points = start[order], values[order]
        else:
            time_s, points = _on_frames(block, start, block.end[inside], values, data)
        labels = reduced(time_s, points, starts, span_s, reading.reduction)
    names = [target.name for target in block.targets]
    for number in np.flatnonzero(~np.isnan(labels).all(axis=1)).tolist():
        told = {name: value for name, value in zip(names, labels[number].tolist(), strict=True) if not np.isnan(value)}
        key = block.video, block.subject, float(starts[number]), float(ends[number]), block.split
        yield key, {name: round(value, 6) for name, value in told.items()}


def _on_frames(block: Block, start: Array, end: Array, values: Array, data: ReaderInput) -> tuple[Array, Array]:
    """The times of a video's frames (F,) and the labels (F, K) of the spans that each lies in; the later one stands."""
    time_s = _frames_s(data, block.video)
    labels = np.full((len(time_s), values.shape[1]), np.nan)
    first, behind = (np.searchsorted(time_s, edge - 1e-6) for edge in (start, end))
    if len(start):  # from the first span to the last, no word is said where there is none
        labels[first.min() : behind.max()] = np.where([bool(source.word) for source in block.sources], 0.0, np.nan)
    for number in range(len(start)):
        labels[first[number] : behind[number]] = values[number]
    return time_s, labels


READER = Reader(
    (".csv", ".tsv", ".txt", ".xlsx", EAF),
    "tables with a column time, frame, or start and end, beside values; or ELAN documents (.eaf)",
    table_fits,
    read,
    many=True,
    timed=timed,
    on_clock=lambda tables: any(map(_is_eaf, tables)),
)
