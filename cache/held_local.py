"""Files and folders of a file system, held open while they are read, and what a file system can refuse."""

import contextlib
import errno
import os
from collections.abc import Iterator

from ..errors import NO_FOLDER, StoreError
from .below import check_size, open_file, read_below, read_range, walk
from .blobs import DamageError, Held
from .system import Folder

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


class HeldFile(Held):
    """An open file: what is read is of that file, also when another has taken its name since."""

    steady = True
    at_once = 1

    def __init__(self, where: str, place: str, handle: int, size: int) -> None:
        self._where, self._place, self._handle, self._size = where, place, handle, size

    def get(self, name: str, most: int) -> bytes:
        check_size(self._place, self._size, most)
        return self.get_range(name, 0, self._size)

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        if name:
            raise DamageError(f"{self._place} is a file; expected a folder")
        if start >= self._size:
            return b""
        try:
            return read_range(self._handle, start, min(stop, self._size))
        except OSError as error:
            raise storage_error(self._where, self._place, error) from error

    def get_tail(self, name: str, count: int) -> tuple[bytes, int]:
        return self.get_range(name, max(0, self._size - count), self._size), self._size

    def size(self, name: str) -> int:
        if name:
            raise DamageError(f"{self._place} is a file; expected a folder")
        return self._size

    def below(self, folder: str) -> Held:
        raise DamageError(f"{self._place} is a file; expected a folder")

    def close(self) -> None:
        os.close(self._handle)


class HeldFolder(Held):
    """An open folder: what is read lies in that folder, also when another has taken its name since, if it is steady."""

    at_once = 1

    def __init__(self, where: str, place: str, folder: Folder) -> None:
        self._where, self._place, self._folder = where, place, folder
        self.steady = folder.steady

    def get(self, name: str, most: int) -> bytes:
        place = f"{self._place}/{name}"
        try:
            return read_below(self._folder, name, place, most)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise storage_error(self._where, place, error) from error

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        with self._file(name) as file:
            return file.get_range("", start, stop)

    def get_tail(self, name: str, count: int) -> tuple[bytes, int]:
        with self._file(name) as file:
            return file.get_tail("", count)

    def size(self, name: str) -> int:
        with self._file(name) as file:
            return file.size("")

    def below(self, folder: str) -> Held:
        place = f"{self._place}/{folder}"
        try:
            return HeldFolder(self._where, place, walk(self._folder, folder.split("/"), self._place))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise storage_error(self._where, place, error) from error

    def close(self) -> None:
        self._folder.close()

    def _file(self, name: str) -> Held:
        place = f"{self._place}/{name}"
        *folders, last = name.split("/")
        folder = self._folder
        with mapped(self._where, place), walk(folder, folders, self._place) if folders else folder.again() as here:
            return HeldFile(self._where, place, *open_file(here, last, place))


@contextlib.contextmanager
def mapped(where: str, key: str) -> Iterator[None]:
    """Errors: StoreError for what the file system refuses; FileNotFoundError passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise storage_error(where, key, error) from error


def storage_error(where: str, key: str, error: OSError) -> StoreError:
    """A StoreError that says what the file system refused, and how to go on."""
    place = f"{where}/{key}"
    if error.errno in FULL:
        return StoreError(
            f"no space left for {place} ({os.strerror(error.errno)})",
            hint="free some space and run the same command again; what was stored is kept and resumed",
        )
    if error.errno in FORBIDDEN:
        return StoreError(
            f"{place} may not be written or read ({os.strerror(error.errno)})",
            hint="give this user the right to write there, or choose another --store",
        )
    if error.errno == errno.EBUSY:
        return StoreError(
            f"{place} is in use ({error.strerror})", hint="close it in other programs, and run the same command again"
        )
    if error.errno in NO_FOLDER:
        return StoreError(
            f"{place}: a part of this path is a file, where a folder is expected ({error.strerror})",
            hint="choose another --store",
        )
    return StoreError(
        f"{place}: {error.strerror or error}", hint="check the path and the disk, then run the same command"
    )
