"""Float32 matrix products on a CPU by oneDNN instead of MKL, where they stay float32.

On AMD's processors, MKL leaves AVX-512 unused: oneDNN multiplies twice as fast there. torch has one switch that sends
products to oneDNN, and it allows bfloat16 as well, which oneDNN takes on processors with matrix units for it. So the
products are held against exact ones first, and where they are no float32, everything stays as it was.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

SHAPES = ((512, 2560, 256), (2560, 512, 256), (64, 64, 64), (32, 512, 512))  # rows, inner size, columns: of training
MOST_ERROR = 1e-5  # of the factors' norms: float32 has 1e-7 to 1e-6, TF32 and bfloat16 have 1e-4 and 1e-3
_SWITCH: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
_CHANGING = threading.Lock()
_within: list[str] = []  # what the switch said before each of those that are inside, of all threads


@contextmanager
def quick_products() -> Iterator[None]:
    """Inside, this process multiplies float32 as fast as it can, in all threads; behind, as before."""
    with _CHANGING:
        _within.append(_within[-1] if _within else _SWITCH.fp32_precision)
        if _stays_float32():
            _SWITCH.fp32_precision = "bf16"
    try:
        yield
    finally:
        with _CHANGING:
            before = _within.pop()
            if not _within:  # the last one out
                _SWITCH.fp32_precision = before


@cache
def _stays_float32() -> bool:
    """Whether products with the switch on are as exact as float32; the switch is left as it was."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    draw = torch.Generator().manual_seed(0)
    before = _SWITCH.fp32_precision
    try:
        _SWITCH.fp32_precision = "bf16"
        return all(_error(*shape, draw) <= MOST_ERROR for shape in SHAPES)
    finally:
        _SWITCH.fp32_precision = before


def _error(rows: int, inner: int, columns: int, draw: torch.Generator) -> float:
    """The largest one of a product, over the norms of the row and the column it is made of."""
    a, b = torch.randn(rows, inner, generator=draw), torch.randn(inner, columns, generator=draw)
    exact = a.double() @ b.double()
    norms = a.norm(dim=1, keepdim=True) * b.norm(dim=0, keepdim=True)
    return float((((a @ b).double() - exact).abs() / norms).max())
