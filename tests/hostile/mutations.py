"""What strangers, crashes and bad luck do to the inputs: one seeded change to a kit of sound ones.

    change = mutate(seed, folder, outside)  # folder: a copy of the kit
    change.commands, change.what, change.free  # who reads it, what was done, why numbers may differ (or "")

A change that goes past a seal recomputes it: the digests have no key, so a stranger can. Then it is another store or
run, whose numbers are its own; `free` says so.
"""

import copy
import csv
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import h5py
import numpy as np
import onnx
import torch
import yaml
from numcodecs import Blosc  # type: ignore[import-untyped]
from onnx import TensorProto, helper
from safetensors.torch import load_file, save

from affect.cache.records import Recipe
from affect.tests.hostile.watch import MARK

DEEP = "@@DEEP@@"  # in a tree that is written as text: a list in a list in a list ...
FREE = "the digests were made anew: another {}, whose numbers are its own"
JSON_SEALED = "attributes_sha256"


@dataclass(slots=True)
class Work:
    """A copy of the kit to be changed, and the folder of the victim."""

    folder: Path
    outside: Path
    draw: random.Random

    def file(self, *patterns: str) -> Path:
        """One of the files that match."""
        found = sorted(path for pattern in patterns for path in self.folder.glob(pattern) if path.is_file())
        assert found, patterns
        return self.draw.choice(found)

    def name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


Mutator = Callable[[Work], tuple[str, str]]  # what was done; why numbers may differ, or ""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of received file: the changes it can have, and the commands that read it."""

    mutators: Sequence[Mutator]
    commands: Sequence[str]


@dataclass(frozen=True, slots=True)
class Change:
    """One mutation, done."""

    seed: int
    kind: str
    commands: tuple[str, ...]
    what: str
    free: str


# --- values -----------------------------------------------------------------------------------------------------


def values(work: Work) -> list[Any]:
    """What stands in no sound file."""
    secret = str(work.outside / "secret.txt")
    return [
        None, True, False, 0, -1, 1, 3, 2**31, 2**63, -(2**63), 10**30, 1e308, -1e308, float("nan"), float("inf"),
        float("-inf"), 0.5, 1e-300, "", " ", "x" * 200_000, "\x00", "a\x00b", "\x1b]0;owned\x07", "\x1b[2J",
        "line\nFAKE 1 stored, 0 failed", "\u202egnp.exe", "\u2066x", "\ud800", "=cmd|'/C calc'!A0", "+1+1", "@SUM(1)",
        "<script>alert(1)</script>", "$\\frac{$", "../../outside/secret.txt", "../outside", secret, "/dev/zero", "-",
        "/proc/self/environ", "file://" + secret, "http://127.0.0.1:9/x", "s3://bucket/x", "~/x", "con", ".", "..",
        "runpy:run_path", "os:system", "received_code:make", "torch.hub:load", "timm:hf-hub:a/b", "onnx:" + secret,
        "subprocess:call", [], {}, [None], [[]], {"": {}}, [0] * 100_000, ["x"] * 3, [1, 2, 3], {"a": 1}, DEEP,
        {"valence": [0, 0]}, "nan", "1e5", "main", "zarr", "object", "|O", "float64", "float16", "int64", "<U9",
    ]  # fmt: skip


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value in a tree, containers too."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items)[:60]:
        yield from places(value, (*path, key))


def put(tree: Any, path: Sequence[Any], value: Any) -> Any:
    """The tree with another value at a place."""
    if not path:
        return value
    tree = copy.copy(tree)
    tree[path[0]] = put(tree[path[0]], path[1:], value)
    return tree


def swapped(work: Work, tree: Any) -> tuple[Any, str]:
    """A tree with one, sometimes three, of its values taken out, added, exchanged, or made something else."""
    said = []
    for _ in range(work.draw.choice([1, 1, 1, 3])):
        path = work.draw.choice([place for place in places(tree) if place] or [()])
        new = work.draw.choice(values(work))
        way = work.draw.choice(["value", "value", "value", "value", "key", "removed", "number"])
        old = _at(tree, path)
        if way == "number" and isinstance(old, (int, float)) and not isinstance(old, bool):
            new = work.draw.choice([-old, old + 1, old * 10**6, old / 3, 0 * old, str(old), [old]])
            tree = put(tree, path, new)
        elif way == "removed" and path and isinstance(_at(tree, path[:-1]), dict):
            tree = put(tree, path[:-1], {key: value for key, value in _at(tree, path[:-1]).items() if key != path[-1]})
        elif way == "key" and isinstance(old, dict):
            tree = put(tree, path, {**old, str(new)[:300]: work.draw.choice(values(work))})
        else:
            tree = put(tree, path, new)
        said.append(f"{'.'.join(map(str, path))} ({way}) = {str(new)[:40]!r}")
    return tree, "; ".join(said)


