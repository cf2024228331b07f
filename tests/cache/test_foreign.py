"""A file that is not what its name says is named, with what to do; libraries' own words about it are not shown."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save

from affect.cache.foreign import foreign
from affect.errors import WeightsError
from affect.stages.features.backbones.load import load_backbone
from affect.stages.temporal.published import read_published

PAGE = b'\xef\xbb\xbf\n<?xml version="1.0"?>\n<!DOCTYPE html>\n<html><body>Sign in</body></html>'
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 97800000\n"


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), data)
    return buffer.getvalue()


def torch_file(*, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(2)}, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def hdf5() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layer"] = np.ones(3)
    return buffer.getvalue()


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(3))
    return buffer.getvalue()


def graph() -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", ["x"], ["y"])
    made = helper.make_graph([node], "g", [value], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])
    return bytes(onnx.helper.make_model(made, producer_name="pytorch").SerializeToString())


# What the bytes are -> how to make them, and what has to be said.
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "pointer": (lambda: POINTER, "Git LFS pointer"),
    "annex": (lambda: b"/annex/objects/MD5E-s10--abc.pth\n", "git-annex pointer"),
    "page": (lambda: PAGE, "web page"),
    "plain page": (lambda: b"<html>\n<head><title>404</title>", "web page"),
    "commented page": (lambda: b"<!-- x -->\n<!doctype HTML>", "web page"),
    "keras": (hdf5, "Keras"),
    "new keras": (
        lambda: zipped(config_DOT_json=b"{}", model_DOT_weights_DOT_h5=hdf5(), metadata_DOT_json=b"{}"), "Keras model"),
    "tensorflow": (lambda: zipped(m__saved_model_DOT_pb=b"\x08\x01"), "TensorFlow SavedModel"),
    "tflite": (lambda: b"\x1c\x00\x00\x00TFL3" + bytes(60), "TensorFlow Lite"),
    "numpy": (arrays, "NumPy"),
    "zip": (lambda: zipped(model__weights_DOT_pth=torch_file()), r"zip archive \(model/weights.pth\)"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(40), "gzip archive"),
    "cut zip": (lambda: zipped(a=b"x" * 100)[:60], "damaged zip archive"),
    "script": (script, "TorchScript"),
    "empty": (lambda: b"", "empty file"),
    "pdf": (lambda: b"%PDF-1.7\n", "PDF"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors", "net.onnx"])
def test_weights_that_are_another_kind_of_file_are_named(kind: str, name: str, tmp_path: Path) -> None:
    make, said = FILES[kind]
    (tmp_path / name).write_bytes(make())
    backbone = f"onnx:{tmp_path / name}" if name.endswith("onnx") else "resnet18"
    with pytest.raises(WeightsError, match=said) as caught:
        load_backbone(backbone, None if name.endswith("onnx") else tmp_path / name)
    assert caught.value.hint and "weights_only" not in str(caught.value)


@pytest.mark.parametrize("kind", FILES)
def test_a_checkpoint_that_is_another_kind_of_file_is_named(kind: str, tmp_path: Path) -> None:
    make, said = FILES[kind]
    (tmp_path / "pid_1.pth.tar").write_bytes(make())
    with pytest.raises(WeightsError, match=said) as caught:
        read_published(tmp_path / "pid_1.pth.tar")
    assert caught.value.hint and "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("net.pth", save({"a": torch.ones(2)}), "safetensors file under another name"),
        ("net.safetensors", torch_file(), "PyTorch file"),
        ("net.safetensors", torch_file(legacy=True), "PyTorch file"),
        ("net.pth", graph(), "ONNX file"),
        ("net.safetensors", graph(), "ONNX file"),
    ],
)
def test_a_suffix_that_is_wrong_is_told(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match=said) as caught:
        load_backbone("resnet18", tmp_path / name)
    assert caught.value.hint


def test_a_folder_of_tensorflow_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(WeightsError, match="TensorFlow SavedModel"):
        load_backbone("resnet18", tmp_path / "model")
    (tmp_path / "other").mkdir()
    with pytest.raises(WeightsError, match="folder"):
        load_backbone("resnet18", tmp_path / "other")


def test_what_is_of_the_right_kind_is_not_foreign(tmp_path: Path) -> None:
    for name, data, kind in (
        ("a.pth", torch_file(), "torch"),
        ("b.pth", torch_file(legacy=True), "torch"),
        ("c.safetensors", save({"a": torch.ones(2)}), "safetensors"),
        ("d.safetensors", save({"a": torch.ones(2)}, {"format": "pt"}), "safetensors"),
        ("e.onnx", graph(), "onnx"),
    ):
        (tmp_path / name).write_bytes(data)
        assert foreign(tmp_path / name, (kind,)) is None
        assert foreign(tmp_path / name) is not None, name
    (tmp_path / "labels.csv").write_text("video,subject\n")
    (tmp_path / "x.json").write_text(json.dumps({"a": 1}))
    assert foreign(tmp_path / "labels.csv") is None and foreign(tmp_path / "x.json") is None


def test_what_torch_advises_about_a_pickle_is_not_passed_on(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    torch.save({"a": torch.ones(1), "b": io.BytesIO}, file)
    for read in (lambda: load_backbone("resnet18", file), lambda: read_published(file)):
        with pytest.raises(WeightsError, match=r"io\.BytesIO") as caught:
            read()
        assert "weights_only" not in str(caught.value) and "PyTorch 2.6" not in str(caught.value)
