"""An audit hook that judges what a command does: what it opens, runs, imports and reaches, and where it writes.

The hook records and lets happen, save for what starts a program or reaches a network, which is also stopped. Python
reports each step before it is taken, also those of libraries that are written in Python; HDF5, FFmpeg and safetensors
open files behind its back, which is why the victim's folder has a second witness (`witness.py`).
"""

import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "RECEIVED-CODE"  # stands in every program that our mutations hide in a file
# What Python, torch and glibc read of the machine, whatever a command was given.
SYSTEM = (
    "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share", "/usr/local/lib", "/proc/self", "/proc/meminfo",
    "/proc/cpuinfo", "/proc/stat", "/proc/sys", "/proc/mounts", "/sys", "/dev/null", "/dev/urandom", "/dev/random",
    "/etc/localtime", "/etc/ld.so.cache", "/etc/mime.types", "/etc/fonts", "/etc/os-release", "/etc/timezone",
)  # fmt: skip
CODE_ENDINGS = (".py", ".pyc", ".so", ".pyd")
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
STARTS = (
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
)
REACHES = (
    "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
    "socket.gethostbyaddr", "urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect",
    "webbrowser.open", "sqlite3.connect",
)  # fmt: skip


class StoppedError(BaseException):
    """A program or a network that no case needs; no `except Exception` of ours takes it."""


@dataclass(slots=True)
class Allowed:
    """Where a case may read and write. Writing implies reading."""

    reads: Sequence[str]  # files and folders
    writes: Sequence[str]
    received: Sequence[str] = ()  # files and folders that strangers made: code is not read from them
    parents: Sequence[str] = ()  # folders that may be opened to make what was made below them durable
    workers: bool = False  # other processes were asked for


