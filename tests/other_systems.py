"""macOS and Windows, simulated in a process and all that it starts: what they lack is taken away, and what they refuse
is refused.

    subprocess.run([sys.executable, "-m", "affect", ...], env=environment(WINDOWS, tmp_path))

Libraries that know these systems themselves (filelock, psutil, torch) find what this system has. Not simulated: file
systems where A and a are one name, paths of more than 260 characters, drives, consoles, code pages, and the libraries'
own builds for those systems. What passes here has not run on macOS or Windows.
"""

import errno
import functools
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MACOS, WINDOWS = "macos", "windows"
ROOT = str(Path(__file__).resolve().parent.parent)
TESTS = str(Path(__file__).resolve().parent)
BINARY = 1 << 30  # on Windows, what keeps \n from becoming \r\n in a file that os.open gave
LACKS = {
    MACOS: (
        "sched_getaffinity", "sched_setaffinity", "O_PATH", "O_TMPFILE", "memfd_create", "pidfd_open",
        "posix_fallocate", "copy_file_range", "sendfile",
    ),
    WINDOWS: (
        "sched_getaffinity", "sched_setaffinity", "O_PATH", "O_TMPFILE", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK",
        "O_CLOEXEC", "O_SYNC", "O_DSYNC", "pread", "preadv", "pwrite", "fork", "forkpty", "getuid", "geteuid", "getgid",
        "getegid", "fchmod", "fchown", "chown", "lchown", "uname", "sysconf", "statvfs", "fstatvfs", "getloadavg",
        "mkfifo", "mknod", "nice", "setsid", "setpgid", "getpgid", "killpg", "wait4", "memfd_create", "pidfd_open",
        "posix_fallocate", "posix_fadvise", "copy_file_range", "sync", "fdatasync", "getpriority", "ttyname",
    ),
}  # fmt: skip
NO_MODULES = {MACOS: (), WINDOWS: ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog")}
ILLEGAL = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]$')
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def environment(kind: str, folder: Path, watched: Path) -> dict[str, str]:
    """The environment of a process on such a system; watched: the folder whose files are as Windows has them."""
    place = folder / f"as-{kind}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "sitecustomize.py").write_text(
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('other_systems', {__file__!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        f"module.become({kind!r}, {str(watched.resolve())!r})\n",
        "utf-8",
    )
    path = os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def become(kind: str, watched: str) -> None:
    """Let this process be one of that system, until it ends."""
    import multiprocessing

    multiprocessing.set_start_method("spawn")  # the only one there, or the usual one
    _hide_proc()
    if kind == WINDOWS:
        _be_windows(watched)
    _take_away(kind)


def _take_away(kind: str) -> None:
    """Names of `os`, and modules, that the package does not find."""
    import builtins

    taken, real = {name: os.__dict__.pop(name) for name in LACKS[kind] if hasattr(os, name)}, builtins.__import__

    def get(name: str) -> Any:
        if name in taken and not _asked_by_us():
            return taken[name]
        raise AttributeError(f"module 'os' has no attribute {name!r}")

    def bring(name: str, *given: Any, **named: Any) -> Any:
        if name.partition(".")[0] in NO_MODULES[kind] and _asked_by_us():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *given, **named)

    setattr(os, "__getattr__", get)  # noqa: B010 - which only a module has
    builtins.__import__ = bring


def _asked_by_us() -> bool:
    """Whether the package, not a library, asks: its file is the first on the stack that is not of Python itself."""
    frame = sys._getframe(2)
    own = (__file__, "pathlib.py", "os.py", "genericpath.py", "posixpath.py", "<frozen")
    while frame is not None and (frame.f_code.co_filename.endswith(own) or "<frozen" in frame.f_code.co_filename):
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None and _is_ours(frame.f_code.co_filename)


@functools.cache
def _is_ours(source: str) -> bool:
    real = os.path.realpath(source)
    return real.startswith(ROOT) and not real.startswith((TESTS, f"{ROOT}/.venv"))


