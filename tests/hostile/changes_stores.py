"""What goes wrong with a store, in both formats."""

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import h5py
import numpy as np
from numcodecs import Blosc  # type: ignore[import-untyped]

from affect.cache.records import Recipe
from affect.tests.hostile.changes import (
    DEEP,
    FREE,
    JSON_SEALED,
    Work,
    as_json,
    code,
    swapped,
    values,
)
from affect.tests.hostile.hidden_code import CODE, evil


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
        body = Blosc(cname="zstd", clevel=1, shuffle=0).encode(np.zeros(256 << 20, np.uint8))
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
    header = as_json(
        work, swapped(work, {"recipe": "x", "fingerprint": "y", "previous": "", "state": 0, "shapes": {}})[0]
    )
    body = (
        b"affect-journal-1\n"
        + struct.pack("<I", work.draw.choice([len(header), 2**32 - 1]))
        + header.encode("utf-8", "replace")
    )
    blocks: dict[str, Callable[[], bytes]] = {
        "block-00000": lambda: work.draw.choice([body + hashlib.sha256(body).digest(), evil(work), b"", body]),
        "claim": lambda: as_json(work, work.draw.choice(values(work))).encode("utf-8", "replace"),
        "committed": lambda: work.draw.choice([b"", b"x" * 64, b"\x80\x02."]),
    }
    said = work.draw.sample(sorted(blocks), work.draw.choice([1, 2, 3]))
    for name in said:
        (folder / name).write_bytes(blocks[name]())
        os.utime(folder / name, (1e9, 1e9))  # else a claim may be that of another machine, and is waited for
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
