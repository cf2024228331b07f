"""A store of 2,000 hours opened, indexed and trained on within a memory budget.

    python benchmarks/large_table.py [--hours 2000] [--feature-size 16] [--budget-mb 64] [--folder DIR] [--jobs 2]

Features are generated at a small D, so that the disk holds them; the index, which is what grows in memory, depends on
frames alone. A store of a tenth of the hours is measured beside it: what memory grows by is the index and the clips.
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

from affect.benchmarks.hardware import hardware, peak_rss_mb, write_result
from affect.benchmarks.train_step import Step
from affect.cache import open_store
from affect.cache.manifest import match_videos, read_manifest
from affect.configs.schema import ClipsConfig, ModelConfig
from affect.stages.temporal.batches import epoch_batches
from affect.stages.temporal.clips import FeatureTable, index_clips
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.tests.generated import GeneratedData, generated_features

FPS = 3.125
FRAMES = 16
MARK = "measured: "


def generate(folder: Path, hours: int, feature_size: int, jobs: int) -> float:
    """Seconds it took to write a store of one-hour videos and its labels; 0 where it stands already."""
    if (folder / "labels.csv").exists():
        return 0.0
    started = time.perf_counter()
    frames = round(3600 * FPS) // FRAMES * FRAMES
    data = GeneratedData(
        subjects=max(hours // 4, 1), videos=4, video_frames=(frames, frames), feature_size=feature_size, missing=0.05
    )
    generated_features(folder / "store", folder / "labels.csv", data, jobs=jobs)
    return time.perf_counter() - started


def measure(folder: Path, budget_mb: float, steps: int, batch_size: int) -> dict[str, Any]:
    """Memory and time of opening, indexing, an epoch's order and `steps` training steps, in this process."""
    model_of = ModelConfig(width=32, heads=4, feed_forward=64)
    before = peak_rss_mb()
    started = time.perf_counter()
    store = open_store(str(folder / "store"))
    ids = store.ids()
    table = FeatureTable.from_store(store, ids, budget_bytes=int(budget_mb * 2**20))
    opened = time.perf_counter()
    manifest = read_manifest(folder / "labels.csv")
    matched = match_videos(manifest, ids)
    clips = index_clips(table, matched, manifest.start_s, manifest.end_s, ClipsConfig(length=FRAMES))
    labels = torch.from_numpy(manifest.labels[clips.span]).float()
    indexed, after_index = time.perf_counter(), peak_rss_mb()
    step = Step(TemporalModel(ModelSpec(table.feature_size, manifest.target_names, FRAMES, 2, model_of)), labels)
    built = time.perf_counter()
    batches = epoch_batches(np.arange(len(clips)), batch_size, np.random.default_rng(0))
    ordered = time.perf_counter()
    for numbers in batches[:steps]:
        step(clips, numbers)
    trained = time.perf_counter()
    return {
        "hours": round(len(table) / FPS / 3600, 1),
        "videos": len(ids),
        "frames": len(table),
        "clips": len(clips),
        "values_are_in": table.place,
        "values_mb": round(len(table) * table.feature_size * 2 / 2**20),
        "open_seconds": round(opened - started, 2),
        "index_seconds": round(indexed - opened, 2),
        "epoch_order_seconds": round(ordered - built, 2),
        "train_clips_a_second": round(steps * batch_size / (trained - ordered)),
        "rss_before_mb": round(before),
        "rss_indexed_mb": round(after_index),
        "rss_peak_mb": round(peak_rss_mb()),
        "index_bytes_a_frame": round((after_index - before) * 2**20 / len(table), 1),
    }


def in_new_process(folder: Path, budget_mb: float, steps: int, batch_size: int) -> dict[str, Any]:
    """`measure` in a process of its own: peak memory is a process's."""
    command = [sys.executable, __file__, "--measure", "--folder", str(folder), "--budget-mb", str(budget_mb)]
    command += ["--steps", str(steps), "--batch-size", str(batch_size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.partition(MARK)[2])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=2000)
    parser.add_argument("--feature-size", type=int, default=16)
    parser.add_argument("--budget-mb", type=float, default=64)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the stores here, or use those that are here")
    parser.add_argument("--measure", action="store_true", help="measure the store in --folder, and print it")
    args = parser.parse_args()
    if args.measure:
        print(MARK + json.dumps(measure(args.folder, args.budget_mb, args.steps, args.batch_size)))
        return
    machine = hardware()
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, hours in (("a_tenth", args.hours // 10), ("whole", args.hours)):
            folder = (args.folder or Path(scratch)) / name
            seconds = generate(folder, hours, args.feature_size, args.jobs)
            found = in_new_process(folder, args.budget_mb, args.steps, args.batch_size)
            results[name] = found | {"generated_in_seconds": round(seconds)}
    grown = results["whole"]["rss_peak_mb"] - results["a_tenth"]["rss_peak_mb"]
    more = results["whole"]["frames"] - results["a_tenth"]["frames"]
    write_result(
        "large-table",
        {"budget_mb": args.budget_mb, **results, "growth_bytes_a_frame": round(grown * 2**20 / more, 1)},
        machine,
    )


if __name__ == "__main__":
    main()
