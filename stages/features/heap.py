"""What the process's heap holds of memory that nobody uses, where glibc keeps it; elsewhere nothing is done."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_LARGEST = 32 << 20  # bytes of a piece that the heap keeps, the most that glibc allows: a picture of 3840 x 2160


def share_one_heap() -> None:
    """Let all threads allocate from one heap: with one each, an extraction holds about 100 MB more (ResNet-50).

    It keeps what it has until `return_free_memory`: what a network gives at each layer would be asked of the system
    anew, page by page, a fifth of the default extraction's time.

    For a process that extraction has to itself, as the command's and its workers': glibc never goes back to several
    heaps once a thread has asked for one.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for setting, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGEST), (_M_TRIM_THRESHOLD, 2**31 - 1)):
            library.mallopt(setting, value)


def return_free_memory() -> None:
    """Give the system what the heap holds free: threads leave pieces that fit nothing, 50 MB in minutes and more in an
    hour, and 240 MB behind a video, which scoring would come on top of."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
