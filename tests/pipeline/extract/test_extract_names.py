"""Awkward names of videos, and folders that lead in circles."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from affect.cache import open_store

if TYPE_CHECKING:
    from .conftest import Command

Film = Callable[..., Path]
NAMES = [
    "a b/é%03d.mp4", "one/talk.mp4", "two/talk.mp4", "talk.mp4", "talk.mkv.mp4", "-o.mp4", "a:b.mp4", "concat:x.mp4",
    "new\nline.mp4", "quote'\".mp4", "tail .mp4", "日本語.mp4", "n" * 251 + ".mp4", "x.zarr.mp4", "deep.zarr/x.h5.mp4",
]  # fmt: skip


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, film: Film) -> Path:
    """The same film under every name."""
    folder = tmp_path_factory.mktemp("named") / "videos"
    content = film(folder.parent / "film.mp4", 0.2, size="64x48").read_bytes()
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + bytes(number))  # bytes behind the last box: other content, the same film
    return folder


@pytest.mark.parametrize("store_format", ["zarr", "hdf5"])
def test_every_name_has_an_entry_of_its_own_inside_the_store(
    affect: "Command", named: Path, tmp_path: Path, store_format: str
) -> None:
    ended = affect.extract(named, "--store", tmp_path / "in" / "store", "--format", store_format)
    assert ended.code == 0, ended.out + ended.err
    assert set(ended.statuses().values()) == {"done"}
    store = open_store(tmp_path / "in" / "store")
    assert len(store.ids()) == len(NAMES)
    assert {"a%20b/%C3%A9%2503d.mp4", "one/talk.mp4", "two/talk.mp4", "new%0Aline.mp4"} <= set(store.ids())
    assert all(store.verify(name) == [] for name in store.ids())
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["store"]
    again = affect.extract(named, "--store", tmp_path / "in" / "store")
    assert set(again.statuses().values()) == {"skipped"}


def test_a_path_that_climbs_is_stored_inside_the_store(affect: "Command", film: Film, tmp_path: Path) -> None:
    film(tmp_path / "x.mp4", 0.2, size="64x48")
    (tmp_path / "here").mkdir()
    running = affect.start(
        "extract-features", "../x.mp4", "--store", "store", "--faces", "none", "--backbone", "timm:test_convnext",
        "--weights", "random", folder=tmp_path / "here",
    )  # fmt: skip
    ended = running.wait()
    assert ended.code == 0, ended.err
    assert open_store(tmp_path / "here" / "store").ids() == ["x.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "x.mp4"]


def test_one_name_from_two_folders_given_apart_is_refused(affect: "Command", named: Path, tmp_path: Path) -> None:
    ended = affect.extract(named / "one", named / "two", "--store", tmp_path / "store")
    assert ended.code == 2
    assert "would both be stored as talk.mp4" in ended.err
    assert "Hint: give the folder above both" in ended.err
    assert not (tmp_path / "store").exists()
    twice = affect.extract(named / "one", named / "one" / "talk.mp4", "--store", tmp_path / "store")
    assert twice.statuses() == {"talk.mp4": "done"}


def test_links_in_circles_end_and_dangling_ones_are_listed(affect: "Command", film: Film, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    film(folder / "in" / "x.mp4", 0.2, size="64x48")
    (folder / "in" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "self").symlink_to(folder / "self")
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    (folder / "circle.mp4").symlink_to(folder / "circle.mp4")
    ended = affect.extract(folder, "--store", tmp_path / "store")
    assert ended.code == 1
    assert ended.statuses() == {"in/x.mp4": "done", "gone.mp4": "failed", "circle.mp4": "failed"}
    assert all(
        "gone" in item["reason"] or "circle" in item["reason"] for item in ended.videos.values() if item["reason"]
    )


def test_names_that_are_not_utf8_are_stored_and_listed(affect: "Command", film: Film, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    path = film(folder / "x.mp4", 0.2, size="64x48")
    for name in (b"good-\xff.mp4", b"bad-\xfe.mp4"):
        shutil.copyfile(path, bytes(folder) + b"/" + name)
    Path((bytes(folder) + b"/bad-\xfe.mp4").decode("utf-8", "surrogateescape")).write_bytes(b"no video")
    ended = affect.extract(folder, "--store", tmp_path / "store")
    assert ended.code == 1, ended.err
    assert ended.statuses() == {"x.mp4": "done", "good-%FF.mp4": "done", "bad-%FE.mp4": "failed"}
    assert "bad-%FE.mp4" in (tmp_path / "store" / "failures.csv").read_text(errors="replace")
    words = affect.run("extract-features", folder, "--store", tmp_path / "store", "--faces", "none",
                       "--backbone", "timm:test_convnext", "--weights", "random", "--sample-fps", "source")  # fmt: skip
    assert words.code == 1
    assert "Traceback" not in words.err
