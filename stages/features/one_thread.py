"""Computing on one thread, without a change for anybody else.

Two OpenMP threads on one convolution round its sums differently than one, and features must not depend on how many
cores there were. OpenMP keeps the number of threads for each thread that computes; torch notes besides, for threads
that have not computed yet, the number that was set last. So a thread sets its own number, and what was noted before
is put back at once.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

_SETTING = threading.Lock()


def compute_alone() -> None:
    """From here on the calling thread computes without helpers: for a thread of one's own."""
    _set_number(1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, the calling thread computes without helpers; behind, with as many as before."""
    before = _set_number(1)
    try:
        yield
    finally:
        _set_number(before)


def _set_number(threads: int) -> int:
    """The calling thread's number so far, changed for this thread alone."""
    with _SETTING, ThreadPoolExecutor(1) as new_thread:
        before = torch.get_num_threads()
        noted = new_thread.submit(torch.get_num_threads).result()
        torch.set_num_threads(threads)
        new_thread.submit(torch.set_num_threads, noted).result()
        return before
