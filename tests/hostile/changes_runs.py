"""What goes wrong with a run folder."""

import hashlib
import json
import shutil
import struct
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save

from affect.cache.sealed import sealed
from affect.tests.hostile.changes import (
    FREE,
    Work,
    as_json,
    as_yaml,
    code,
    reason,
    swapped,
    table_text,
)
from affect.tests.hostile.hidden_code import CODE, evil


def run_json(work: Work) -> tuple[str, str]:
    """A value in one of a run's JSON files."""
    path = work.file("run/metrics.json", "run/metrics.json", "run/environment.json", "run/folds/*/fold.json")
    tree, said = swapped(work, json.loads(path.read_text()))
    if isinstance(tree, dict):
        tree.pop("sha256", None)  # with it, any change of metrics.json is told by that alone
    path.write_text(as_json(work, tree))
    return f"{work.name(path)}: {said}", ""


def run_config(work: Work) -> tuple[str, str]:
    """A value in a run's settings."""
    path = work.folder / "run" / "config.yaml"
    tree, said = swapped(work, yaml.safe_load(path.read_text()))
    path.write_text(as_yaml(work, tree))
    return f"{work.name(path)}: {said}", ""


def run_code(work: Work) -> tuple[str, str]:
    """A run whose settings name code that lies in the run."""
    path = work.folder / "run" / "config.yaml"
    (work.folder / "run" / "notes.txt").write_text(code(work))
    (work.folder / "run" / "received_code.py").write_text(code(work))
    name, weights = work.draw.choice(CODE)
    tree = yaml.safe_load(path.read_text())
    tree["features"] |= {"backbone": name, "weights": weights}
    path.write_text(as_yaml(work, tree))
    return f"run/config.yaml: backbone {name}, weights {weights}", ""


def run_model(work: Work) -> tuple[str, str]:
    """A model file whose card or tensors are others, its digest made anew."""
    path = work.file("run/folds/*/model.safetensors")
    tensors = load_file(path)
    header = path.read_bytes()
    (length,) = struct.unpack("<Q", header[:8])
    card = json.loads(json.loads(header[8 : 8 + length])["__metadata__"]["affect"])
    if work.draw.random() < 0.75:
        card, said = swapped(work, card)
    else:
        name = work.draw.choice(sorted(tensors))
        value = work.draw.choice([float("nan"), float("inf"), 1e38, 0.0, -1.0])
        tensors[name] = torch.full_like(tensors[name], value) if tensors[name].is_floating_point() else tensors[name]
        said = f"{name} = {value}"
    try:
        data = save(tensors, {"affect": as_json(work, card)})
    except Exception:  # noqa: BLE001 - a card that is no text
        data = save(tensors, {"affect": "x"})
    path.write_bytes(data)
    reseal_fold(path.parent, data)
    return f"{work.name(path)}, resealed: {said}", FREE.format("model")


def run_header(work: Work) -> tuple[str, str]:
    """A model file with another safetensors header: sizes, offsets, names."""
    path = work.file("run/folds/*/model.safetensors")
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    way = work.draw.choice(["swap", "length", "shape"])
    if way == "length":
        length = work.draw.choice([2**63, 10**18, 0, 7, length - 1, length + 1, 100_000_000])
        data = struct.pack("<Q", length) + data[8:]
    else:
        if way == "shape":
            name = work.draw.choice([key for key in header if key != "__metadata__"])
            header[name]["shape"] = work.draw.choice([[10**12], [2**32, 2**32], [-1], [], [0], [1] * 1000])
        else:
            header, _ = swapped(work, header)
        text = as_json(work, header).encode("utf-8", "replace")
        data = struct.pack("<Q", len(text)) + text + data[8 + length :]
    path.write_bytes(data)
    reseal_fold(path.parent, data)
    return f"{work.name(path)}, resealed: header {way}", FREE.format("model")


def run_pickle(work: Work) -> tuple[str, str]:
    """A pickle in the place of a model, or of what an unfinished fold keeps."""
    path = work.folder / "run" / "folds" / work.draw.choice(["00", "01", "03"])
    path = path / work.draw.choice(["model.safetensors", "checkpoint.pt", "model.pt"])
    path.parent.mkdir(parents=True, exist_ok=True)
    data = evil(work)
    path.write_bytes(data)
    if path.name == "model.safetensors":
        reseal_fold(path.parent, data)
    elif work.draw.random() < 0.7:
        (path.parent / "fold.json").unlink(missing_ok=True)
        path.write_bytes(sealed(data))
    return f"{work.name(path)}: a pickle that runs code", ""


def run_halved(work: Work) -> tuple[str, str]:
    """A run of which a part has not arrived."""
    folds = sorted((work.folder / "run" / "folds").iterdir())
    fold = work.draw.choice(folds)
    parts = [fold, *(fold / name for name in ("fold.json", "model.safetensors", "log.jsonl"))]
    files = ("metrics.json", "predictions.csv", "environment.json", "config.yaml")
    gone = work.draw.choice([*parts, *(work.folder / "run" / name for name in files)])
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    return f"{work.name(gone)} is missing", ""


def run_table(work: Work) -> tuple[str, str]:
    """A cell, a column or a row of a run's held-out predictions."""
    path = work.file("run/predictions.csv", "run/folds/*/predictions.csv")
    path.write_text(table_text(work, path), newline="", errors="surrogatepass")
    return f"{work.name(path)}: another table", reason(work, path)


def reseal_fold(folder: Path, data: bytes) -> None:
    """The digest that fold.json has of its model."""
    path = folder / "fold.json"
    if path.is_file():
        path.write_text(json.dumps({**json.loads(path.read_text()), "model_sha256": hashlib.sha256(data).hexdigest()}))
