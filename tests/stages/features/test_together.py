"""Rows of several threads in one batch: each gets its own, whoever comes along, and its own errors."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from affect.cache.records import Array
from affect.errors import VideoError
from affect.stages.features.device.batches import Batches
from affect.stages.features.device.together import Together
from affect.stages.features.faces.detect import CenterFace
from affect.tests.simulated_device import Machine, simulated

CUDA = torch.device("cuda")
SIZE = 8


@pytest.fixture
def machine() -> Iterator[Machine]:
    with simulated() as machine:
        yield machine


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def rows(*values: int) -> Array:
    return np.array(values, np.uint8)[:, None]


class Network:
    """Doubles its rows. Its first batch waits until it is let go, so that others have asked meanwhile."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self.refuse: Callable[[Tensor], bool] = lambda _: False

    def __call__(self, images: Tensor) -> Tensor:
        self.batches.append(images.cpu()[:, 0].tolist())
        if not self.begun.is_set():
            self.begun.set()
            assert self.go.wait(30)
        if self.refuse(images):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return images.float() * 2


def ask(
    pool: ThreadPoolExecutor, together: Together, network: Network, asked: list[Array], settled: int = 0
) -> list[Future[Array]]:
    """Who asks while the first one's batch is made; `settled` of them are waited for."""
    first = pool.submit(together.run, asked[0], network)
    assert network.begun.wait(30)
    others = []
    for number, wanted in enumerate(asked[1:], start=1):
        others.append(pool.submit(together.run, wanted, network))
        while len(together._waiting) <= number:  # in this order
            pass
    network.go.set()
    return [first, *others]


def test_the_rows_of_several_fill_one_batch_and_the_last_one_is_padded(
    machine: Machine, pool: ThreadPoolExecutor
) -> None:
    network, together = Network(), Together(Batches(SIZE, CUDA))
    asked = [rows(1, 2), rows(3, 4, 5), rows(6, 7, 8, 9), rows(10, 11, 12, 13)]
    found = [future.result(30) for future in ask(pool, together, network, asked)]
    for mine, wanted in zip(found, asked, strict=True):
        assert np.array_equal(mine, 2.0 * wanted)
    assert network.batches == [[1, 2, *[0] * 6], [3, 4, 5, 6, 7, 8, 9, 10], [11, 12, 13, *[0] * 5]]


def test_a_batch_is_sent_before_the_one_before_it_has_come_back(machine: Machine, pool: ThreadPoolExecutor) -> None:
    waited = []

    def network(images: Tensor) -> Tensor:
        waited.append(machine.waited)
        return images.float()

    given = np.arange(4 * SIZE, dtype=np.uint8)[:, None]
    assert np.array_equal(Together(Batches(SIZE, CUDA)).run(given, network), given)
    assert waited == [0, 0, 1, 2], "two are under way"
    assert machine.copied == machine.waited == 4, "one copy there and one wait for each batch"


def test_one_whose_row_has_no_room_fails_alone(machine: Machine, pool: ThreadPoolExecutor) -> None:
    network, together = Network(), Together(Batches(SIZE, CUDA))
    network.refuse = lambda images: bool((images.cpu() == 200).any())
    asked = [rows(1), rows(2, 3), rows(4, 200, 5), rows(6, 7)]
    found = ask(pool, together, network, asked)
    with pytest.raises(VideoError, match="memory of cuda is exhausted"):
        found[2].result(30)
    for number in (0, 1, 3):
        assert np.array_equal(found[number].result(30), 2.0 * asked[number])
    assert [len(batch) for batch in network.batches[:5]] == [8, 8, 4, 2, 1] or 4 in map(len, network.batches)
    assert together.batches.size == SIZE, "the next may find more"


def test_what_a_network_raises_is_raised_for_those_of_that_batch(machine: Machine, pool: ThreadPoolExecutor) -> None:
    network, together = Network(), Together(Batches(4, CUDA))

    def fails(images: Tensor) -> Tensor:
        if 9 in images.cpu():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return network(images)

    network.go.set()
    assert np.array_equal(together.run(rows(1, 2), fails), rows(2, 4))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        together.run(rows(9), fails)
    assert np.array_equal(together.run(rows(3), fails), rows(6)), "and the next one goes on"


def test_rows_of_many_threads_are_each_ones_own(machine: Machine, pool: ThreadPoolExecutor) -> None:
    random, together = np.random.default_rng(0), Together(Batches(SIZE, CUDA))
    asked = [random.integers(0, 256, (random.integers(1, 20), 3, 2), np.uint8) for _ in range(200)]
    found = pool.map(lambda one: together.run(one, lambda images: images.float() + 1), asked)
    for mine, wanted in zip(found, asked, strict=True):
        assert np.array_equal(mine, wanted + 1.0)
    assert not together._waiting and not together._under_way


def test_what_runs_by_itself_is_not_padded(machine: Machine) -> None:
    network = Network()
    network.go.set()
    Together(Batches(SIZE, CUDA), fixed=False).run(rows(1, 2, 3), network)
    assert network.batches == [[1, 2, 3]]


def test_looks_of_several_videos_are_one_call_of_the_detector(machine: Machine, pool: ThreadPoolExecutor) -> None:
    face = data.astronaut()
    pictures = [[face], [face[:, ::-1].copy(), np.zeros_like(face)], [np.roll(face, 40, 1)], [face[:256].copy()]]
    detector = CenterFace(96, "cuda")
    alone = [detector.detect(each) for each in pictures]
    begun, go = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert go.wait(30)

    machine.copied, machine.watch = 0, hold
    found = [pool.submit(detector.detect, pictures[0])]
    assert begun.wait(30)
    found += [pool.submit(detector.detect, each) for each in pictures[1:]]
    square, wide = detector._together[96, 96], (64, 96)
    while len(square._waiting) < 3 or wide not in detector._together:
        pass
    machine.watch = None
    go.set()
    for future, wanted in zip(found, alone, strict=True):
        for mine, its in zip(future.result(60), wanted, strict=True):
            for part in ("box_px", "score", "landmarks_px"):
                assert getattr(mine, part).tobytes() == getattr(its, part).tobytes(), part
    assert machine.copied == 3, "the first, the two that asked meanwhile together, and the one of another shape"
