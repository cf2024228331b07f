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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from skimage import data

from affect.benchmarks.device_pictures import crop, look
from affect.benchmarks.epoch import amigos_shape
from affect.benchmarks.extraction_speed import make_video
from affect.benchmarks.hardware import hardware, write_result
from affect.cache import open_store
from affect.cache.records import FrameFeatures
from affect.configs.load import load_config
from affect.configs.schema import LossConfig, ModelConfig, TrainingConfig
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.embed import Embedder, choose_precision, turning_picture
from affect.stages.features.faces.crop import crop_matrix, cut_out
from affect.stages.features.faces.detect import input_size
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
    """Whether a row has the same bytes in another place, company, or size of batch: videos share batches."""
    random, many = np.random.default_rng(0), asked.but(16, 256)
    backbone = load_backbone(asked.but("timm:test_convnext", "resnet50"), "random")
    shape = (many, backbone.input_size, backbone.input_size, 3)
    crops, others = random.integers(0, 256, (2, *shape), np.uint8)
    order, part, piece = random.permutation(many), many // 3, many // 8
    found = {}
    for precision in ("fp32", "fp16", "bf16"):
        embedder = Embedder(backbone, asked.device, precision)
        embedder.batches.size = embedder.batches.most = many
        usual = embedder.embed(crops)
        company = np.concatenate([crops[:part], others[part:]])
        with ThreadPoolExecutor(4) as pool:  # as several videos ask
            shared = [*pool.map(embedder.embed, [crops[start : start + piece] for start in range(0, many, piece)])]
        found[precision] = {
            "again": np.array_equal(embedder.embed(crops), usual),
            "in another order": np.array_equal(embedder.embed(crops[order]), usual[order]),
            "in other company": np.array_equal(embedder.embed(company)[:part], usual[:part]),
            "with padding": np.array_equal(embedder.embed(crops[:part]), usual[:part]),
            "asked for by several": np.array_equal(np.concatenate(shared), usual),
        }
        embedder.batches.size = many // 2
        found[precision]["in a smaller batch"] = np.array_equal(embedder.embed(crops), usual)
    return found


def pictures(asked: Asked) -> dict[str, Any]:
    """What making looks and crops on the device would save and cost, in milliseconds a picture or a crop.

    And by how many grey levels they would differ from the CPU's: the greatest, and the mean.
    """
    device, found = torch.device(asked.device), {}
    times: int = asked.but(2, 50)
    on_gpu = device.type == "cuda"

    def milliseconds(work: Callable[[], object]) -> float:
        seconds = []
        for _ in range(times + 1):
            begun = time.perf_counter()
            work()
            if on_gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - begun)
        return round(1000 * sum(seconds[1:]) / times, 3)

    for width, height in ((640, 360), (1920, 1080)):
        picture = cv2.resize(data.astronaut(), (width, height))
        inner, _ = input_size(width, height, 320)
        host = torch.empty(picture.shape, dtype=torch.uint8, pin_memory=on_gpu)
        half = torch.empty((height * 3 // 2, width), dtype=torch.uint8, pin_memory=on_gpu)
        host.numpy()[...] = picture
        there = host.to(device)
        row: dict[str, Any] = {
            "looks on the CPU": milliseconds(partial(cv2.resize, picture, inner, interpolation=cv2.INTER_AREA)),
            "looks": milliseconds(partial(look, there, inner)),
            "into pinned memory": milliseconds(partial(np.copyto, host.numpy(), picture)),
            "RGB to the device": milliseconds(partial(host.to, device, non_blocking=True)),
            "YUV to the device": milliseconds(partial(half.to, device, non_blocking=True)),
        }
        differences = [np.abs(look(there, inner).cpu().numpy().astype(int)
                              - cv2.resize(picture, inner, interpolation=cv2.INTER_AREA))]  # fmt: skip
        for name, side in (("a small face", 0.2), ("a large face", 0.8)):
            box = np.array([0.3 * width, 0.1 * height, 0.3 * width + side * height, (0.1 + side) * height])
            marks = box[:2] + side * height * np.array([[0.3, 0.4], [0.7, 0.45], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
            matrix = crop_matrix("aligned", box, marks, 224)
            row[f"{name} on the CPU"] = milliseconds(partial(cut_out, picture, matrix, 224))
            row[name] = milliseconds(partial(crop, there, matrix, 224))
            mine = crop(there, matrix, 224).cpu().numpy().astype(int)
            differences.append(np.abs(mine - cut_out(picture, matrix, 224)))
        row["grey levels"] = [[int(one.max()), round(float(one.mean()), 5)] for one in differences]
        found[f"{width}x{height}"] = row
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
    """`affect extract-features` on 1, 4 and 16 videos in one process, and on 16 in several: frames a second."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = make_video(folder, asked.but(3, 30))
        for videos, jobs in asked.but(((1, 1), (2, 1)), ((1, 1), (4, 1), (16, 1), (16, 4))):
            films, store = folder / f"films{videos}-{jobs}", folder / f"store{videos}-{jobs}"
            films.mkdir()
            for number in range(videos):
                free = bytes([0, 0, 0, 9, *b"free", number])  # an empty box of mp4, so that no two files are the same
                (films / f"{number:02d}.mp4").write_bytes(one.read_bytes() + free)
            words = ["extract-features", str(films), "--store", str(store), "--jobs", str(jobs),
                     "--device", asked.device, "--sample-fps", "source"]  # fmt: skip
            begun = time.perf_counter()
            done = subprocess.run([sys.executable, "-m", "affect", *words], check=False, capture_output=True, text=True)
            seconds, stored = time.perf_counter() - begun, open_store(store)
            frames = sum(len(stored.entry(id_, ("status",)).arrays["status"]) for id_ in stored.ids())
            found[f"{videos} videos, {jobs} processes"] = {
                "ended": done.returncode,
                "said": (done.stdout.strip() or done.stderr.strip()).splitlines()[-1:],
                "seconds": round(seconds, 1),
                "frames_a_second": round(frames / seconds, 1),
            }
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
    """torchrun as docs/machines.md has it, on two ranks of two GPUs or else of the CPU: supervised and contrastive."""
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
    "numerics": (numerics, 180), "invariance": (invariance, 120), "pictures": (pictures, 60),
    "extraction": (extraction, 240), "videos_at_once": (videos_at_once, 210), "training": (training, 150),
    "ranks": (ranks, 120), "hardware_decoding": (hardware_decoding, 60),
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
