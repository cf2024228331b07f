"""Pictures and drawn weights that every backbone test may use."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

Draw = Callable[[str, dict[str, tuple[int, ...]]], dict[str, Tensor]]


def normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """The recipe the reference features were made with: the values depend on the key's name."""
    values = normal(name, shape)
    if name.endswith("running_var"):
        values = np.abs(values) * 0.5 + 0.5
    elif len(shape) >= 2:
        values = values / np.sqrt(np.prod(shape[1:]))
    elif name.endswith("weight"):
        values = 1 + 0.1 * values
    else:
        values = 0.1 * values
    return torch.from_numpy(np.asarray(values, np.float32))


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Weights by prefix and shapes, from the names alone."""

    def drawn(prefix: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
        return {
            name: torch.zeros((), dtype=torch.int64)
            if name.endswith("num_batches_tracked")
            else weight(prefix + name, shape)
            for name, shape in shapes.items()
        }

    return drawn


@pytest.fixture(scope="session")
def reference_images() -> Tensor:
    """(2, 3, 224, 224) float32, what the reference features were computed from."""
    return torch.from_numpy(normal("image", (2, 3, 224, 224)).astype(np.float32))


@pytest.fixture(scope="session")
def ramps() -> Tensor:
    """(1, 224, 224, 3) uint8: red grows downwards, green to the right, blue along the diagonal."""
    down, right = np.meshgrid(np.arange(224), np.arange(224), indexing="ij")
    return torch.from_numpy(np.stack([down, right, (down + right) // 2], -1).astype(np.uint8)[None])


@pytest.fixture(scope="session")
def photographs() -> Tensor:
    """(4, 160, 160, 3) uint8: a face that moves a pixel between pictures."""
    data = pytest.importorskip("skimage.data")
    picture = data.astronaut()
    return torch.from_numpy(np.stack([picture[40 + step : 200 + step, 140 + step : 300 + step] for step in range(4)]))
