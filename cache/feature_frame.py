"""Stored features as a pandas DataFrame: a row for each face and kept frame, and one where there was no face."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .records import Array, FrameFeatures, FrameStatus, Recipe, VideoInfo

if TYPE_CHECKING:
    import pandas as pd

STATUS = [status.name.lower() for status in FrameStatus]
BOX = ("x0_px", "y0_px", "x1_px", "y1_px")


def feature_frame(features: FrameFeatures, info: VideoInfo, recipe: Recipe) -> "pd.DataFrame":
    """`time_s`, `frame` and `status` of every kept frame; `track`, `person`, box, `score` and features of each face.

    Frames without a face keep their place, with empty cells. Columns of features are named as the tables that they came
    in name them (`feature score`, where there is a `score` already), else f0, f1, ... Values are float32, exactly what
    is stored.
    """
    import pandas as pd

    frames, rows = len(features.time_s), len(features.frame)
    alone = np.setdiff1d(np.arange(frames), features.frame)  # frames without a face
    frame = np.concatenate([features.frame, alone])
    order = np.argsort(frame, kind="stable")

    def of_rows(values: Array) -> Array:
        """Values of the rows, then nothing for each frame without one, in the order of time."""
        filled = np.full((len(frame), *values.shape[1:]), np.nan, np.float32)
        filled[:rows] = values
        return filled[order]

    frame = frame[order]
    persons = np.array([info.persons.get(int(track), int(track)) for track in features.track], np.float32)
    columns: dict[str, object] = {
        "time_s": features.time_s[frame],
        "frame": frame,
        "status": pd.Categorical.from_codes(features.status[frame].astype(np.int8), pd.Index(STATUS)),
        "track": pd.array(of_rows(features.track), "Int32"),
        "person": pd.array(of_rows(persons), "Int32"),
        **dict(zip(BOX, of_rows(features.box_px).T, strict=True)),
        "score": of_rows(features.score),
    }
    names = [f"feature {name}" if name in columns else name for name in feature_names(recipe.fields, features.size)]
    values = pd.DataFrame(of_rows(features.values), columns=names)
    return pd.concat([pd.DataFrame(columns), values], axis=1)


def feature_names(recipe: Mapping[str, object], size: int) -> list[str]:
    """Names of the D columns."""
    said = recipe.get("columns")
    if isinstance(said, list | tuple) and len(said) == size and all(isinstance(name, str) for name in said):
        return [str(name) for name in said]
    return [f"f{number}" for number in range(size)]
