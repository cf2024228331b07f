"""What a measurement ran on, how it was repeated, and where its dated file lies."""

import datetime
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

RESULTS = Path(__file__).parent / "results"


def hardware() -> dict[str, Any]:
    """Processor, cores, memory, device, libraries, threads and the state of the source."""
    cuda = torch.cuda.is_available()
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "device": torch.cuda.get_device_name() if cuda else "none",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "torch_threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 2),
        "commit": _commit(),
    }


def write_result(name: str, measured: Mapping[str, Any], machine: Mapping[str, Any]) -> Path:
    """The dated file of one benchmark, `results/<date>-<name>.json`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.date.today().isoformat()}-{name}.json"
    text = json.dumps({"benchmark": name, "hardware": dict(machine), "measured": dict(measured)}, indent=1)
    path.write_text(text + "\n", "utf-8")
    print(text)
    return path


def alternating(jobs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every repeat of each job; the jobs take turns, so that a busy moment strikes all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():  # once to warm up: allocations, plans, caches
        job()
    for _ in range(repeats):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def median(values: list[float]) -> float:
    """Of the repeats."""
    return float(statistics.median(values))


def ratio(slow: list[float], fast: list[float]) -> float:
    """Median over repeats of slow / fast, each pair measured one after the other."""
    return float(statistics.median(a / b for a, b in zip(slow, fast, strict=True)))


def peak_rss_mb() -> float:
    """Most memory this process has held, its page cache left out."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str:
    root = Path(__file__).parent.parent
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
