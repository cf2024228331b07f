"""Rows of all ranks of torch.distributed as one tensor, with the gradient kept."""

from typing import Any

import torch
from torch import Tensor, distributed


def gather_rows(rows: Tensor) -> Tensor:
    """Every rank's rows (N, ...), in the order of the ranks; the same tensor where there is one rank only.

    Ranks may hold different numbers of rows, none included. The gradient assumes what holds for a loss over the
    gathered rows: every rank computes the same loss, and gradients of weights are averaged over ranks (DDP).
    """
    if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return rows
    gathered: Tensor = _GatherRows.apply(rows)
    return gathered


class _GatherRows(torch.autograd.Function):
    """All-gather whose backward needs no communication: this rank's rows of the common gradient, times the ranks."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        world, rank = distributed.get_world_size(), distributed.get_rank()
        counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world)]
        distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
        lengths = [int(count) for count in counts]
        padded = rows.new_zeros(max(lengths), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(world)]
        distributed.all_gather(parts, padded)
        ctx.start, ctx.length, ctx.world = sum(lengths[:rank]), len(rows), world
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # DDP divides the sum over ranks by their number; the loss itself is common, not a mean over ranks.
        mine: Tensor = gradient[ctx.start : ctx.start + ctx.length] * ctx.world
        return mine
