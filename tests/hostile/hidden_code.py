"""Programs and bombs as strangers hide them in files: by name, and in pickles."""

import io
import os
import pickle
import zipfile
from functools import cache
from pathlib import Path

import torch

from affect.tests.hostile.changes import (
    Work,
)

CODE = [
    ("runpy:run_path", "notes.txt"), ("os:system", "notes.txt"), ("os:mkdir", "notes.txt"), ("torch:load", "notes.txt"),
    ("builtins:exec", "notes.txt"), ("pathlib:Path.touch", "notes.txt"), ("received_code:make", None),
    ("run.received_code:make", None), ("importlib:import_module", "received_code"), ("timm:local-dir:.", None),
    ("timm:hf-hub:x/y", None), ("onnx:notes.txt", None), ("affect.tests.hostile.watch:Watch", None),
]  # fmt: skip


class Runs:
    """Unpickled, it makes a file; pickled, it is data."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def evil(work: Work) -> bytes:
    """A pickle that runs code, alone or as torch packs it; or one that only takes room."""
    content = {"state_dict": {"a": torch.ones(2)}, "extra": Runs(work.outside / "pwned")}
    way = work.draw.choice(["zip", "legacy", "bare", "text", "bomb", "zip bomb", "deep"])
    buffer = io.BytesIO()
    if way in ("zip", "legacy"):
        torch.save(content, buffer, _use_new_zipfile_serialization=way == "zip")
    elif way == "bare":
        buffer.write(pickle.dumps(content))
    elif way == "text":
        buffer.write(f"cposix\nmkdir\n(V{work.outside / 'pwned'}\ntR.".encode())
    elif way == "bomb":  # one long string, joined to itself again and again
        buffer.write(b"\x80\x02]q\x00(" + b"h\x00" * 10 + b"e.")
    elif way == "deep":
        buffer.write(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")
    else:
        return zip_bomb()
    return buffer.getvalue()


@cache
def zip_bomb() -> bytes:
    """An archive of torch whose one storage is a gigabyte of zeros, packed into some megabytes."""
    plain, target = io.BytesIO(), io.BytesIO()
    torch.save({"a": torch.zeros(64)}, plain)
    source = zipfile.ZipFile(plain)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for item in source.infolist():
            content = source.read(item)
            if "/data/" in item.filename:
                with packed.open(item.filename, "w", force_zip64=True) as file:
                    for _ in range(1024):
                        file.write(bytes(1 << 20))
            else:
                packed.writestr(item.filename, content)
    return target.getvalue()
