"""Crops into feature vectors: the backbone on its device, in batches, at the precision the recipe names."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from ...cache.records import Array
from ...configs.schema import OPENVINO, TORCH
from ...errors import InputError
from .backbones.load import Backbone
from .device.batches import Batches
from .device.rounding import float32
from .device.together import Together
from .engines.onednn import use_onednn
from .engines.openvino import Compiled
from .prepare import prepare

_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST = float(np.finfo(np.float16).smallest_normal)  # features that all lie below have lost their digits
_MOST_BATCH = 256  # crops elsewhere than on a CPU, of all videos together
_SHARE_OF_CHANGE = 0.05  # `auto` on CUDA: rounding must stay below this share of the change from frame to frame


class Embedder:
    """A backbone ready for its device."""

    def __init__(self, backbone: Backbone, device: str = "cpu", precision: str = "auto", engine: str = TORCH) -> None:
        """engine: as `resolve_engine` gave it. Errors: ConfigError, DeviceError."""
        self.device = torch.device(device)
        self.size_px = backbone.input_size
        self.feature_size = backbone.feature_size
        self.precision = choose_precision(backbone, device) if precision == "auto" else precision
        compiled = engine == OPENVINO
        self._backbone = prepare(backbone, device, "fp32" if compiled else self.precision)
        self._compiled = Compiled(_Features(self._backbone), self.precision) if compiled else None
        if not compiled and self.device.type == "cpu":
            use_onednn(self._backbone.net)
        on_cpu = self.device.type == "cpu"
        self.batches = Batches(cpu_batch(self._backbone) if on_cpu else _MOST_BATCH, self.device)
        # An image that runs by itself has no company.
        self._together = None if on_cpu else Together(self.batches, fixed=not backbone.one_by_one)

    def embed(self, crops: Array) -> Array:
        """(R, D) float16 of (R, S, S, 3) uint8 RGB.

        Errors: InputError where float16 cannot hold a feature, or all of them would vanish in it; VideoError where the
        device's memory has no room for one crop.
        """
        values, start = np.zeros((len(crops), self.feature_size), np.float16), 0
        for features in self._features(crops):
            largest = float(np.abs(features).max())
            if not _SMALLEST <= largest <= _LARGEST:
                raise InputError(
                    f"backbone {self._backbone.name} gives features of up to {largest:.3g}; expected the largest "
                    f"between {_SMALLEST:.2g} and {_LARGEST:.0f}, which float16 holds",
                    hint="--weights FILE with trained weights, --set features.precision=fp32, or another backbone",
                )
            values[start : start + len(features)] = features
            start += len(features)
        return values

    def notes(self) -> list[str]:
        """What is to be said of features made from here on."""
        return self.batches.notes("crops")

    def _features(self, crops: Array) -> Iterator[Array]:
        """(N, D) float32 of some of the crops after others; each device computes them in its own batches."""
        if self._together is None:
            yield from self.batches.run(self._run, crops)
        elif len(crops):
            yield self._together.run(crops, self._compute)

    def _run(self, images: Array) -> Array:
        if self._compiled is None:
            return np.asarray(self._compute(torch.from_numpy(images)).numpy())
        with torch.inference_mode():
            pixels = self._backbone.preprocess(torch.from_numpy(images))
            return self._compiled(pixels.contiguous().numpy())[0]

    def _compute(self, images: torch.Tensor) -> torch.Tensor:
        """(N, D) float32 of (N, S, S, 3) uint8, both on the device."""
        with float32(self.device, tf32=self.precision == "tf32"), torch.inference_mode():
            pixels = self._backbone.preprocess(images).contiguous(memory_format=torch.channels_last)
            features: torch.Tensor = self._backbone(pixels)
            return features.float()


class _Features(nn.Module):
    """A backbone's features of preprocessed images, as one graph."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self._backbone = backbone

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self._backbone(images)
        return features


def cpu_batch(backbone: Backbone) -> int:
    """How many images a thread embeds at once on a CPU.

    4 of networks with depthwise convolutions, as the default backbone: a tenth faster than with 2, and two fifths
    faster than with 8, whose activations leave the cache. 16 of others: ResNet-50 is a third faster than with 4. Found
    from the network alone: features must not depend on the machine.
    """
    depthwise = any(isinstance(layer, nn.Conv2d) and layer.groups > 1 for layer in backbone.net.modules())
    return 4 if depthwise else 16


def choose_precision(backbone: Backbone, device: str) -> str:
    """The precision that `auto` stands for: fp32 on a CPU; elsewhere the first of fp16 and bf16 that is exact enough.

    Exact enough: its error is at most 5 % of the change a face's features make when it turns by two degrees, which is
    about a step of one video frame. Measured on a fixed picture, so that it does not depend on the videos. One in which
    the network does not run, or overflows, is not exact enough.
    """
    if torch.device(device).type == "cpu":
        return "fp32"
    pictures = turning_picture(backbone.input_size)
    reference = Embedder(backbone, device, "fp32").embed(pictures).astype(np.float32)
    change = np.linalg.norm(np.diff(reference, axis=0), axis=1).mean()
    for precision in ("fp16", "bf16"):
        try:
            values = Embedder(backbone, device, precision).embed(pictures).astype(np.float32)
        except (InputError, RuntimeError):
            continue
        error = np.linalg.norm(values - reference, axis=1).mean()
        if error <= _SHARE_OF_CHANGE * change:
            return precision
    return "fp32"


def turning_picture(size_px: int) -> Array:
    """(8, S, S, 3) uint8: a photograph of a face, turned by two degrees from each picture to the next."""
    import cv2
    from skimage import data

    photograph: Array = data.astronaut()
    face = photograph[40:200, 140:300]
    pictures = []
    for step in range(8):
        turn = cv2.getRotationMatrix2D((80, 80), 2.0 * step, size_px / 160)
        turn[:, 2] = turn[:, 2] + (size_px / 2 - 80)
        pictures.append(cv2.warpAffine(face, turn, (size_px, size_px), borderMode=cv2.BORDER_REPLICATE))
    return np.stack(pictures)