def _at(tree: Any, path: Sequence[Any]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def as_json(work: Work, tree: Any, **options: Any) -> str:
    text = json.dumps(tree, **options)
    depth = work.draw.choice([500, 5000, 100_000])
    return text.replace(f'"{DEEP}"', "[" * depth + "]" * depth)


# --- bytes and places, for any file -----------------------------------------------------------------------------


def flipped(data: bytearray, draw: random.Random) -> bytes:
    for _ in range(draw.choice([1, 1, 3, 30])):
        place = draw.randrange(len(data))
        data[place] ^= 1 << draw.randrange(8)
    return bytes(data)


def cut(data: bytearray, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    return bytes(data[:place] if draw.random() < 0.8 else data[place:])


def zeroed(data: bytearray, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    size = min(draw.choice([1, 16, 512, 4096]), len(data) - start)
    data[start : start + size] = draw.choice([bytes(size), draw.randbytes(size), b"\xff" * size])
    return bytes(data)


def doubled(data: bytearray, draw: random.Random) -> bytes:
    start, stop = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    return bytes(data[:stop] + data[start:])


def spliced(data: bytearray, draw: random.Random) -> bytes:
    start, stop = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    return bytes(data[stop:] + data[start:stop] + data[:start])


def emptied(data: bytearray, draw: random.Random) -> bytes:
    return draw.choice([b"", b"\n", b"\x00", b"{}", b"[]", b"\xef\xbb\xbf" + data, b"PK\x03\x04", b"\x80\x02."])


def damaged(*patterns: str) -> Mutator:
    """A file whose bytes went wrong."""

    def change(work: Work) -> tuple[str, str]:
        path = work.file(*patterns)
        way = work.draw.choice([flipped, flipped, cut, zeroed, doubled, spliced, emptied])
        path.write_bytes(way(bytearray(path.read_bytes() or b"\0"), work.draw))
        return f"{work.name(path)} {way.__name__}", ""

    return change


def misplaced(*patterns: str, links: bool = True) -> Mutator:
    """Something that is no file in the place of one.

    `links`: also links to the victim. What is typed, and recordings and tables in a folder of them, may be links: they
    are the user's.
    """

    def change(work: Work) -> tuple[str, str]:
        path = work.file(*patterns)
        data = path.read_bytes()
        way = work.draw.choice(["folder", "fifo", "device", "victim", "loop", "dangling", "sparse", "gone", "closed",
                                "folder of the victim", "link to a copy"])  # fmt: skip
        if not links and way in ("victim", "folder of the victim"):
            way = "folder"
        path.unlink()
        if way == "folder":
            path.mkdir()
            (path / path.name).write_bytes(data)
        elif way == "fifo":
            os.mkfifo(path)
        elif way == "device":
            path.symlink_to(work.draw.choice(["/dev/zero", "/dev/urandom", "/dev/full", "/dev/stdin"]))
        elif way == "victim":
            path.symlink_to(work.outside / work.draw.choice(["secret.txt", "secret.json", "secret.mp4"]))
        elif way == "folder of the victim":
            path.symlink_to(work.outside)
        elif way == "loop":
            path.symlink_to(path.name)
        elif way == "dangling":
            path.symlink_to(work.outside / "new.txt")
        elif way == "link to a copy":  # beside it, so that nothing outside is read
            path.with_name("copy-" + path.name).write_bytes(data)
            path.symlink_to("copy-" + path.name)
        elif way == "sparse":
            with path.open("wb") as file:
                file.write(data)
                file.truncate(40 << 30)
        elif way == "closed":
            path.write_bytes(data)
            path.chmod(0)
        return f"{work.name(path)}: {way}", ""

    return change


def trapped(folders: Sequence[str], names: Sequence[str]) -> Mutator:
    """A link to the victim where a command is about to write: what it writes goes through a link, or replaces it."""

    def change(work: Work) -> tuple[str, str]:
        folder, name = work.folder / work.draw.choice(folders), work.draw.choice(names)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        target = work.outside / work.draw.choice(["secret.txt", "new.txt", "", "plots"])
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        return f"{work.name(path)} links to outside/{target.name}", ""

    return change


def crowded(folders: Sequence[str]) -> Mutator:
    """Files that nobody asked for, with names that do harm where they are shown or run."""
    names = [
        "\x1b]0;owned\x07.mp4", "a\nFAKE 1 stored.mp4", "\u202e4pm.exe.mp4", "=cmd|' C calc'!A0.mp4", "-rf.mp4",
        "sitecustomize.py", "torch.py", "received_code.py", "numpy.py", "x.zarr", ".journal/x.journal/claim", "x.h5",
        ".tmp-x", "failures.csv", "folds/zz/fold.json", "folds/../fold.json", "store.json.partial", "\udcff.mp4",
        "%s%n.mp4", "a" * 250, "sub/store.json", "S9.mp4.zarr/zarr.json",
    ]  # fmt: skip

    def change(work: Work) -> tuple[str, str]:
        path = work.folder / work.draw.choice(folders) / work.draw.choice(names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(code(work))
        return f"{work.name(path)!r} made", ""

    return change


def code(work: Work) -> str:
    """A program that says that it ran."""
    return f"# {MARK}\nimport pathlib\npathlib.Path({str(work.outside / 'pwned')!r}).write_text('{MARK}')\n"


# --- runs -------------------------------------------------------------------------------------------------------


def run_json(work: Work) -> tuple[str, str]:
    """A value in one of a run's JSON files."""
    path = work.file("run/metrics.json", "run/metrics.json", "run/environment.json", "run/folds/*/fold.json")
    tree, said = swapped(work, json.loads(path.read_text()))
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


CODE = [
    ("runpy:run_path", "notes.txt"), ("os:system", "notes.txt"), ("received_code:make", None), ("os:mkdir", "notes.txt"),
    ("torch:load", "notes.txt"), ("builtins:exec", "notes.txt"), ("run.received_code:make", None),
    ("timm:local-dir:.", None), ("timm:hf-hub:x/y", None), ("onnx:notes.txt", None), ("pathlib:Path.touch", "notes.txt"),
    ("affect.tests.hostile.watch:Watch", None), ("importlib:import_module", "received_code"),
]  # fmt: skip


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
    return f"{work.name(path)}: a pickle that runs code", ""


def run_halved(work: Work) -> tuple[str, str]:
    """A run of which a part has not arrived."""
    folds = sorted((work.folder / "run" / "folds").iterdir())
    fold = work.draw.choice(folds)
    gone = work.draw.choice([fold, fold / "fold.json", fold / "model.safetensors", fold / "log.jsonl",
                             work.folder / "run" / "metrics.json", work.folder / "run" / "predictions.csv",
                             work.folder / "run" / "environment.json", work.folder / "run" / "config.yaml"])  # fmt: skip
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    return f"{work.name(gone)} is missing", ""


def run_table(work: Work) -> tuple[str, str]:
    """A cell, a column or a row of a run's held-out predictions."""
    path = work.file("run/predictions.csv", "run/folds/*/predictions.csv")
    path.write_text(table_text(work, path), newline="", errors="surrogatepass")
    return f"{work.name(path)}: another table", ""


def reseal_fold(folder: Path, data: bytes) -> None:
    """The digest that fold.json has of its model."""
    path = folder / "fold.json"
    if path.is_file():
        path.write_text(json.dumps({**json.loads(path.read_text()), "model_sha256": hashlib.sha256(data).hexdigest()}))


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
        torch.save({"a": torch.zeros(64)}, buffer)
        return zip_bomb(buffer.getvalue())
    return buffer.getvalue()


def zip_bomb(data: bytes) -> bytes:
    """An archive of torch whose first storage is a gigabyte of zeros, packed into a megabyte."""
    source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for item in source.infolist():
            content = source.read(item)
            if "/data/" in item.filename:
                with packed.open(item.filename, "w", force_zip64=True) as file:
                    for _ in range(1024):
                        file.write(bytes(1 << 20))
            else:
                packed.writestr(item.filename, content)
    return target.getvalue()


# --- YAML and tables --------------------------------------------------------------------------------------------


def as_yaml(work: Work, tree: Any) -> str:
    """YAML text of a tree; JSON is YAML."""
    text = yaml.safe_dump(tree, allow_unicode=work.draw.random() < 0.5, sort_keys=False)
    depth = work.draw.choice([50, 2000])
    return text.replace(DEEP, "[" * depth + "]" * depth).replace("\udcff", "?").replace("\ud800", "?")


def yaml_bomb(*names: str) -> Mutator:
    """Aliases, tags, depth, duplicate keys."""

    def change(work: Work) -> tuple[str, str]:
        path = work.folder / work.draw.choice(names)
        laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
        )
        way, text = work.draw.choice([
            ("laughs", laughs),
            ("laughs in a value", "training:\n  epochs: &e " + nested_aliases() + "\n"),
            ("laughs in ranges", "targets:\n  valence: {range: " + nested_aliases() + "}\n"),
            ("itself", "features: &a\n  faces: *a\n"),
            ("tag", f"!!python/object/apply:os.mkdir ['{work.outside / 'pwned'}']\n"),
            ("tag inside", f"features:\n  backbone: !!python/object/apply:os.mkdir ['{work.outside / 'pwned'}']\n"),
            ("module", "features: !!python/module:received_code\n"),
            ("deep", "features: " + "{a: " * 5000 + "1" + "}" * 5000 + "\n"),
            ("deep list", "[" * 20_000),
            ("twice", path.read_text() + "\n" + path.read_text()),
            ("documents", path.read_text() + "\n---\n" + path.read_text()),
            ("long number", "training:\n  epochs: " + "9" * 100_000 + "\n"),
            ("sexagesimal", "training:\n  epochs: 1" + ":59" * 20_000 + "\n"),
            ("binary", "features:\n  backbone: !!binary " + "A" * 1000 + "\n"),
            ("merge", "<<: [{a: 1}, {b: 2}]\nfeatures: {<<: {<<: {}}}\n"),
            ("nul", "features:\n  backbone: \"\\0\"\n"),
            ("utf-16", ""),
        ])  # fmt: skip
        if way == "utf-16":
            path.write_bytes(path.read_text().encode("utf-16"))
        else:
            path.write_text(text)
        return f"{work.name(path)}: {way}", ""

    return change


def nested_aliases() -> str:
    """A billion laughs as a value."""
    text = "&b0 [x, x, x, x, x, x, x, x, x]"
    for level in range(1, 9):
        text = f"&b{level} [{text}, {', '.join([f'*b{level - 1}'] * 8)}]"
    return text


def settings(work: Work) -> tuple[str, str]:
    """A value in a configuration file, or a setting that names code."""
    path = work.folder / "config.yaml"
    tree = yaml.safe_load(path.read_text())
    if work.draw.random() < 0.3:
        name, weights = work.draw.choice(CODE)
        (work.folder / "notes.txt").write_text(code(work))
        (work.folder / "received_code.py").write_text(code(work))
        tree["features"] |= {"backbone": name, "weights": weights and str(work.folder / weights)}
        said = f"backbone {name}"
    else:
        tree, said = swapped(work, tree)
    path.write_text(as_yaml(work, tree))
    return f"config.yaml: {said}", ""


def sidecar(work: Work) -> tuple[str, str]:
    """A value beside the label table."""
    path = work.folder / "labels.yaml"
    tree, said = swapped(work, yaml.safe_load(path.read_text()))
    path.write_text(as_yaml(work, tree))
    return f"labels.yaml: {said}", ""


def label_table(work: Work) -> tuple[str, str]:
    """A cell, a column or the form of a table of labels."""
    path = work.file("labels.csv", "omg/*.csv") if (work.folder / "omg").exists() else work.folder / "labels.csv"
    text = table_text(work, path)
    encoding = work.draw.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])
    path.write_bytes(text.encode(encoding, "replace"))
    return f"{work.name(path)}: another table in {encoding}", ""


def table_text(work: Work, path: Path) -> str:
    """A CSV file's text with something changed."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    draw = work.draw
    way = draw.choice(["cell", "cell", "cell", "header", "wide", "twice", "ragged", "quote", "long", "rows", "number"])
    row, column = draw.randrange(len(rows)), draw.randrange(len(rows[0]))
    text = str(draw.choice([value for value in values(work) if not isinstance(value, (list, dict))]))
    if way == "cell":
        for _ in range(draw.choice([1, 1, 4])):
            rows[draw.randrange(1, len(rows))][draw.randrange(len(rows[0]))] = text
    elif way == "number":
        rows[draw.randrange(1, len(rows))][-1 - draw.randrange(2)] = draw.choice(["1e308", "-1e308", "nan", "0.1234"])
    elif way == "header":
        rows[0][column] = text
    elif way == "wide":
        count = draw.choice([100, 20_000])
        rows = [[*cells, *([f"c{number}" for number in range(count)] if index == 0 else ["1"] * count)]
                for index, cells in enumerate(rows)]  # fmt: skip
    elif way == "twice":
        rows[0][column] = rows[0][column - 1]
    elif way == "ragged":
        rows[row] = rows[row] + ["1"] * draw.choice([1, 100]) if draw.random() < 0.5 else rows[row][:column]
    elif way == "long":
        rows[row][column] = "y" * draw.choice([200_000, 5_000_000])
    elif way == "rows":
        rows = rows[:1] + rows[1:] * draw.choice([0, 2, 500])
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=draw.choice([",", ",", ",", ";", "\t"])).writerows(rows)
    text = buffer.getvalue()
    return text.replace(",", ',"', 1) if way == "quote" else text


# --- stores -----------------------------------------------------------------------------------------------------


def store_json(work: Work, store: str = "store") -> tuple[str, str]:
    """store.json: a value, with its digest made anew where that can be."""
    path = work.folder / store / "store.json"
    tree = json.loads(path.read_text())
    if work.draw.random() < 0.3:
        name, weights = work.draw.choice(CODE)
        (path.parent / "notes.txt").write_text(code(work))
        tree["recipe"] |= {"backbone": name}
        tree["weights"] = weights and str(path.parent / weights)
        said = f"backbone {name}"
    else:
        tree, said = swapped(work, tree)
    recipe = tree.get("recipe") if isinstance(tree, dict) else None
    if isinstance(recipe, dict) and work.draw.random() < 0.8:
        try:
            tree["digest"] = Recipe(recipe).digest
        except Exception:  # noqa: BLE001 - what has no digest keeps the old one
            said += " (not resealed)"
        else:
            for root in path.parent.glob("*.zarr/zarr.json"):
                change_attributes(root, {"recipe_digest": tree["digest"]})
    path.write_text(as_json(work, tree))
    return f"{work.name(path)}: {said}", FREE.format("store")


def seal(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes with a digest of themselves."""
    plain = {name: value for name, value in attributes.items() if name != JSON_SEALED}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return {**plain, JSON_SEALED: hashlib.sha256(text.encode()).hexdigest()}


def change_attributes(root: Path, changes: dict[str, Any]) -> None:
    """Some attributes of a Zarr entry, sealed."""
    tree = json.loads(root.read_text())
    tree["attributes"] = seal({**tree["attributes"], **changes})
    root.write_text(json.dumps(tree, indent=1, ensure_ascii=True))


def entry_attributes(work: Work) -> tuple[str, str]:
    """A value in an entry's attributes, sealed or not."""
    path = work.file("store/*.zarr/zarr.json")
    tree = json.loads(path.read_text())
    attributes, said = swapped(work, tree["attributes"])
    sealed = isinstance(attributes, dict) and DEEP not in str(attributes) and work.draw.random() < 0.8
    tree["attributes"] = seal(attributes) if sealed else attributes
    path.write_text(as_json(work, tree, indent=1, ensure_ascii=True))
    return f"{work.name(path)}{', resealed' * sealed}: {said}", FREE.format("entry") if sealed else ""


def array_metadata(work: Work) -> tuple[str, str]:
    """What an array says of itself: codecs, types, shapes; sealed or not."""
    path = work.file("store/*.zarr/*/zarr.json", "store/*.zarr/values/zarr.json", "store/*.zarr/frames/*/zarr.json")
    tree = json.loads(path.read_text())
    way = work.draw.choice(["swap", "swap", "plain", "pickle", "v2", "shape"])
    said = way
    if way == "swap":
        tree, said = swapped(work, tree)
    elif way == "plain" and "codecs" in tree:
        tree["codecs"] = [{"name": "bytes", "configuration": {"endian": work.draw.choice(["little", "big"])}}]
    elif way == "pickle" and "codecs" in tree:
        tree["codecs"] = [{"name": work.draw.choice(["numcodecs.pickle", "numcodecs.zlib", "gzip", "vlen-utf8"]),
                           "configuration": {"id": "pickle", "level": 1}}]  # fmt: skip
    elif way == "shape" and "shape" in tree:
        tree["shape"] = [work.draw.choice([10**12, 0, -1, 2**40]), *tree["shape"][1:]]
    text = as_json(work, tree)
    if way == "v2":
        path.unlink()
        path = path.with_name(".zarray")
        shape = [4]
        text = json.dumps({"zarr_format": 2, "shape": shape, "chunks": shape, "dtype": "|O", "fill_value": None,
                           "order": "C", "compressor": {"id": "pickle", "protocol": 2},
                           "filters": [{"id": "vlen-bytes"}]})  # fmt: skip
        (path.parent / "0").write_bytes(evil(work))
    path.write_text(text, errors="replace")
    entry = next(parent for parent in path.parents if parent.suffix == ".zarr")
    sealed = way != "v2" and work.draw.random() < 0.6
    if sealed:
        known = json.loads((entry / "zarr.json").read_text())["attributes"]["metadata_sha256"]
        name = path.relative_to(entry).as_posix()
        change_attributes(entry / "zarr.json", {"metadata_sha256": {**known, name: sha256(path)}})
    return f"{work.name(path)}{', resealed' * sealed}: {said}", FREE.format("entry") if sealed else ""


def chunk(work: Work) -> tuple[str, str]:
    """A chunk that unpacks to something else, with the checksum it needs."""
    path = work.file("store/*.zarr/*/c/**/*", "store/*.zarr/frames/*/c/**/*")
    way = work.draw.choice(["bomb", "header", "other", "random", "short"])
    if "/values/" in str(path):
        data = bytearray(path.read_bytes())
        data[: len(data) // 2] = data[len(data) // 2 :][: len(data) // 2]
        path.write_bytes(bytes(data))
        return f"{work.name(path)}: other rows", ""
    old = Blosc().decode(path.read_bytes()[:-4])
    if way == "bomb":
        body = Blosc(cname="zstd", clevel=9, shuffle=0).encode(np.zeros(256 << 20, np.uint8))
    elif way == "header":  # nbytes, blocksize, cbytes of a blosc chunk
        body = bytearray(path.read_bytes()[:-4])
        struct.pack_into("<I", body, work.draw.choice([4, 8, 12]), work.draw.choice([0, 2**31 - 17, 1, 2**32 - 1]))
    elif way == "other":
        body = Blosc().encode(bytes(reversed(old)))
    elif way == "short":
        body = Blosc().encode(old[: len(old) // 2])
    else:
        body = work.draw.randbytes(work.draw.choice([0, 3, 16, 500]))
    path.write_bytes(bytes(body) + google_crc32c.value(bytes(body)).to_bytes(4, "little"))
    free = "the chunk's checksum has no key, and only --verify computes the digest of a whole array" * (way == "other")
    return f"{work.name(path)}, checksum anew: {way}", free


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def journal(work: Work) -> tuple[str, str]:
    """What a killed extraction left: blocks and claims, with things in them."""
    entry = work.draw.choice(["S4.mp4", "S5.mp4", "new.mp4"])
    shutil.rmtree(work.folder / "store" / f"{entry}.zarr", ignore_errors=True)
    folder = work.folder / "store" / ".journal" / f"{entry}.journal"
    folder.mkdir(parents=True, exist_ok=True)
    header = as_json(work, swapped(work, {"recipe": "x", "fingerprint": "y", "previous": "", "state": 0, "shapes": {}})[0])
    body = b"affect-journal-1\n" + struct.pack("<I", work.draw.choice([len(header), 2**32 - 1])) + header.encode("utf-8", "replace")
    blocks = {
        "block-00000": work.draw.choice([body + hashlib.sha256(body).digest(), evil(work), b"", body]),
        "claim": as_json(work, work.draw.choice(values(work))).encode("utf-8", "replace"),
        "committed": work.draw.choice([b"", b"x" * 64, evil(work)]),
    }
    said = work.draw.sample(sorted(blocks), work.draw.choice([1, 2, 3]))
    for name in said:
        (folder / name).write_bytes(blocks[name])
    return f"journal of {entry}: {', '.join(said)}", "the entry is taken away; its journal is what there is"


def hdf5_attributes(work: Work) -> tuple[str, str]:
    """A value in the line of JSON that an HDF5 entry begins with, sealed."""
    path = work.file("store5/*.h5")
    data = path.read_bytes()
    end = data.index(b"\n")
    attributes, said = swapped(work, json.loads(data[:end]))
    attributes = seal(attributes) if isinstance(attributes, dict) and DEEP not in str(attributes) else attributes
    line = as_json(work, attributes).encode()
    room = data.index(b"\x89HDF\r\n")
    path.write_bytes(line[: room - 1] + b"\n" + data[min(len(line), room - 1) + 1 : room] + data[room:])
    return f"{work.name(path)}, resealed: {said}", FREE.format("entry")


def hdf5_elsewhere(work: Work) -> tuple[str, str]:
    """An HDF5 entry whose array lies in another file, or is packed by something else."""
    path = work.file("store5/*.h5")
    name = work.draw.choice(["values", "track", "frame", "box_px", "frames/time_s", "frames/index"])
    secret = work.outside / "secret.txt"
    way = work.draw.choice(["external", "external link", "soft link", "virtual", "unchecked", "huge", "type", "gone"])
    with h5py.File(path, "r+") as file:
        shape, dtype = file[name].shape, file[name].dtype
        old = file[name][()]
        del file[name]
        if way == "external":
            size = int(np.prod(shape)) * dtype.itemsize
            file.create_dataset(name, shape, dtype, external=[(str(secret), 0, size)])
        elif way == "external link":
            file[name] = h5py.ExternalLink(str(secret), "/x")
        elif way == "soft link":
            file["other"] = old
            file[name] = h5py.SoftLink("/other")
        elif way == "virtual":
            layout = h5py.VirtualLayout(shape, dtype)
            layout[...] = h5py.VirtualSource(str(secret), "x", shape, dtype)
            file.create_virtual_dataset(name, layout)
        elif way == "unchecked":
            file.create_dataset(name, data=old)
        elif way == "huge":
            file.create_dataset(name, (10**9, *shape[1:]), dtype, chunks=(1 << 20, *shape[1:]), fillvalue=1)
        elif way == "type":
            file.create_dataset(name, data=old.astype("S8"))
    return f"{work.name(path)}: {name} {way}", ""


# --- weights, networks, videos, keys ----------------------------------------------------------------------------


def weights_file(work: Work) -> tuple[str, str]:
    """A file of weights with a pickle, a bomb or other tensors in it."""
    path = work.file("net.pth", "net.safetensors", "pid_1.pth.tar")
    if path.suffix != ".safetensors" or work.draw.random() < 0.3:
        path.write_bytes(evil(work))
        return f"{path.name}: a pickle", ""
    tensors = load_file(path)
    name = work.draw.choice(sorted(tensors))
    way = work.draw.choice(["nan", "shape", "gone", "more", "names"])
    if way == "nan":
        tensors[name] = torch.full_like(tensors[name], float("nan"))
    elif way == "shape":
        tensors[name] = torch.zeros(work.draw.choice([(0,), (1,), (10_000_000,), (3, 3, 3)]))
    elif way == "gone":
        del tensors[name]
    elif way == "more":
        tensors |= {f"\x1b[2J{number}": torch.zeros(1) for number in range(work.draw.choice([1, 20_000]))}
    else:
        tensors = {f"{'module.' * 5000}{key}": value for key, value in tensors.items()}
    path.write_bytes(save(tensors))
    return f"{path.name}: {way}", ""


def network(work: Work) -> tuple[str, str]:
    """An ONNX network with data elsewhere, foreign domains, or too much of everything."""
    path = work.folder / "net.onnx"
    model = onnx.load(path)
    secret = work.outside / "secret.txt"
    way = work.draw.choice(["external", "fifo", "domain", "constant", "shape", "nodes", "function", "side file", "swap"])
    weight = model.graph.initializer[0]
    if way in ("external", "fifo"):
        place = work.draw.choice([str(secret), "../../outside/secret.txt", "/dev/zero", "data.bin", "."])
        if way == "fifo":
            place = "data.bin"
            os.mkfifo(work.folder / place)
        elif place == "data.bin":
            (work.folder / place).symlink_to(secret)
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in {"location": place, "offset": "0", "length": str(work.draw.choice([864, 10**12]))}.items():
            entry = weight.external_data.add()
            entry.key, entry.value = key, value
    elif way == "domain":
        model.opset_import.append(helper.make_opsetid("received.code", 1))
        model.graph.node[1].domain = "received.code"
        model.graph.node[1].op_type = work.draw.choice(["Exec", "os.system", "GlobalAveragePool"])
    elif way == "constant":
        shape = helper.make_tensor("shape", TensorProto.INT64, [1], [work.draw.choice([10**11, 2 * 10**9])])
        model.graph.initializer.append(shape)
        model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["large"]))
        model.graph.node.append(helper.make_node("Add", ["large", "features"], ["sum"]))
        model.graph.output[0].name = "sum"
    elif way == "shape":
        sides = work.draw.choice([(3, 10**6), (3, 0), (10**6, 32), (3, -5), (1, 1)])
        for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim[1:3], sides, strict=True):
            dimension.dim_value = size
    elif way == "nodes":
        last = "features"
        for number in range(3000):
            model.graph.node.append(helper.make_node("Identity", [last], [f"n{number}"]))
            last = f"n{number}"
    elif way == "function":
        body = [helper.make_node("Exec", ["x"], ["y"])]
        opsets = [helper.make_opsetid("", 17)]
        model.functions.append(helper.make_function("received.code", "Exec", ["x"], ["y"], body, opsets))
    elif way == "side file":
        tree, _ = swapped(work, {"input_size": 32, "mean": [0, 0, 0], "std": [1, 1, 1], "channels": "rgb", "output": 0})
        path.with_name("net.onnx.json").write_text(as_json(work, tree))
        path.with_suffix(".json").write_text(as_json(work, tree))
    else:
        model.graph.node[0].op_type = work.draw.choice(["Loop", "If", "Scan", "Resize", "Tile", "Expand"])
    onnx.save(model, path)
    return f"net.onnx: {way}", ""


def playlist(work: Work) -> tuple[str, str]:
    """A list of other recordings in the place of a recording."""
    path = work.file("two/S5.mp4", "videos/S5.mp4")
    secret = work.outside / "secret.mp4"
    text = work.draw.choice([
        f"ffconcat version 1.0\nfile '{secret}'\n",
        "ffconcat version 1.0\nfile 'S4.mp4'\n",
        "ffconcat version 1.0\nfile 'S5.mp4'\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{secret}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        f'<Representation id="1" bandwidth="1"><BaseURL>{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        f'<smil><body><video src="{secret}"/></body></smil>',
        f"[playlist]\nFile1={secret}\nNumberOfEntries=1\n",
    ])  # fmt: skip
    named = path.with_name("S5" + work.draw.choice([".mp4", ".mp4", ".mkv", ".m3u8", ".ts", ".avi"]))
    if path.parent.name == "videos":
        named = path
    path.unlink()
    named.write_text(text)
    return f"{work.name(named)}: {text[:40]!r}", ""


def key_file(work: Work) -> tuple[str, str]:
    """A key that is none."""
    path = work.folder / "key"
    path.write_bytes(work.draw.choice([
        b"", b"a" * 16, b"\0" * 16, b"\0" * 64, b"short", b"0123456789abcdef" * 4, os.urandom(0), b"a" * 50_000_000,
        b"\xff\xfe" * 20, b" " * 100,
    ]))  # fmt: skip
    path.chmod(work.draw.choice([0o600, 0o644, 0o666, 0o400]))
    return f"key of {path.stat().st_size} bytes, mode {path.stat().st_mode & 0o777:o}", ""


RUN_FILES = ("run/*.*", "run/folds/*/*.json*", "run/folds/*/model.safetensors", "run/folds/*/predictions.csv")
PREDICTED = ("predictions.csv", "video.csv", "summary.json", "viewer.html", "predictions.parquet", "plots", "annotations",
             "plots/S4.mp4.png", "annotations/S4.mp4.eaf", "failures.csv", ".viewer.html.partial", "plots/S4.mp4.png.partial",
             "summary.json.partial", "predictions.csv.partial", ".predictions.parquet.partial", "video.csv.partial",
             "annotations/S4.mp4.eaf.partial", ".predictions.csv.partial")  # fmt: skip
TRAINED = ("report.html", "report.html.partial", "metrics.json", "metrics.json.partial", "predictions.csv", "log.jsonl",
           "predictions.csv.partial", "config.yaml.partial", "environment.json.partial", "folds/00", "failures.csv",
           "skipped.csv", "failures.csv.partial", "README.md", "log.jsonl.partial")  # fmt: skip
STORED = ("failures.csv", "failures.csv.partial", ".journal", ".tmp", "S4.mp4.zarr", "S4.mp4.h5", "store.json.partial",
          ".journal/S5.mp4.journal", ".journal/S5.mp4.journal/claim", "S5.mp4.zarr/values", "S4.mp4.zarr/values/c")  # fmt: skip
SCORED = ("predict", "report", "predict-video", "compare", "resume")
READ = ("predict", "inspect", "train", "inspect-verify", "extract", "extract-verify")

KINDS: dict[str, Kind] = {
    "run": Kind(
        [damaged(*RUN_FILES), misplaced(*RUN_FILES), run_json, run_json, run_config, run_code, run_model, run_model,
         run_header, run_pickle, run_halved, run_table, yaml_bomb("run/config.yaml"), trapped(["run"], TRAINED),
         crowded(["run", "run/folds", "run/folds/00"])],
        SCORED,
    ),
    "run that names code": Kind([run_code], ("predict-video",)),
    "store": Kind(
        [damaged("store/**/*"), misplaced("store/**/*"), store_json, entry_attributes, entry_attributes, array_metadata,
         array_metadata, chunk, journal, trapped(["store"], STORED), crowded(["store", "store/S4.mp4.zarr"])],
        READ,
    ),
    "store5": Kind(
        [damaged("store5/*.h5", "store5/store.json"), misplaced("store5/*"), hdf5_attributes, hdf5_elsewhere,
         hdf5_elsewhere, lambda work: store_json(work, "store5"), trapped(["store5"], STORED)],
        ("predict-hdf5", "inspect-hdf5", "extract-hdf5"),
    ),
    "labels": Kind(
        [damaged("labels.csv", "labels.yaml"), misplaced("labels.csv", "labels.yaml", links=False), label_table, label_table, sidecar,
         yaml_bomb("labels.yaml")],
        ("train-labels",),
    ),
    "data set": Kind([damaged("omg/*.csv", "omg/v1/*"), misplaced("omg/*.csv", "omg/v1/*", links=False), label_table,
                      crowded(["omg", "omg/v1"])], ("prepare",)),
    "config": Kind(
        [damaged("config.yaml"), misplaced("config.yaml", links=False), settings, settings, settings, yaml_bomb("config.yaml")],
        ("check-config", "extract-config"),
    ),
    "weights": Kind([damaged("net.pth"), misplaced("net.pth", links=False), weights_file], ("extract-pickle",)),
    "safetensors": Kind(
        [damaged("net.safetensors"), misplaced("net.safetensors", links=False), weights_file], ("extract-weights",)
    ),
    "onnx": Kind([damaged("net.onnx"), misplaced("net.onnx", links=False), network, network, network], ("extract-onnx",)),
    "checkpoint": Kind([damaged("pid_1.pth.tar"), misplaced("pid_1.pth.tar", links=False), weights_file], ("import",)),
    "videos": Kind(
        [damaged("two/*"), misplaced("two/*", links=False), playlist, playlist, crowded(["two"])], ("check", "extract-new")
    ),
    "video": Kind([damaged("videos/S5.mp4"), misplaced("videos/S5.mp4", links=False), playlist], ("predict-video",)),
    "key": Kind([damaged("key"), misplaced("key", links=False), key_file, key_file], ("predict-hidden",)),
    "output": Kind(
        [damaged("output/*.*"), misplaced("output/*.*"), trapped(["output"], PREDICTED), trapped(["output"], PREDICTED),
         crowded(["output", "output/plots"])],
        ("predict-again",),
    ),
}  # fmt: skip
# The kinds with the most ways to go wrong come more often.
TURNS = (*KINDS, "run", "store", "run", "store", "run", "store", "store5", "output")


def planned(seed: int) -> tuple[str, tuple[str, ...], random.Random]:
    """The kind of a seed, the commands that read it, the one of its turn first, and what is left to draw."""
    name = TURNS[seed % len(TURNS)]
    draw = random.Random(f"affect {seed}")
    commands = list(KINDS[name].commands)
    turn = draw.randrange(len(commands))
    return name, (*commands[turn:], *commands[:turn]), draw


def mutate(seed: int, folder: Path, outside: Path) -> Change:
    """Change one thing in a copy of the kit that holds what the seed's commands need."""
    name, commands, draw = planned(seed)
    work = Work(folder, outside, draw)
    what, free = draw.choice(KINDS[name].mutators)(work)
    return Change(seed, name, commands, what, free)
