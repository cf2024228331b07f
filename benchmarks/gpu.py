"""What is to be known of a machine with a GPU, in under 20 minutes: `make gpu`, or

    python benchmarks/gpu.py [--device cuda] [--quick] [--only numerics,extraction]

Each part has a process and a time limit of its own; one that fails is listed, and the others go on. The dated result
is written again after every part, so that a run that is cut off says something. With `--device cpu --quick` it is
tried out where no GPU is, which measures nothing.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affect.benchmarks.epoch import amigos_shape
from affect.benchmarks.extraction_speed import make_video
from affect.benchmarks.hardware import hardware, write_result
from affect.cache.records import FrameFeatures
from affect.configs.load import load_config
from affect.configs.schema import LossConfig, ModelConfig, TrainingConfig
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.embed import Embedder, choose_precision, turning_picture
from affect.stages.features.stream import FeatureExtractor
from affect.stages.features.video.decode import open_video
from affect.stages.temporal.fit import Fit, LabelledClips, build_model
from affect.stages.temporal.model import ModelSpec
from affect.tests.generated import GeneratedData, generated_features

BACKBONES = {"efficientnet-lite0": None, "resnet50": "random", "resnet50-vggface2": "random"}
# CPU and GPU may differ by so much: mean distance of features over the mean change from frame to frame
TOLERANCE = {"fp32": 0.002, "tf32": 0.1, "fp16": 0.05, "bf16": 0.5}


@dataclass(frozen=True, slots=True)
class Asked:
    """On which device, and whether only to see that it runs."""

    device: str
    quick: bool

    def but(self, quick: Any, whole: Any) -> Any:
        """One of two amounts."""
        return quick if self.quick else whole


def numerics(asked: Asked) -> dict[str, Any]:
    """Of each backbone and precision: error against the CPU's float32 over the change from frame to frame."""
    found: dict[str, Any] = {}
    for name, weights in [*BACKBONES.items()][: asked.but(1, 3)]:
        backbone = load_backbone(name, weights)
        pictures = turning_picture(backbone.input_size)
        exact = Embedder(backbone, "cpu", "fp32").embed(pictures).astype(float)
        change = np.linalg.norm(np.diff(exact, axis=0), axis=1).mean()
        row: dict[str, Any] = {}
        for precision, most in TOLERANCE.items():
            values = Embedder(backbone, asked.device, precision).embed(pictures).astype(float)
            error = float(np.linalg.norm(values - exact, axis=1).mean() / change)
            row[precision] = {"error": round(error, 5), "within": error <= most}
        found[name] = row | {"auto": choose_precision(backbone, asked.device)}
    return found


def invariance(asked: Asked) -> dict[str, Any]:
    """Whether a row has the same bytes in another place, company, or size of batch."""
    random, many = np.random.default_rng(0), asked.but(16, 256)
    pictures, order = random.integers(0, 256, (many, 224, 224, 3), np.uint8), random.permutation(many)
    found = {}
    for precision in ("fp32", "fp16", "bf16"):
        embedder = Embedder(load_backbone("resnet50", "random"), asked.device, precision)
        embedder.batches.size = embedder.batches.most = many
        usual, part = embedder.embed(pictures), many // 3
        padded = np.concatenate([pictures[:part], np.zeros_like(pictures[part:])])
        found[precision] = {
            "again": np.array_equal(embedder.embed(pictures), usual),
            "in another order": np.array_equal(embedder.embed(pictures[order]), usual[order]),
            "in other company": np.array_equal(embedder.embed(padded)[:part], usual[:part]),
            "in a smaller batch": np.array_equal(embedder.embed(pictures[:part]), usual[:part]),
        }
    return found


