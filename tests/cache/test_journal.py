"""Blocks that are torn, changed or strange end a journal there, and nothing worse."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affect.cache import Store, create_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo
from affect.errors import EntryError


@pytest.fixture
def store(recipe: Recipe, tmp_path: Path) -> Store:
    return create_store(tmp_path / "store", recipe)


@pytest.fixture
def blocks(draw: Any) -> list[FrameFeatures]:
    return [draw(10, 15, first=10 * number, seed=number) for number in range(5)]


def append_all(store: Store, blocks: list[FrameFeatures], fingerprint: str) -> None:
    with store.writer("a.mp4", fingerprint) as writer:
        for number, block in enumerate(blocks, 1):
            writer.append(block, str(number).encode())


def block_files(store: Store) -> list[Path]:
    return sorted((Path(store.location) / ".journal" / "a.mp4.journal").glob("block-*"))


def _flipped(data: bytes) -> bytes:
    return data[:700] + bytes([data[700] ^ 1]) + data[701:]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut off in the header": lambda data: data[:30],
    "cut off in the arrays": lambda data: data[:-100],
    "with a flipped bit": _flipped,
    "with bytes after its end": lambda data: data + b"\0",
    "of another kind": lambda data: b"\x89HDF" + data[4:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_torn_block_and_those_behind_it_are_recomputed(
    store: Store, blocks: list[FrameFeatures], info: VideoInfo, damage: str
) -> None:
    append_all(store, blocks, info.fingerprint)
    torn = block_files(store)[2]
    torn.write_bytes(DAMAGE[damage](torn.read_bytes()))
    with store.writer("a.mp4", info.fingerprint) as writer:
        assert (writer.frames, writer.rows, writer.state) == (20, 30, b"2")
        assert len(block_files(store)) == 2
        for number, block in enumerate(blocks[2:], 3):
            writer.append(block, str(number).encode())
        writer.commit(info)
    assert store.read("a.mp4").values.tobytes() == FrameFeatures.concatenate(blocks).values.tobytes()


def test_a_missing_block_ends_the_journal(store: Store, blocks: list[FrameFeatures], info: VideoInfo) -> None:
    append_all(store, blocks, info.fingerprint)
    block_files(store)[1].unlink()
    with store.writer("a.mp4", info.fingerprint) as writer:
        assert (writer.frames, writer.state) == (10, b"1")
    assert len(block_files(store)) == 1


def test_blocks_of_two_runs_do_not_mix(store: Store, blocks: list[FrameFeatures], draw: Any, info: VideoInfo) -> None:
    append_all(store, blocks, info.fingerprint)
    strange = block_files(store)[3].read_bytes()
    with store.writer("a.mp4", info.fingerprint):
        pass
    for path in block_files(store)[2:]:
        path.unlink()
    with store.writer("a.mp4", info.fingerprint) as writer:
        writer.append(draw(10, 15, first=20, seed=77), b"3")
    (Path(store.location) / ".journal/a.mp4.journal/block-00003").write_bytes(strange)
    with store.writer("a.mp4", info.fingerprint) as writer:
        assert (writer.frames, writer.state) == (30, b"3")


def test_a_block_that_changed_under_its_owner_is_not_committed(
    store: Store, blocks: list[FrameFeatures], info: VideoInfo
) -> None:
    with store.writer("a.mp4", info.fingerprint) as writer:
        for block in blocks:
            writer.append(block, b"")
        path = block_files(store)[2]
        path.write_bytes(_flipped(path.read_bytes()))
        with pytest.raises(EntryError, match="block-00002 is torn"):
            writer.commit(info)
    assert store.ids() == []
    with store.writer("a.mp4", info.fingerprint) as writer:
        assert writer.frames == 20


def test_the_journal_of_another_recipe_is_not_taken_up(
    store: Store, blocks: list[FrameFeatures], info: VideoInfo, tmp_path: Path
) -> None:
    append_all(store, blocks, info.fingerprint)
    other = create_store(tmp_path / "other", Recipe({"view": "hflip"}))
    shutil.copytree(Path(store.location) / ".journal", tmp_path / "other" / ".journal", dirs_exist_ok=True)
    assert len(block_files(other)) == 5
    with other.writer("a.mp4", info.fingerprint) as writer:
        assert writer.frames == 0
    assert block_files(other) == []


def test_rows_out_of_order_are_a_mistake_of_ours(store: Store, draw: Any) -> None:
    with store.writer("a.mp4", "f") as writer:
        writer.append(draw(10, 10, first=0), b"")
        with pytest.raises(AssertionError, match="out of order"):
            writer.append(draw(10, 10, first=50), b"")
        with pytest.raises(AssertionError, match="features after"):
            writer.append(draw(10, 10, size=9, first=10), b"")
        assert writer.frames == 10
