"""Nothing is read, written or removed through a link below a store's root; its root alone may be one."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affect.cache import Store, claims, create_store, open_store
from affect.cache.folder_store import FolderStore
from affect.cache.journal import Journal
from affect.cache.records import FrameFeatures, Recipe, VideoInfo
from affect.errors import BusyError, EntryError, StoreError, UnreadableError

FORMATS = ["zarr", "hdf5"]


@pytest.fixture(params=FORMATS)
def store(request: pytest.FixtureRequest, tmp_path: Path, recipe: Recipe, draw: Any, info: VideoInfo) -> Store:
    """One entry at the top and one in a folder."""
    store = create_store(tmp_path / "store", recipe, request.param)
    for name in ("a.mp4", "visit/b.mp4"):
        fill(store, name, draw(20, 30), info)
    return store


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's, with things in it that look like what a store leaves behind."""
    folder = tmp_path / "outside"
    for name in (".tmp-mine", "empty", "c.mp4.journal"):
        (folder / name).mkdir(parents=True)
    (folder / ".tmp-mine" / "thesis.txt").write_text("mine")
    (folder / "c.mp4.journal" / "claim").write_text("mine")
    (folder / "c.mp4.journal" / "block-00000").write_text("mine")
    return folder


def seen(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def fill(store: Store, name: str, block: FrameFeatures, info: VideoInfo, *, overwrite: bool = False) -> None:
    with store.writer(name, info.fingerprint, overwrite=overwrite) as writer:
        writer.append(block, b"")
        writer.commit(info)


def entry_of(store: Store, name: str) -> Path:
    return next(Path(store.location).glob(f"{name}.*"))


def test_a_store_may_be_reached_through_a_link(store: Store, tmp_path: Path, draw: Any, info: VideoInfo) -> None:
    (tmp_path / "linked").symlink_to(store.location)
    again = create_store(tmp_path / "linked", store.recipe)
    fill(again, "c.mp4", draw(5, 5), info)
    assert again.ids() == ["a.mp4", "c.mp4", "visit/b.mp4"]
    assert all(again.verify(name) == [] for name in again.ids())


def test_a_journal_that_is_a_link_is_refused_and_nothing_behind_it_is_touched(
    store: Store, outside: Path, info: VideoInfo
) -> None:
    journal, before = Path(store.location) / ".journal", seen(outside)
    shutil.rmtree(journal)
    journal.symlink_to(outside)
    with pytest.raises(StoreError, match=r"\.journal is a symbolic link"):
        create_store(store.location, store.recipe)
    for act in (lambda: open_store(store.location).writer("c.mp4", "f"), lambda: _sweep(store)):
        with pytest.raises(Exception, match=r"\.journal is a symbolic link"):
            act()
    assert seen(outside) == before
    assert len(open_store(store.location).read("a.mp4").time_s) == 20  # reading needs no journal


def _sweep(store: Store) -> None:
    assert isinstance(store, FolderStore)
    store.sweep()


def test_a_new_store_is_not_made_in_a_folder_whose_journal_is_a_link(
    tmp_path: Path, outside: Path, recipe: Recipe
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".journal").symlink_to(outside)
    before = seen(outside)
    with pytest.raises(StoreError, match=r"\.journal is a symbolic link"):
        create_store(tmp_path / "new", recipe)
    assert seen(outside) == before


@pytest.mark.parametrize("place", ["visit", ".journal/visit", ".journal/visit/b.mp4.journal"])
def test_no_entry_is_written_through_a_folder_that_is_a_link(
    store: Store, outside: Path, draw: Any, info: VideoInfo, place: str
) -> None:
    path, before = Path(store.location) / place, seen(outside)
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside)
    for overwrite in (False, True):
        with pytest.raises(EntryError, match=f"{place.rpartition('/')[2]}.* is a symbolic link"):
            fill(store, "visit/b.mp4", draw(5, 5), info, overwrite=overwrite or place != "visit")
    create_store(store.location, store.recipe)  # which sweeps
    assert seen(outside) == before
    assert path.is_symlink()
    fill(store, "c.mp4", draw(5, 5), info)


def test_an_entry_or_its_folder_that_is_a_link_is_refused_but_not_called_damaged(store: Store, tmp_path: Path) -> None:
    entry, folder = entry_of(store, "a.mp4"), Path(store.location) / "visit"
    for place in (entry, folder):
        place.rename(tmp_path / place.name)
        place.symlink_to(tmp_path / place.name)
    for name in ("a.mp4", "visit/b.mp4"):
        for act in (store.info, store.read, store.verify):
            with pytest.raises(UnreadableError, match="is a symbolic link"):
                act(name)
    assert entry.is_symlink()


@pytest.mark.parametrize("what", ["file", "folder"])
def test_removing_an_entry_removes_the_link_and_not_what_it_leads_to(
    store: Store, outside: Path, draw: Any, info: VideoInfo, what: str
) -> None:
    entry, before = entry_of(store, "a.mp4"), seen(outside)
    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    entry.symlink_to(outside / ".tmp-mine" / "thesis.txt" if what == "file" else outside)
    with store.writer("a.mp4", info.fingerprint, overwrite=True) as writer:  # asked for by --overwrite alone
        writer.append(draw(5, 5), b"")
        writer.commit(info)
    assert seen(outside) == before
    assert not entry.is_symlink()
    assert len(store.read("a.mp4").time_s) == 5


