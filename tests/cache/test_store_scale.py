"""Stores of many videos, and videos of many hours."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from affect.cache import create_store, open_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo

FILES = {"zarr": "a.zarr/zarr.json", "hdf5": "a.h5"}  # what tells about an entry


def seconds_to_look_at(location: Path, store_format: str, block: FrameFeatures, count: int) -> float:
    """CPU seconds to list the ids of a store of `count` videos and to read what is known of each."""
    recipe = Recipe({"view": "plain"})
    info = VideoInfo(recipe.digest, "f", 1, 1, None, 1, 1.0, 25.0, 4, 4, 0, "h264")
    with create_store(location, recipe, store_format).writer("a", "f") as writer:
        writer.append(block, b"")
        writer.commit(info)
    data = (location / FILES[store_format]).read_bytes()
    for number in range(count - 1):
        path = location / f"{number % 40}" / FILES[store_format].replace("a.", f"{number}.", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    start = time.process_time()
    store = open_store(location)
    found = [store.info(name) for name in store.ids()]
    seconds = time.process_time() - start
    assert found == [info] * count
    return seconds


@pytest.mark.parametrize("store_format", FILES)
def test_looking_at_a_thousand_stored_videos_takes_a_moment(tmp_path: Path, draw: Any, store_format: str) -> None:
    assert seconds_to_look_at(tmp_path / "store", store_format, draw(2, 2), 1000) < 0.5


@pytest.mark.stress
@pytest.mark.parametrize("store_format", FILES)
def test_looking_at_ten_thousand_stored_videos_takes_seconds(tmp_path: Path, draw: Any, store_format: str) -> None:
    assert seconds_to_look_at(tmp_path / "store", store_format, draw(2, 2), 10_000) < 5


LONG_VIDEO = """
import resource, sys
import numpy as np
from affect.cache import create_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo
recipe = Recipe({"view": "plain"})
store = create_store(sys.argv[1], recipe, sys.argv[2])
values = np.random.default_rng(0).standard_normal((512, 2048)).astype(np.float16)
with store.writer("a.mp4", "f") as writer:
    for number in range(int(sys.argv[3])):
        numbers = np.arange(512 * number, 512 * number + 512)
        writer.append(FrameFeatures(
            numbers / 3.125, numbers, np.zeros(512, np.uint8), values, numbers, np.zeros(512, np.int32),
            np.zeros((512, 4), np.float32), np.zeros(512, np.float32), np.zeros((512, 5, 2), np.float32)), b"x")
    writer.commit(VideoInfo(recipe.digest, "f", 1, 1, None, 1, 1.0, 25.0, 4, 4, 0, "h264"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_kib(location: Path, store_format: str, blocks: int) -> int:
    command = [sys.executable, "-c", LONG_VIDEO, str(location), store_format, str(blocks)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("store_format", FILES)
def test_a_long_video_takes_no_more_memory_than_a_short_one_and_4200_bytes_a_row(
    tmp_path: Path, store_format: str
) -> None:
    short = peak_kib(tmp_path / "short", store_format, 8)
    long = peak_kib(tmp_path / "long", store_format, 40)  # 20,480 rows, 84 MB
    assert long - short < 24 * 1024
    files = [path for path in (tmp_path / "short").rglob("*") if path.is_file()]
    assert sum(path.stat().st_blocks * 512 for path in files) / (8 * 512) < 4200
