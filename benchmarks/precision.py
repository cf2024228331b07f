"""What bf16 and fp16 cost in a backbone's features: cosine with float32, and error beside the frame-to-frame change.

`python benchmarks/precision.py [--clip VIDEO] [--frames N] [--device cuda] [BACKBONE ...]`. Without a clip a photograph
of a face turns by two degrees a frame. A clip's frames are taken whole.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import torch
from skimage import data
from skimage.transform import rotate

from affect.benchmarks.hardware import hardware, write_result
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.prepare import prepare

Pictures = npt.NDArray[np.uint8]
BATCH = 16
GOAL = {"cosine": 0.999}


def turning_face(frames: int) -> Pictures:
    """(N, 160, 160, 3) uint8: a photograph of a face that turns by two degrees a frame."""
    face = data.astronaut()[40:200, 140:300]
    turned = [rotate(face, 2.0 * step, mode="edge", preserve_range=True) for step in range(frames)]
    return np.stack(turned).round().astype(np.uint8)


def clip_frames(path: Path, frames: int) -> Pictures:
    """(N, H, W, 3) uint8: the first frames of a clip."""
    pictures = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            pictures.append(frame.to_ndarray(format="rgb24"))
            if len(pictures) == frames:
                break
    return np.stack(pictures)


def features(backbone: Any, pictures: Pictures, device: str) -> torch.Tensor:
    """(N, D) float32 on the CPU."""

    def batches() -> Iterator[torch.Tensor]:
        for start in range(0, len(pictures), BATCH):
            images = backbone.preprocess(torch.from_numpy(pictures[start : start + BATCH]).to(device))
            yield backbone(images.contiguous(memory_format=torch.channels_last)).cpu()

    with torch.inference_mode():
        return torch.cat(list(batches()))


def compare(name: str, weights: str | None, pictures: Pictures, device: str) -> dict[str, Any]:
    """Least and mean cosine, and mean error over the mean change from frame to frame, for each precision."""
    backbone = load_backbone(name, weights)
    exact = features(prepare(backbone, device), pictures, device)
    change = exact.diff(dim=0).norm(dim=1).mean()
    measured: dict[str, Any] = {"weights": backbone.weights_name}
    for precision in ("bf16", "fp16"):
        rounded = features(prepare(backbone, device, precision), pictures, device)
        cosine = torch.cosine_similarity(rounded, exact)
        measured[precision] = {
            "cosine_least": round(float(cosine.min()), 6),
            "cosine_mean": round(float(cosine.mean()), 6),
            "error_over_change": round(float((rounded - exact).norm(dim=1).mean() / change), 4),
            "meets_goal": bool(cosine.min() >= GOAL["cosine"]),
        }
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backbones", nargs="*", default=["efficientnet-lite0", "resnet50"])
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--weights", help="of every named backbone; without it random ones, but for the default")
    given = parser.parse_args()
    machine = hardware()
    pictures = clip_frames(given.clip, given.frames) if given.clip else turning_face(given.frames)
    measured: dict[str, Any] = {
        "goal": GOAL,
        "frames": len(pictures),
        "clip": given.clip.name if given.clip else "a photograph turning two degrees a frame",
        "device": given.device,
    }
    for name in given.backbones:
        weights = given.weights or (None if name == "efficientnet-lite0" else "random")
        measured[name] = compare(name, weights, pictures, given.device)
    write_result("precision", measured, machine)


if __name__ == "__main__":
    main()
