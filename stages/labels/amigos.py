"""AMIGOS: valence and arousal of 20-second segments, by three outside annotators.

Source: Miranda-Correa et al., "AMIGOS: A Dataset for Affect, Personality and Mood Research on Individuals and Groups",
IEEE Transactions on Affective Computing 2018; `External_Annotations.xlsx`.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from ...cache.records import Array, Target
from ...cache.tables import read_table
from ...errors import VideoError
from .registry import Reader, ReaderInput
from .tables import (
    Cells,
    LabelRow,
    Prepared,
    Problem,
    VideoFiles,
    drop_repeats,
    number,
    records,
    require_columns,
    text,
    understood,
)

ANNOTATORS = (1, 2, 3)
TARGETS = (Target("valence", -1, 1), Target("arousal", -1, 1))
COLUMNS = {target.name: [f"{target.name.title()}_Annotator_{a}" for a in ANNOTATORS] for target in TARGETS}
NEEDED = ["UserID", "VideoID", "Segment_Index", *COLUMNS["valence"], *COLUMNS["arousal"]]
SEGMENT_S = 20.0
SECOND_START_S = 5.0
USER = r"[A-Za-z]{0,12}[ _-]?0*(?P<user>\d+)"  # P01, p1, 01, user_1
NAME = re.compile(rf"{USER}_0*(?P<video>[A-Za-z0-9]+)(?:_.*)?")
USER_ID = re.compile(rf"{USER}(?:[.,]0+)?")  # also what a spreadsheet makes of a whole number


def segments(duration_s: float) -> list[tuple[float, float]]:
    """(start_s, end_s) of a video's segments in order: the first begins at 0, the next at 5 s, the last ends it."""
    if duration_s <= SEGMENT_S:
        return [(0.0, duration_s)]
    spans = [(0.0, SEGMENT_S)]
    start_s = SECOND_START_S
    while start_s + SEGMENT_S < duration_s:
        spans.append((start_s, start_s + SEGMENT_S))
        start_s += SEGMENT_S
    return [*spans, (duration_s - SEGMENT_S, duration_s)]


def video_key(path: str) -> str | None:
    """`P{user}_{video}` of a recording's file name, as `P01_18_face.mov` -> `P1_18`; None for another kind of name."""
    found = NAME.fullmatch(PurePosixPath(path).stem)
    return f"P{found['user']}_{found['video']}".upper() if found else None


def user_of(cell: str) -> str:
    """The number of a participant, however a table writes it; the cell itself where it is none."""
    found = USER_ID.fullmatch(cell)
    return found["user"] if found else cell


def duration_s(time_s: Array) -> float:
    """From the first frame to the end of the last, taken to last as long as the one before. `time_s`: (F,), F >= 1."""
    last_s = float(time_s[-1] - time_s[-2]) if len(time_s) > 1 else 0.0
    return float(time_s[-1]) + last_s


def fits(file: Path) -> bool:
    """Whether a workbook has the name of the published one."""
    return file.stem.lower().startswith("external_annotations")


def timed(tables: Sequence[Path], videos: VideoFiles) -> list[str]:
    """Every recording: its length makes its segments."""
    return [path for path in videos.paths if video_key(path) is not None]


def read(data: ReaderInput) -> list[Prepared]:
    """A row per annotated segment whose video is there.

    Annotations are clamped to [-1, 1], as published, and averaged over those annotators that gave one.
    """
    path = data.tables[0]
    table = read_table(path, lambda names: set(NEEDED) <= set(names), data.reading.sheet)
    require_columns(table, NEEDED, path)
    errors = {name: found for name, found in data.times.items() if isinstance(found, VideoError)}
    durations_s = {name: duration_s(found) for name, found in data.times.items() if not isinstance(found, VideoError)}
    videos = VideoFiles({name: path for name, path in data.videos.paths.items() if name not in errors})
    files: dict[str, str] = {}
    for name in sorted(durations_s):
        files.setdefault(str(video_key(name)), name)
    rows: list[LabelRow] = []
    problems = [Problem("video cannot be read", name, error.message) for name, error in errors.items()]
    used: set[str] = set()
    absent: dict[str, int] = {}
    for cells in records(table):
        user = user_of(text(cells["UserID"]))
        key = f"P{user}_{text(cells['VideoID']).lstrip('0')}"
        file = files.get(key.upper())
        segment = number(cells["Segment_Index"], key, "Segment_Index", problems)
        if file is None:
            absent[key] = absent.get(key, 0) + 1
            continue
        used.add(file)
        name = f"{key}_{segment:g}"
        spans = segments(durations_s[file])
        if segment not in range(1, len(spans) + 1):
            detail = f"{durations_s[file]:.2f} s make segments 1 to {len(spans)}"
            problems.append(Problem("does not fit the video", name, detail))
            continue
        values = tuple(_mean(cells, target, name, problems) for target in TARGETS)
        if np.isnan(values).all():
            problems.append(Problem("no usable value", name))
            continue
        rows.append(LabelRow(videos.paths[file], f"P{user}", *spans[int(segment) - 1], values))
    problems += [Problem("labels without a video", key, f"{count} segments") for key, count in absent.items()]
    kept = drop_repeats(rows, problems)
    return [Prepared(kept, TARGETS, (*problems, *videos.unused(used)), understood=(understood(table),))]


def _mean(cells: Cells, target: Target, name: str, problems: list[Problem]) -> float:
    given = np.array([number(cells[column], name, column, problems) for column in COLUMNS[target.name]])
    given = given[~np.isnan(given)]
    for value in given[np.abs(given) > 1]:
        detail = f"{target.name} is {value:g}; clamped to -1 to 1"
        problems.append(Problem("value outside its scale", name, detail))
    return float(np.clip(given, target.low, target.high).mean()) if len(given) else float("nan")


READER = Reader((".xlsx",), "External_Annotations.xlsx", fits, read, timed=timed)
