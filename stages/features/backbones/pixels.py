"""The crop itself, 32 x 32 grey values: what every network should be better than."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from ....errors import ConfigError
from .network import LUMA, Network, Scale
from .weights import state_sha256

SIDE = 32
SIZE_PX = 7 * SIDE  # side of the crop; each value is the mean of 7 x 7 of its pixels
VERSION = 1  # raised when the numbers change
GREY = (127.5,) * 3  # (value - 127.5) / 127.5: -1 black, 1 white; no uniform crop is all zeros


class Pixels(nn.Module):
    """(N, 3, S, S) -> (N, 1024): luminance, averaged, row by row."""

    luma: Tensor  # (1, 3, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        grey = (images * self.luma).sum(1, keepdim=True)
        return avg_pool2d(grey, SIZE_PX // SIDE).flatten(1)


def build(name: str, weights: str | Path | None) -> Network:
    """The aligned crop as 32 x 32 grey values, D = 1024. Errors: ConfigError for any weights, as it has none."""
    if weights is not None:
        raise ConfigError(f"backbone {name!r} has no weights; got {str(weights)!r}", hint="leave --weights out")
    net = Pixels()
    scale = Scale(SIZE_PX, GREY, GREY, unit=255)
    return Network(net, scale, SIZE_PX, state_sha256(net), "none", notes={"version": VERSION})
