"""Files and folders below a root, reached component by component: no link leads out, and what is read is a file.

Only the root itself may be reached through links. Every function that opens, makes or removes something for a store
begins here; how the system is asked is the business of `system.py`.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence

from .blobs import DamageError, LinkError
from .regular import KINDS
from .system import NEW, Folder, flush, kind_of, open_folder, read_at

TEMPORARY = ".tmp-"
TRIES = 20  # another process may be removing a folder, as an empty one, that this one is about to use


def open_root(root: str, folders: Sequence[str]) -> Folder:
    """A folder below a root, to be closed. Errors: LinkError, FileNotFoundError, OSError."""
    top = open_folder(root)
    if not folders:
        return top
    with top:
        return walk(top, folders)


def walk(top: Folder, folders: Sequence[str], above: str = "") -> Folder:
    """A folder below an open one, to be closed. `above` names that one; errors: as `open_root`."""
    here = top
    for number, name in enumerate(folders):
        try:
            below = inner_folder(here, name)
        except LinkError:
            raise LinkError("/".join(([above] if above else []) + list(folders[: number + 1]))) from None
        finally:
            if here is not top:
                here.close()
        here = below
    return here


def inner_folder(here: Folder, name: str) -> Folder:
    """A folder in a folder, to be closed. Errors: as `open_root`; FileNotFoundError also for a file."""
    assert name not in {"", ".", ".."}, f"{name!r} is no name of a folder"
    try:
        return here.folder(name)
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        if _mode(here, name) == stat.S_IFLNK:
            raise LinkError(name) from None
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None


def open_file(here: Folder, name: str, place: str) -> tuple[int, int]:
    """A handle of a regular file in a folder, to be closed, and its bytes. Errors: DamageError, OSError."""
    found = open_any(here, name, place)
    if isinstance(found, Folder):
        found.close()
        raise _refusal(stat.S_IFDIR, place)
    return found


def open_any(here: Folder, name: str, place: str) -> tuple[int, int] | Folder:
    """As `open_file`, or a folder."""
    try:
        found = here.file_or_folder(name)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP}:
            raise _refusal(_mode(here, name), place) from None
        raise
    if isinstance(found, Folder):
        return found
    handle, facts = found
    if not stat.S_ISREG(facts.st_mode):
        os.close(handle)
        raise _refusal(stat.S_IFMT(facts.st_mode), place)
    return handle, facts.st_size


def read_file(here: Folder, name: str, place: str, most: int) -> bytes:
    """All bytes of a regular file of at most that many. Errors: DamageError, OSError."""
    handle, size = open_file(here, name, place)
    try:
        check_size(place, size, most)
        return read_range(handle, 0, size)
    finally:
        os.close(handle)


def read_below(top: Folder, name: str, place: str, most: int) -> bytes:
    """As `read_file`, for a name with folders in it."""
    *folders, last = name.split("/")
    if not folders:
        return read_file(top, name, place, most)
    with walk(top, folders, place.removesuffix(f"/{name}")) as here:
        return read_file(here, last, place, most)


def read_range(handle: int, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of an open file; fewer where it ends before."""
    data = read_at(handle, stop - start, start)
    if not data or len(data) == stop - start:
        return data
    pieces = [data]
    while (start := start + len(pieces[-1])) < stop and (more := read_at(handle, stop - start, start)):
        pieces.append(more)
    return b"".join(pieces)


def check_size(place: str, size: int, most: int) -> None:
    """Errors: DamageError for more bytes than a store writes there."""
    if size > most:
        raise DamageError(f"{place} has {size} bytes, more than the {most} that it can have")


@contextlib.contextmanager
def folder_below(root: str, folders: Sequence[str], *, make: bool = False) -> Iterator[Folder]:
    """A folder below a root; `make`: it and the folders above it, each durable, where they are missing."""
    with open_root(root, folders) if not make else _made(root, folders) as here:
        yield here


def write_file(here: Folder, name: str, data: bytes) -> None:
    """Let a file of a folder hold these bytes, whole and durably, under a name of its own until then."""
    temporary = f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        handle = here.open(temporary, NEW)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            flush(handle)
        finally:
            os.close(handle)
        here.move(temporary, here, name)
    except BaseException:
        with contextlib.suppress(OSError):
            here.unlink(temporary)
        raise
    here.sync()


def is_folder(here: Folder, name: str) -> bool | None:
    """Whether a folder, not a link to one, has that name; None where nothing has."""
    try:
        return _mode(here, name) == stat.S_IFDIR
    except FileNotFoundError:
        return None


def _made(root: str, folders: Sequence[str]) -> Folder:
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
    with open_folder(above) as here:
        here.sync()


def _made_below(root: str, folders: Sequence[str]) -> Folder:
    here = open_folder(root)
    for number, name in enumerate(folders):
        with here:
            below = _made_in(here, name, "/".join(folders[: number + 1]))
        here = below
    return here


def _made_in(here: Folder, name: str, place: str) -> Folder:
    try:
        with contextlib.suppress(FileNotFoundError):
            return inner_folder(here, name)
        try:
            here.mkdir(name)
        except FileExistsError:
            if is_folder(here, name) is False:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), place) from None
        else:
            here.sync()
        return inner_folder(here, name)
    except LinkError:
        raise LinkError(place) from None


def _mode(here: Folder, name: str) -> int:
    return kind_of(here.stat(name))


def _refusal(mode: int, place: str) -> DamageError:
    return LinkError(place) if mode == stat.S_IFLNK else DamageError(f"{place} is {KINDS.get(mode, 'no file')}")
