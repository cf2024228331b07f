"""A training step on cached features beside the same step with ResNet-50 in the loop.

    python benchmarks/train_step.py [--threads 2] [--repeats 5] [--feature-size 2048] [--frames 16]

"In the loop" is measured twice: as published (every frame of a clip and its context through a backbone that is
trained), and as kindly as possible (each distinct frame once through a frozen backbone, no graph). Images are random:
decoding, detecting and cropping are left out, which flatters the loop.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from affect.benchmarks.hardware import alternating, hardware, median, ratio, write_result
from affect.configs.schema import ClipsConfig, LossConfig, ModelConfig, TrainingConfig
from affect.stages.temporal.batches import epoch_batches
from affect.stages.temporal.clips import ClipBatch, ClipTable, FeatureTable, index_clips
from affect.stages.temporal.losses import total_loss
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.stages.temporal.optimizer import make_optimizer
from affect.tests.generated import GeneratedData, generated_in_memory

IMAGE_PX = 224


class Step:
    """One optimiser step on a batch of clips, as `Fit` takes it."""

    def __init__(self, model: TemporalModel, labels: Tensor) -> None:
        self.model, self.labels = model, labels
        self.optimizer = make_optimizer(model, TrainingConfig())
        self.loss = LossConfig()

    def __call__(self, clips: ClipTable, numbers: np.ndarray) -> None:
        self.on(clips.batch(torch.from_numpy(numbers)), numbers)

    def on(self, batch: ClipBatch, numbers: np.ndarray) -> None:
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        labels = self.labels[torch.from_numpy(numbers).to(self.labels.device)]
        total_loss(self.model(batch), labels, self.loss).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()


def generated_clips(feature_size: int, frames: int, videos: int, device: str = "cpu") -> tuple[ClipTable, Tensor]:
    """Clips in memory, w = 2, and their labels."""
    data = GeneratedData(
        subjects=videos,
        videos=1,
        video_frames=(24 * frames, 24 * frames),
        feature_size=feature_size,
        clip_frames=frames,
    )
    features, made = generated_in_memory(data)
    table = FeatureTable.from_videos(features, device=device)
    spans = made.manifest
    clips = index_clips(table, spans.videos, spans.start_s, spans.end_s, ClipsConfig(length=frames))
    return clips, torch.from_numpy(spans.labels[clips.span]).float().to(device)


def matmul_rate(size: int, repeats: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """Floating point operations a second of a square product: the machine's own measure, best of the repeats."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    seconds = alternating({"matmul": lambda: torch.mm(a, b, out=out)}, repeats)["matmul"]
    return 2 * size**3 / min(seconds)


def flops(job: Callable[[], object]) -> int:
    """Floating point operations of the matrix products, convolutions and attention in a job."""
    with FlopCounterMode(display=False) as counter:
        job()
    return int(counter.get_total_flops())


def in_loop(step: Step, backbone: nn.Module, batch: ClipBatch, numbers: np.ndarray, *, published: bool) -> None:
    """The step with the images of one sample at a time through the backbone, so that it fits in memory."""
    frames = batch.frames.shape[1]
    if published:
        backbone.train()
        for row in batch.neighbours:  # every clip of the sample, shared or not, with a graph
            images = torch.rand(len(row) * frames, 3, IMAGE_PX, IMAGE_PX)
            backbone(images).square().mean().backward()
    else:
        backbone.eval()
        with torch.no_grad():
            for _ in range(len(batch.frames)):
                backbone(torch.rand(frames, 3, IMAGE_PX, IMAGE_PX))
    step.on(batch, numbers)


def resnet50() -> nn.Module:
    """ResNet-50 with random weights up to the pooled vector; the time does not depend on the weights."""
    from torchvision.models import resnet50 as build

    net: nn.Module = build(weights=None)
    net.fc = nn.Identity()
    net.to(memory_format=torch.channels_last)
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--loop-repeats", type=int, default=2)
    parser.add_argument("--loop-samples", type=int, default=1, help="samples of a step that goes through the backbone")
    parser.add_argument("--feature-size", type=int, default=2048)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    machine = hardware()

    clips, labels = generated_clips(args.feature_size, args.frames, videos=4)
    spec = ModelSpec(args.feature_size, ("valence", "arousal"), args.frames, 2, ModelConfig())
    step = Step(TemporalModel(spec), labels)
    order = np.arange(len(clips))
    numbers = epoch_batches(order, args.batch_size, np.random.default_rng(0))[0]
    numbers32 = epoch_batches(order, 4 * args.batch_size, np.random.default_rng(0))[0]
    few = numbers[: args.loop_samples]
    small = clips.batch(torch.from_numpy(few))
    backbone = resnet50()

    rate = matmul_rate(2048, 2 * args.repeats)
    cached = alternating(
        {"step": lambda: step(clips, numbers), "gather": lambda: clips.batch(torch.from_numpy(numbers))}, args.repeats
    )
    larger = alternating({"step": lambda: step(clips, numbers32)}, args.repeats)["step"]
    loops = alternating(
        {
            "published": lambda: in_loop(step, backbone, small, few, published=True),
            "frozen": lambda: in_loop(step, backbone, small, few, published=False),
            "cached": lambda: step(clips, numbers),
        },
        args.loop_repeats,
    )
    per_sample = {name: [value / len(few) for value in loops[name]] for name in ("published", "frozen")}
    per_sample["cached"] = [value / len(numbers) for value in loops["cached"]]
    work, work32 = flops(lambda: step(clips, numbers)), flops(lambda: step(clips, numbers32))
    write_result(
        "train-step",
        {
            "shape": {"batch": len(numbers), "frames": args.frames, "features": args.feature_size, "context": 2},
            "cached_seconds_a_sample": median(per_sample["cached"]),
            "in_loop_published_seconds_a_sample": median(per_sample["published"]),
            "in_loop_frozen_seconds_a_sample": median(per_sample["frozen"]),
            "times_less_than_published": ratio(per_sample["published"], per_sample["cached"]),
            "times_less_than_frozen": ratio(per_sample["frozen"], per_sample["cached"]),
            "step_seconds": median(cached["step"]),
            "gather_seconds": median(cached["gather"]),
            "step_gflop": work / 1e9,
            "matmul_gflops": rate / 1e9,
            "share_of_matmul_rate": work / median(cached["step"]) / rate,
            f"share_of_matmul_rate_at_batch_{len(numbers32)}": work32 / median(larger) / rate,
            f"seconds_a_sample_at_batch_{len(numbers32)}": median(larger) / len(numbers32),
        },
        machine,
    )


if __name__ == "__main__":
    main()
