"""What a run does with entries that are stored already: the same, renamed, changed, damaged, of another recipe."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Command

FORMATS = pytest.mark.parametrize("store_format", ["zarr", "hdf5"])


@pytest.fixture
def stored(affect: "Command", short_films: Path, tmp_path: Path, store_format: str) -> tuple[Path, Path]:
    """Four videos of this test's own, and a store of them."""
    shutil.copytree(short_films, tmp_path / "videos")
    ended = affect.extract(tmp_path / "videos", "--store", tmp_path / "store", "--format", store_format)
    assert ended.code == 0, ended.err
    return tmp_path / "videos", tmp_path / "store"


@FORMATS
def test_a_renamed_video_is_not_extracted_again_and_a_changed_one_is_refused(
    affect: "Command", stored: tuple[Path, Path], same_entries: Callable[..., None]
) -> None:
    videos, store = stored
    (videos / "0.mp4").rename(videos / "renamed.mp4")
    (videos / "1.mp4").write_bytes((videos / "2.mp4").read_bytes() + b"more")
    os.utime(videos / "3.mp4")  # a touched file is the same
    before = shutil.copytree(store, store.parent / "before")
    ended = affect.extract(videos, "--store", store)
    assert ended.code == 1
    assert ended.statuses() == {
        "renamed.mp4": "skipped", "1.mp4": "failed", "2.mp4": "skipped", "3.mp4": "skipped",
    }  # fmt: skip
    assert "the same content is stored as 0.mp4" in ended.videos["renamed.mp4"]["reason"]
    assert "has changed" in ended.videos["1.mp4"]["reason"]
    assert "Hint: --overwrite" in ended.videos["1.mp4"]["reason"]
    same_entries(store, before, ["0.mp4", "1.mp4", "2.mp4", "3.mp4"])
    again = affect.extract(videos / "1.mp4", "--store", store, "--overwrite")
    assert again.statuses() == {"1.mp4": "done"}
    assert affect.extract(videos, "--store", store).code == 0


@FORMATS
def test_damage_is_named_and_extracting_again_repairs_just_that(
    affect: "Command", stored: tuple[Path, Path], same_entries: Callable[..., None], store_format: str
) -> None:
    videos, store = stored
    before = shutil.copytree(store, store.parent / "before")
    entry = store / ("2.mp4.zarr/values/c/0/0" if store_format == "zarr" else "2.mp4.h5")
    content = bytearray(entry.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = bytes(byte ^ 255 for byte in content[middle : middle + 8])
    entry.write_bytes(bytes(content))
    stamps = {name: _changed(store, name) for name in ("0.mp4", "1.mp4", "3.mp4")}
    looked = affect.run("inspect-cache", store, "--verify")
    assert looked.code == 1
    assert "damaged: 2.mp4:" in looked.err
    assert not any(f"damaged: {name}" in looked.err for name in stamps)
    repaired = affect.extract(videos, "--store", store, "--verify")
    assert repaired.code == 0
    assert repaired.statuses() == {"0.mp4": "skipped", "1.mp4": "skipped", "2.mp4": "done", "3.mp4": "skipped"}
    same_entries(store, before)
    assert stamps == {name: _changed(store, name) for name in stamps}
    assert affect.run("inspect-cache", store, "--verify").code == 0


def _changed(store: Path, name: str) -> list[int]:
    return sorted(path.stat().st_mtime_ns for path in store.glob(f"{name}.*/**/*"))


@pytest.mark.parametrize("store_format", ["zarr"])
def test_another_recipe_another_format_and_a_foreign_folder_are_refused(
    affect: "Command", stored: tuple[Path, Path], small: tuple[str, ...], tmp_path: Path
) -> None:
    videos, store = stored
    other = affect.run("extract-features", videos, "--store", store, *small, "--sample-fps", "5")
    assert other.code == 2
    assert 'sample_fps is "source" there and 5.0 here' in other.err
    assert "Hint:" in other.err
    network = affect.run("extract-features", videos, "--store", store, *small, "--backbone", "shufflenet_v2_x0_5")
    assert network.code == 2
    assert "backbone is" in network.err
    hdf5 = affect.extract(videos, "--store", store, "--format", "hdf5")
    assert hdf5.code == 2
    assert "is in format zarr, not hdf5" in hdf5.err
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("...")
    foreign = affect.extract(videos, "--store", tmp_path / "thesis")
    assert foreign.code == 2
    assert "not a store and not empty" in foreign.err
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]
