"""Time and memory to open a store of many videos, index its clips, and gather batches of them.

    python benchmarks/clip_index.py [--videos 10000] [--clips 100] [--stored 500] [--format zarr]

A store of `videos` x `clips` clips of 16 frames and 2048 features, made up as it is read, tells what indexing takes and
whether memory stays bounded. Opening is measured on a real store of `stored` videos and given per video, as is the rate
of batches from it; features there are narrow, so that making it does not take hours.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affect.benchmarks.hardware import hardware, peak_rss_mb, write_result
from affect.cache.memory_store import MemoryStore
from affect.cache.records import Array, FrameFeatures, Recipe, VideoInfo
from affect.cache.store import Store, create_store, open_store
from affect.configs.schema import ClipsConfig
from affect.stages.temporal.clips import ClipTable, FeatureTable, index_clips

INTERVAL_S, LENGTH, SIZE = 0.32, 16, 2048
BUDGET_BYTES = 200 << 20  # of features held at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--clips", type=int, default=100, help="a video")
    parser.add_argument("--stored", type=int, default=500)
    parser.add_argument("--format", default="zarr", choices=("zarr", "hdf5"))
    arguments = parser.parse_args()
    machine = hardware()
    measured: dict[str, Any] = {"videos": arguments.videos, "clips": arguments.videos * arguments.clips}
    measured |= large_store_times(arguments.videos, arguments.clips)
    with tempfile.TemporaryDirectory() as folder:
        make_store(Path(folder) / "store", arguments.format, arguments.stored, arguments.clips * LENGTH)
        measured |= {"format": arguments.format, **store_times(Path(folder) / "store", arguments.clips)}
    write_result("clip-index", measured, machine)


def large_store_times(videos: int, clips: int, batches: int = 50) -> dict[str, float]:
    """Seconds to open and index a store that is far larger than the memory allowed, and the memory held at the end."""
    store = ZeroStore(videos, clips * LENGTH)
    opening, table = timed(lambda: FeatureTable.from_store(store, budget_bytes=BUDGET_BYTES))
    seconds, index = timed(lambda: indexed(table, clips))
    assert table.place == "store" and len(index) == videos * clips
    order = np.random.default_rng(0).permutation(len(index) // 4)[: batches * 8].reshape(batches, 8)
    for runs in order:
        index.batch(torch.from_numpy((runs[:, None] * 4 + np.arange(4)).ravel()))
    return {
        "features_gb": videos * clips * LENGTH * SIZE * 2 / 1e9,
        "open_without_disk_s": opening,
        "index_s": seconds,
        "peak_rss_mb": peak_rss_mb(),
    }


class ZeroStore(MemoryStore):
    """A store of many equal videos of zeros that takes no room."""

    def __init__(self, videos: int, frames: int) -> None:
        super().__init__(Recipe({"made_by": "benchmark"}))
        self._names = [f"v{number:06d}" for number in range(videos)]
        self._video, self._info = zeros(frames, 0), made_info(self.recipe, frames)

    def ids(self) -> list[str]:
        return self._names

    def info(self, entry_id: str) -> VideoInfo:
        return self._info

    def read(self, entry_id: str, *, values: bool = True) -> FrameFeatures:
        assert not values
        return replace(self._video, time_s=self._video.time_s.copy())

    def read_values(self, entry_id: str, start: int, stop: int) -> Array:
        return np.zeros((stop - start, SIZE), np.float16)


def indexed(table: FeatureTable, clips: int) -> ClipTable:
    """The clips of spans that are four clips long."""
    spans = -(-clips // 4)
    start = np.tile(np.arange(spans) * 4 * LENGTH * INTERVAL_S, len(table.ids))
    names = [name for name in table.ids for _ in range(spans)]
    return index_clips(table, names, start, start + 4 * LENGTH * INTERVAL_S, ClipsConfig(length=LENGTH))


def make_store(path: Path, store_format: str, videos: int, frames: int, size: int = 16) -> Store:
    """A store on disk of many equal videos of zeros."""
    store = create_store(path, Recipe({"made_by": "benchmark"}), store_format)
    for number in range(videos):
        with store.writer(f"v{number:06d}", "generated") as writer:
            writer.append(zeros(frames, size), b"")
            writer.commit(made_info(store.recipe, frames))
    return store


def zeros(frames: int, size: int) -> FrameFeatures:
    return FrameFeatures(
        time_s=np.arange(frames) * INTERVAL_S,
        index=np.arange(frames) * 8,
        status=np.zeros(frames, np.uint8),
        values=np.zeros((frames, size), np.float16),
        frame=np.arange(frames),
        track=np.zeros(frames, np.int32),
        box_px=np.zeros((frames, 4), np.float32),
        score=np.ones(frames, np.float32),
        landmarks_px=np.zeros((frames, 5, 2), np.float32),
    )


def made_info(recipe: Recipe, frames: int) -> VideoInfo:
    return VideoInfo(recipe.digest, "generated", 1, 1, frames, frames, frames * INTERVAL_S, 3.125, 64, 64, 0, "none")


def store_times(path: Path, clips: int, batch_size: int = 32, batches: int = 100) -> dict[str, float]:
    """Opening a store, and batches of random clips with their context, kept in memory and read from the store."""
    seconds, table = timed(lambda: FeatureTable.from_store(open_store(path), budget_bytes=0))
    result = {"open_ms_a_video": 1000 * seconds / len(table.ids)}
    for place, budget in (("memory", None), ("store", 0)):
        index = indexed(FeatureTable.from_store(open_store(path), budget_bytes=budget), clips)
        assert index.table.place == place
        runs = np.random.default_rng(0).integers(0, len(index) // 4, (batches, batch_size // 4))
        numbers = torch.from_numpy((runs[:, :, None] * 4 + np.arange(4)).reshape(batches, -1))
        seconds, _ = timed(lambda index=index, numbers=numbers: [index.batch(clip) for clip in numbers])  # type: ignore[misc]
        result[f"clips_a_second_from_{place}"] = batches * batch_size / seconds
    return result


def timed(job: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = job()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    main()
