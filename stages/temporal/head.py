"""From a clip's vector to one number per target, each target reading its own slice."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from .dropout import Dropout


def slice_count(sliced_targets: int) -> int:
    """Into how many equal parts the hidden vector is cut: one per sliced target, rounded up to an even number.

    The published heads follow: 2 targets read halves, 3 (PANSS) and 4 (CAINS) read quarters. A single target reads
    everything. What is left over (an unused part, a remainder of the division) is read by the total alone.
    """
    return sliced_targets + sliced_targets % 2 if sliced_targets > 1 else 1


class Head(nn.Module):
    """A hidden layer as wide as its input, then a linear read-out of one slice per target; a total reads all of it."""

    def __init__(self, size: int, targets: Sequence[str], total: str | None, inner_relu: bool, dropout: float) -> None:
        super().__init__()
        _check_targets(targets, total)
        sliced = [number for number, name in enumerate(targets) if name != total]
        self.inner_relu = inner_relu
        self.part = size // slice_count(len(sliced))
        if self.part < 1:
            raise ConfigError(
                f"{len(sliced)} targets cannot share a head of {size} features", hint="--set model.width=64"
            )
        self.hidden = nn.Linear(size, size)
        self.dropout = Dropout(dropout)
        self.slice_weight = nn.Parameter(torch.empty(len(sliced), self.part).uniform_(-1, 1) * self.part**-0.5)
        self.slice_bias = nn.Parameter(torch.empty(len(sliced)).uniform_(-1, 1) * self.part**-0.5)
        self.total = nn.Linear(size, 1) if total is not None else None
        place = [*sliced, *(number for number, name in enumerate(targets) if name == total)]
        self.order = [place.index(number) for number in range(len(targets))]

    def forward(self, features: Tensor) -> Tensor:
        """(B, K) predictions in the order of the targets; features: (B, size)."""
        inner = torch.relu(features) if self.inner_relu else features
        hidden: Tensor = self.dropout(torch.relu(self.hidden(inner)))
        count = len(self.slice_bias)
        parts = hidden[:, : count * self.part].view(len(hidden), count, self.part)
        out: Tensor = (parts * self.slice_weight).sum(2) + self.slice_bias
        if self.total is not None:
            out = torch.cat([out, self.total(hidden).to(out.dtype)], 1)[:, self.order]
        return out


def _check_targets(targets: Sequence[str], total: str | None) -> None:
    if not targets:
        raise ConfigError("a model needs at least one target", hint="--set labels.targets=[valence,arousal]")
    if len(set(targets)) != len(targets):
        raise ConfigError(f"targets occur twice: {', '.join(targets)}")
    if total is not None and total not in targets:
        raise ConfigError(
            f"model.total_target is {total!r}, which is not among the targets {', '.join(targets)}",
            hint=f"--set model.total_target={targets[-1]}",
        )
