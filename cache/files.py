"""The one way to write a file: beside its place under a name that nobody can guess, and then moved there whole.

A reader sees the old file or the new one. Below `root`, the folder that a user named, no link is followed: a folder
that came by mail may hold some that lead elsewhere.
"""

import contextlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import AffectError, DiskError, named
from .system import NEW, flush, is_link, long_path, open_file, replace

PARTIAL = re.compile(r"\.affect-[0-9a-f]{16}\.partial(\.\w+)?")  # what a killed process may leave behind
OLD_PARTIAL_S = 86_400.0  # in a folder where other processes may be writing: what grows with long videos pauses long


def write_whole(path: Path, data: str | bytes, root: Path | None = None) -> None:
    """Write a file whole. root: the folder below which no link is followed; None: the file's own.

    Errors: DiskError; the file that was there stays then.
    """
    new = NewFile(path, root)
    try:
        new.append(data)
        new.place()
    except BaseException:
        new.discard()
        raise


class NewFile:
    """A file that grows beside its place, and is moved there by `place`; `partial` is where it lies until then."""

    def __init__(self, path: Path, root: Path | None = None, *, partial: Path | None = None, suffix: str = "") -> None:
        """partial: a name of its own, which must be free; suffix: for libraries that go by it.

        Where there is no root, nothing else sweeps the folder: what killed calls left there long ago goes now.
        Errors: DiskError.
        """
        self.path = path
        self.partial = long_path(partial or path.with_name(f".affect-{secrets.token_hex(8)}.partial{suffix}"))
        try:
            make_folder(path.parent, root or path.parent)
            if root is None:
                sweep(path.parent, silent_s=OLD_PARTIAL_S)
            self._file: BinaryIO = os.fdopen(open_file(self.partial, NEW), "wb", buffering=0)
        except OSError as error:
            raise named(error, path) from error

    @property
    def size(self) -> int:
        """Bytes that `append` has written."""
        return self._file.tell()

    def append(self, data: str | bytes) -> None:
        """Write all of `data`, or nothing. Errors: DiskError."""
        start, left = self._file.tell(), memoryview(data.encode() if isinstance(data, str) else data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except BaseException as error:
            with contextlib.suppress(OSError):
                self._file.seek(start)
                self._file.truncate()
            if isinstance(error, OSError):
                raise named(error, self.path) from error
            raise

    def place(self) -> None:
        """End it, and put it in its place. Errors: DiskError; the file that was there stays then."""
        try:
            flush(self._file.fileno())
            self._file.close()
            if self.partial != self.path:
                replace(self.partial, long_path(self.path))
        except OSError as error:
            raise named(error, self.path) from error

    def close(self) -> None:
        """End it where it lies."""
        with contextlib.suppress(OSError):
            self._file.close()

    def discard(self) -> None:
        """Leave nothing of it."""
        self.close()
        with contextlib.suppress(OSError):
            self.partial.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes its place at `path` as a whole; what is there must be empty. Errors: DiskError."""
    path = path.resolve()  # a link that a user names is followed
    partial = path.with_name(f".affect-{secrets.token_hex(8)}.partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        if path.is_dir():
            path.rmdir()
        replace(partial, path)
    except OSError as error:
        raise named(error, path) from error
    except DiskError as error:
        raise DiskError(error.message.replace(str(partial), str(path)), error.hint) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def make_folder(folder: Path, root: Path) -> None:
    """Make `folder`, which is `root` or below it. Errors: OSError; DiskError for a link on the way down."""
    root.mkdir(parents=True, exist_ok=True)
    place = root
    for part in folder.relative_to(root).parts:
        place = place / part
        if part == ".." or is_link(place):
            raise DiskError(
                f"{place} leads out of {root}; nothing was written through it",
                hint="remove that link; what it leads to is not touched",
            )
        place.mkdir(exist_ok=True)


def check_within(path: Path, root: Path, kind: type[AffectError]) -> None:
    """Errors: `kind` where a link below `root` leads to the file, or it is a pipe or a device. It may be missing."""
    place = root
    for part in path.relative_to(root).parts:
        place = place / part
        if part == ".." or is_link(place):
            raise kind(f"{place} leads out of {root}; it was not read", hint="put the file itself in its place")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise kind(f"{path} is no regular file; it was not read", hint="put a file in its place")


def sweep(folder: Path, *, below: bool = False, silent_s: float = 0.0) -> None:
    """Remove what killed processes left in a folder, and in those below: regular files by our names, old enough."""
    if is_link(folder) or not folder.is_dir():
        return
    for place, folders, names in os.walk(folder):
        for path in (Path(place, name) for name in names if PARTIAL.fullmatch(name)):
            with contextlib.suppress(OSError):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode) and time.time() - found.st_mtime >= silent_s:
                    path.unlink()
        if not below:
            folders.clear()
