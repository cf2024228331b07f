"""Files that are not what their name says, told by their first bytes: pointers, web pages, other programs' files."""

import re
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from .regular import ZIP_MAGIC, open_regular

HEAD_BYTES = 4096  # that are looked at
MOST_NAMES = 10_000  # of an archive's members
TAR_MAGIC, TAR_PLACE = b"ustar", 257
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)\b",
                   re.IGNORECASE | re.DOTALL)  # fmt: skip

_ASKED = re.compile(r"GLOBAL ([\w.]+)")

_TORCH_PART = re.compile(r"/(?:data/[0-9]+|version)$")  # also of an archive that lacks its pickle


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a file is, in a few words, and what to do about it."""

    kind: str  # a word for the programs that take this kind
    what: str
    hint: str


PYTORCH = "load it in the program that made it, and save its weights for PyTorch: a state dict as .safetensors or .pth"
UNPACK = "unpack it, and name the file that was in it"
SAFETENSORS = Foreign("safetensors", "a safetensors file under another name", "rename it to end in .safetensors")
TORCH = Foreign("torch", "a PyTorch file under another name", "rename it to end in .pth")
EMPTY = Foreign("empty", "an empty file", "copy or download it again")
TORCHSCRIPT = Foreign(
    "torchscript",
    "a TorchScript program, which holds code",
    "if you trust it, in Python: torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')",
)
KERAS = Foreign("keras", "a Keras model", PYTORCH)
NUMPY = Foreign("numpy", "an archive of NumPy arrays", PYTORCH)
# What a file begins with -> what it is.
BEGINNINGS: tuple[tuple[bytes, Foreign], ...] = (
    (b"version https://git-lfs.github.com/spec/", Foreign(
        "pointer", "a Git LFS pointer, not the file itself", "git lfs pull, in the folder that it was cloned into")),
    (b"/annex/objects/", Foreign("pointer", "a git-annex pointer, not the file itself", "git annex get FILE")),
    (b"\x89HDF\r\n\x1a\n", Foreign("hdf5", "an HDF5 file, as Keras writes its weights", PYTORCH)),
    (b"\x93NUMPY", Foreign("numpy", "a NumPy array", PYTORCH)),
    (b"MATLAB 5.0 MAT-file", Foreign("matlab", "a MATLAB file", PYTORCH)),
    (b"%PDF-", Foreign("pdf", "a PDF document", "download the file itself")),
    (b"\x1f\x8b", Foreign("gzip", "a gzip archive", UNPACK)),
    (b"BZh", Foreign("bzip2", "a bzip2 archive", UNPACK)),
    (b"\xfd7zXZ\x00", Foreign("xz", "an xz archive", UNPACK)),
    (b"\x28\xb5\x2f\xfd", Foreign("zstd", "a Zstandard archive", UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Foreign("7z", "a 7z archive", UNPACK)),
    (b"Rar!\x1a\x07", Foreign("rar", "a RAR archive", UNPACK)),
)  # fmt: skip


def foreign(path: Path, own: Collection[str] = ()) -> Foreign | None:
    """What a file is that it should not be; None where its first bytes tell nothing, or it is one of the kinds `own`.

    Only its first bytes are read, and the directory of a zip archive. Errors: OSError.
    """
    found = _folder(path) if path.is_dir() else _file(path)
    return None if found is None or found.kind in own else found


def asked_for(error: BaseException) -> str:
    """What a pickle asked for besides tensors, out of what torch says, whose advice is to run it; else a few words."""
    found = _ASKED.search(str(error))
    return f"it asks for {found[1][:200]}" if found else "it is no pickle of tensors"


def _file(path: Path) -> Foreign | None:
    with open_regular(path) as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return EMPTY
    for beginning, kind in BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if _PAGE.match(head):
        return Foreign("page", "a web page, not the file itself", "download it again: the link may need a login")
    if head[4:8] == b"TFL3":
        return Foreign("tflite", "a TensorFlow Lite model", PYTORCH)
    if head[TAR_PLACE : TAR_PLACE + len(TAR_MAGIC)] == TAR_MAGIC:
        return Foreign("tar", "a tar archive", UNPACK)
    if head.startswith(ZIP_MAGIC):
        return _zipped(path)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return TORCH
    if head[8:10] in (b'{"', b"{ ", b"{}") and 0 < int.from_bytes(head[:8], "little") <= path.stat().st_size:
        return SAFETENSORS
    if head[:1] == b"\x08" and _onnx(head):
        return Foreign("onnx", "an ONNX file", f"--backbone onnx:{path.name}")
    return None


def _onnx(head: bytes) -> bool:
    """Whether a message begins as ONNX models do: field 1, a small number, and then field 2, its producer's name."""
    return 1 <= head[1] <= 20 and head[2:3] == b"\x12" and len(head) > 4 and head[4 : 4 + head[3]].isascii()


def _zipped(path: Path) -> Foreign:
    """What a zip archive is, by the names in it."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()[:MOST_NAMES]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError):
        return Foreign("broken zip", "a damaged zip archive", "copy or download it again")
    parts = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in parts and "data.pkl" in parts:
        return TORCHSCRIPT
    if "data.pkl" in parts or any(_TORCH_PART.search(name) for name in names):
        return TORCH
    if any(name.endswith(".weights.h5") for name in names):
        return KERAS
    if names and all(name.endswith(".npy") for name in names):
        return NUMPY
    if "saved_model.pb" in parts:
        return Foreign("tensorflow", "a zipped TensorFlow SavedModel", PYTORCH)
    told = ", ".join(name[:60] for name in names[:3]) or "nothing"
    return Foreign("zip", f"a zip archive ({told}{', ...' if len(names) > 3 else ''})", UNPACK)


def _folder(path: Path) -> Foreign | None:
    if (path / "saved_model.pb").is_file():
        return Foreign("tensorflow", "a TensorFlow SavedModel", PYTORCH)
    return None
