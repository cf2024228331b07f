"""The switch to oneDNN's products: exact or not used, and of nobody else's concern behind."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from affect.stages.temporal import products
from affect.stages.temporal.products import quick_products

SWITCH = products._SWITCH


@pytest.fixture(autouse=True)
def _probed_anew() -> Iterator[None]:
    products._stays_float32.cache_clear()
    before = SWITCH.fp32_precision
    yield
    products._stays_float32.cache_clear()
    assert SWITCH.fp32_precision == before


def rounded(a: Tensor, b: Tensor) -> Tensor:
    """What a processor with matrix units makes of a product, where the switch lets it."""
    if SWITCH.fp32_precision == "bf16" and a.dtype == torch.float32:
        a, b = a.bfloat16().float(), b.bfloat16().float()
    return torch.mm(a, b)


@pytest.mark.parametrize("shape", [(1, 16, 1), (7, 300, 33), (512, 2560, 256), (256, 512, 2560), (1024, 256, 768)])
def test_products_inside_are_as_exact_as_float32(shape: tuple[int, int, int]) -> None:
    rows, inner, columns = shape
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    with quick_products():
        product = a @ b
    unit = a.norm(dim=1, keepdim=True) * b.norm(dim=0, keepdim=True)
    assert float(((product - a.double() @ b.double()).abs() / unit).max()) < 1e-5


def test_a_processor_that_would_round_to_bfloat16_is_not_let_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "__matmul__", rounded)
    before = SWITCH.fp32_precision
    with quick_products():
        assert SWITCH.fp32_precision == before


def test_without_onednn_nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(products, "_error", lambda *_: pytest.fail("a product was tried"))
    with quick_products():
        pass


def test_what_stood_before_stands_again_behind_an_error_and_behind_threads_that_overlap() -> None:
    SWITCH.fp32_precision = "ieee"
    try:
        with pytest.raises(ValueError, match="broken"), quick_products():
            raise ValueError("broken")
        assert SWITCH.fp32_precision == "ieee"
        met, first_is_out = threading.Barrier(2), threading.Event()

        def within(stays: bool) -> str:
            with quick_products():
                met.wait(timeout=60)
                if stays:
                    assert first_is_out.wait(timeout=60)
                return str(SWITCH.fp32_precision)

        with ThreadPoolExecutor(2) as threads:
            staying = threads.submit(within, True)
            left = threads.submit(within, False).result()
            first_is_out.set()
            assert staying.result() == left, "the one that stays keeps it"
        assert SWITCH.fp32_precision == "ieee"
    finally:
        SWITCH.fp32_precision = "none"
    assert torch.get_float32_matmul_precision() == "highest"
