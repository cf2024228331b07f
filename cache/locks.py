"""The only file that knows how this system locks files: a lock ends with the process that holds it."""

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, named


def lock_now(handle: int) -> None:
    """Lock an open file. Errors: BlockingIOError where another process has, OSError where there are no locks."""
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """A section that one process at a time is in; the file at `path` says which, and is gone afterwards.

    Errors: InputError where another process is in it, DiskError where the file cannot be made.
    """
    handle = _take(path, what)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # before the lock is given back: who opened it before then looks again
        os.close(handle)


def _take(path: Path, what: str) -> int:
    while True:
        handle, new = _opened(path)
        try:
            lock_now(handle)
        except BlockingIOError:
            owner = os.read(handle, 200).decode("utf-8", "replace")
            os.close(handle)
            raise InputError(
                f"{what} is being written by {owner or 'another process'}; nothing was started",
                hint="wait for it to end, or name another folder",
            ) from None
        except OSError:
            pass  # a file system without locks: then nobody is kept out
        if new and _same(path, handle):
            with contextlib.suppress(OSError):  # only for the words above
                os.write(handle, f"process {os.getpid()} on {platform.node()}".encode())
            return handle
        # Of a process that was killed, or that is giving it back: a new one is made.
        with contextlib.suppress(OSError):
            if _same(path, handle):
                path.unlink()
        os.close(handle)


def _opened(path: Path) -> tuple[int, bool]:
    """The open file, and whether it was made just now."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        try:
            return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, flags), False
        except OSError as error:
            raise named(error, path) from error


def _same(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except FileNotFoundError:
        return False