def extraction(asked: Asked) -> dict[str, Any]:
    """Rows a second of one video, beside decoding and the backbone alone; memory; whether resuming gives the same."""
    found: dict[str, Any] = {}
    on_gpu = torch.device(asked.device).type == "cuda"
    with tempfile.TemporaryDirectory() as folder:
        for size, seconds in (("640:360", asked.but(6, 60)), ("1920:1080", asked.but(2, 20))):
            video = make_video(Path(folder), seconds, size, f"{size.replace(':', 'x')}.mp4")
            begun, opened = time.perf_counter(), open_video(video)
            frames = sum(1 for _ in opened.frames())
            opened.close()
            found[f"{size}, decoding alone"] = round(frames / (time.perf_counter() - begun), 1)
            for fps, detector in (("5", "centerface"), ("source", "centerface"), ("source", "none")):
                words = ["features.backbone=resnet50", "features.weights=random", f"features.sample_fps={fps}",
                         f"features.faces.detector={detector}"]  # fmt: skip
                extractor = FeatureExtractor(load_config(None, words).features, asked.device, 2)
                if on_gpu:
                    torch.cuda.reset_peak_memory_stats()
                begun = time.perf_counter()
                with extractor.stream(video) as stream:
                    blocks = [*stream]
                rows = sum(len(block.values) for block, _ in blocks)
                found[f"{size}, {fps}, {detector}"] = {
                    "precision": extractor.embedder.precision,
                    "rows_a_second": round(rows / (time.perf_counter() - begun), 1),
                    "peak_gb": round(torch.cuda.max_memory_allocated() / 2**30, 2) if on_gpu else None,
                }
        begin, state = blocks[0]
        with extractor.stream(video, state, len(begin.time_s)) as stream:
            rest = [block for block, _ in stream]
        whole = FrameFeatures.concatenate([block for block, _ in blocks])
        again = FrameFeatures.concatenate([begin, *rest])
        found["the same bytes when resumed"] = whole.values.tobytes() == again.values.tobytes()
        crops = np.zeros((asked.but(32, 4096), 224, 224, 3), np.uint8)
        extractor.embedder.embed(crops[:256])
        begun = time.perf_counter()
        extractor.embedder.embed(crops)
        found["the backbone alone, rows a second"] = round(len(crops) / (time.perf_counter() - begun), 1)
    return found


