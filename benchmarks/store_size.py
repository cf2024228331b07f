"""Bytes a row that a store takes on disk at D = 2048, per format: `python benchmarks/store_size.py`."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr

from affect.benchmarks.hardware import hardware, write_result
from affect.cache import create_store, open_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo

MINUTES = (1, 6, 60)
SAMPLE_FPS = 3.125
SIZE = 2048
BLOCK_FRAMES = 512
REPEATS = 2000


def one_face_a_frame(frames: int) -> Iterator[FrameFeatures]:
    """Blocks of a face that moves smoothly, with features that no compressor can shorten."""
    generator = np.random.default_rng(0)
    for first in range(0, frames, BLOCK_FRAMES):
        numbers = np.arange(first, min(frames, first + BLOCK_FRAMES))
        count = len(numbers)
        drift = np.sin(numbers / 50)[:, None] * 40 + generator.normal(0, 0.5, (count, 4))
        box = np.array([200.0, 100.0, 320.0, 260.0]) + drift
        landmarks = box[:, None, :2] + generator.normal(60, 15, (count, 5, 2))
        yield FrameFeatures(
            numbers / SAMPLE_FPS, numbers * 8, np.zeros(count, np.uint8),
            generator.standard_normal((count, SIZE)).astype(np.float16), numbers, np.zeros(count, np.int32),
            box.astype(np.float32), generator.uniform(0.6, 1, count).astype(np.float32), landmarks.astype(np.float32),
        )  # fmt: skip


def bytes_a_row(location: Path, store_format: str, minutes: int) -> tuple[int, float, float]:
    """Rows of one video, and the bytes of its files and of their disk blocks, for each."""
    recipe = Recipe({"view": "plain"})
    info = VideoInfo(recipe.digest, "f" * 64, 1, 1, None, 1, 60.0 * minutes, 25.0, 640, 360, 0, "h264")
    frames = int(minutes * 60 * SAMPLE_FPS)
    with create_store(location, recipe, store_format).writer("a.mp4", info.fingerprint) as writer:
        for block in one_face_a_frame(frames):
            writer.append(block, b"")
        writer.commit(info)
    files = [path.stat() for path in location.rglob("*") if path.is_file() and path.name not in ("store.json", ".lock")]
    return frames, sum(file.st_size for file in files) / frames, sum(file.st_blocks * 512 for file in files) / frames


def microseconds_a_look(location: Path) -> float:
    """Time to open a store's entry for what is known of it."""
    store = open_store(location)
    start = time.perf_counter()
    for _ in range(REPEATS):
        store.info("a.mp4")
    return (time.perf_counter() - start) / REPEATS * 1e6


def main() -> None:
    machine = {**hardware(), "zarr": zarr.__version__, "h5py": h5py.__version__, "hdf5": h5py.version.hdf5_version}
    measured: dict[str, Any] = {"content": "one face a kept frame, 3.125 kept a second, D = 2048, random float16 bits"}
    for store_format in ("zarr", "hdf5"):
        with tempfile.TemporaryDirectory() as folder:
            for minutes in MINUTES:
                rows, apparent, blocks = bytes_a_row(Path(folder) / str(minutes), store_format, minutes)
                measured[f"{store_format}, {minutes} min"] = {
                    "rows": rows, "bytes_a_row": round(apparent, 1), "bytes_a_row_in_disk_blocks": round(blocks, 1),
                }  # fmt: skip
            look = microseconds_a_look(Path(folder) / str(MINUTES[0]))
        measured[f"{store_format}, info of an entry"] = {
            "microseconds": round(look), "seconds_for_10000": round(look / 100, 2),
        }  # fmt: skip
    write_result("store-size", measured, machine)


if __name__ == "__main__":
    main()
