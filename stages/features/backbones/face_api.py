"""Two small face networks that a user may bring: seven expressions, and 68 points of the face.

They are those of the npm package `@vladmandic/face-api`, by Vincent Muehler, MIT; not shipped with affect. Their author
says of the training data: "publicly available data sets as well as images scraped from the web" for the expressions,
and about 35,000 faces with 68 points.
"""

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ....errors import WeightsError
from .face_api_files import EXPRESSION, LANDMARKS, digest_of, read_files
from .network import RANDOM, Network, Scale, seeded
from .weights import StateDict, fit, state_sha256

SIZE_PX = 112
MEAN, STD = (122.782, 117.001, 104.298), (255.0,) * 3  # of RGB in 0-255
WIDTHS = (32, 64, 128, 256)  # channels of the four blocks
EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
POINTS = 68
# What held up best on people who were not seen in training: 7 + 128 + 136 numbers.
POINTS_LAYER = "landmarks.points"
TAPS = f"expression.logits:1,landmarks.dense2:1,{POINTS_LAYER}:1"


class Separable(nn.Module):
    """A 3x3 convolution of each channel, then a 1x1 one across channels; `same` padding as TensorFlow does it."""

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(given, given, 3, stride, groups=given, bias=False)
        self.pointwise = nn.Conv2d(given, made, 1)

    def forward(self, maps: Tensor) -> Tensor:
        result: Tensor = self.pointwise(self.depthwise(_same(maps, self.depthwise.stride[0])))
        return result


class First(nn.Conv2d):
    """The ordinary 3x3 convolution that sees the image."""

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(_same(maps, self.stride[0]))


class Dense(nn.Module):
    """A block whose four convolutions are added up: (N, C, 2H, 2W) -> (N, D, H, W)."""

    def __init__(self, given: int, made: int, *, first: bool) -> None:
        super().__init__()
        self.conv0 = First(given, made, 3, 2) if first else Separable(given, made, 2)
        self.conv1, self.conv2, self.conv3 = (Separable(made, made, 1) for _ in range(3))

    def forward(self, maps: Tensor) -> Tensor:
        one = self.conv0(maps).relu()
        two = self.conv1(one)
        three = self.conv2((one + two).relu())
        four = self.conv3((one + two + three).relu())
        result: Tensor = (one + two + three + four).relu()
        return result


class FaceNet(nn.Module):
    """Four blocks, the mean over the image, and a linear layer under the name of what it gives."""

    def __init__(self, output: str, size: int) -> None:
        super().__init__()
        self.output = output
        for number, (given, made) in enumerate(zip((3, *WIDTHS), WIDTHS, strict=False)):
            self.add_module(f"dense{number}", Dense(given, made, first=number == 0))
        self.pooled = nn.Sequential(nn.AvgPool2d(7, 2), nn.Flatten())
        self.add_module(output, nn.Linear(WIDTHS[-1], size))

    def forward(self, images: Tensor) -> Tensor:
        for number in range(len(WIDTHS)):
            images = self.get_submodule(f"dense{number}")(images)
        result: Tensor = self.get_submodule(self.output)(self.pooled(images))
        return result


class FaceApi(nn.Module):
    """(N, 3, 112, 112) -> (N, 143): 7 expressions before softmax, then 68 points (x, y) in 0-1 of the crop."""

    def __init__(self) -> None:
        super().__init__()
        self.expression = FaceNet("logits", len(EXPRESSIONS))
        self.landmarks = FaceNet("points", 2 * POINTS)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.expression(images), self.landmarks(images)], 1)


def build(name: str, weights: str | Path | None) -> Network:
    """Both networks, D = 271 at their own taps. `weights`: a folder with the four files, the package's .tgz, "random".

    Errors: WeightsError without weights, or with others than those of the package.
    """
    with seeded():
        net = FaceApi()
    if weights == RANDOM:
        sha256, origin = state_sha256(net), RANDOM
    else:
        files = read_files(name, weights)
        for part, kind in ((net.expression, EXPRESSION), (net.landmarks, LANDMARKS)):
            fit(part, _state(files[kind.manifest], files[kind.values]), f"weights {kind.values!r}", names=_names(part))
        sha256, origin = digest_of(files), str(Path(str(weights)).name)
    return Network(net, Scale(SIZE_PX, MEAN, STD, unit=255), SIZE_PX, sha256, origin, taps=TAPS, points=POINTS_LAYER)


def _same(maps: Tensor, stride: int) -> Tensor:
    """Padding of a 3x3 convolution; of stride 2, with an even number of places, right and below alone."""
    return pad(maps, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))


def _names(net: FaceNet) -> dict[str, str]:
    """The network's keys -> the file's."""
    leaves = {
        "depthwise.weight": "depthwise_filter", "pointwise.weight": "pointwise_filter", "pointwise.bias": "bias",
        "weight": "filters", "bias": "bias",
    }  # fmt: skip
    names = {}
    for key in net.state_dict():
        if key.startswith(f"{net.output}."):
            names[key] = "fc/weights" if key.endswith("weight") else "fc/bias"
        else:
            block, layer, leaf = key.split(".", 2)
            names[key] = f"{block}/{layer}/{leaves[leaf]}"
    return names


def _state(manifest: bytes, values: bytes) -> StateDict:
    """Tensors by the file's names, in torch's order of axes; bytes become byte * scale + min."""
    state, start = {}, 0
    for group in json.loads(manifest):
        for entry in group["weights"]:
            said = entry.get("quantization")
            kind = torch.uint8 if said else torch.float32
            count = int(torch.Size(entry["shape"]).numel())
            tensor = torch.frombuffer(bytearray(values), dtype=kind, count=count, offset=start).clone()
            start += count * tensor.element_size()
            if said:
                tensor = (tensor.double() * said["scale"] + said["min"]).float()
            state[entry["name"]] = _turned(entry["name"], tensor.reshape(entry["shape"]))
    if start != len(values):
        raise WeightsError(f"the manifest speaks of {start} bytes; there are {len(values)}")
    return state


def _turned(name: str, tensor: Tensor) -> Tensor:
    """(H, W, in, out) as (out, in, H, W); the depthwise filter (H, W, C, 1) as (C, 1, H, W); (in, out) as (out, in)."""
    if tensor.ndim == 4:
        return tensor.permute((2, 3, 0, 1) if name.endswith("depthwise_filter") else (3, 2, 0, 1)).contiguous()
    return tensor.T.contiguous() if tensor.ndim == 2 else tensor
