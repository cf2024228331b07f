"""Files and folders below a root, reached component by component: no link leads out, and what is read is a file.

Only the root itself may be reached through links. Every function that opens, makes or removes something for a store
begins here, so this file alone asks the system to open what strangers have made.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence

from .blobs import DamageError, LinkError
from .regular import KINDS

FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", 0)  # with O_PATH, the right to enter is enough
INNER = FOLDER | os.O_NOFOLLOW
FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not make us wait for its writer
TEMPORARY = ".tmp-"
TRIES = 20  # another process may be removing a folder, as an empty one, that this one is about to use


def open_root(root: str, folders: Sequence[str]) -> int:
    """A handle of a folder below a root, to be closed. Errors: LinkError, FileNotFoundError, OSError."""
    top = os.open(root, FOLDER)
    if not folders:
        return top
    try:
        return walk(top, folders)
    finally:
        os.close(top)


def walk(top: int, folders: Sequence[str], above: str = "") -> int:
    """A handle of a folder below an open one, to be closed. `above` names that one; errors: as `open_root`."""
    here = top
    for number, name in enumerate(folders):
        try:
            below = open_folder(here, name)
        except LinkError:
            raise LinkError("/".join(([above] if above else []) + list(folders[: number + 1]))) from None
        finally:
            if here != top:
                os.close(here)
        here = below
    return here


def open_folder(here: int, name: str) -> int:
    """A handle of a folder in a folder, to be closed. Errors: as `open_root`; FileNotFoundError also for a file."""
    assert name not in {"", ".", ".."}, f"{name!r} is no name of a folder"
    try:
        return os.open(name, INNER, dir_fd=here)
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        if _mode(here, name) == stat.S_IFLNK:
            raise LinkError(name) from None
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None


def open_file(here: int, name: str, place: str) -> tuple[int, int]:
    """A handle of a regular file in a folder, to be closed, and its bytes. Errors: DamageError, OSError."""
    handle, size = open_any(here, name, place)
    if size is None:
        os.close(handle)
        raise _refusal(stat.S_IFDIR, place)
    return handle, size


def open_any(here: int, name: str, place: str) -> tuple[int, int | None]:
    """As `open_file`, or a folder's handle and None."""
    try:
        handle = os.open(name, os.O_RDONLY | FILE, dir_fd=here)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP}:
            raise _refusal(_mode(here, name), place) from None
        raise
    try:
        found = os.fstat(handle)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise _refusal(stat.S_IFMT(found.st_mode), place)
    except BaseException:
        os.close(handle)
        raise
    return handle, found.st_size if stat.S_ISREG(found.st_mode) else None


def read_file(here: int, name: str, place: str, most: int) -> bytes:
    """All bytes of a regular file of at most that many. Errors: DamageError, OSError."""
    handle, size = open_file(here, name, place)
    try:
        check_size(place, size, most)
        return read_range(handle, 0, size)
    finally:
        os.close(handle)


def read_below(top: int, name: str, place: str, most: int) -> bytes:
    """As `read_file`, for a name with folders in it."""
    *folders, last = name.split("/")
    if not folders:
        return read_file(top, name, place, most)
    here = walk(top, folders, place.removesuffix(f"/{name}"))
    try:
        return read_file(here, last, place, most)
    finally:
        os.close(here)


def read_range(handle: int, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of an open file; fewer where it ends before."""
    data = os.pread(handle, stop - start, start)
    if not data or len(data) == stop - start:
        return data
    pieces = [data]
    while (start := start + len(pieces[-1])) < stop and (more := os.pread(handle, stop - start, start)):
        pieces.append(more)
    return b"".join(pieces)


def check_size(place: str, size: int, most: int) -> None:
    """Errors: DamageError for more bytes than a store writes there."""
    if size > most:
        raise DamageError(f"{place} has {size} bytes, more than the {most} that it can have")


@contextlib.contextmanager
def folder_below(root: str, folders: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """A handle of a folder below a root; `make`: it and the folders above it, each durable, where they are missing."""
    here = open_root(root, folders) if not make else _made(root, folders)
    try:
        yield here
    finally:
        os.close(here)


def write_file(here: int, name: str, data: bytes) -> None:
    """Let a file of a folder hold these bytes, whole and durably, under a name of its own until then."""
    temporary = f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | FILE, 0o666, dir_fd=here)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, name, src_dir_fd=here, dst_dir_fd=here)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=here)
        raise
    sync(here)


def sync(here: int) -> None:
    """Make renames and new names inside a folder durable."""
    handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_folder(here: int, name: str) -> bool | None:
    """Whether a folder, not a link to one, has that name; None where nothing has."""
    try:
        return _mode(here, name) == stat.S_IFDIR
    except FileNotFoundError:
        return None


def _made(root: str, folders: Sequence[str]) -> int:
    for _ in range(TRIES):
        with contextlib.suppress(FileNotFoundError):
            _make_root(root)
            return _made_below(root, folders)
    raise OSError(errno.EAGAIN, "its folder is removed again and again by another process")


def _make_root(root: str) -> None:
    if os.path.isdir(root):  # noqa: PTH112 - it may be a link to a folder
        return
    above = os.path.dirname(root) or "."  # noqa: PTH120
    _make_root(above)
    with contextlib.suppress(FileExistsError):
        os.mkdir(root)  # noqa: PTH102
    handle = os.open(above, FOLDER)
    try:
        sync(handle)
    finally:
        os.close(handle)


def _made_below(root: str, folders: Sequence[str]) -> int:
    here = os.open(root, FOLDER)
    for number, name in enumerate(folders):
        try:
            below = _made_in(here, name, "/".join(folders[: number + 1]))
        finally:
            os.close(here)
        here = below
    return here


def _made_in(here: int, name: str, place: str) -> int:
    try:
        with contextlib.suppress(FileNotFoundError):
            return open_folder(here, name)
        try:
            os.mkdir(name, dir_fd=here)
        except FileExistsError:
            if is_folder(here, name) is False:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), place) from None
        else:
            sync(here)
        return open_folder(here, name)
    except LinkError:
        raise LinkError(place) from None


def _mode(here: int, name: str) -> int:
    return stat.S_IFMT(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode)


def _refusal(mode: int, place: str) -> DamageError:
    return LinkError(place) if mode == stat.S_IFLNK else DamageError(f"{place} is {KINDS.get(mode, 'no file')}")