def _hide_proc() -> None:
    """Neither system has /proc or /sys."""
    real = os.stat

    def looked(path: Any, *given: Any, **named: Any) -> os.stat_result:
        if str(path).startswith(("/proc/", "/sys/")) and _asked_by_us():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return real(path, *given, **named)

    def opened(event: str, words: tuple[Any, ...]) -> None:
        if event == "open" and str(words[0]).startswith(("/proc/", "/sys/")) and _asked_by_us():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(words[0]))

    os.stat = looked
    sys.addaudithook(opened)


def _be_windows(watched: str) -> None:
    import fcntl

    os.O_BINARY = BINARY  # type: ignore[attr-defined]
    os.supports_dir_fd = set()
    os.supports_fd = set(os.supports_fd) - {os.utime, os.scandir, os.chdir, os.listdir, os.execve}
    access, mode_of, flags_of, where_of = os.access, os.stat, fcntl.fcntl, os.readlink
    for name in ("open", "stat", "lstat", "mkdir", "unlink", "remove", "rmdir", "rename", "replace", "utime", "link",
                 "symlink", "readlink", "access", "chmod"):  # fmt: skip
        setattr(os, name, _without_handles(getattr(os, name)))
    real_open, real_sync, real_time, real_kill = os.open, os.fsync, os.utime, os.kill

    def open_bytes(path: Any, flags: int, *given: Any, **named: Any) -> int:
        if not flags & BINARY and _asked_by_us():
            raise AssertionError(f"{path} is opened as text, where \\n becomes \\r\\n: O_BINARY is missing")
        with_folder = access(path, os.F_OK) and stat.S_ISDIR(mode_of(path).st_mode)
        if with_folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real_open(path, flags & ~BINARY, *given, **named)

    def sync(handle: int) -> None:
        if flags_of(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real_sync(handle)

    def set_time(path: Any, *given: Any, **named: Any) -> None:
        if isinstance(path, int):
            raise TypeError("utime: path should be string, bytes or os.PathLike, not int")
        real_time(path, *given, **named)

    def kill(pid: int, number: int) -> None:
        if number == 0:
            raise AssertionError("os.kill(pid, 0) sends Ctrl-C on Windows")
        real_kill(pid, number)

    os.open, os.fsync, os.utime, os.kill = open_bytes, sync, set_time, kill  # type: ignore[assignment]

    def refuse(event: str, words: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(words[2], int) and words[2] & os.O_CREAT:
            _check_name(words[0], watched)
        elif event in ("os.mkdir", "os.rename"):
            _check_name(words[0 if event == "os.mkdir" else 1], watched)
        if event in ("os.remove", "os.rmdir", "os.rename"):
            for path in words[: 2 if event == "os.rename" else 1]:
                _check_closed(path, watched, where_of)

    sys.addaudithook(refuse)


def _without_handles(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def asked(*given: Any, **named: Any) -> Any:
        if any(named.get(name) is not None for name in ("dir_fd", "src_dir_fd", "dst_dir_fd")):
            raise NotImplementedError("dir_fd unavailable on this platform")
        return real(*given, **named)

    return asked


def _check_name(path: Any, watched: str) -> None:
    """Errors: as Windows has them, for a name that it does not allow."""
    if isinstance(path, int):
        return
    full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
    if full.startswith(watched + "/"):
        for name in full[len(watched) + 1 :].split("/"):
            if ILLEGAL.search(name) or DEVICE.fullmatch(name):
                raise OSError(errno.EINVAL, f"Windows has no file named {name!r}", full)


def _check_closed(path: Any, watched: str, where_of: Callable[..., str]) -> None:
    """Errors: as Windows has them, for a file that any process has open, or a folder with one in it."""
    full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
    if not full.startswith(watched + "/"):
        return
    for open_path in _open_files(where_of):
        if open_path == full or open_path.startswith(full + "/"):
            error = PermissionError(errno.EACCES, "it is open in another program", full)
            error.winerror = 32  # type: ignore[attr-defined]
            raise error


def _open_files(where_of: Callable[..., str]) -> Iterator[str]:
    """What the processes here have open; what ended meanwhile, or is another user's, has nothing."""
    for process in os.scandir("/proc"):
        if process.name.isdecimal():
            try:
                handles = [handle.path for handle in os.scandir(f"{process.path}/fd")]
            except OSError:
                continue
            for handle in handles:
                try:
                    yield where_of(handle)
                except OSError:
                    continue
