"""Locks that end with the process that holds them, by the library filelock."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, named
from .system import HANDLES, LOCK, open_file, read_at

TEXT_AT = 1  # Windows lets nobody read the first byte of a locked file


def lock_now(handle: int) -> None:
    """Lock an open file.

    Errors: BlockingIOError where another process has; OSError where the file system has no locks, ENOSYS of it where
    this Python has none.
    """
    from filelock import lock_descriptor

    if not lock_descriptor(handle, blocking=False):
        raise BlockingIOError


@contextlib.contextmanager
def marked(path: Path, wait_s: float) -> Iterator[None]:
    """A section that one process at a time is in, by a file that is there meanwhile: where nothing can be locked.

    The file of a process of this machine that has died is taken over. Errors: TimeoutError after wait_s.
    """
    from filelock import SoftFileLock

    with SoftFileLock(path, timeout=wait_s):
        yield


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """A section that one process at a time is in; the file at `path` says which, and is gone afterwards.

    Errors: InputError where another process is in it, DiskError where the file cannot be made.
    """
    handle = _take(path, what)
    try:
        yield
    finally:
        _give_back(path, handle)


def _take(path: Path, what: str) -> int:
    while True:
        handle, new = _opened(path)
        try:
            lock_now(handle)
        except BlockingIOError:
            owner = read_at(handle, 200, TEXT_AT).decode("utf-8", "replace")
            os.close(handle)
            raise InputError(
                f"{what} is being written by {owner or 'another process'}; nothing was started",
                hint="wait for it to end, or name another folder",
            ) from None
        except OSError:
            pass  # a file system without locks: then nobody is kept out
        if new and _same(path, handle):
            with contextlib.suppress(OSError):  # only for the words above
                os.write(handle, f"{' ' * TEXT_AT}process {os.getpid()} on {platform.node()}".encode())
            return handle
        # Of a process that was killed, or that is giving it back: a new one is made.
        if _same(path, handle):
            _give_back(path, handle)
        else:
            os.close(handle)


def _give_back(path: Path, handle: int) -> None:
    """Remove the file before the lock is given back: who opened it before then looks again.

    Windows does not remove what is open: there it goes afterwards, unless another process has opened it since.
    """
    if HANDLES:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)
    else:
        os.close(handle)
        with contextlib.suppress(OSError):
            path.unlink()


def _opened(path: Path) -> tuple[int, bool]:
    """The open file, and whether it was made just now."""
    while True:
        try:
            return open_file(path, LOCK | os.O_EXCL), True
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                return open_file(path, os.O_RDWR), False
        except OSError as error:
            raise named(error, path) from error


def _same(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except FileNotFoundError:
        return False
