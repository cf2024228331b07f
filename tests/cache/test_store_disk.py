"""Disks that are full, read-only, or lose power."""

import dataclasses
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from affect.cache import create_store, open_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo
from affect.errors import StoreError

FORMATS = ["zarr", "hdf5"]
RECIPE = Recipe({"view": "plain"})


@pytest.fixture
def info(info: VideoInfo) -> VideoInfo:
    return dataclasses.replace(info, recipe_digest=RECIPE.digest)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system takes rights that this user does not have")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("store_format", FORMATS)
def test_a_disk_that_fills_up_while_blocks_come_leaves_a_journal_to_resume(
    small_disk: Path, tmp_path: Path, draw: Any, info: VideoInfo, store_format: str
) -> None:
    store = create_store(small_disk / "store", RECIPE, store_format)
    blocks = [draw(100, 200, size=2048, first=100 * number, seed=number) for number in range(12)]
    with store.writer("a.mp4", info.fingerprint) as writer, pytest.raises(StoreError, match="no space left") as caught:
        for number, block in enumerate(blocks):
            writer.append(block, bytes([number]))
    assert "a.mp4.journal/block-" in caught.value.message
    assert "run the same command again" in str(caught.value.hint)
    assert store.ids() == []
    # Space is made: the store moves to a larger disk, and the run goes on where it was.
    roomy = open_store(shutil.copytree(small_disk / "store", tmp_path / "roomy"))
    with roomy.writer("a.mp4", info.fingerprint) as writer:
        done = writer.frames // 100
        assert done >= 4
        assert writer.state == bytes([done - 1])
        for number, block in enumerate(blocks[done:], done):
            writer.append(block, bytes([number]))
        writer.commit(info)
    assert roomy.verify("a.mp4") == []
    assert roomy.read("a.mp4").values.tobytes() == FrameFeatures.concatenate(blocks).values.tobytes()


@pytest.mark.parametrize("store_format", FORMATS)
def test_a_disk_too_full_for_the_entry_leaves_no_half_of_it(
    small_disk: Path, draw: Any, info: VideoInfo, store_format: str
) -> None:
    store = create_store(small_disk / "store", RECIPE, store_format)
    block = draw(1000, 1000, size=2048)  # 4.2 MB: the journal fits, journal and entry do not
    with store.writer("a.mp4", info.fingerprint) as writer:
        writer.append(block, b"all")
        with pytest.raises(StoreError, match="no space left"):
            writer.commit(info)
    assert store.ids() == []
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    with store.writer("a.mp4", info.fingerprint) as writer:
        assert writer.state == b"all"
        writer.commit(info)
    assert store.verify("a.mp4") == []
    assert store.read("a.mp4").values.tobytes() == block.values.tobytes()
    left = {path.name for path in (small_disk / "store").iterdir()}
    assert left == {".journal", "store.json", f"a.mp4.{'zarr' if store_format == 'zarr' else 'h5'}"}


@pytest.mark.parametrize("store_format", FORMATS)
def test_a_file_larger_than_allowed_is_no_space(tmp_path: Path, draw: Any, info: VideoInfo, store_format: str) -> None:
    store = create_store(tmp_path / "store", RECIPE, store_format)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with store.writer("a.mp4", info.fingerprint) as writer:
        for number in range(3):
            writer.append(draw(200, 200, size=2048, first=200 * number), b"x")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        try:
            with pytest.raises(StoreError, match="no space left"):
                writer.commit(info)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.ids() == []
    with store.writer("a.mp4", info.fingerprint) as writer:
        writer.commit(info)
    assert store.verify("a.mp4") == []


@pytest.mark.parametrize("store_format", FORMATS)
def test_a_read_only_store_is_read_and_refuses_to_be_written(
    small_disk: Path, draw: Any, info: VideoInfo, store_format: str
) -> None:
    store = create_store(small_disk / "store", RECIPE, store_format)
    with store.writer("a.mp4", info.fingerprint) as writer:
        writer.append(draw(5, 5), b"")
        writer.commit(info)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    store = create_store(small_disk / "store", RECIPE, store_format)
    assert store.ids() == ["a.mp4"]
    assert store.verify("a.mp4") == []
    assert len(store.read("a.mp4").time_s) == 5
    for act in (lambda: store.writer("b.mp4", "f"), lambda: create_store(small_disk / "new", RECIPE)):
        with pytest.raises(StoreError, match="may not be written"):
            act()


@pytest.mark.parametrize("store_format", FORMATS)
def test_everything_is_synced_before_it_gets_its_name(
    tmp_path: Path, draw: Any, info: VideoInfo, store_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut could take is synced, in the order that makes the names mean something."""
    events: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(handle: int) -> None:
        events.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        fsync(handle)

    def recorded_replace(
        source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        events.append(("name", f"{place(src_dir_fd)}/{source} {place(dst_dir_fd)}/{target}"))
        replace(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def place(folder: int | None) -> str:
        return "" if folder is None else str(Path(f"/proc/self/fd/{folder}").readlink())

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    store = create_store(tmp_path / "store", RECIPE, store_format)
    with store.writer("a.mp4", info.fingerprint) as writer:
        writer.append(draw(5, 5), b"")
        writer.commit(info)
    named = [number for number, (what, _) in enumerate(events) if what == "name"]
    assert len(named) >= 5  # store.json, the claim, the block, the mark of the commit, the entry
    synced: set[str] = set()
    for number, (what, where) in enumerate(events):
        if what == "sync":
            synced.add(where)
            continue
        temporary, target = where.split(" ")
        if temporary.endswith(".partial"):  # zarr's own, in a folder that has no name yet
            continue
        assert temporary in synced
        folder = str(Path(target).parent)
        assert ("sync", folder) in events[number:]
        if store_format == "zarr" and target.endswith(".zarr"):
            files = list(Path(target).rglob("*"))
            moved = {str(Path(temporary) / path.relative_to(target)) for path in files}
            assert moved <= synced
