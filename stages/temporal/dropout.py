"""Dropout whose random numbers cost little on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional

STEPS = 2**16  # of a share: what a quarter of a random number of 64 bits tells apart


class Dropout(nn.Dropout):
    """As torch's, but for how a CPU draws: torch takes one random number for each element there, and on AMD's
    processors one at a time. Here a number of 64 bits decides four elements.

    The share left out is p to within 2^-17, and what is kept is scaled by the share that is really kept.
    """

    def forward(self, x: Tensor) -> Tensor:
        left_out = round(self.p * STEPS)
        if x.device.type != "cpu" or not self.training or left_out in (0, STEPS):
            return functional.dropout(x, self.p, self.training)
        drawn = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        quarters = drawn.view(torch.int16)[: x.numel()].view(x.shape)
        kept = (quarters >= left_out - STEPS // 2).to(x.dtype)
        return x * kept.mul_(STEPS / (STEPS - left_out))


def quick_dropout(layer: nn.Module) -> None:
    """Give a Transformer layer of torch's this dropout in place of its own."""
    for name, part in layer.named_children():
        if type(part) is nn.Dropout:
            setattr(layer, name, Dropout(part.p))
