"""The one file that asks for what not every operating system has, and what is done where it is missing.

Folders are held open on Linux and macOS, and everything in them is reached by that handle: a link that is put in the
way meanwhile leads nowhere. Windows has no such handles. There each step looks first whether a link is in its way, so a
link that lay there before is refused as well; against a program that puts one there in that instant nothing is done.
"""

import contextlib
import errno
import os
import platform
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")

HANDLES = (
    hasattr(os, "O_DIRECTORY")
    and hasattr(os, "O_NOFOLLOW")
    and {os.open, os.stat, os.mkdir, os.unlink, os.rmdir, os.rename} <= os.supports_dir_fd
)
# A pipe must not make us wait for its writer; bytes stay as they are; no program that is started has our files.
PLAIN = 0
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"):
    PLAIN |= getattr(os, _flag, 0)
FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
ENTERED = FOLDER | getattr(os, "O_PATH", 0)  # with O_PATH, the right to enter is enough
READ, NEW, LOCK = os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, os.O_RDWR | os.O_CREAT
MOUNT_POINT = 0xA0000003  # what Windows calls a junction: a link between folders
# Of Windows: what it says of a file that another program has open, and how long to wait for that one. The first is
# also said of files that may never be had.
IN_USE = {5: 1.0, 32: 10.0, 33: 10.0}
PROC = Path("/proc")
_seeking = threading.Lock()


class Folder:
    """An open folder, to be closed. Names are those of what lies in it, without folders; no step follows a link.

    Errors of all: OSError; ELOOP or ENOTDIR for a link. This one is held by its handle.
    """

    steady = True  # it stays the same folder when another takes its name

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def open(self, name: str, flags: int) -> int:
        """A file's handle, to be closed."""
        return os.open(name, flags | PLAIN, 0o666, dir_fd=self.handle)

    def folder(self, name: str) -> "Folder":
        """A folder in this one; ENOTDIR for a file."""
        return Folder(os.open(name, ENTERED | os.O_NOFOLLOW, dir_fd=self.handle))

    def file_or_folder(self, name: str) -> "tuple[int, os.stat_result] | Folder":
        """A handle to read, to be closed, and what it is of; or the folder that has the name."""
        handle = self.open(name, READ)
        try:
            found = os.fstat(handle)
        except BaseException:
            os.close(handle)
            raise
        return Folder(handle) if stat.S_ISDIR(found.st_mode) else (handle, found)

    def stat(self, name: str) -> os.stat_result:
        """What has the name, a link as itself."""
        return os.stat(name, dir_fd=self.handle, follow_symlinks=False)

    def mkdir(self, name: str) -> None:
        """Make a folder."""
        os.mkdir(name, dir_fd=self.handle)

    def touch(self, name: str, handle: int) -> None:
        """Let a file, open as `handle`, be changed now by the storage's own clock."""
        os.utime(handle)

    def unlink(self, name: str) -> None:
        """Remove a file or a link."""
        os.unlink(name, dir_fd=self.handle)

    def rmdir(self, name: str) -> None:
        """Remove an empty folder."""
        os.rmdir(name, dir_fd=self.handle)

    def rmtree(self, name: str) -> None:
        """Remove a folder with all in it, as far as that can be."""
        shutil.rmtree(name, ignore_errors=True, dir_fd=self.handle)

    def move(self, name: str, other: "Folder", new: str) -> None:
        """Let what has the name appear in another folder, in place of a file there, as one step."""
        os.replace(name, new, src_dir_fd=self.handle, dst_dir_fd=other.handle)

    def sync(self) -> None:
        """Make new names and renames in it durable."""
        handle = os.open(".", os.O_RDONLY | FOLDER, dir_fd=self.handle)
        try:
            flush(handle)
        finally:
            os.close(handle)

    def check_listed(self) -> None:
        """Errors: OSError for a folder that does not say what is in it."""
        os.close(os.open(".", os.O_RDONLY | FOLDER, dir_fd=self.handle))

    def again(self) -> "Folder":
        """The same folder, to be closed by itself."""
        return Folder(os.dup(self.handle))

    def close(self) -> None:
        """Let go."""
        os.close(self.handle)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class NamedFolder(Folder):
    """A folder by its path, on a system without handles of folders."""

    steady = False

    def __init__(self, path: str) -> None:
        """Errors: OSError where there is no folder."""
        if not stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        self.path, self.handle = path, -1

    def open(self, name: str, flags: int) -> int:
        return patiently(lambda: open_file(self._at(name), flags))

    def folder(self, name: str) -> Folder:
        if kind_of(self.stat(name)) == stat.S_IFLNK:
            raise _link(name)
        return NamedFolder(self._at(name))

    def file_or_folder(self, name: str) -> tuple[int, os.stat_result] | Folder:
        kind = kind_of(self.stat(name))
        if kind in (stat.S_IFDIR, stat.S_IFLNK):
            return self.folder(name)
        if kind != stat.S_IFREG:
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), name)
        handle = self.open(name, READ)
        return handle, os.fstat(handle)

    def stat(self, name: str) -> os.stat_result:
        return os.lstat(self._at(name))

    def mkdir(self, name: str) -> None:
        os.mkdir(self._at(name))  # noqa: PTH102

    def touch(self, name: str, handle: int) -> None:
        os.utime(self._at(name))

    def unlink(self, name: str) -> None:
        patiently(lambda: os.unlink(self._at(name)))  # noqa: PTH108

    def rmdir(self, name: str) -> None:
        os.rmdir(self._at(name))  # noqa: PTH106

    def rmtree(self, name: str) -> None:
        shutil.rmtree(self._at(name), ignore_errors=True)

    def move(self, name: str, other: Folder, new: str) -> None:
        assert isinstance(other, NamedFolder)
        replace(self._at(name), other._at(new))

    def sync(self) -> None:
        """Nothing: such a system writes names down by itself."""

    def check_listed(self) -> None:
        os.scandir(self.path).close()

    def again(self) -> Folder:
        return NamedFolder(self.path)

    def close(self) -> None:
        """Nothing: a path holds nothing."""

    def _at(self, name: str) -> str:
        return os.path.join(self.path, name)  # noqa: PTH118


