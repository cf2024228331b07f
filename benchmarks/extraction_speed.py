"""Frames a second of stage one beside a plain loop on the same file, and what finding faces adds.

    python benchmarks/extraction_speed.py [--seconds 40] [--repeats 3]

Plain loop: OpenCV reads, PIL transforms, float32 ResNet-50 in batches of 32, torch's own threads, features to a list.
Weights are random: they change no time. Goals: 1.6 times the plain loop in float32, 3 times in bf16, 0.9 of the
backbone alone; decoding, detection and tracking together at most 40 % of ResNet-50's time for a kept frame. Where 8
frames are decoded for one that is kept, decoding takes a share of the same cores: the most that this leaves is
measured beside, and so is a run that keeps every frame.
"""

import argparse
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import torch
from PIL import Image
from skimage import data, io
from torchvision import transforms
from torchvision.models import resnet50

from affect.benchmarks.hardware import alternating, hardware, median, ratio, write_result
from affect.configs.load import load_config
from affect.pipeline.workers import Workers
from affect.stages.features.one_thread import compute_alone
from affect.stages.features.stream import FeatureExtractor
from affect.stages.features.video.decode import open_video

KEEP = 8  # of 25 frames a second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    words = parser.parse_args()
    machine = hardware()
    threads = Workers().threads
    with tempfile.TemporaryDirectory() as folder:
        video = make_video(Path(folder), words.seconds)
        whole = {name: extractor(name, "none", threads) for name in ("fp32", "bf16")}
        every = extractor("bf16", "none", threads, "source")
        faces = extractor("fp32", "centerface", threads)
        kept = sum(len(block.time_s) for block, _ in whole["fp32"].stream(video))
        crops = np.random.default_rng(0).integers(0, 256, (kept, 224, 224, 3), np.uint8)
        short = make_video(Path(folder), max(2, words.seconds // KEEP), name="short.mp4")
        short_frames = sum(len(block.time_s) for block, _ in every.stream(short))
        short_crops = np.random.default_rng(0).integers(0, 256, (short_frames, 224, 224, 3), np.uint8)

        jobs = {
            "plain loop fp32": lambda: plain_loop(video),
            "affect fp32": lambda: read_through(whole["fp32"], video),
            "affect bf16": lambda: read_through(whole["bf16"], video),
            "backbone alone fp32": lambda: embed_alone(whole["fp32"], crops),
            "backbone alone bf16": lambda: embed_alone(whole["bf16"], crops),
            "affect with faces fp32": lambda: read_through(faces, video),
            "decoding alone": lambda: decode_alone(video, whole["fp32"].embedder.size_px),
            "affect bf16, every frame kept": lambda: read_through(every, short),
            "backbone alone bf16, every frame kept": lambda: embed_alone(every, short_crops),
        }
        seconds = alternating(jobs, words.repeats)
    times = {name: median(values) for name, values in seconds.items()}
    measured = {
        "video": f"640x360, 25 fps, {words.seconds} s, one face",
        "kept_frames": kept,
        "frames_per_second": {
            name: round((short_frames if name.endswith("every frame kept") else kept) / value, 2)
            for name, value in times.items()
        },
        "fp32_over_plain_loop": round(ratio(seconds["plain loop fp32"], seconds["affect fp32"]), 2),
        "bf16_over_plain_loop": round(ratio(seconds["plain loop fp32"], seconds["affect bf16"]), 2),
        "fp32_share_of_backbone_alone": round(ratio(seconds["backbone alone fp32"], seconds["affect fp32"]), 3),
        "bf16_share_of_backbone_alone": round(ratio(seconds["backbone alone bf16"], seconds["affect bf16"]), 3),
        "bf16_share_that_decoding_leaves": round(share_left(times, "backbone alone bf16", threads), 3),
        "bf16_share_of_backbone_alone_every_frame_kept": round(
            ratio(seconds["backbone alone bf16, every frame kept"], seconds["affect bf16, every frame kept"]), 3
        ),
        "decode_detect_track_over_backbone": round(
            ratio(seconds["affect with faces fp32"], seconds["backbone alone fp32"]) - 1, 3
        ),
        "repeats": words.repeats,
    }
    write_result("extraction-speed", measured, machine)


def share_left(times: dict[str, float], backbone: str, cores: int) -> float:
    """The most of the backbone's rate that can be reached where decoding has to run on the same cores."""
    return times[backbone] / (times[backbone] + times["decoding alone"] / cores)


def make_video(folder: Path, seconds: int, size: str = "640:360", name: str = "face.mp4") -> Path:
    """A photograph's face, panned about, 25 frames a second; size: "width:height" in pixels."""
    picture, video = folder / "face.png", folder / name
    io.imsave(picture, data.astronaut()[:400, :500])
    pan = f"scale=800:640,crop=640:360:80+60*sin(t):20+20*cos(t),scale={size}"
    words = ["-loop", "1", "-i", str(picture), "-t", str(seconds), "-r", "25", "-vf", pan, "-pix_fmt", "yuv420p"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *words, str(video)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return video


def extractor(precision: str, detector: str, threads: int, fps: str = "3.125") -> FeatureExtractor:
    words = [f"features.precision={precision}", f"features.faces.detector={detector}", f"features.sample_fps={fps}"]
    config = load_config(None, ["features.backbone=resnet50", "features.weights=random", *words]).features
    return FeatureExtractor(config, "cpu", threads)


def read_through(made: FeatureExtractor, video: Path) -> None:
    with made.stream(video) as stream:
        for _ in stream:
            pass


def decode_alone(video: Path, size_px: int) -> None:
    """Every frame decoded, and those that are kept scaled, as a stream does it."""
    opened = open_video(video)
    for frame in opened.frames():
        if frame.index % KEEP == 0:
            frame.square(size_px)
    opened.close()


def embed_alone(made: FeatureExtractor, crops: np.ndarray) -> None:
    """The backbone on pictures that lie ready, with as many threads as a stream would give it."""
    parts = [crops[start : start + 32] for start in range(0, len(crops), 32)]
    with ThreadPoolExecutor(made.threads, initializer=compute_alone) as pool:
        list(pool.map(made.embedder.embed, parts))


def plain_loop(video: Path) -> list[np.ndarray]:
    net = resnet50(weights=None).eval()
    net.fc = torch.nn.Identity()
    prepare = transforms.Compose(
        [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
         transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )  # fmt: skip
    features: list[np.ndarray] = []
    batch: list[torch.Tensor] = []
    reader, number = cv2.VideoCapture(str(video)), 0
    with torch.no_grad():
        while True:
            there, frame = reader.read()
            if there and number % KEEP == 0:
                batch.append(prepare(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))))
            number += 1
            if batch and (len(batch) == 32 or not there):
                features.extend(net(torch.stack(batch)).numpy())
                batch = []
            if not there:
                return features


if __name__ == "__main__":
    main()
