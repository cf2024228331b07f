"""What goes wrong with any file: its values, its bytes, its place; and the text of a changed tree or table."""

import copy
import csv
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.logging
import yaml

from affect.tests.hostile.watch import MARK

DEEP = "@@DEEP@@"  # in a tree that is written as text: a list in a list in a list ...
FREE = "the digests were made anew: another {}, whose numbers are its own"
JSON_SEALED = "attributes_sha256"
STRICT = {"err_detect": "crccheck+bitstream+buffer+careful+explode"}


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


def as_yaml(work: Work, tree: Any) -> str:
    """YAML text of a tree; JSON is YAML."""
    text = yaml.safe_dump(tree, allow_unicode=work.draw.random() < 0.5, sort_keys=False)
    depth = work.draw.choice([50, 2000])
    return text.replace(DEEP, "[" * depth + "]" * depth).replace("\udcff", "?").replace("\ud800", "?")


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
        sound = path.read_bytes()
        path.write_bytes(way(bytearray(sound or b"\0"), work.draw))
        return f"{work.name(path)} {way.__name__}", reason(work, path, sound)

    return change


def reason(work: Work, path: Path, sound: bytes = b"") -> str:
    """Why a change of this file alone may change numbers; empty where it must not. `sound`: its bytes before."""
    if work.name(path).startswith("run/folds/") and path.name == "predictions.csv":
        return "a fold's table has no checksum; training that goes on takes those of finished folds as they are"
    if path.name in ("labels.csv", "labels.yaml"):
        return "labels are the user's"
    if path.suffix == ".mp4" and (seen := played(path.read_bytes())) and seen == played(sound):
        return "compressed pixels carry no checksum: the decoder, told to stop at any error, meets none"
    return ""


def played(video: bytes) -> list[int | None]:
    """The time of each frame, in ticks, as a decoder gives them that stops at any error; empty where it meets one."""
    try:
        with av.logging.Capture(local=False) as said, av.open(io.BytesIO(video), "r", options=STRICT) as container:
            (track,) = container.streams.video
            track.codec_context.options = STRICT
            times = [frame.pts for packet in container.demux(track) for frame in packet.decode()]
    except (av.error.FFmpegError, ValueError):
        return []
    return [] if any(level <= av.logging.WARNING for level, _, _ in said) else times


def misplaced(*patterns: str, links: bool = True, sparse_bytes: int = 40 << 30) -> Mutator:
    """Something that is no file in the place of one.

    `links`: also links to the victim. What is typed, and recordings and tables in a folder of them, may be links: they
    are the user's. `sparse_bytes`: of a file that is mostly a hole.
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
                file.truncate(sparse_bytes)
        elif way == "closed":
            path.write_bytes(data)
            path.chmod(0)
        entry = path.suffix == ".h5" or (path.name == "zarr.json" and path.parent.suffix == ".zarr")
        free = "an entry without its root file is none" if entry and way in ("gone", "dangling", "loop") else ""
        return f"{work.name(path)}: {way}", free

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
