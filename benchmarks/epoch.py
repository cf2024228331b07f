"""One epoch in AMIGOS's shape: 40 people, 16 short videos each, 20-second segments, on the CPU and on CUDA when there.

    python benchmarks/epoch.py [--feature-size 2048] [--seconds 120] [--device cpu] [--precision fp32]

Features are generated. Videos last 51 to 150 s, as the short videos of AMIGOS do. Steps are those of training
(gather, forward, loss, backward, clipped gradient, AdamW). Where an epoch takes longer than --seconds, its time is
projected from the steps that were done, and the result says so.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch

from affect.benchmarks.hardware import hardware, median, write_result
from affect.benchmarks.train_step import Step, flops, matmul_rate
from affect.configs.schema import ClipsConfig, ModelConfig
from affect.stages.temporal.batches import epoch_batches
from affect.stages.temporal.clips import ClipTable, FeatureTable, index_clips
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.tests.generated import GeneratedData, generated_in_memory

FPS = 3.125
FRAMES = 16
SEGMENT_CLIPS = 4  # 62 frames are 20 s: three clips side by side and one that ends with the segment


def amigos_shape(feature_size: int, subjects: int, device: str) -> tuple[ClipTable, torch.Tensor, dict[str, int]]:
    """The clips of all 20-second segments, their labels, and the counts."""
    data = GeneratedData(
        subjects=subjects, videos=16, video_frames=(round(51 * FPS), round(150 * FPS)), feature_size=feature_size
    )
    features, _ = generated_in_memory(data)
    table = FeatureTable.from_videos(features, device=device)
    videos, starts = [], []
    for name, video in features.items():
        begin = np.arange(0, video.time_s[-1] + 1 / FPS - 20 + 1e-9, 20.0)
        videos += [name] * len(begin)
        starts.append(begin)
    start_s = np.concatenate(starts)
    clips = index_clips(table, videos, start_s, start_s + 20, ClipsConfig(length=FRAMES))
    labels = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (len(start_s), 2))).float()
    counts = {"subjects": subjects, "videos": len(features), "segments": len(start_s), "clips": len(clips)}
    return clips, labels[torch.from_numpy(clips.span)].to(device), counts


def epoch(clips: ClipTable, step: Step, batch_size: int, most_seconds: float, autocast: bool) -> dict[str, Any]:
    """Clips a second over as much of an epoch as fits in `most_seconds`, after a few steps to warm up."""
    device = next(step.model.parameters()).device
    batches = epoch_batches(np.arange(len(clips)), batch_size, np.random.default_rng(0))
    seconds = []
    with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        for numbers in batches[:3]:
            step(clips, numbers)
        _wait(device)
        began = time.perf_counter()
        for numbers in batches:
            started = time.perf_counter()
            step(clips, numbers)
            _wait(device)
            seconds.append(time.perf_counter() - started)
            if time.perf_counter() - began > most_seconds:
                break
    done = sum(len(numbers) for numbers in batches[: len(seconds)])
    return {
        "steps": len(seconds),
        "clips_a_second": done / sum(seconds),
        "median_step_seconds": median(seconds),
        "epoch_seconds": sum(seconds) * len(clips) / done,
        "projected": len(seconds) < len(batches),
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feature-size", type=int, default=2048)
    parser.add_argument("--width", type=int, help="of the network; the features' own by default")
    parser.add_argument("--subjects", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default=None, help="bf16 on CUDA, fp32 elsewhere")
    args = parser.parse_args()
    precision = args.precision or ("bf16" if args.device.startswith("cuda") else "fp32")
    machine = hardware()
    clips, labels, counts = amigos_shape(args.feature_size, args.subjects, args.device)
    spec = ModelSpec(args.feature_size, ("valence", "arousal"), FRAMES, 2, ModelConfig(width=args.width))
    step = Step(TemporalModel(spec).to(args.device), labels)
    found = epoch(clips, step, args.batch_size, args.seconds, precision == "bf16")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    rate = matmul_rate(4096 if args.device.startswith("cuda") else 2048, 5, args.device, dtype)
    numbers = epoch_batches(np.arange(len(clips)), args.batch_size, np.random.default_rng(0))[0]
    work = flops(lambda: step(clips, numbers))
    write_result(
        f"epoch-{args.device.partition(':')[0]}",
        {
            "shape": counts | {"features": args.feature_size, "width": spec.width, "batch": args.batch_size},
            "device": args.device,
            "precision": precision,
            "features_are_in": clips.table.place,
            **found,
            "step_gflop": work / 1e9,
            "matmul_gflops": rate / 1e9,
            "share_of_matmul_rate": work / found["median_step_seconds"] / rate,
        },
        machine,
    )


if __name__ == "__main__":
    main()
