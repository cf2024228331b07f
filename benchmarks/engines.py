"""Stage one by each engine on the same recording, with the default settings, and how close its features are to torch's.

    python benchmarks/engines.py [--video FILE] [--seconds 40] [--repeats 3]

FILE, or else a film that is made: 640x360, 25 frames a second, one face. Times are without loading the networks.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from affect.benchmarks.extraction_speed import make_video
from affect.benchmarks.hardware import alternating, hardware, median, ratio, write_result
from affect.cache.records import Array, FrameFeatures
from affect.configs.schema import FeaturesConfig
from affect.pipeline.workers import Workers
from affect.stages.features.engines.openvino import has_bf16
from affect.stages.features.stream import FeatureExtractor

ENGINES: dict[str, dict[str, Any]] = {
    "torch fp32": {},
    "torch bf16": {"precision": "bf16"},
    "openvino fp32": {"engine": "openvino"},
    "openvino bf16": {"engine": "openvino", "precision": "bf16"},
}


def read(extractor: FeatureExtractor, video: Path) -> FrameFeatures:
    with extractor.stream(video) as stream:
        return FrameFeatures.concatenate([block for block, _ in stream])


def counted(extractor: FeatureExtractor, video: Path, work: list[float]) -> None:
    """Read it, and note the seconds that the cores worked for that."""
    begun = time.process_time()
    read(extractor, video)
    work.append(time.process_time() - begun)


def cosine(first: Array, second: Array) -> Array:
    one, other = first.astype(float), second.astype(float)
    found: Array = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    machine, threads = hardware(), Workers().threads
    with tempfile.TemporaryDirectory() as folder:
        video = args.video or make_video(Path(folder), args.seconds)
        names = [name for name in ENGINES if "bf16" not in name or has_bf16()]
        extractors = {
            name: FeatureExtractor(replace(FeaturesConfig(), **ENGINES[name]), "cpu", threads) for name in names
        }
        features = {name: read(extractor, video) for name, extractor in extractors.items()}
        work: dict[str, list[float]] = {name: [] for name in names}
        jobs = {name: partial(counted, extractor, video, work[name]) for name, extractor in extractors.items()}
        seconds = alternating(jobs, args.repeats)
    usual = features["torch fp32"]
    length_s = float(usual.time_s[-1])
    rows = {}
    for name in names:
        values = features[name].values
        close = cosine(usual.values, values) if values.shape == usual.values.shape else np.array([np.nan])
        rows[name] = {
            "seconds": round(median(seconds[name]), 2),
            "seconds_of_the_cores": round(median(work[name][1:]), 2),  # the first was to warm up
            "times_real_time": round(length_s / median(seconds[name]), 1),
            "over_torch_fp32": round(ratio(seconds["torch fp32"], seconds[name]), 2),
            "cosine_mean": round(float(close.mean()), 6),
            "cosine_least": round(float(close.min()), 6),
        }
    measured = {"video": "a file" if args.video else f"640x360, 25 fps, {args.seconds} s, one face",
                "length_s": length_s, "kept_frames": len(usual.time_s), "rows": len(usual.values),
                "engines": rows, "repeats": args.repeats}  # fmt: skip
    write_result("engines", measured, machine)


if __name__ == "__main__":
    main()
