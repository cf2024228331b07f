"""Named bytes in a folder of a file system, each step atomic and durable."""

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import StoreError
from .blobs import Blobs
from .locks import lock_now

LOCK_WAIT_S = 30.0  # steps under the lock take milliseconds; a holder this slow is stopped or unreachable
TEMPORARY = ".tmp-"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


class LocalFolder(Blobs):
    """A folder of a file system. What `put`, `swap` and `publish` wrote survives a power cut once they return."""

    at_once = 1

    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = str(root)
        self._fence = threading.Lock()

    def __reduce__(self) -> tuple[type["LocalFolder"], tuple[Path]]:
        return LocalFolder, (self.root,)

    def get(self, key: str) -> bytes:
        # Without pathlib: of opening a table of 10,000 videos it would be a tenth.
        with self._mapped(key), open(f"{self.where}/{key}", "rb") as file:  # noqa: PTH123
            return file.read()

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        with self._mapped(key), self.path(key).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def size(self, key: str) -> int:
        with self._mapped(key):
            return self.path(key).stat().st_size

    def put(self, key: str, data: bytes) -> None:
        with self._mapped(key):
            path = self.path(key)
            temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
            try:
                with create_file(temporary) as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            sync_folder(path.parent)

    def swap(self, key: str, data: bytes | None, expected: bytes | None) -> bool:
        with self._fenced():
            try:
                current: bytes | None = self.get(key)
            except FileNotFoundError:
                current = None
            if current != expected:
                return False
            if data is None:
                self.remove(key)
            else:
                self.put(key, data)
            return True

    def renew(self, key: str, data: bytes) -> bool:
        with self._mapped(key):
            try:
                if self.path(key).read_bytes() != data:
                    return False
                os.utime(self.path(key))
            except FileNotFoundError:
                return False
            return True

    def silence_s(self, key: str) -> float:
        with self._mapped(key):
            path = self.path(key)
            with tempfile.TemporaryFile(dir=path.parent) as probe:
                os.utime(probe.fileno())
                return os.fstat(probe.fileno()).st_mtime - path.stat().st_mtime

    def names(self, prefix: str) -> list[str]:
        root = self.path(prefix)
        found: list[str] = []
        for folder, folders, files in os.walk(root):
            place = Path(folder).relative_to(root)
            found += [(place / file).as_posix() for file in files]
            if not folders and not files and Path(folder) != root:
                found.append(f"{place.as_posix()}/")
        return sorted(found)

    def entries(self, suffix: str, root_file: str | None) -> list[str]:
        found: list[str] = []
        folders = [""]
        while folders:
            parent = folders.pop()
            with self._mapped(parent), os.scandir(self.root / parent) as items:
                for item in items:
                    name = f"{parent}{item.name}"
                    if item.name.startswith("."):
                        continue
                    if item.name.endswith(suffix):
                        found.append(name.removesuffix(suffix))
                    elif item.is_dir(follow_symlinks=False):
                        folders.append(f"{name}/")
        return sorted(found)

    def exists(self, key: str, root_file: str | None = None) -> bool:
        return self.path(key).exists()

    def remove(self, key: str, root_file: str | None = None) -> None:
        with self._mapped(key):
            path = self.path(key)
            if not path.is_dir() or path.is_symlink():
                path.unlink(missing_ok=True)
            elif any(path.iterdir()):
                # Out of sight in one step first: a reader must not meet half a folder.
                make_folder(self.root / ".journal")
                hidden = self.root / ".journal" / f"{TEMPORARY}{secrets.token_hex(8)}"
                path.rename(hidden)
                shutil.rmtree(hidden, ignore_errors=True)
            # Folders that are empty now go; rmdir refuses those that are not.
            for folder in (path, *path.parents):
                if folder == self.root:
                    break
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    continue
                except OSError:
                    break

    @contextlib.contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        with self._mapped(key):
            make_folder(self.path(key))
        path = self.path(key) / f"entry-{secrets.token_hex(8)}"
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def publish(self, path: Path, key: str, root_file: str | None, first: Callable[[], None]) -> None:
        with self._mapped(path.name):
            sync_tree(path)  # slow, so before others have to wait
        with self._fenced(), self._mapped(key):
            first()
            target = self.path(key)
            make_folder(target.parent)
            if target.is_dir() and not target.is_symlink():
                self.remove(key)
                make_folder(target.parent)
            path.replace(target)
            sync_folder(target.parent)
            sync_folder(path.parent)

    @contextlib.contextmanager
    def _fenced(self) -> Iterator[None]:
        """A section that no other thread or process on this folder is in at the same time."""
        with self._fence:
            handle = self._lock()
            try:
                yield
            finally:
                os.close(handle)

    def path(self, key: str) -> Path:
        return self.root / key

    def _lock(self) -> int:
        with self._mapped(".journal/.lock"):
            make_folder(self.root / ".journal")
            handle = os.open(self.root / ".journal" / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self._wait(handle)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _wait(self, handle: int) -> None:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                lock_now(handle)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"another process has held {self.where}/.journal/.lock for {LOCK_WAIT_S:.0f} s",
                        hint="resume or end the stopped process, then run the same command again",
                    ) from None
                time.sleep(0.005)
            except OSError as error:
                raise StoreError(f"{self.where} is on a file system without file locks ({error.strerror})") from error

    @contextlib.contextmanager
    def _mapped(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise storage_error(self.where, key, error) from error


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
    return StoreError(f"{place}: {error.strerror or error}")


def create_file(path: Path) -> BinaryIO:
    """A new file, and the folder it needs; another process may be removing that folder as an empty one."""
    for _ in range(20):
        make_folder(path.parent)
        with contextlib.suppress(FileNotFoundError):
            return path.open("xb")
    raise StoreError(f"{path.parent} is removed again and again by another process")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, each of them durable."""
    while not folder.is_dir():
        # Another process may remove an emptied parent between two steps.
        with contextlib.suppress(FileNotFoundError):
            if not folder.parent.is_dir():
                make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and new names inside a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(path: Path) -> None:
    """Make a file, or a folder with all in it, durable."""
    if path.is_dir():
        for child in path.iterdir():
            sync_tree(child)
        sync_folder(path)
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
