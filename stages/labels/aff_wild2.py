"""Aff-Wild2: valence and arousal of every frame, as text; -5 marks a frame without a valid annotation.

Source: Kollias & Zafeiriou, "Aff-Wild2: Extending the Aff-Wild Database for Affect Recognition", arXiv 1811.07770.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...cache.records import Array, Target
from ...cache.tables import read_bounded
from ...cache.text_rows import Row, text_form, text_rows
from ...errors import ManifestError, VideoError
from .registry import SPAN_S, Reader, ReaderInput
from .tables import SPLIT_WORDS, LabelRow, Prepared, Problem, VideoFiles, header

TARGETS = (Target("valence", -1, 1), Target("arousal", -1, 1))
INVALID = -5.0
MIN_VALID = 0.5  # least share of a span's frames with a valid annotation
PERSON_WORDS = ("_left", "_right")  # one annotation file for each of two people in a video


def split_of(path: Path) -> str | None:
    """The split that a folder above the file names, as Train_Set/1.txt; None where none does."""
    folders = [part.lower() for part in reversed(path.parts[:-1])]
    return next((split for part in folders for word, split in SPLIT_WORDS.items() if part.startswith(word)), None)


def fits(file: Path) -> bool:
    """Whether a text file begins as annotations of valence and arousal do."""
    return header(file) == ["valence", "arousal"]


def timed(tables: Sequence[Path], videos: VideoFiles) -> list[str]:
    """Every video with annotations of one person: a line belongs to a frame, and a frame has a time."""
    return [video for table in tables if not _person(table) and (video := _video_of(table, videos))]


def read(data: ReaderInput) -> list[Prepared]:
    """A row for each `span_s` seconds of each annotated video that is there."""
    rows: list[LabelRow] = []
    problems: list[Problem] = []
    used: set[str] = set()
    for table in data.tables:
        if person := _person(table):
            problems.append(Problem("one of several people", table.stem, "whose face it is cannot be told; left out"))
            used.update(data.videos.with_stem(table.stem.removesuffix(person)))
            continue
        video = _video_of(table, data.videos)
        if video is None:
            problems.append(Problem("labels without a video", table.stem))
            continue
        used.add(video)
        time_s = data.times[video]
        if isinstance(time_s, VideoError):
            problems.append(Problem("video cannot be read", video, time_s.message))
            continue
        name, split = data.videos.paths[video], split_of(table)
        more, wrong = span_rows(
            read_annotations(table), time_s, data.reading.span_s or SPAN_S, video=name, subject=table.stem, split=split
        )
        rows += more
        problems += wrong
    read_as = f"{len(data.tables)} text files: valence, arousal of every frame, a line each"
    return [Prepared(tuple(rows), TARGETS, (*problems, *data.videos.unused(used)), understood=(read_as,))]


def _person(table: Path) -> str | None:
    """The end of an annotation file's name that says which of two people it is of."""
    return next((word for word in PERSON_WORDS if table.stem.endswith(word)), None)


def _video_of(table: Path, videos: VideoFiles) -> str | None:
    return next(iter(videos.with_stem(table.stem)), None)


def read_annotations(path: Path) -> Array:
    """Valence and arousal of each frame, (F, 2) float64, NaN where either is invalid.

    Errors: ManifestError for a file without the header or with a line that is no pair of numbers.
    """
    data = read_bounded(path)
    rows = list(text_rows(data, text_form(data, path, _fits_rows), path))
    if not rows or not _fits_rows(rows[:1]):
        raise ManifestError(f"{path}, line 1 is {','.join(rows[0][1] if rows else [])!r}; expected valence,arousal")
    values = np.full((len(rows) - 1, 2), INVALID)
    for number, (line, words) in enumerate(rows[1:]):
        if not any(word.strip() for word in words):
            continue
        try:
            valence, arousal = map(float, words)
        except ValueError as error:
            raise ManifestError(f"{path}, line {line} is {','.join(words)!r}; expected valence,arousal") from error
        values[number] = valence, arousal
    values[(values == INVALID).any(axis=1)] = np.nan
    return values


def _fits_rows(rows: Sequence[Row]) -> bool:
    return any([word.strip().lower() for word in words] == ["valence", "arousal"] for _, words in rows)


def span_rows(
    values: Array, time_s: Array, span_s: float, *, video: str, subject: str, split: str | None
) -> tuple[list[LabelRow], list[Problem]]:
    """A row for each `span_s` seconds of a video with enough valid frames: the mean of those; and what did not fit.

    values: (F, 2) of consecutive frames; time_s: (N,) presentation time of every frame of the video.
    """
    problems: list[Problem] = []
    if len(values) != len(time_s):
        detail = f"{len(values)} annotated frames, {len(time_s)} in the video; what both have is used"
        problems.append(Problem("does not fit the video", subject, detail))
    outside = np.asarray((np.abs(values) > 1).any(axis=1))
    if outside.any():
        detail = f"{int(outside.sum())} frames, first line {int(outside.argmax()) + 2}; left out"
        problems.append(Problem("value outside its scale", subject, detail))
    frames = min(len(values), len(time_s))
    usable = np.where(outside[:, None], np.nan, values)[:frames]
    number = np.floor(time_s[:frames] / span_s + 1e-6).astype(np.int64)
    valid = ~np.isnan(usable).any(axis=1)
    count = np.bincount(number, minlength=1)
    good = np.bincount(number, valid, minlength=1)
    sums = [np.bincount(number, np.where(valid, usable[:, k], 0), minlength=1) for k in range(2)]
    kept = (count > 0) & (good >= MIN_VALID * np.maximum(count, 1)) & (good > 0)
    rows = [
        LabelRow(video, subject, _round(n * span_s), _round((n + 1) * span_s), _means(sums, good, n), split)
        for n in np.flatnonzero(kept).tolist()
    ]
    if not rows:
        problems.append(Problem("no usable value", subject))
    return rows, problems


def _means(sums: list[Array], good: Array, number: int) -> tuple[float, ...]:
    return tuple(_round(float(total[number] / good[number])) for total in sums)


def _round(value: float) -> float:
    return round(value, 6)


READER = Reader((".txt",), "text files that begin with valence,arousal", fits, read, many=True, timed=timed)
