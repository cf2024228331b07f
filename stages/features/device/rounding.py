"""How a device rounds: what computes there, and float32 that is float32."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_EXACT, _ROUNDED = "ieee", "tf32"  # torch's words


class _Switches:
    """How CUDA multiplies float32: switches of torch that are the whole process's.

    They are put back behind the last user. Who wants the other way waits until nobody is inside.
    """

    def __init__(self) -> None:
        self._changes = threading.Condition()
        self._users = 0
        self._way = _EXACT
        self._before = ("", "")

    def enter(self, way: str) -> None:
        convolution, product = _switches()
        with self._changes:
            self._changes.wait_for(lambda: self._users == 0 or self._way == way)
            if self._users == 0:
                self._before = (convolution.fp32_precision, product.fp32_precision)
                convolution.fp32_precision = product.fp32_precision = self._way = way
            self._users += 1

    def leave(self) -> None:
        with self._changes:
            self._users -= 1
            if self._users == 0:
                convolution, product = _switches()
                convolution.fp32_precision, product.fp32_precision = self._before
                self._changes.notify_all()


def _switches() -> tuple[Any, Any]:
    """Of convolutions and of products."""
    return torch.backends.cudnn.conv, torch.backends.cuda.matmul  # type: ignore[attr-defined]


_SWITCHES = _Switches()


@contextmanager
def float32(device: torch.device, *, tf32: bool = False) -> Iterator[None]:
    """Inside, convolutions and products of float32 on CUDA are computed as such; `tf32`: with numbers of 10 bits.

    torch lets cuDNN round to 10 bits unless it is told not to, where the card can.
    """
    if device.type != "cuda":
        yield
        return
    _SWITCHES.enter(_ROUNDED if tf32 else _EXACT)
    try:
        yield
    finally:
        _SWITCHES.leave()


def hardware(device: str) -> str:
    """What computes there: the name of the card, or the kind of another device. Of one word, one rounding."""
    kind = torch.device(device).type
    return torch.cuda.get_device_name(device) if kind == "cuda" else kind
