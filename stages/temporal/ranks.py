"""The ranks of torch.distributed: who is one, where it computes, its rows beside the others', and when all are done."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from ...errors import DeviceError, FoldError

FAILURE_S = 10  # the ranks that fail alike do so within this time
WORK_S = 24 * 3600  # the first rank may write for long before the others go on
LEFT = "left"


def rank() -> int:
    """Number of this process among the ranks; 0 where it is the only one."""
    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0


def world() -> int:
    """How many ranks there are."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


@contextmanager
def ranks(device: str) -> Iterator[str]:
    """The device of this process; under torchrun, with the process group that its batches are spread over.

    Errors: DeviceError for a device that the ranks cannot share, or too few of them.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    place = _own_device(device, int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if place.startswith("cuda"):
        torch.cuda.set_device(place)
    distributed.init_process_group("nccl" if place.startswith("cuda") else "gloo")
    try:
        yield place
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def _own_device(device: str, number: int, here: int) -> str:
    """What rank `number` of the `here` ranks of a machine makes of a device that all of them were told."""
    kind = torch.device(device)
    if kind.type == "cpu" or (kind.type == "cuda" and here == 1 and kind.index is not None):
        return device
    if kind.type != "cuda" or kind.index is not None:
        raise DeviceError(
            f"--device {device} is one device, and torchrun started {here} ranks here; expected cuda or cpu",
            hint="--device cuda gives each rank a GPU of its own",
        )
    if here > torch.cuda.device_count():
        raise DeviceError(
            f"torchrun started {here} ranks here, and this machine has {torch.cuda.device_count()} CUDA devices",
            hint=f"torchrun --nproc-per-node {torch.cuda.device_count()}, or --device cpu",
        )
    return f"cuda:{number}"


def all_came(work: str, failure: str) -> None:
    """Wait until every rank is done with `work`; failure: what went wrong with it on this one, empty for nothing.

    Errors: FoldError where a rank failed and not all of them came here: the others stand in the middle of the work
    and wait for it in vain, so its process has to end, with which torchrun ends theirs.
    """
    if world() == 1:
        return
    # The address book that the process group itself was made with: it answers whatever the ranks stand at.
    book = distributed.distributed_c10d._get_default_store()
    book.set(f"{work}/{rank()}", "came")
    names = [f"{work}/{number}" for number in range(world())]
    try:
        book.wait(names, timedelta(seconds=FAILURE_S if failure else WORK_S))
        came = all(book.get(name) != LEFT.encode() for name in names)
    except distributed.DistStoreError:
        came = False
    if not came:
        book.set(f"{work}/{rank()}", LEFT)
        raise FoldError(
            f"rank {rank()} of {world()} failed alone: {failure or 'another rank has left'}",
            hint="the same command with --resume goes on from the last saved state",
        )


def gather_rows(rows: Tensor) -> Tensor:
    """Every rank's rows (N, ...), in the order of the ranks; the same tensor where there is one rank only.

    Ranks may hold different numbers of rows, none included. The gradient assumes what holds for a loss over the
    gathered rows: every rank computes the same loss, and gradients of weights are averaged over ranks (DDP).
    """
    if world() == 1:
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
