"""Named bytes in a folder of a file system, each step atomic and durable, none of them through a link."""

import contextlib
import errno
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import StoreError
from .below import (
    TEMPORARY,
    folder_below,
    is_folder,
    open_any,
    open_file,
    open_root,
    read_file,
    read_range,
    write_file,
)
from .blobs import Blobs, DamageError, Held, LinkError
from .held_local import HeldFile, HeldFolder, mapped, storage_error
from .locks import lock_now, marked
from .system import LOCK, NEW, Folder, flush_path, long_path

LOCK_WAIT_S = 30.0  # steps under the lock take milliseconds; a holder this slow is stopped or unreachable
HIDDEN = ".journal"  # what is no entry: progress, claims, the lock, and what is being removed
MARK = ".lock.taken"  # there while a process is in a section, where nothing can be locked


class LocalFolder(Blobs):
    """A folder of a file system. What `put`, `swap` and `publish` wrote survives a power cut once they return."""

    at_once = 1

    def __init__(self, root: Path) -> None:
        self.root = long_path(root)
        self.where = str(root)
        self._fence = threading.Lock()

    def folds_case(self, file: str) -> bool:
        other = self.root / file.swapcase()
        try:
            return os.path.samestat((self.root / file).lstat(), other.lstat())
        except OSError:
            return False

    @property
    def place(self) -> str:
        """The folder, as the system is asked for it."""
        return str(self.root)

    def __reduce__(self) -> tuple[type["LocalFolder"], tuple[Path]]:
        return LocalFolder, (Path(self.where),)

    def get(self, key: str, most: int) -> bytes:
        with self._around(key) as (here, name):
            return read_file(here, name, key, most)

    def hold(self, key: str) -> Held:
        *folders, name = key.split("/")
        with mapped(self.where, key), folder_below(self.place, folders) as here:
            found = open_any(here, name, key)
        if isinstance(found, Folder):
            return HeldFolder(self.where, key, found)
        return HeldFile(self.where, key, *found)

    def put(self, key: str, data: bytes) -> None:
        for _ in range(20):
            with contextlib.suppress(FileNotFoundError), self._around(key, make=True) as (here, name):
                write_file(here, name, data)
                return
        raise StoreError(f"the folder of {self.where}/{key} is removed again and again by another process")

    def swap(self, key: str, data: bytes | None, expected: bytes | None) -> bool:
        with self._fenced():
            try:
                current: bytes | None = self.get(key, max(len(expected or b""), len(data or b""), 1 << 20))
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
        try:
            with self._around(key) as (here, name):
                handle, size = open_file(here, name, key)
                try:
                    if size != len(data) or read_range(handle, 0, size) != data:
                        return False
                    here.touch(name, handle)
                finally:
                    os.close(handle)
        except FileNotFoundError:
            return False
        return True

    def silence_s(self, key: str) -> float:
        probe = f"{TEMPORARY}{secrets.token_hex(8)}"
        with self._around(key) as (here, name):
            handle = here.open(probe, NEW)
            try:
                here.touch(probe, handle)
                changed = here.stat(name).st_mtime
                return os.fstat(handle).st_mtime - changed
            finally:
                os.close(handle)
                here.unlink(probe)

    def names(self, prefix: str) -> list[str]:
        with mapped(self.where, prefix):
            try:
                open_root(self.place, prefix.split("/")).close()  # a link is refused here
            except FileNotFoundError:
                return []
        root = self.root / prefix
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
            try:
                with os.scandir(self.root / parent) as items:
                    for item in items:
                        if item.name.startswith("."):
                            continue
                        if item.name.endswith(suffix):
                            found.append(f"{parent}{item.name}".removesuffix(suffix))
                        elif item.is_dir(follow_symlinks=False):
                            folders.append(f"{parent}{item.name}/")
            except FileNotFoundError:
                if not parent:
                    raise
            except OSError as error:
                if not parent:
                    raise storage_error(self.where, parent, error) from error
                found.append(parent.removesuffix("/"))  # whoever reads it is told
        return sorted(found)

    def check_listed(self, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError), self._around(f"{folder}/") as (here, _):
            here.check_listed()

    def exists(self, key: str, root_file: str | None = None) -> bool:
        try:
            with self._around(key) as (here, name):
                return is_folder(here, name) is not None
        except FileNotFoundError:
            return False

    def remove(self, key: str, root_file: str | None = None) -> None:
        with contextlib.suppress(FileNotFoundError), self._around(key) as (here, name):
            if not is_folder(here, name):
                here.unlink(name)
            elif not _removed_empty(here, name):
                # Out of sight in one step first: a reader must not meet half a folder.
                hidden = f"{TEMPORARY}{secrets.token_hex(8)}"
                with folder_below(self.place, [HIDDEN], make=True) as apart:
                    here.move(name, apart, hidden)
                    apart.rmtree(hidden)
        self._leave(key)

    def move(self, key: str, to: str, root_file: str | None, first: Callable[[], None]) -> None:
        *folders, name = to.split("/")
        with self._fenced(), mapped(self.where, to):
            first()
            with self._around(key) as (here, old), folder_below(self.place, folders, make=True) as there:
                if is_folder(there, name) is not None:
                    raise DamageError(f"{to} is there already")
                here.move(old, there, name)
                there.sync()
                here.sync()
        self._leave(key)

    def _leave(self, key: str) -> None:
        """Folders that are empty now go."""
        folders = key.split("/")[:-1]
        while folders:
            *folders, last = folders
            with mapped(self.where, key):
                try:
                    with folder_below(self.place, folders) as here:
                        if not _removed_empty(here, last):
                            return
                except FileNotFoundError:
                    continue

    @contextlib.contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        folders, name = key.split("/"), f"entry-{secrets.token_hex(8)}"
        with mapped(self.where, key), folder_below(self.place, folders, make=True):
            path = self.root / key / name
        try:
            yield path
        finally:
            with contextlib.suppress(OSError, DamageError), folder_below(self.place, folders) as here:
                if is_folder(here, name):
                    here.rmtree(name)
                else:
                    here.unlink(name)

    def publish(self, path: Path, key: str, root_file: str | None, first: Callable[[], None]) -> None:
        with mapped(self.where, path.name):
            sync_tree(path)  # slow, so before others have to wait
        *folders, name = key.split("/")
        sources = path.parent.relative_to(self.root).parts
        with self._fenced(), mapped(self.where, key):
            first()
            with folder_below(self.place, folders, make=True) as here:
                stands = is_folder(here, name)
            hidden = f"{TEMPORARY}{secrets.token_hex(8)}"
            aside = stands or (stands is False and path.is_dir())  # only files replace each other in one step
            with (
                folder_below(self.place, sources) as source,
                folder_below(self.place, folders, make=True) as here,
                folder_below(self.place, [HIDDEN], make=True) as apart,
            ):
                if aside:
                    here.move(name, apart, hidden)
                try:
                    source.move(path.name, here, name)
                except BaseException:
                    if aside:
                        apart.move(hidden, here, name)
                    raise
                here.sync()
                source.sync()
            if aside:  # slow, so once the new one stands
                self.remove(f"{HIDDEN}/{hidden}")

    @contextlib.contextmanager
    def _fenced(self) -> Iterator[None]:
        """A section that no other thread or process on this folder is in at the same time."""
        with self._fence:
            handle = self._lock()
            try:
                with contextlib.nullcontext() if self._wait(handle) else self._marked():
                    yield
            finally:
                os.close(handle)

    @contextlib.contextmanager
    def _marked(self) -> Iterator[None]:
        """As `_fenced`, of processes alone, where this Python cannot lock a file: who is in it leaves a file there."""
        try:
            with marked(self.root / HIDDEN / MARK, LOCK_WAIT_S):
                yield
        except TimeoutError:
            raise StoreError(
                f"another process has held {self.where}/{HIDDEN}/{MARK} for {LOCK_WAIT_S:.0f} s",
                hint="end that process, or remove the file where none runs; then run the same command again",
            ) from None

    @contextlib.contextmanager
    def _around(self, key: str, *, make: bool = False) -> Iterator[tuple[Folder, str]]:
        """The folder that a key lies in, and the last part of the key."""
        *folders, name = key.split("/")
        with mapped(self.where, key), folder_below(self.place, folders, make=make) as here:
            yield here, name

    def _lock(self) -> int:
        place = f"{HIDDEN}/.lock"
        with mapped(self.where, place), folder_below(self.place, [HIDDEN], make=True) as here:
            try:
                handle = here.open(".lock", LOCK)
            except OSError as error:
                raise LinkError(place) if error.errno == errno.ELOOP else error from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise StoreError(f"{self.where}/{place} is no file", hint="remove it")
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _wait(self, handle: int) -> bool:
        """Lock an open file; whether this Python can. Errors: StoreError."""
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                lock_now(handle)
                return True
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"another process has held {self.where}/.journal/.lock for {LOCK_WAIT_S:.0f} s",
                        hint="resume or end the stopped process, then run the same command again",
                    ) from None
                time.sleep(0.005)
            except OSError as error:
                if error.errno == errno.ENOSYS:
                    return False
                raise StoreError(
                    f"{self.where} is on a file system without file locks ({error.strerror})",
                    hint="choose a --store on a disk of this machine, or have its server's lock service started",
                ) from error


def sync_tree(path: Path) -> None:
    """Make a file, or a folder with all in it, durable."""
    if path.is_dir():
        for child in path.iterdir():
            sync_tree(child)
    flush_path(path)


def _removed_empty(here: Folder, name: str) -> bool:
    """Whether a folder was empty, and is gone now."""
    try:
        here.rmdir(name)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