def open_folder(path: str) -> Folder:
    """A folder, to be closed; links on the way to it are followed. Errors: OSError."""
    return Folder(os.open(path, ENTERED)) if HANDLES else NamedFolder(path)


def open_file(path: str | os.PathLike[str], flags: int) -> int:
    """A file's handle, to be closed, but never through a link; the mode of a new one follows the umask.

    Errors: OSError; ELOOP for a link.
    """
    if not hasattr(os, "O_NOFOLLOW") and is_link(path):
        raise _link(path)
    return os.open(path, flags | PLAIN, 0o666)


def is_link(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a link to elsewhere, of any kind that this system has."""
    try:
        return kind_of(os.lstat(path)) == stat.S_IFLNK
    except (OSError, ValueError):
        return False


def kind_of(found: os.stat_result) -> int:
    """The S_IF... of what was looked at; a link between folders, which Windows calls a folder, is a link."""
    return stat.S_IFLNK if getattr(found, "st_reparse_tag", 0) == MOUNT_POINT else stat.S_IFMT(found.st_mode)


def _link(path: object) -> OSError:
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def patiently(step: Callable[[], Value]) -> Value:
    """What a step gives. Where another program has the file open, which Windows does not share, it is tried again.

    Errors: OSError; EBUSY where it stays open.
    """
    started = time.monotonic()
    while True:
        try:
            return step()
        except PermissionError as error:
            code = getattr(error, "winerror", None)
            if code not in IN_USE:
                raise
            if time.monotonic() - started > IN_USE[code]:
                if code == 5:
                    raise
                raise OSError(errno.EBUSY, "another program has it open", error.filename) from error
        time.sleep(0.02)


def replace(path: str | os.PathLike[str], new: str | os.PathLike[str]) -> None:
    """Let a file or folder have a new name, in place of a file that has it, as one step. Errors: as `patiently`."""
    patiently(lambda: os.replace(path, new))  # noqa: PTH105


def read_at(handle: int, count: int, start: int) -> bytes:
    """At most that many bytes of an open file."""
    if hasattr(os, "pread"):
        return os.pread(handle, count, start)
    with _seeking:
        os.lseek(handle, start, os.SEEK_SET)
        return os.read(handle, count)


def flush(handle: int) -> None:
    """Make what was written to an open file durable."""
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # a network's disk may not know it
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)  # fsync leaves it in the disk's own memory
            return
    os.fsync(handle)


def flush_path(path: Path) -> None:
    """As `flush`, of a file or the names in a folder; Windows has it for files that may be written alone."""
    if not HANDLES and path.is_dir():
        return
    handle = open_file(path, READ if HANDLES else os.O_RDWR)
    try:
        flush(handle)
    finally:
        os.close(handle)


def long_path(path: Path) -> Path:
    """A path that may be longer than 260 characters, also on Windows, where it is absolute then."""
    if os.name != "nt" or str(path).startswith("\\\\"):
        return path
    return Path(f"\\\\?\\{os.path.abspath(path)}")  # noqa: PTH100 - links stay


def open_to_others(found: os.stat_result) -> bool:
    """Whether other people here may have a file, as far as its mode says so: on Windows it does not."""
    return os.name == "posix" and bool(found.st_mode & 0o077)


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory_bytes() -> float:
    """Bytes that this process may still take, as the system says now."""
    import psutil

    return min(int(psutil.virtual_memory().available), allowed_bytes(PROC / "self" / "cgroup"))


def allowed_bytes(cgroup: Path, root: Path = Path("/sys/fs/cgroup")) -> float:
    """What this process's control group still allows: a container or a cluster's job may have less than the machine."""
    lines = cgroup.read_text("utf-8").splitlines() if cgroup.exists() else []
    name = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    folder = root / (name or "")
    if name is None or not (folder / "memory.max").exists():
        return float("inf")
    limit = (folder / "memory.max").read_text("ascii").strip()
    if limit == "max":
        return float("inf")
    counts = dict(line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
    cached = int(counts.get("inactive_file", 0))  # pages of files, given up when memory is asked for
    return max(0, int(limit) - int((folder / "memory.current").read_text("ascii")) + cached)


def host() -> str:
    """This host as the process numbers on it are valid: its name, its boot, and the container's process table."""
    words = [platform.node() or "localhost"]
    with contextlib.suppress(OSError):
        words.append((PROC / "sys" / "kernel" / "random" / "boot_id").read_text("ascii").strip())
        words.append(str((PROC / "self" / "ns" / "pid").readlink()))
    return " ".join(words)


def started(pid: int) -> str | None:
    """When a process started (its number may have been given to another since); None when it is not running."""
    if not (PROC / "self" / "stat").exists():
        return _started_elsewhere(pid)
    try:
        words = (PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else words[19]


def _started_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return ""
