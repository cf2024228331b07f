"""What happened in a folder that nobody was told of: inotify sees every process and library; a snapshot compares."""

import ctypes
import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

ACCESS, MODIFY, ATTRIB, MOVED, OPEN, CREATE, DELETE = 0x1, 0x2, 0x4, 0xC0, 0x20, 0x100, 0x200
NAMES = {0x1: "read", 0x2: "written", 0x4: "changed", 0x20: "opened", 0x40: "moved", 0x80: "moved", 0x100: "made",
         0x200: "removed"}  # fmt: skip
HEADER = struct.Struct("iIII")


class Witness:
    """Says which files of a folder, and of those below it, were opened or changed since it was last asked."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._handle < 0:
            raise OSError(ctypes.get_errno(), "inotify is not to be had")
        self._places: dict[int, Path] = {}
        for place in [folder, *(item for item in folder.rglob("*") if item.is_dir() and not item.is_symlink())]:
            mask = ACCESS | MODIFY | ATTRIB | MOVED | OPEN | CREATE | DELETE
            number = self._libc.inotify_add_watch(self._handle, os.fsencode(place), mask)
            if number < 0:
                raise OSError(ctypes.get_errno(), "cannot be watched", str(place))
            self._places[number] = place

    def seen(self) -> list[str]:
        """One line for each kind of event and file, then none until something happens again."""
        found: dict[str, None] = {}
        while True:
            try:
                data = os.read(self._handle, 1 << 16)
            except BlockingIOError:
                return list(found)
            for number, mask, name in _events(data):
                words = [word for bit, word in NAMES.items() if mask & bit] or [hex(mask)]
                found[f"{self._places.get(number, Path('?')) / name} was {' and '.join(words)}"] = None

    def close(self) -> None:
        os.close(self._handle)


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    offset = 0
    while offset < len(data):
        number, mask, _, length = HEADER.unpack_from(data, offset)
        offset += HEADER.size
        yield number, mask, os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
        offset += length


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Every file, folder and link below a folder: what it is, and what it holds."""
    return {item.relative_to(folder).as_posix(): _state(item) for item in sorted([folder, *folder.rglob("*")], key=str)}


def _state(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return ("link", os.readlink(path))  # noqa: PTH115 - as it stands
    if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 24:
        return ("file", status.st_mode, status.st_ino, hashlib.sha256(path.read_bytes()).hexdigest())
    return (stat.S_IFMT(status.st_mode), status.st_mode)
