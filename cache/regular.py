"""Files that come from elsewhere, opened: regular ones alone, and none that holds more than its own size explains."""

import errno
import hashlib
import os
import stat
import zipfile
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

ZIP_MAGIC = b"PK\x03\x04"
MOST_VARINT = 10  # bytes of a number in a protobuf message
MOST_FIELDS = 100_000  # of one protobuf message; a network's has a few dozen
MOST_REPEATS = 8  # bytes of tensors for each byte of their file; an expanded mask is more than it stores
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def regular_size(path: Path) -> int:
    """Bytes of a regular file, links followed; nothing is opened. Errors: OSError, also for what is no regular file."""
    try:
        return _size(path, path.stat())
    except ValueError as error:  # a NUL
        raise OSError(errno.EINVAL, str(error), str(path)) from error


def open_regular(path: Path) -> BufferedReader:
    """A regular file, opened for its bytes. Errors: OSError; a pipe or a device, which may never end, is not opened."""
    regular_size(path)
    file = path.open("rb")
    try:
        _size(path, os.fstat(file.fileno()))
    except OSError:
        file.close()
        raise
    return file


def file_sha256(path: Path) -> str:
    """sha256 of a file, in hexadecimal. Errors: OSError, also for what is no regular file."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file, as many as it is long. Errors: OSError."""
    with open_regular(path) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def _size(path: Path, found: os.stat_result) -> int:
    if not stat.S_ISREG(found.st_mode):
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "no regular file")
        raise OSError(errno.EINVAL, f"it is {kind}; expected a file", str(path))
    return found.st_size


def check_unpacked(path: Path) -> None:
    """Make sure that a file, where it is a zip archive, holds no more than its own size, as what torch saves does.

    Only the archive's directory is read. Errors: ValueError for an archive that would grow, OSError.
    """
    with open_regular(path) as file:
        if file.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
            return
        size = os.fstat(file.fileno()).st_size
        try:
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(item.file_size for item in archive.infolist())
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"it is a damaged archive: {error}") from error
    if unpacked > size:
        raise ValueError(f"its {size} bytes would unpack to {unpacked}; torch saves without compression")


def check_tensors(tensors: Mapping[str, Any], size: int) -> None:
    """Make sure that what was read out of a file of `size` bytes are plain tensors, no larger than it explains.

    A tensor may repeat what is stored once: a file of a few bytes can speak of one with 10^12 numbers.
    Errors: ValueError naming the tensor.
    """
    stored, told = {}, 0
    for name, tensor in tensors.items():
        if tensor.device.type != "cpu" or "strided" not in str(tensor.layout) or tensor.is_quantized:
            raise ValueError(f"{name[:100]!r} is no plain tensor: {tensor.layout}, {tensor.dtype}, {tensor.device}")
        storage = tensor.untyped_storage()
        stored[storage.data_ptr()] = storage.nbytes()
        told += tensor.numel() * tensor.element_size()
    if max(sum(stored.values()), told // MOST_REPEATS) > size:
        raise ValueError(f"its {size} bytes speak of tensors of {max(told, sum(stored.values()))} bytes")


def check_message(path: Path) -> None:
    """Make sure that a file is one protobuf message from its first byte to its last, by the lengths of its fields.

    A file that goes on as a hole, or is cut, is told without being read. Errors: ValueError naming the place; OSError.
    """
    with open_regular(path) as file:
        size, place, fields = os.fstat(file.fileno()).st_size, 0, 0
        while place < size:
            fields += 1
            if fields > MOST_FIELDS:
                raise ValueError(f"more than {MOST_FIELDS} fields side by side")
            file.seek(place)
            head = file.read(2 * MOST_VARINT)
            tag, taken = _varint(head)
            kind = tag & 7
            if tag >> 3 == 0 or kind not in (0, 1, 2, 5):
                raise ValueError(f"no field begins at byte {place}")
            value, more = _varint(head[taken:]) if kind in (0, 2) else (0, {1: 8, 5: 4}[kind])
            place += taken + more + (value if kind == 2 else 0)
        if place != size:
            raise ValueError(f"its last field ends at byte {place} of {size}")


def _varint(data: bytes) -> tuple[int, int]:
    """A number of 7 bits a byte, and how many bytes it has. Errors: ValueError for one without an end."""
    value = 0
    for number, byte in enumerate(data[:MOST_VARINT]):
        value |= (byte & 127) << (7 * number)
        if byte < 128:
            return value, number + 1
    raise ValueError("a number without an end")