def videos_at_once(asked: Asked) -> dict[str, Any]:
    """`affect extract-features` on many videos: one process that reads several at once, and several processes."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder, films = Path(name), Path(name, "films")
        films.mkdir()
        one = make_video(folder, asked.but(3, 30))
        for number in range(asked.but(2, 16)):
            free = bytes([0, 0, 0, 9, *b"free", number])  # an empty box of mp4, so that no two files are the same
            (films / f"{number:02d}.mp4").write_bytes(one.read_bytes() + free)
        for jobs in asked.but((1,), (1, 4, 8)):
            words = ["extract-features", str(films), "--store", str(folder / f"store{jobs}"), "--jobs", str(jobs),
                     "--device", asked.device, "--sample-fps", "source"]  # fmt: skip
            begun = time.perf_counter()
            done = subprocess.run([sys.executable, "-m", "affect", *words], check=False, capture_output=True, text=True)
            lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
            found[f"{jobs} processes"] = {"ended": done.returncode, "said": lines[-1:],
                                          "seconds": round(time.perf_counter() - begun, 1)}  # fmt: skip
    return found


def training(asked: Asked) -> dict[str, Any]:
    """Seconds a step, and the loss, of float32 and bf16 at the full width, contrastive epochs among them."""
    width, found = asked.but(64, 2048), {}
    clips, labels, _ = amigos_shape(width, asked.but(2, 8), asked.device)
    numbers, known = np.arange(len(clips)), labels.cpu().numpy()
    train, validation = numbers[: asked.but(64, 512)], numbers[-128:]
    network = ModelSpec(width, ("valence", "arousal"), 16, 2, ModelConfig())
    for precision in ("fp32", "bf16"):
        settings = TrainingConfig(precision=precision, epochs=asked.but(1, 2))
        fit = Fit(build_model(network, 0, asked.device), LabelledClips(clips, known, train, validation), settings,
                  LossConfig(contrastive_epochs=1), 0)  # fmt: skip
        epochs = [*fit.epochs()]
        steps = -(-len(train) // settings.batch_size)
        found[f"{precision} on {asked.device}"] = {
            "seconds_a_step": round(epochs[-1].seconds / steps, 4),
            "loss": epochs[-1].loss,
            "ccc": epochs[-1].validation_ccc,
        }
    return found


def ranks(asked: Asked) -> dict[str, Any]:
    """torchrun as the README has it, on two ranks: of two GPUs, or else of the CPU; supervised and contrastive."""
    found = {}
    several = torch.device(asked.device).type == "cuda" and torch.cuda.device_count() > 1
    device = "cuda" if several else "cpu"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = GeneratedData(subjects=4, video_frames=(96, 96), feature_size=32)
        generated_features(folder / "store", folder / "labels.csv", data)
        for kind, words in {"supervised": [], "contrastive": ["--set", "loss.contrastive_epochs=1"]}.items():
            program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "--", "affect"]
            command = ["train-temporal", "--store", str(folder / "store"), "--labels", str(folder / "labels.csv"),
                       "--run", str(folder / kind), "--device", device, "--set", "training.epochs=1",
                       "--set", "model.width=16", "--set", "evaluation.test_subjects=[s0000]", *words]  # fmt: skip
            done = subprocess.run([*program, *command], check=False, capture_output=True, text=True)
            said = (done.stdout + done.stderr).strip().splitlines()
            found[kind] = {"device": device, "ended": done.returncode, "said": said[-1:] if done.returncode else []}
    return found


def hardware_decoding(asked: Asked) -> dict[str, Any]:
    """Frames a second of the GPU's own decoder, and whether it gives the pixels that software gives."""
    import av
    from av.codec.hwaccel import HWAccel

    found: dict[str, Any] = {}
    luma: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        video = make_video(Path(folder), asked.but(4, 20), "1920:1080")
        for kind in ("software", "cuda"):
            accel = HWAccel("cuda", allow_software_fallback=False) if kind == "cuda" else None
            begun, frames = time.perf_counter(), 0
            try:
                with contextlib.closing(av.open(str(video), hwaccel=accel)) as container:
                    for frame in container.decode(video=0):
                        frames += 1
                        if frames == 50:
                            luma[kind] = frame.to_ndarray(format="gray")
                found[kind] = round(frames / (time.perf_counter() - begun), 1)
            except (av.error.FFmpegError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
                found[kind] = f"{type(error).__name__}: {error}"[:200]
    found["the same luma"] = np.array_equal(luma["software"], luma["cuda"]) if len(luma) == 2 else None
    return found


# Each part with its limit in seconds; 1,140 together, which leaves the tests a minute of the twenty.
PARTS: dict[str, tuple[Callable[[Asked], dict[str, Any]], int]] = {
    "numerics": (numerics, 180), "invariance": (invariance, 120), "extraction": (extraction, 270),
    "videos_at_once": (videos_at_once, 240), "training": (training, 150), "ranks": (ranks, 120),
    "hardware_decoding": (hardware_decoding, 60),
}  # fmt: skip


def measured_by(part: str, asked: Asked) -> dict[str, Any]:
    """What a part found, in a process of its own; or why it failed."""
    words = ["--device", asked.device, *(["--quick"] if asked.quick else []), "--part", part]
    begun = time.perf_counter()
    try:
        done = subprocess.run([sys.executable, __file__, *words], check=False, capture_output=True, text=True,
                              timeout=PARTS[part][1])  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"longer than {PARTS[part][1]} s"}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-3:]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": round(time.perf_counter() - begun, 1), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="only to see that every part runs")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    args = parser.parse_args()
    asked = Asked(args.device, args.quick)
    if args.part:
        print(json.dumps(PARTS[args.part][0](asked), default=str))
        return
    if torch.device(args.device).type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device is here; nothing was measured")
    machine, found = hardware(), {}
    for part in args.only.split(","):
        found[part] = measured_by(part, asked)
        print(part, json.dumps(found[part]), flush=True)
        if not asked.quick:
            write_result("gpu", found, machine)
    failed = [part for part, values in found.items() if "failed" in values]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
