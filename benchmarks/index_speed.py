"""Time to index a store of 10,000 videos and one million clips, and how fast a loader delivers clips.

    python benchmarks/index_speed.py [--videos 10000] [--clips 100] [--format zarr] [--folder DIR] [--jobs 2]

The store is generated first (kept in --folder for the next time). Indexing is what training does before its first
step: open the store, list its entries, read every entry's times and rows, read the manifest, match it to the store,
and cut the clips; each part is timed, in a process of its own. The loader is held against a training step at the
full feature size, B = 32, D = 2048, T = 16, w = 2.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affect.benchmarks.hardware import alternating, hardware, median, peak_rss_mb, write_result
from affect.benchmarks.train_step import Step, generated_clips
from affect.cache import open_store
from affect.cache.manifest import match_videos, read_manifest
from affect.configs.schema import ClipsConfig, ModelConfig
from affect.stages.temporal.batches import epoch_batches
from affect.stages.temporal.clips import FeatureTable, index_clips
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.tests.generated import GeneratedData, generated_features

FRAMES = 16
MARK = "measured: "


def index(folder: Path) -> dict[str, Any]:
    """Seconds of every part of the indexing, in this process."""
    times = {}
    started = last = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        times[name] = now - last
        last = now

    store = open_store(str(folder / "store"))
    ids = store.ids()
    lap("open_and_list")
    table = FeatureTable.from_store(store, ids, budget_bytes=0)
    lap("entries")
    index_seconds_of_store = last - started
    manifest = read_manifest(folder / "labels.csv")
    lap("manifest")
    matched = match_videos(manifest, ids)
    lap("match")
    clips = index_clips(table, matched, manifest.start_s, manifest.end_s, ClipsConfig(length=FRAMES))
    lap("clips")
    return {
        "videos": len(ids),
        "frames": len(table),
        "clips": len(clips),
        "values_are_in": table.place,
        "seconds": {name: round(value, 3) for name, value in times.items()},
        "store_and_clips_seconds": round(index_seconds_of_store + times["clips"], 3),
        "total_seconds": round(last - started, 3),
        "peak_rss_mb": round(peak_rss_mb()),
    }


def loader(feature_size: int, batch_size: int, repeats: int) -> dict[str, float]:
    """Clips a second that the loader delivers and that a training step eats, one after the other, repeated."""
    clips, labels = generated_clips(feature_size, FRAMES, videos=8)
    spec = ModelSpec(feature_size, ("valence", "arousal"), FRAMES, 2, ModelConfig())
    step = Step(TemporalModel(spec), labels)
    batches = epoch_batches(np.arange(len(clips)), batch_size, np.random.default_rng(0))
    seconds = alternating(
        {"load": lambda: clips.batch(torch.from_numpy(batches[0])), "step": lambda: step(clips, batches[0])}, repeats
    )
    rates = {name: len(batches[0]) / median(values) for name, values in seconds.items()}
    return {
        "loader_clips_a_second": rates["load"],
        "step_clips_a_second": rates["step"],
        "loader_over_step": rates["load"] / rates["step"],
    }


def in_new_process(folder: Path) -> dict[str, Any]:
    """`index` in a process of its own, so that memory and caches are its own."""
    command = [sys.executable, __file__, "--folder", str(folder), "--measure"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.partition(MARK)[2])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--clips", type=int, default=100, help="of each video")
    parser.add_argument("--format", default="zarr", choices=("zarr", "hdf5"))
    parser.add_argument("--feature-size", type=int, default=16, help="of the stored table")
    parser.add_argument("--loader-feature-size", type=int, default=2048)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the store here, or use the one that is here")
    parser.add_argument("--measure", action="store_true", help="index what is in --folder, and print it")
    args = parser.parse_args()
    if args.measure:
        print(MARK + json.dumps(index(args.folder)))
        return
    machine = hardware()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        seconds = 0.0
        if not (folder / "labels.csv").exists():
            started = time.perf_counter()
            size = args.clips * FRAMES
            data = GeneratedData(
                subjects=-(-args.videos // 10), videos=10, video_frames=(size, size), feature_size=args.feature_size
            )
            generated_features(folder / "store", folder / "labels.csv", data, store_format=args.format, jobs=args.jobs)
            seconds = time.perf_counter() - started
        first = in_new_process(folder)
        again = [in_new_process(folder) for _ in range(2)]
    write_result(
        "index-speed",
        {
            "format": args.format,
            "generated_in_seconds": seconds,
            "first": first,
            "again": min(again, key=lambda found: float(found["total_seconds"])),
            **loader(args.loader_feature_size, args.batch_size, args.repeats),
        },
        machine,
    )


if __name__ == "__main__":
    main()
