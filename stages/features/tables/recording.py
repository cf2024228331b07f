"""The rows of one video in a table as its frames: each in its place in time, with or without a face."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ....cache.people import TrackFacts, people, rivals
from ....cache.records import Array, FrameFeatures, FrameStatus
from ....errors import ManifestError, shown
from ..video.sampler import Sampler
from .columns import Columns

MOST_FRAMES = 20_000_000  # of a recording: a week at 30 frames a second
SAME_TIME_S = 1e-6
NO_ROW, UNSURE, SEEN = 0, 1, 2  # of a row: no features, features of an unsure face, features


@dataclass(frozen=True, slots=True)
class Recording:
    """The kept frames of one video, and what is known of it."""

    features: FrameFeatures
    frames: int  # of the video, up to the last one in the table
    fps: float | None  # of the table's frames
    tracks: dict[int, TrackFacts]
    notes: tuple[str, ...]  # in sentences


def recording_of(columns: Columns, video: str, sample_fps: float | Literal["source"]) -> Recording:
    """The frames of one of the table's videos, `sample_fps` of each second. video: empty for all rows.

    Frames that a table leaves out between others are put back, without a face, where it has numbers of frames.
    Errors: ManifestError naming the lines of what cannot be: a time that goes back, a face twice in a frame.
    """
    rows = np.arange(len(columns.table))
    if video or "" in columns.videos:
        if video not in columns.videos:
            raise ManifestError(f"{columns.table.place} no longer has rows of {shown(video)}")
        rows = np.flatnonzero(columns.video == columns.videos.index(video))
    track = columns.track
    untracked = 0
    if columns.index is not None and not columns.tracked:
        track, untracked = _numbered(columns, rows)
    rows, doubled = _surest(columns, rows, track)
    key = columns.order
    _check_rows(columns, rows, track)
    rows = rows[np.lexsort((track[rows], key[rows]))]
    begins = np.flatnonzero(np.append(True, np.diff(key[rows]) > 0))
    _check_frames(columns, rows, begins, key)
    state = np.where(columns.missing[rows] > 0, NO_ROW, np.where(columns.sure[rows], SEEN, UNSURE))
    if not columns.values.shape[1]:
        state[:] = NO_ROW
    best = np.maximum.reduceat(state, begins)
    time_s, index = columns.time_s[rows[begins]], np.arange(len(begins))
    if columns.index is not None:
        index = columns.index[rows[begins]]
    place = np.arange(len(begins))  # of each frame of the table among all frames
    filled = 0
    if columns.index is not None:
        time_s, index, place = _filled(columns, time_s, index)
        filled = len(time_s) - len(begins)
    status = np.full(len(time_s), FrameStatus.NO_FACE, np.uint8)
    status[place] = np.array([FrameStatus.NO_FACE, FrameStatus.LOW_CONFIDENCE, FrameStatus.OK], np.uint8)[best]

    sampler = Sampler(sample_fps)
    kept = np.fromiter((sampler.keeps(time) for time in time_s.tolist()), bool, len(time_s))
    number = np.cumsum(kept) - 1  # of a kept frame among these
    frame = np.repeat(place, np.diff(np.append(begins, len(rows))))
    chosen = (state == SEEN) & kept[frame]
    rows, frame = rows[chosen], number[frame[chosen]]
    features = FrameFeatures(
        time_s=time_s[kept],
        index=index[kept].astype(np.int64),
        status=status[kept],
        values=columns.values[rows],
        frame=frame.astype(np.int64),
        track=track[rows].astype(np.int32),
        box_px=columns.box_px[rows],
        score=columns.score[rows],
        landmarks_px=_landmarks(columns, rows),
    )
    if len(columns.points_px):
        features = replace(features, points_px=columns.points_px[rows])
    step = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    facts = _facts(features)
    notes = _notes(columns, features, untracked=untracked, doubled=doubled, filled=filled)
    return Recording(
        features, int(index[-1]) + 1, 1 / step if step > 0 else None, facts, (*notes, *_rivals(features, facts))
    )


def _notes(columns: Columns, features: FrameFeatures, *, untracked: int, doubled: int, filled: int) -> list[str]:
    """What is to be said of a recording, in sentences."""
    notes = [*columns.notes]
    if untracked:
        notes.append(
            f"{untracked} frames hold several faces, and no column tells whose they are: the first of each frame is "
            "track 0, the second track 1, whoever that is"
        )
    if doubled:
        notes.append(f"{doubled} times a face is in a frame twice: the surer one is taken")
    if filled:
        notes.append(f"{filled} frames that the table leaves out are put back, without a face")
    if not len(features.frame):
        notes.append("no kept frame has a face with all features")
    return notes


def _numbered(columns: Columns, rows: Array) -> tuple[Array, int]:
    """(R,) the number of each row within its frame, and how many frames have several."""
    assert columns.index is not None
    order = rows[np.argsort(columns.index[rows], kind="stable")]
    first = np.append(True, np.diff(columns.index[order]) > 0)
    starts = np.flatnonzero(first)
    within = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    track = columns.track.copy()
    track[order] = within
    return track, int((within == 1).sum())


def _surest(columns: Columns, rows: Array, track: Array) -> tuple[Array, int]:
    """The rows with each face once a frame, where a tool may give one name to two faces, and how many go for that."""
    if not columns.renames or columns.index is None:
        return rows, 0
    order = rows[np.lexsort((-columns.score[rows], track[rows], columns.index[rows]))]
    again = np.append(
        False, (np.diff(columns.index[order]) == 0) & (np.diff(track[order]) == 0) & (columns.missing[order[1:]] == 0)
    )
    return np.sort(order[~again]), int(again.sum())


def _check_rows(columns: Columns, rows: Array, track: Array) -> None:
    """Errors: ManifestError where a face goes back in time, or is in a frame twice."""
    key = columns.order
    what = "time" if columns.index is None else "frame"
    order = rows[np.argsort(track[rows], kind="stable")]  # each face's rows as they stand
    if columns.index is not None:
        order = rows[np.lexsort((key[rows], track[rows]))]
    same = track[order[1:]] == track[order[:-1]]
    step = np.diff(key[order])
    wrong = same & (step <= 0)
    if not wrong.any():
        return
    at = int(wrong.argmax())
    before, after = int(order[at]), int(order[at + 1])
    where = f"{columns.table.where(after)}: {what} {key[after]:g}"
    other = f"{columns.table.line_word} {columns.table.lines[before]}"
    if step[at] == 0:
        raise ManifestError(
            f"{where} of face {track[after]} stands already in {other}; expected a row for each face and frame",
            hint="several faces need a column face_id; several videos a column video, or a table each",
        )
    raise ManifestError(
        f"{where} comes behind {key[before]:g} in {other}; expected times that do not go back",
        hint="several videos need a column video, or a table each",
    )


def _check_frames(columns: Columns, rows: Array, begins: Array, key: Array) -> None:
    """Errors: ManifestError where the rows of a frame have several times, or a later frame an earlier one."""
    time_s = columns.time_s[rows]
    wrong = np.append(False, np.diff(time_s) < 0)
    inside = np.ones(len(rows), bool)
    inside[begins] = False
    wrong |= inside & np.append(False, np.abs(np.diff(time_s)) > SAME_TIME_S)
    if wrong.any():
        at = int(wrong.argmax())
        raise ManifestError(
            f"{columns.table.where(int(rows[at]))}: frame {key[rows[at]]} is at {time_s[at]:g} s, and frame "
            f"{key[rows[at - 1]]} at {time_s[at - 1]:g} s; expected times that do not go back from frame to frame",
            hint="--time-column frame --fps N takes the numbers of the frames alone",
        )


def _filled(columns: Columns, time_s: Array, index: Array) -> tuple[Array, Array, Array]:
    """Times and numbers of all frames from the table's first to its last, and where the table's are among them.

    A table of every n-th frame lacks none of those between.
    """
    steps = np.diff(index)
    if not len(steps):
        return time_s, index, np.arange(len(index))
    usual = max(1, int(np.quantile(steps, 0.25, method="lower")))  # a step that is rare is a gap
    more = np.maximum(0, np.round(steps / usual).astype(np.int64) - 1)
    if len(index) + int(more.sum()) > MOST_FRAMES:
        raise ManifestError(
            f"{columns.table.place}: frames up to number {index[-1]} in {len(index)} rows; expected at most "
            f"{MOST_FRAMES} frames"
        )
    place = np.append(0, np.cumsum(more + 1))
    every = np.arange(int(place[-1]) + 1)
    return np.interp(every, place, time_s), np.round(np.interp(every, place, index)).astype(np.int64), place


def _landmarks(columns: Columns, rows: Array) -> Array:
    """(n, 5, 2) float32: eyes, nose, corners of the mouth out of 68 points; NaN where there are none."""
    if not len(columns.points_px):
        return np.full((len(rows), 5, 2), np.nan, np.float32)
    points = columns.points_px[rows]
    eyes = [points[:, 36:42].mean(axis=1), points[:, 42:48].mean(axis=1)]
    return np.stack([*eyes, points[:, 30], points[:, 48], points[:, 54]], axis=1).astype(np.float32)


def _facts(features: FrameFeatures) -> dict[int, TrackFacts]:
    """How often and how large each face is; nobody has looked at how it moves."""
    side = np.sqrt(np.prod(np.maximum(features.box_px[:, 2:] - features.box_px[:, :2], 0).astype(np.float64), axis=1))
    sized = bool((side > 0).any())
    found = {}
    for track in np.unique(features.track).tolist():
        of = features.track == track
        # Where no table tells of boxes, all faces are taken for equally large.
        found[int(track)] = TrackFacts(int(of.sum()), float(side[of].mean()) if sized else 1.0, 0, 0)
    return found


def _rivals(features: FrameFeatures, facts: dict[int, TrackFacts]) -> list[str]:
    """A sentence where several could be meant as the main person."""
    found = people({track: fact.frames for track, fact in facts.items()}, {}, facts)
    return [words.replace(" of 1 px", "") for words in rivals(found)]