@dataclass(slots=True)
class Watch:
    """The hook. `report` gets a line for each thing that was not allowed: what, on which path, from where."""

    allowed: Allowed
    report: Callable[[str], None]
    _system: tuple[str, ...] = ()
    _reads: tuple[str, ...] = ()
    _writes: tuple[str, ...] = ()
    _received: tuple[str, ...] = ()
    _parents: frozenset[str] = frozenset()
    _handlers: dict[str, Callable[[str, tuple[Any, ...]], None]] = field(default_factory=dict)
    _of_this_thread: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        python = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(ROOT), *(item for item in sys.path if item)}
        self._system = (*SYSTEM, *python, *map(os.path.realpath, python), f"/proc/{os.getpid()}")
        self._writes = tuple(map(os.path.realpath, self.allowed.writes))
        self._reads = (*map(os.path.realpath, self.allowed.reads), *self._writes)
        self._received = tuple(map(os.path.realpath, self.allowed.received))
        self._parents = frozenset(map(os.path.realpath, self.allowed.parents))
        changes = ("os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.utime", "os.setxattr")
        self._handlers = {
            "open": self._open, "os.truncate": self._change, "os.rename": self._two, "os.link": self._two,
            "os.symlink": self._symlink, "os.listdir": self._listed, "os.scandir": self._listed, "exec": self._exec,
            "compile": self._compile, "pickle.find_class": self._unpickled, "ctypes.dlopen": self._library,
            "os.chdir": self._never, "os.kill": self._kill, "socket.__new__": self._socket,
            **dict.fromkeys(changes, self._change), **dict.fromkeys(STARTS, self._start),
            **dict.fromkeys(REACHES, self._reach),
        }  # fmt: skip

    def install(self) -> None:
        """From now on, for the rest of this process."""
        real = os.open

        def open_at(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            # The event does not say below which folder.
            self._of_this_thread.folder = dir_fd
            try:
                return real(path, flags, mode, dir_fd=dir_fd)
            finally:
                self._of_this_thread.folder = None

        os.open = open_at
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """What Python calls before each step."""
        handler = self._handlers.get(event)
        if handler is None:
            return
        try:
            handler(event, arguments)
        except Exception as error:  # noqa: BLE001 - an error in here must not look like one of the command
            self._say("the watch failed", repr(error))

    def _open(self, _: str, arguments: tuple[Any, ...]) -> None:
        path, mode, flags = arguments
        if isinstance(path, int):
            return
        nofollow = bool(flags & os.O_NOFOLLOW)
        place = self._place(path, getattr(self._of_this_thread, "folder", None), last=not nofollow)
        if flags & WRITE_FLAGS or set(str(mode or "")) & set("wax+"):
            if not _below(place, (*self._writes, "/dev/null")):
                self._say("opens for writing", place)
        elif not _below(place, (*self._reads, *self._system)) and place not in self._parents:
            self._say("opens", place)
        elif place.endswith(CODE_ENDINGS) and _below(place, self._received):
            self._say("opens code", place)

    def _listed(self, event: str, arguments: tuple[Any, ...]) -> None:
        path = "." if arguments[0] is None else arguments[0]
        if not isinstance(path, int) and not _below(place := self._place(path), (*self._reads, *self._system)):
            self._say("lists", place)

    def _change(self, event: str, arguments: tuple[Any, ...]) -> None:
        path, folder = arguments[0], arguments[-1] if event not in {"os.truncate", "os.setxattr"} else None
        if isinstance(path, int):
            return
        last = event in {"os.chmod", "os.chown", "os.utime", "os.truncate", "os.setxattr"}
        if not _below(place := self._place(path, folder, last=last), self._writes):
            self._say(event, place)

    def _two(self, event: str, arguments: tuple[Any, ...]) -> None:
        for path, folder in zip(arguments[:2], arguments[2:], strict=True):
            if not _below(place := self._place(path, folder, last=False), self._writes):
                self._say(event, place)

    def _symlink(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not _below(place := self._place(arguments[1], arguments[2], last=False), self._writes):
            self._say(event, place)

    def _exec(self, event: str, arguments: tuple[Any, ...]) -> None:
        name = getattr(arguments[0], "co_filename", "")
        constants = repr(getattr(arguments[0], "co_consts", ""))[:100_000]
        if MARK in constants or (name and not name.startswith("<") and _below(self._place(name), self._received)):
            self._say("runs code of a received file", name)

    def _compile(self, event: str, arguments: tuple[Any, ...]) -> None:
        source, name = arguments
        source = source.decode("latin-1") if isinstance(source, bytes) else source
        if isinstance(source, str) and MARK in source:
            self._say("compiles code of a received file", str(name))

    def _unpickled(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.allowed.workers:
            self._say("unpickles", ".".join(map(str, arguments)))

    def _library(self, event: str, arguments: tuple[Any, ...]) -> None:
        name = arguments[0]
        if name and os.sep in str(name) and not _below(self._place(name), self._system):
            self._say("loads a library", str(name))

    def _socket(self, event: str, arguments: tuple[Any, ...]) -> None:
        # A pair of local sockets wakes zarr's event loop.
        if not self.allowed.workers and arguments[1] != socket.AF_UNIX:
            self._say(event, repr(arguments[1:]))

    def _kill(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.allowed.workers and arguments[1] != 0:
            self._say(event, repr(arguments))

    def _never(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._say(event, repr(arguments))

    def _start(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.allowed.workers or (event == "subprocess.Popen" and arguments[1][:3] == ["git", "-C", str(ROOT)]):
            return  # a run says which commit of ours trained it
        self._say(event, repr(arguments)[:300])
        raise StoppedError(event)

    def _reach(self, event: str, arguments: tuple[Any, ...]) -> None:
        if (
            self.allowed.workers
            and event in {"socket.bind", "socket.connect"}
            and isinstance(arguments[1], str | bytes)
        ):
            return  # a local socket, between workers
        self._say(event, repr(arguments[1:])[:300])
        raise StoppedError(event)

    def _place(self, path: Any, folder: int | None = None, *, last: bool = True) -> str:
        """Where a path leads. `last`: also where its last part is a link."""
        text = os.fsdecode(path)
        base = Path.cwd() if folder is None or folder < 0 else Path(f"/proc/self/fd/{folder}").readlink()
        text = f"{base}/{text}" if not text.startswith("/") else text
        if last:
            return os.path.realpath(text)
        head, tail = os.path.split(text.rstrip("/"))
        if tail in {"", ".", ".."}:
            return os.path.realpath(text)
        return f"{os.path.realpath(head).rstrip('/')}/{tail}"

    def _say(self, what: str, about: str) -> None:
        frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(str(ROOT))]
        ours = [frame for frame in frames if "/tests/" not in frame.filename]
        where = " < ".join(
            f"{os.path.relpath(frame.filename, ROOT)}:{frame.lineno} {frame.name}" for frame in reversed(ours[-3:])
        )
        self.report(f"{what} {about} [{where}]\n")


def _below(place: str, folders: Sequence[str]) -> bool:
    return any(place == folder or place.startswith(folder.rstrip("/") + "/") for folder in folders)
