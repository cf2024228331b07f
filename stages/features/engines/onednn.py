"""1x1 convolutions by oneDNN, also on one thread.

There torch takes its own, older way for batches of fewer than 16: most of the time of a network with depthwise
convolutions. It is half again as slow as oneDNN's, which torch takes for everything else.
"""

import torch
from torch import Tensor, nn


class OneDnnConv2d(nn.Conv2d):
    """An `nn.Conv2d` that computes the same within float32's rounding."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.mkldnn_convolution(input, weight, bias, (0, 0), self.stride, (1, 1), self.groups)


def use_onednn(net: nn.Module) -> int:
    """How many of a network's layers became oneDNN's, in place; for a network that stays on the CPU."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return 0
    found = [layer for layer in net.modules() if _is_pointwise(layer)]
    for layer in found:
        layer.__class__ = OneDnnConv2d  # its weights, hooks and place in the network stay as they are
    return len(found)


def _is_pointwise(layer: nn.Module) -> bool:
    return (
        type(layer) is nn.Conv2d
        and layer.kernel_size == (1, 1)
        and layer.padding == (0, 0)
        and layer.weight.dtype == torch.float32
    )
