"""A stored video as a table: everybody in it, every kept frame, and the numbers exactly as they are stored."""

from pathlib import Path

import numpy as np
import pytest

import affect
from affect.cache.feature_frame import feature_names
from affect.cache.opening import create_store
from affect.cache.records import FrameFeatures, FrameStatus, Recipe, VideoInfo
from affect.errors import EntryError


def stored(folder: Path, frame: list[int], track: list[int], frames: int, **recipe: object) -> str:
    """A store with the entry `day`: rows of these tracks in these frames; track 4 is linked to track 1."""
    rows = len(frame)
    store = create_store(folder, Recipe({"backbone": "made", **recipe}))
    status = np.full(frames, FrameStatus.NO_FACE, np.uint8)
    status[frame] = FrameStatus.OK
    if not frame:
        status[:] = FrameStatus.TOO_SMALL
    features = FrameFeatures(
        time_s=np.arange(frames) / 5, index=np.arange(frames), status=status,
        values=(np.arange(rows * 2).reshape(rows, 2) / 3).astype(np.float16), frame=np.array(frame, np.int64),
        track=np.array(track, np.int32), box_px=np.arange(rows * 4, dtype=np.float32).reshape(rows, 4),
        score=np.linspace(0.5, 1, rows, dtype=np.float32), landmarks_px=np.zeros((rows, 5, 2), np.float32),
    )  # fmt: skip
    info = VideoInfo(store.recipe.digest, "f", 1, 1, None, frames, None, 5.0, 9, 9, 0, "made", persons={1: 1, 4: 1})
    with store.writer("day", "f") as writer:
        writer.append(features, b"")
        writer.commit(info)
    return str(folder)


def test_people_stand_beside_each_other_and_empty_frames_between(tmp_path: Path) -> None:
    store = affect.open_store(stored(tmp_path / "store", [1, 1, 3], [1, 2, 4], 5))
    table = store.to_frame("day")
    assert table["frame"].tolist() == [0, 1, 1, 2, 3, 4]
    assert table["time_s"].tolist() == [0.0, 0.2, 0.2, 0.4, 0.6, 0.8]
    assert table["status"].tolist() == ["no_face", "ok", "ok", "no_face", "ok", "no_face"]
    assert table["track"].fillna(-1).tolist() == [-1, 1, 2, -1, 4, -1]
    assert table["person"].fillna(-1).tolist() == [-1, 1, 2, -1, 1, -1], "a linked track is the same person"
    seen = table["track"].notna()
    np.testing.assert_array_equal(table.loc[seen, ["f0", "f1"]].to_numpy(np.float16), store.read("day").values)
    np.testing.assert_array_equal(table.loc[seen, "x1_px"], [2, 6, 10])


def test_a_video_of_nobody_keeps_its_frames_and_why(tmp_path: Path) -> None:
    table = affect.open_store(stored(tmp_path / "store", [], [], 3)).to_frame("day")
    assert table["status"].tolist() == ["too_small"] * 3 and table["f1"].isna().all() and table["person"].isna().all()


def test_a_video_without_frames_is_an_empty_table(tmp_path: Path) -> None:
    table = affect.open_store(stored(tmp_path / "store", [], [], 0)).to_frame("day")
    assert len(table) == 0 and {"time_s", "status", "f0"} <= set(table.columns)


def test_imported_features_have_the_names_that_they_came_with(tmp_path: Path) -> None:
    names = ["AU01_r", "AU12_r"]
    table = affect.open_store(stored(tmp_path / "store", [0], [0], 1, columns=names)).to_frame("day")
    assert list(table.columns[-2:]) == names
    twice = affect.open_store(stored(tmp_path / "twice", [0], [0], 1, columns=["score", "AU12_r"])).to_frame("day")
    assert list(twice.columns[-2:]) == ["feature score", "AU12_r"] and twice.columns.is_unique
    for said in (["AU01_r"], [1, 2], "ab", None):
        assert feature_names({"columns": said}, 2) == ["f0", "f1"], "what does not fit is no name"


def test_an_entry_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EntryError, match="night"):
        affect.open_store(stored(tmp_path / "store", [0], [0], 1)).to_frame("night")
