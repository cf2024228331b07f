"""What streaming leaves of the process: its numbers of threads, and its heaps."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from affect.cache.records import Array
from affect.configs.schema import FacesConfig, FeaturesConfig
from affect.stages.features.check import VideoChecker
from affect.stages.features.one_thread import one_thread
from affect.stages.features.stream import FeatureExtractor

CONFIG = FeaturesConfig("timm:test_convnext", "random", sample_fps="source", faces=FacesConfig(detector="none"))
THREADS = 3  # of the process, whatever this machine has
Value = TypeVar("Value")


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


def in_new_thread(function: Callable[[], Value]) -> Value:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_making_an_extractor_or_a_checker_leaves_the_process_its_threads(videos: dict[str, Path]) -> None:
    FeatureExtractor(CONFIG)
    assert (torch.get_num_threads(), in_new_thread(torch.get_num_threads)) == (THREADS, THREADS)
    VideoChecker(CONFIG).check(videos["constant"])
    assert (torch.get_num_threads(), in_new_thread(torch.get_num_threads)) == (THREADS, THREADS)


@pytest.mark.parametrize("threads", [1, 2])
def test_streams_that_overlap_compute_on_one_thread_and_leave_every_other_thread_its_own(
    videos: dict[str, Path], threads: int
) -> None:
    """The first to begin ends first and last in turn, so that neither order is luck."""
    source = FeatureExtractor(CONFIG, threads=threads)
    embed, computing = source.embedder.embed, set()

    def watched(crops: Array) -> Array:
        computing.add(torch.get_num_threads())
        return embed(crops)

    source.embedder.embed = watched  # type: ignore[method-assign]
    began, one_has_ended = threading.Barrier(2), threading.Event()

    def read(waits: bool) -> list[int]:
        numbers = [torch.get_num_threads()]
        with source.stream(videos["constant"]) as stream:
            began.wait(timeout=60)
            blocks = list(stream)
            if waits:
                assert one_has_ended.wait(timeout=60)
        if not waits:
            one_has_ended.set()
        assert len(blocks) == 3
        return [*numbers, torch.get_num_threads(), in_new_thread(torch.get_num_threads)]

    with ThreadPoolExecutor(2) as readers:
        for order in ([True, False], [False, True]):
            one_has_ended.clear()
            assert list(readers.map(read, order)) == [[THREADS] * 3] * 2
    assert computing == {1}
    assert (torch.get_num_threads(), in_new_thread(torch.get_num_threads)) == (THREADS, THREADS)


def test_one_thread_is_one_threads_matter_and_ends_where_an_error_leaves_it() -> None:
    with pytest.raises(ValueError, match="broken"), one_thread():
        assert torch.get_num_threads() == 1
        assert in_new_thread(torch.get_num_threads) == THREADS
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
        raise ValueError("broken")
    assert torch.get_num_threads() == THREADS


HEAPS = """
import ctypes, sys, threading
from pathlib import Path
{work}
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.fclose.argtypes, libc.malloc_info.argtypes = [ctypes.c_void_p], [ctypes.c_int, ctypes.c_void_p]
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
meet = threading.Barrier(12)
def allocate():
    libc.malloc(5000)
    meet.wait()
threads = [threading.Thread(target=allocate) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
print(Path(sys.argv[1]).read_text().count("<heap nr="))
"""
STREAM = """
from affect.configs.schema import FacesConfig, FeaturesConfig
from affect.stages.features.check import VideoChecker
from affect.stages.features.stream import FeatureExtractor
config = FeaturesConfig("timm:test_convnext", "random", faces=FacesConfig(detector="none"))
with FeatureExtractor(config).stream(Path(sys.argv[2])) as stream:
    list(stream)
VideoChecker(config).check(Path(sys.argv[2]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's heaps")
@pytest.mark.parametrize(
    ("work", "shared"),
    [(STREAM, False), ("from affect.stages.features.heap import share_one_heap\nshare_one_heap()", True)],
    ids=["streamed", "owned"],
)
def test_only_a_program_makes_all_threads_share_one_heap(
    videos: dict[str, Path], tmp_path: Path, work: str, shared: bool
) -> None:
    words = [sys.executable, "-c", HEAPS.format(work=work), str(tmp_path / "heaps.xml"), str(videos["constant"])]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert (int(ended.stdout) == 1) == shared
