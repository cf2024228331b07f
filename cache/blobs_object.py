"""Named bytes under a prefix of an object store (S3, GCS, Azure), by obstore.

Credentials and endpoint come from the usual environment variables (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and so on).
"""

import contextlib
import datetime
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from ..errors import StoreError, first_line
from .below import check_size
from .blobs import Blobs, Held

PART_BYTES = 8 << 20


class HeldObjects(Held):
    """Objects under a key. Nothing holds them: another process may replace them between two requests."""

    steady = False

    def __init__(self, blobs: "ObjectFolder", key: str) -> None:
        self._blobs, self._key = blobs, key
        self.at_once = blobs.at_once

    def get(self, name: str, most: int) -> bytes:
        return self._blobs.get(self._place(name), most)

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        return self._blobs.get_range(self._place(name), start, stop)

    def get_tail(self, name: str, count: int) -> tuple[bytes, int]:
        return self._blobs.get_tail(self._place(name), count)

    def size(self, name: str) -> int:
        return self._blobs.size(self._place(name))

    def below(self, folder: str) -> Held:
        return HeldObjects(self._blobs, self._place(folder))

    def _place(self, name: str) -> str:
        return f"{self._key}/{name}" if name else self._key


class ObjectFolder(Blobs):
    """Objects under a URL. There is no rename: of a folder's objects the root file comes last and goes first."""

    at_once = 32

    def __init__(self, url: str) -> None:
        self.where = url.rstrip("/")
        plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        try:
            self.store: Any = from_url(self.where, client_options={"allow_http": True} if plain else None)
        except (BaseError, ValueError) as error:
            raise StoreError(f"{url} cannot be reached: {first_line(error, 300)}", hint=_HINT) from error

    def __reduce__(self) -> tuple[type["ObjectFolder"], tuple[str]]:
        return ObjectFolder, (self.where,)

    def get(self, key: str, most: int) -> bytes:
        with self._mapped(key):
            found = obstore.get(self.store, key)
            check_size(key, int(found.meta["size"]), most)
            return bytes(found.bytes())

    def hold(self, key: str) -> Held:
        return HeldObjects(self, key)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop); fewer where the object ends before."""
        if stop <= start:
            return b""
        with self._mapped(key):
            return bytes(obstore.get(self.store, key, options={"range": (start, stop)}).bytes())

    def get_tail(self, key: str, count: int) -> tuple[bytes, int]:
        """The last bytes, and how many there are in all."""
        with self._mapped(key):
            found = obstore.get(self.store, key, options={"range": {"suffix": count}})
            return bytes(found.bytes()), int(found.meta["size"])

    def size(self, key: str) -> int:
        """Bytes of an object."""
        with self._mapped(key):
            return int(obstore.head(self.store, key)["size"])

    def put(self, key: str, data: bytes) -> None:
        with self._mapped(key), self._bucket():
            obstore.put(self.store, key, data, use_multipart=False)

    def swap(self, key: str, data: bytes | None, expected: bytes | None) -> bool:
        with self._mapped(key):
            if expected is None:
                return data is None or self._create(key, data)
            current, tag = self._get(key)
            if current != expected:
                return False
            if data is None:
                obstore.delete(self.store, key)
                return True
            return self._replace(key, data, tag)

    def renew(self, key: str, data: bytes) -> bool:
        return self.swap(key, data, data)

    def silence_s(self, key: str) -> float:
        probe = f".journal/probe-{secrets.token_hex(8)}"
        with self._mapped(key):
            obstore.put(self.store, probe, b"", use_multipart=False)
            now: datetime.datetime = obstore.head(self.store, probe)["last_modified"]
            obstore.delete(self.store, probe)
            return (now - obstore.head(self.store, key)["last_modified"]).total_seconds()

    def names(self, prefix: str) -> list[str]:
        with self._mapped(prefix):
            paths = [item["path"] for batch in obstore.list(self.store, prefix) for item in batch]
        return sorted(path.removeprefix(f"{prefix}/") for path in paths)

    def entries(self, suffix: str, root_file: str | None) -> list[str]:
        end = f"{suffix}/{root_file}" if root_file else suffix
        with self._mapped(""):
            paths = [item["path"] for batch in obstore.list(self.store) for item in batch]
        return sorted(path.removesuffix(end) for path in paths if path.endswith(end) and not path.startswith("."))

    def exists(self, key: str, root_file: str | None = None) -> bool:
        with self._mapped(key):
            try:
                obstore.head(self.store, f"{key}/{root_file}" if root_file else key)
            except FileNotFoundError:
                return False
            return True

    def remove(self, key: str, root_file: str | None = None) -> None:
        with self._mapped(key):
            names = [f"{key}/{name}" for name in self.names(key)]
            if root_file:
                obstore.delete(self.store, f"{key}/{root_file}")
            obstore.delete(self.store, [*names, key])

    def move(self, key: str, to: str, root_file: str | None, first: Callable[[], None]) -> None:
        first()
        with self._mapped(key):
            if root_file is None:
                obstore.copy(self.store, key, to)
            else:
                self.remove(to, root_file)  # what a killed move left
                for name in [*(name for name in self.names(key) if name != root_file), root_file]:
                    obstore.copy(self.store, f"{key}/{name}", f"{to}/{name}")
        first()
        self.remove(key, root_file)

    @contextlib.contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="affect-", ignore_cleanup_errors=True) as folder:
            yield Path(folder) / "entry"

    def publish(self, path: Path, key: str, root_file: str | None, first: Callable[[], None]) -> None:
        first()
        with self._mapped(key):
            if root_file is None:
                with path.open("rb") as file:
                    obstore.put(self.store, key, file, chunk_size=PART_BYTES, max_concurrency=2)
                return
            self.remove(key, root_file)
            files = sorted(item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file())
            for name in [*(name for name in files if name != root_file), root_file]:
                if not self._create(f"{key}/{name}", (path / name).read_bytes()):
                    raise StoreError(
                        f"{self.where}/{key}/{name} was written by another process at the same time",
                        hint="run the same command again; what was stored is kept and resumed",
                    )

    def _get(self, key: str) -> tuple[bytes | None, str | None]:
        try:
            found = obstore.get(self.store, key)
        except FileNotFoundError:
            return None, None
        return bytes(found.bytes()), found.meta["e_tag"]

    def _create(self, key: str, data: bytes) -> bool:
        try:
            with self._bucket():
                obstore.put(self.store, key, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            # A request may have arrived although its answer was lost, and was then sent again.
            return self._get(key)[0] == data
        return True

    def _replace(self, key: str, data: bytes, tag: str | None) -> bool:
        try:
            obstore.put(self.store, key, data, mode={"e_tag": tag}, use_multipart=False)
        except (PreconditionError, FileNotFoundError):
            return self._get(key)[0] == data
        return True

    @contextlib.contextmanager
    def _bucket(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise StoreError(f"{self.where} is in no bucket that exists", hint=_HINT) from error

    @contextlib.contextmanager
    def _mapped(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, PermissionError, OSError) as error:
            raise StoreError(f"{self.where}/{key}: {first_line(error, 300)}", hint=_HINT) from error


_HINT = "see that the bucket exists and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL are set"
