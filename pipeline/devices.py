"""Where work computes: a device that is there and works, and for each worker its own."""

import os
import platform
import threading
from dataclasses import replace
from typing import Any

from ..errors import DeviceError, first_line

NO_KERNELS = "no kernel image"  # what CUDA says where torch was built for newer cards


def resolve_device(name: str) -> str:
    """`auto` as the best device here, any other name checked. Errors: DeviceError for one this machine lacks."""
    import torch

    if name == "auto":
        there = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        name = "cpu" if passed_over(name) else there
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"--device {name!r} is no device", hint="--device auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count <= (device.index or 0):
            raise DeviceError(
                f"--device {name}: this machine has {count} CUDA devices", hint="--device auto uses what is there"
            )
        if said := _refusal(name):
            raise DeviceError(f"--device {name} cannot be used: {said}", hint="--device cpu")
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("--device mps: not available here", hint="--device auto uses what is there")
    elif device.type not in ("cpu", "mps"):
        raise DeviceError(f"--device {name}: expected auto, cpu, cuda, cuda:N or mps", hint="--device auto")
    return name


def passed_over(name: str) -> tuple[str, ...]:
    """A sentence where `auto` leaves a GPU aside: torch has no kernels for it, or it does not compute; else none."""
    import torch

    if name == "auto" and not torch.cuda.is_available() and torch.backends.mps.is_available():
        said = _refusal("mps")
        return (f"the CPU computes: the GPU of this machine, mps, does not ({said})",) if said else ()
    if name != "auto" or not torch.cuda.is_available() or NO_KERNELS not in (said := _refusal("cuda")):
        return ()
    card = torch.cuda.get_device_name(0)
    return (f"the CPU computes: this build of torch has nothing for the GPU here, {card} ({said})",)


def _refusal(device: str) -> str:
    """What a device says to a first computation; empty where it gives one. Tensors alone are taken by any card."""
    import torch

    try:
        ones = torch.ones(1, 1, 3, 3, device=device)
        # A first convolution on CUDA costs seconds; on mps it is what an old macOS gets wrong.
        found = torch.nn.functional.conv2d(ones, ones).cpu().item() if device == "mps" else ones.sum().cpu().item()
    except RuntimeError as error:
        return first_line(error)
    return "" if found == 9 else f"it says that nine times one is {found}"


def spread_devices(device: str, jobs: int) -> list[str]:
    """One device a worker of this machine: with several GPUs, `cuda` becomes `cuda:0`, `cuda:1`, ... in turn."""
    if device != "cuda" or jobs == 1:
        return [device] * jobs
    import torch

    count = max(1, torch.cuda.device_count())
    return [f"cuda:{worker % count}" for worker in range(jobs)]


def at_home(task: Any) -> Any:
    """A cluster's task with the device that its worker has: the machine is not the one that planned it.

    Where CUDA_VISIBLE_DEVICES is set, who set it has chosen the worker's GPU; else its number says which of several.
    Errors: DeviceError for a machine without such a device.
    """
    import torch

    try:
        device = resolve_device(task.device)
    except DeviceError as error:
        raise DeviceError(f"on {platform.node()}: {error.message}", error.hint) from error
    if device == "cuda" and "CUDA_VISIBLE_DEVICES" not in os.environ and (count := torch.cuda.device_count()) > 1:
        device = f"cuda:{threading.get_native_id() % count}"
    return replace(task, device=device)
