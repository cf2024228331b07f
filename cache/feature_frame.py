"""Stored features as a pandas DataFrame: a row for each face and kept frame, and one where there was no face."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from .records import FRAME_ARRAYS, Array, FrameFeatures, FrameStatus, Recipe, VideoInfo

if TYPE_CHECKING:
    import pandas as pd

PIECE_FRAMES = 1024  # of a video as a table, or on its way into another store, at once
STATUS = [status.name.lower() for status in FrameStatus]
BOX = ("x0_px", "y0_px", "x1_px", "y1_px")
LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")  # left in the picture


def feature_frame(
    features: FrameFeatures, info: VideoInfo, recipe: Recipe, *, first: int = 0, places: bool = False
) -> "pd.DataFrame":
    """`time_s`, `frame` and `status` of every kept frame; `track`, `person`, box, `score` and features of each face.

    Frames without a face keep their place, with empty cells. Columns of features are named as the tables that they came
    in name them (`feature score`, where there is a `score` already), else f0, f1, ... Values are float32, exactly what
    is stored.

    first: number of the first kept frame, where these are a piece of a video. places: with `index`, the frame's number
    in the video, and where each of the five points of a face is, and each of the 68, where there are such.
    """
    import pandas as pd

    frames, rows = len(features.time_s), len(features.frame)
    seen = features.frame - first
    alone = np.setdiff1d(np.arange(frames), seen)  # frames without a face
    frame = np.concatenate([seen, alone])
    order = np.argsort(frame, kind="stable")

    def of_rows(values: Array) -> Array:
        """Values of the rows, then nothing for each frame without one, in the order of time."""
        filled = np.full((len(frame), *values.shape[1:]), np.nan, np.float32)
        filled[:rows] = values
        return filled[order]

    frame = frame[order]
    persons = persons_of(features, info).astype(np.float32)
    columns: dict[str, object] = {
        "time_s": features.time_s[frame],
        "frame": frame + first,
        **({"index": features.index[frame]} if places else {}),
        "status": pd.Categorical.from_codes(features.status[frame].astype(np.int8), pd.Index(STATUS)),
        "track": pd.array(of_rows(features.track), "Int32"),
        "person": pd.array(of_rows(persons), "Int32"),
        **dict(zip(BOX, of_rows(features.box_px).T, strict=True)),
        "score": of_rows(features.score),
    }
    for name, points in _points(features).items() if places else ():
        columns |= dict(zip((f"{name}_x_px", f"{name}_y_px"), of_rows(points).T, strict=True))
    names = [f"feature {name}" if name in columns else name for name in feature_names(recipe.fields, features.size)]
    values = pd.DataFrame(of_rows(features.values), columns=names)
    return pd.concat([pd.DataFrame(columns), values], axis=1)


def pieces(features: FrameFeatures) -> Iterator[tuple[int, FrameFeatures]]:
    """A video in pieces, one at least, each with the number of its first kept frame."""
    for start in range(0, max(1, len(features.time_s)), PIECE_FRAMES):
        stop = start + PIECE_FRAMES
        low, high = np.searchsorted(features.frame, (start, stop))
        cuts = {name: (start, stop) if name in FRAME_ARRAYS else (low, high) for name in features.arrays()}
        yield start, FrameFeatures(**{name: features.arrays()[name][slice(*cut)] for name, cut in cuts.items()})


def persons_of(features: FrameFeatures, info: VideoInfo) -> Array:
    """(R,) int32: the person of each row, the lowest of the tracks that are linked to its own."""
    return np.array([info.persons.get(track, track) for track in features.track.tolist()], np.int32)


def feature_names(recipe: Mapping[str, object], size: int) -> list[str]:
    """Names of the D columns."""
    said = recipe.get("columns")
    if isinstance(said, list | tuple) and len(said) == size and all(isinstance(name, str) for name in said):
        return [str(name) for name in said]
    return [f"f{number}" for number in range(size)]


def _points(features: FrameFeatures) -> dict[str, Array]:
    """Name -> (R, 2) pixels."""
    named = dict(zip(LANDMARKS, features.landmarks_px.transpose(1, 0, 2), strict=True))
    return named | {f"point{number}": points for number, points in enumerate(features.points_px.transpose(1, 0, 2))}