def test_a_lock_that_is_a_link_is_refused(store: Store, outside: Path) -> None:
    lock, before = Path(store.location) / ".journal" / ".lock", seen(outside)
    lock.unlink()
    lock.symlink_to(outside / "made")
    with pytest.raises(EntryError, match=r"\.lock is a symbolic link"):
        store.writer("c.mp4", "f")
    assert seen(outside) == before


PLANTS: dict[str, Callable[[Path], object]] = {
    "a link": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a terabyte of nothing": lambda path: path.open("wb").truncate(1 << 40),
}


@pytest.mark.parametrize("what", PLANTS)
def test_a_block_that_is_no_file_of_ours_ends_the_journal_there(
    store: Store, draw: Any, info: VideoInfo, what: str
) -> None:
    with store.writer("c.mp4", info.fingerprint) as writer:
        writer.append(draw(10, 10), b"1")
        writer.append(draw(10, 10, first=10), b"2")
    block = Path(store.location) / ".journal" / "c.mp4.journal" / "block-00001"
    block.unlink()
    PLANTS[what](block)
    with store.writer("c.mp4", info.fingerprint) as writer:
        assert (writer.frames, writer.state) == (10, b"1")
        writer.append(draw(10, 10, first=10), b"2")
        writer.commit(info)
    assert len(store.read("c.mp4").time_s) == 20


@pytest.mark.parametrize("what", PLANTS)
def test_a_claim_that_is_no_file_of_ours_is_refused_for_that_entry(
    store: Store, draw: Any, info: VideoInfo, what: str
) -> None:
    claim = Path(store.location) / ".journal" / "c.mp4.journal" / "claim"
    claim.parent.mkdir()
    PLANTS[what](claim)
    with pytest.raises(EntryError, match="cannot be claimed") as caught:
        store.writer("c.mp4", info.fingerprint)
    assert "remove it" in str(caught.value.hint)
    again = create_store(store.location, store.recipe)  # which sweeps
    fill(again, "d.mp4", draw(5, 5), info)


CLAIMS = ["{}", "[]", "null", '{"host": 5, "pid": [], "started": {}}', '{"host": "  ", "pid": "x", "started": ""}',
          '{"host": "h", "pid": "' + "9" * 400 + '", "started": "1"}', "[" * 9000, "\xff\xfe"]  # fmt: skip


@pytest.mark.parametrize("text", CLAIMS)
def test_a_claim_of_nobody_is_held_until_it_is_silent(store: Store, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    claim = Path(store.location) / ".journal" / "c.mp4.journal" / "claim"
    claim.parent.mkdir()
    claim.write_bytes(text.encode("latin-1"))
    with pytest.raises(BusyError, match=r"process \? on unknown-host"):
        store.writer("c.mp4", "f")
    monkeypatch.setattr(claims, "SILENT_S", -1.0)
    store.writer("c.mp4", "f").release()


def test_a_claim_from_the_future_is_nobodys(store: Store) -> None:
    claim = Path(store.location) / ".journal" / "c.mp4.journal" / "claim"
    claim.parent.mkdir()
    claim.write_text(json.dumps({"host": "another boot-1 pid:[1]", "pid": "1", "started": "5", "token": "t"}))
    os.utime(claim, (time.time() + 1e8, time.time() + 1e8))
    store.writer("c.mp4", "f").release()


HEADERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a length below none": lambda header: header["shapes"].update(track=[-30]),
    "a length beyond all": lambda header: header["shapes"].update(values=[30, 2**62]),
    "lengths that do not agree": lambda header: header["shapes"].update(track=[29]),
    "a length that is text": lambda header: header["shapes"].update(time_s=["20"]),
    "a length that is truth": lambda header: header["shapes"].update(time_s=[True]),
    "a shape that is a number": lambda header: header["shapes"].update(frame=30),
    "no shapes": lambda header: header.pop("shapes"),
    "a shape less": lambda header: header["shapes"].pop("score"),
    "a state longer than the block": lambda header: header.update(state=10**9),
    "a state below none": lambda header: header.update(state=-8),
    "a state that is text": lambda header: header.update(state="1"),
    "no recipe": lambda header: header.pop("recipe"),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_block_that_says_what_cannot_be_ends_the_journal_there(
    store: Store, draw: Any, info: VideoInfo, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dumps = json.dumps

    def changed(header: Any, *rest: Any, **options: Any) -> str:
        if isinstance(header, dict) and "shapes" in header:
            header = json.loads(dumps(header))
            HEADERS[what](header)
        return dumps(header, *rest, **options)

    with store.writer("c.mp4", info.fingerprint) as writer:
        writer.append(draw(20, 30), b"1")
        monkeypatch.setattr("affect.cache.journal.json.dumps", changed)
        writer.append(draw(20, 30, first=20), b"2")
        monkeypatch.undo()
    with store.writer("c.mp4", info.fingerprint) as writer:
        assert (writer.frames, writer.state) == (20, b"1")


def test_a_block_of_other_features_or_of_earlier_frames_ends_the_journal_there(
    store: Store, draw: Any, info: VideoInfo, recipe: Recipe
) -> None:
    for block in (draw(20, 30, size=9, first=20), draw(20, 30, first=0)):
        with store.writer("c.mp4", info.fingerprint) as writer:
            writer.append(draw(20, 30), b"1")
            assert isinstance(store, FolderStore)
            other = Journal(store.blobs, store.journal_key("c.mp4"), recipe.digest, info.fingerprint)
            other.load()
            other.size, other.last_frame = block.size, 0
            other.append(block, b"2")
        with store.writer("c.mp4", info.fingerprint) as writer:
            assert writer.state == b"1"
        shutil.rmtree(Path(store.location) / ".journal" / "c.mp4.journal")
