"""Two Dask workers against one on two videos: `python benchmarks/extraction_workers.py [--seconds 60]`.

Each worker is a process held to one core, as a machine of its own would be: else the threads of one worker take both
cores. The scheduler and workers run before the clock starts, and have extracted a short video, so that their networks
are loaded. Goal: near twice the speed.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import distributed

from affect.benchmarks.extraction_speed import make_video
from affect.benchmarks.hardware import hardware, median, ratio, write_result
from affect.configs.load import load_config
from affect.pipeline.events import summary_of
from affect.pipeline.extract.extract import ExtractionSummary, extract
from affect.pipeline.extract.videos import find_videos
from affect.pipeline.workers import Workers

REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="of each video")
    words = parser.parse_args()
    machine = hardware()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, seconds in (("warm-up", 2), ("videos", words.seconds)):
            (folder / name).mkdir()
            first = make_video(folder, seconds)
            for number in range(2):
                shutil.copy(first, folder / name / f"{number}.mp4")
                # Two files of the same content would be extracted once.
                with (folder / name / f"{number}.mp4").open("ab") as file:
                    file.write(bytes([0, 0, 0, 9, *b"free", number]))
        times: dict[int, list[float]] = {1: [], 2: []}
        for repeat in range(REPEATS):
            for workers, found in times.items():
                found.append(seconds_with(workers, folder, f"{repeat}-{workers}"))
    write_result(
        "extraction-workers",
        {
            "videos": f"two of {words.seconds} s, 640x360, 25 fps, one face; ResNet-50 float32, faces found",
            "seconds": {f"{workers} workers": round(median(found), 2) for workers, found in times.items()},
            "two_over_one": round(ratio(times[1], times[2]), 2),
            "repeats": REPEATS,
        },
        machine,
    )


def seconds_with(workers: int, folder: Path, name: str) -> float:
    """Seconds that the two videos take on a cluster of that many workers."""
    config = load_config(None, ["features.backbone=resnet50", "features.weights=random"]).features
    # A single worker gets two threads, on its one core: joblib leaves a cluster of one thread aside.
    with distributed.LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=workers, threads_per_worker=3 - workers, processes=True, dashboard_address=None
    ) as cluster:
        for core, worker in enumerate(cluster.workers.values()):
            hold_to_core(worker.process.process.pid, core)
        chosen = Workers(workers, "dask", cluster.scheduler_address)
        for kind in ("warm-up", "videos"):
            started = time.perf_counter()
            store = folder / f"store-{kind}-{name}"
            events = extract(find_videos([str(folder / kind)]), str(store), config, workers=chosen)
            summary = summary_of(events, ExtractionSummary)
            assert [outcome.status for outcome in summary.outcomes] == ["done", "done"], summary
        return time.perf_counter() - started


def hold_to_core(pid: int, core: int) -> None:
    """Every thread of a process; those it starts later inherit it."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


if __name__ == "__main__":
    main()
