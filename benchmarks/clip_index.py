"""Time and memory to open a store of many videos, index its clips, and gather batches of them.

    python benchmarks/clip_index.py [--videos 10000] [--clips 100] [--stored 500] [--format zarr]

The index is made for `videos` x `clips` clips of 16 frames. Opening is measured on a real store of `stored` videos and
given per video, as is the rate of batches from it; values there are narrow, so that making it does not take hours.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affect.benchmarks.hardware import hardware, peak_rss_mb, write_result
from affect.cache.records import FrameFeatures, Recipe, VideoInfo
from affect.cache.store import Store, create_store, open_store
from affect.configs.schema import ClipsConfig
from affect.stages.temporal.clips import ClipTable, FeatureTable, index_clips
from affect.stages.temporal.held import FrameIndex, HeldRows

INTERVAL_S, LENGTH = 0.32, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--clips", type=int, default=100, help="a video")
    parser.add_argument("--stored", type=int, default=500)
    parser.add_argument("--format", default="zarr", choices=("zarr", "hdf5"))
    arguments = parser.parse_args()
    machine = hardware()
    measured: dict[str, Any] = {"videos": arguments.videos, "clips": arguments.videos * arguments.clips}
    measured |= index_time(arguments.videos, arguments.clips)
    with tempfile.TemporaryDirectory() as folder:
        make_store(Path(folder) / "store", arguments.format, arguments.stored, arguments.clips * LENGTH)
        measured |= {"format": arguments.format, **store_times(Path(folder) / "store", arguments.clips)}
    write_result("clip-index", measured, machine)


def index_time(videos: int, clips: int) -> dict[str, float]:
    """Seconds to index spans of four clips each, and the memory held afterwards."""
    frames = clips * LENGTH
    index = FrameIndex(
        ids=tuple(f"v{number}" for number in range(videos)),
        first=np.arange(videos + 1) * frames,
        time_s=np.tile(np.arange(frames) * INTERVAL_S, videos),
        row=np.tile(np.arange(frames, dtype=np.int32), videos),
        stored=np.full(videos, frames),
        size=0,
    )
    values = HeldRows(torch.zeros(videos * frames, 0, dtype=torch.float16), index.seen_before())
    table = FeatureTable(index, values, torch.device("cpu"))
    seconds, found = timed(lambda: indexed(table, clips))
    assert len(found) == videos * clips
    return {"index_s": seconds, "index_peak_rss_mb": peak_rss_mb()}


def indexed(table: FeatureTable, clips: int) -> ClipTable:
    """The clips of spans that are four clips long."""
    spans = -(-clips // 4)
    start = np.tile(np.arange(spans) * 4 * LENGTH * INTERVAL_S, len(table.ids))
    names = [name for name in table.ids for _ in range(spans)]
    return index_clips(table, names, start, start + 4 * LENGTH * INTERVAL_S, ClipsConfig(length=LENGTH))


def make_store(path: Path, store_format: str, videos: int, frames: int, size: int = 16) -> Store:
    """A store of generated videos without a person's face: zeros throughout."""
    store = create_store(path, Recipe({"made_by": "benchmark"}), store_format)
    features = FrameFeatures(
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
    for number in range(videos):
        with store.writer(f"v{number:06d}", "generated") as writer:
            writer.append(features, b"")
            info = VideoInfo(
                store.recipe.digest, "generated", 1, 1, frames, frames, frames * INTERVAL_S, 3.125, 64, 64, 0, "none"
            )
            writer.commit(info)
    return store


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
