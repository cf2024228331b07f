"""The paper's two ResNet-50s, as torchvision's network adjusted to the Caffe-style originals.

Source: Foteinopoulou & Patras, "Learning from Label Relationships in Human Affect", ACM MM 2022; the originals are
the VGGFace2 ResNet-50 trained from scratch and its fine-tuning on SFEW.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from torchvision.models import ResNet
from torchvision.models.resnet import Bottleneck, resnet50

from ....errors import WeightsError
from .network import RANDOM, Network, Scale, seeded
from .weights import fit_file, state_sha256

SIZE_PX = 224
# What the paper's training fed both networks with, RGB in 0-1.
PAPER_MEAN = (0.4168, 0.3074, 0.2607)
PAPER_STD = (0.2426, 0.1997, 0.1870)


@dataclass(frozen=True, slots=True)
class Published:
    """How one of the originals differs from torchvision's ResNet-50, and how its file names the layers."""

    file: str  # as published
    mean: tuple[float, float, float]  # of RGB in 0-255; the standard deviation is 1
    first_bias: bool
    pool_padding: int
    pool_ceil: bool
    epsilon: float  # of every BatchNorm
    layer_name: Callable[[str], str]  # torchvision's layer -> the file's
    classifier: str


def _vggface2_layer(layer: str) -> str:
    if not layer.startswith("layer"):
        return {"conv1": "conv1_7x7_s2", "bn1": "conv1_7x7_s2_bn"}[layer]
    stage, block, part = _split(layer)
    kinds = {"1": "1x1_reduce", "2": "3x3", "3": "1x1_increase", "downsample": "1x1_proj"}
    return f"conv{stage}_{block}_{kinds[part.removesuffix('_bn')]}{'_bn' if part.endswith('_bn') else ''}"


def _sfew_layer(layer: str) -> str:
    if not layer.startswith("layer"):
        return {"conv1": "conv1_conv", "bn1": "conv1_bn"}[layer]
    stage, block, part = _split(layer)
    kinds = {"1": "a", "2": "b", "3": "c", "downsample": "_adapt"}
    return f"conv{stage}_{block}{kinds[part.removesuffix('_bn')]}_{'bn' if part.endswith('_bn') else 'conv'}"


def _split(layer: str) -> tuple[int, int, str]:
    """Stage (2-5), block (from 1), and "1", "2", "3" or "downsample", with "_bn" for the normalisation after it."""
    stage, block, *rest = layer.split(".")
    name = rest[0]
    number, norm = ("downsample", rest[1] == "1") if name == "downsample" else (name[-1], name.startswith("bn"))
    return int(stage.removeprefix("layer")) + 1, int(block) + 1, number + ("_bn" if norm else "")


PUBLISHED = {
    "resnet50-vggface2": Published(
        file="resnet50_scratch_dag.pth",
        mean=(131.0912, 103.8827, 91.4953),
        first_bias=False,
        pool_padding=0,
        pool_ceil=True,
        epsilon=1e-5,
        layer_name=_vggface2_layer,
        classifier="classifier.",
    ),
    "resnet50-sfew": Published(
        file="resnet50_face_sfew_dag.pth",
        mean=(131.8833, 105.5117, 92.5694),
        first_bias=True,
        pool_padding=1,
        pool_ceil=False,
        epsilon=1e-4,
        layer_name=_sfew_layer,
        classifier="prediction.",
    ),
}


def build(name: str, weights: str | Path | None) -> Network:
    """One of the paper's ResNet-50s, D = 2048, with its own scale and the paper's.

    `weights`: the authors' file, a checkpoint `pid_*.pth.tar` that holds it under `backbone`, or "random".
    Errors: WeightsError without weights, or with weights that do not fit.
    """
    published = PUBLISHED[name]
    if weights is None:
        raise WeightsError(
            f"backbone {name!r} needs its weights: the file published as {published.file}, or a checkpoint of the "
            "paper's code",
            hint="--weights FILE",
        )
    net = construct(published)
    if weights == RANDOM:
        sha256, origin = state_sha256(net), RANDOM
    else:
        names = file_keys(net.state_dict(), published)
        sha256, origin = fit_file(net, weights, names=names, dropped=(published.classifier,))
    own = Scale(SIZE_PX, published.mean, (1.0, 1.0, 1.0), unit=255)
    return Network(net, own, SIZE_PX, sha256, origin, paper_scale=Scale(SIZE_PX, PAPER_MEAN, PAPER_STD))


def construct(published: Published) -> ResNet:
    """torchvision's ResNet-50 with the original's strides, first layer and BatchNorm, up to the average pool."""
    with seeded():
        net = resnet50(weights=None)
        net.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=published.first_bias)
    net.maxpool = nn.MaxPool2d(3, stride=2, padding=published.pool_padding, ceil_mode=published.pool_ceil)
    net.fc = nn.Identity()
    for module in net.modules():
        if isinstance(module, Bottleneck):
            # The originals halve the image in a block's first 1x1 convolution, torchvision's in its 3x3.
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
        elif isinstance(module, nn.BatchNorm2d):
            module.eps = published.epsilon
    return net


def file_keys(keys: Iterable[str], published: Published) -> dict[str, str]:
    """The adjusted network's keys -> the authors' file's."""
    names = {}
    for key in keys:
        layer, _, leaf = key.rpartition(".")
        names[key] = f"{published.layer_name(layer)}.{leaf}"
    return names
