"""Bytes that changed, went missing or were cut off: named by verify, never read as features, made anew on request."""

import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from affect.cache import Store, create_store, open_store
from affect.cache.records import ALL_DTYPES, FrameFeatures, Recipe, VideoInfo
from affect.errors import EntryError

Break = Callable[[Path], object]


@pytest.fixture(scope="module", params=["zarr", "hdf5"])
def pristine(
    request: pytest.FixtureRequest, recipe: Recipe, draw: Any, info: VideoInfo, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    """A store with one entry of several chunks and shards, to be copied before it is broken."""
    store = create_store(tmp_path_factory.mktemp("pristine") / "store", recipe, request.param)
    with store.writer("a.mp4", info.fingerprint) as writer:
        points = np.random.default_rng(5).standard_normal((2500, 68, 2)).astype(np.float32)
        writer.append(replace(draw(2600, 2500, size=2048), points_px=points), b"")
        writer.commit(info)
    return store


@pytest.fixture
def store(pristine: Store, tmp_path: Path) -> Store:
    shutil.copytree(pristine.location, tmp_path / "store")
    return open_store(tmp_path / "store")


def files_of(store: Store) -> list[Path]:
    entry = next(Path(store.location).glob("a.mp4.*"))
    return sorted(path for path in entry.rglob("*") if path.is_file()) if entry.is_dir() else [entry]


def flip(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def read_all(store: Store) -> FrameFeatures:
    return store.read("a.mp4")


def assert_repaired(store: Store, draw: Any, info: VideoInfo) -> None:
    """Writing over a damaged entry leaves a sound one."""
    block = draw(10, 10, size=16)
    with store.writer("a.mp4", info.fingerprint, overwrite=True) as writer:
        writer.append(block, b"")
        writer.commit(info)
    assert store.verify("a.mp4") == []
    assert store.read("a.mp4").values.tobytes() == block.values.tobytes()


ZARR_BREAKS: dict[str, tuple[str, Break, str]] = {
    "a flipped bit in a shard": ("values/c/1/0", lambda path: flip(path, 5000), r"rows \d+ to \d+ of values"),
    "a flipped bit in a shard's index": ("values/c/0/0", lambda path: flip(path, -3), "values"),
    "a flipped bit in a chunk": ("frames/time_s/c/0", lambda path: flip(path, 20), "frames/time_s"),
    "a flipped bit in points": ("points_px/c/0/0/0", lambda path: flip(path, 900), "points_px"),
    "a missing shard": ("values/c/1/0", Path.unlink, "values.*missing"),
    "a missing chunk": ("track/c/0", Path.unlink, "track.*missing"),
    "a truncated shard": ("values/c/1/0", lambda path: path.write_bytes(path.read_bytes()[:9000]), "values"),
    "an empty chunk": ("score/c/0", lambda path: path.write_bytes(b""), "score"),
    "a flipped bit in the root": ("zarr.json", lambda path: flip(path, path.read_bytes().index(b"h264")), "checksum"),
    "a root that is no JSON": ("zarr.json", lambda path: path.write_bytes(b"\0" * 50), "cannot be read"),
    "a missing root": ("zarr.json", Path.unlink, "zarr.json is missing"),
    "a missing description": ("values/zarr.json", Path.unlink, "values"),
}


@pytest.mark.parametrize("pristine", ["zarr"], indirect=True)
@pytest.mark.parametrize("damage", ZARR_BREAKS)
def test_damage_to_a_zarr_entry_is_named_refused_and_repaired(
    store: Store, draw: Any, info: VideoInfo, damage: str
) -> None:
    name, act, expected = ZARR_BREAKS[damage]
    act(Path(store.location) / "a.mp4.zarr" / name)
    found = store.verify("a.mp4")
    assert len(found) >= 1
    assert re.search(expected, found[0])
    with pytest.raises(EntryError, match=r"a\.mp4\.zarr is damaged: ") as caught:
        read_all(store)
    assert "--verify" in str(caught.value.hint)
    assert store.ids() == ["a.mp4"]
    assert_repaired(store, draw, info)


@pytest.mark.parametrize("pristine", ["zarr"], indirect=True)
def test_a_description_with_another_shape_is_named(store: Store) -> None:
    path = Path(store.location) / "a.mp4.zarr" / "values" / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["shape"][0] -= 1
    path.write_text(json.dumps(metadata))
    assert "values/zarr.json does not match its checksum" in store.verify("a.mp4")
    with pytest.raises(EntryError, match=r"values: is float16 \(2499, 2048\)"):
        read_all(store)


def _overwrite(path: str, rows: Any) -> Break:
    def act(file: Path) -> None:
        with h5py.File(file, "r+") as opened:
            opened[path][: len(rows)] = rows

    return act


def _flip_in_chunk(path: str) -> Break:
    def act(file: Path) -> None:
        with h5py.File(file, "r") as opened:
            chunk = opened[path].id.get_chunk_info(0)
        flip(file, chunk.byte_offset + chunk.size // 2)

    return act


def _delete(path: str) -> Break:
    def act(file: Path) -> None:
        with h5py.File(file, "r+") as opened:
            del opened[path]

    return act


HDF5_BREAKS: dict[str, tuple[Break, str]] = {
    "a flipped bit in values": (_flip_in_chunk("values"), r"rows \d+ to \d+ of values"),
    "a flipped bit in a small array": (_flip_in_chunk("frames/time_s"), "frames/time_s"),
    "a flipped bit in points": (_flip_in_chunk("points_px"), "points_px"),
    "a missing array": (_delete("track"), "track"),
    "a truncated file": (lambda path: path.write_bytes(path.read_bytes()[:-5000]), "truncated|attributes"),
    "an empty file": (lambda path: path.write_bytes(b""), "cannot be read"),
    "a flipped bit in the user block": (lambda path: flip(path, path.read_bytes().index(b"h264")), "checksum"),
    "another file": (lambda path: path.write_bytes(b"RIFF" * 5000), "cannot be read"),
}


@pytest.mark.parametrize("pristine", ["hdf5"], indirect=True)
@pytest.mark.parametrize("damage", HDF5_BREAKS)
def test_damage_to_an_hdf5_entry_is_named_refused_and_repaired(
    store: Store, draw: Any, info: VideoInfo, damage: str
) -> None:
    act, expected = HDF5_BREAKS[damage]
    act(Path(store.location) / "a.mp4.h5")
    found = store.verify("a.mp4")
    assert len(found) >= 1
    assert re.search(expected, found[0])
    with pytest.raises(EntryError, match=r"a\.mp4\.h5 is damaged: "):
        read_all(store)
    assert store.ids() == ["a.mp4"]
    assert_repaired(store, draw, info)


@pytest.mark.parametrize("pristine", ["hdf5"], indirect=True)
def test_numbers_that_cannot_be_are_named_although_checksums_hold(store: Store) -> None:
    path = Path(store.location) / "a.mp4.h5"
    _overwrite("frame", np.array([99999], np.int64))(path)
    assert any("frame does not match its checksum" in line for line in store.verify("a.mp4"))
    with pytest.raises(EntryError, match="frame has numbers outside 0 to 2599"):
        read_all(store)


def test_an_entry_of_another_recipe_is_refused(pristine: Store, tmp_path: Path) -> None:
    store = create_store(tmp_path / "store", Recipe({"view": "hflip"}), pristine.format)
    entry = files_of(pristine)[0]
    while entry.parent != Path(pristine.location):
        entry = entry.parent
    (shutil.copytree if entry.is_dir() else shutil.copy)(entry, tmp_path / "store" / entry.name)
    with pytest.raises(EntryError, match="made by recipe"):
        store.info("a.mp4")
    assert "made by recipe" in store.verify("a.mp4")[0]


def assert_flips_are_harmless(store: Store, pristine: Store, generator: random.Random, count: int) -> None:
    """Each flip is found by verify, and what can still be read is what was written."""
    wanted = read_all(pristine)
    files = files_of(store)
    for _ in range(count):
        path = generator.choice(files)
        position, bit = generator.randrange(path.stat().st_size), generator.randrange(8)
        flip(path, position, bit)
        where = f"bit {bit} of byte {position} of {path}"
        try:
            found = read_all(store)
            assert all(getattr(found, name).tobytes() == getattr(wanted, name).tobytes() for name in ALL_DTYPES), where
        except EntryError:
            assert store.verify("a.mp4"), where
        if store.format == "zarr":
            assert store.verify("a.mp4"), where
        flip(path, position, bit)
    assert store.verify("a.mp4") == []


def test_no_flipped_bit_is_read_as_features(store: Store, pristine: Store) -> None:
    assert_flips_are_harmless(store, pristine, random.Random(3), 12)


@pytest.mark.stress
def test_no_bit_flipped_in_three_hundred_places_is_read_as_features(store: Store, pristine: Store) -> None:
    assert_flips_are_harmless(store, pristine, random.Random(4), 300)
