"""Two people in one video: rows for both, listed apart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from skimage import data

from affect.cache import open_store
from affect.cache.records import subject_rows
from affect.configs.subject import Subject

if TYPE_CHECKING:
    from .conftest import Command

SECONDS, RATE = 10, 25


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large face on the left for ten seconds, and from the third a smaller one on the right."""
    path = tmp_path_factory.mktemp("people") / "conversation.mp4"
    face = data.astronaut()[20:200, 135:315]
    large, small = (cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for side in (150, 90))
    writer = imageio_ffmpeg.write_frames(
        str(path), (320, 180), fps=RATE, codec="libx264", quality=None, macro_block_size=1,
        output_params=["-preset", "ultrafast", "-crf", "18"],
    )  # fmt: skip
    writer.send(None)
    for number in range(SECONDS * RATE):
        frame = np.full((180, 320, 3), 120, np.uint8)
        shift = round(4 * np.sin(number / 20))
        frame[15 + shift : 165 + shift, 10:160] = large
        if number >= 2 * RATE:
            frame[60 - shift : 150 - shift, 215:305] = small[:, ::-1]
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    return path


def test_both_people_have_rows_and_tracks_and_who_is_meant_is_chosen_later(
    affect: "Command", conversation: Path, tmp_path: Path, same_entries: Callable[..., None]
) -> None:
    network = ("--backbone", "timm:test_convnext", "--weights", "random", "--json")
    ended = affect.run("extract-features", conversation, "--store", tmp_path / "store", *network)
    assert ended.code == 0, ended.err
    store = open_store(tmp_path / "store")
    features, info = store.read("conversation.mp4"), store.info("conversation.mp4")
    kept = len(features.time_s)
    assert abs(kept - SECONDS * 5) <= 1
    assert len(features.frame) > 1.6 * kept
    main = subject_rows(features.arrays(), kept, info.persons, Subject("main"))
    assert np.all(main >= 0)
    assert np.all(features.box_px[main][:, 2] < 170)
    listed = affect.run("inspect-cache", tmp_path / "store", "--tracks", "--json")
    assert listed.code == 0
    tracks = json.loads(listed.out)["tracks"]
    assert len({track["person"] for track in tracks}) == 2
    left, right = sorted(tracks, key=lambda track: track["start_s"])
    assert left["start_s"] == 0
    assert right["start_s"] == pytest.approx(2, abs=0.4)
    assert min(left["end_s"], right["end_s"]) > 9
    assert left["share"] == 1
    assert 0.7 < right["share"] < 0.9
    assert left["size_px"] > 1.3 * right["size_px"]
    table = affect.run("inspect-cache", tmp_path / "store", "--tracks").out
    assert table.count("conversation.mp4") >= 2
    other = subject_rows(features.arrays(), kept, info.persons, Subject("track", right["track"]))
    assert np.all(features.box_px[other[other >= 0]][:, 0] > 170)
    assert np.array_equal(subject_rows(features.arrays(), kept, info.persons, Subject("largest")), main)
    # A run with faces that was stopped in between holds the same.
    assert (
        affect.run("extract-features", conversation, "--store", tmp_path / "hdf5", *network, "--format", "hdf5").code
        == 0
    )
    same_entries(tmp_path / "hdf5", tmp_path / "store")
