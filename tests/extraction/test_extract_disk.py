"""Stores on file systems that are full or may not be written."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from affect.cache import open_store

if TYPE_CHECKING:
    from tests.extraction.conftest import Command


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system takes rights that this user does not have")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("store_format", ["zarr", "hdf5"])
def test_a_full_disk_is_said_and_with_space_the_run_goes_on(
    affect: "Command", long_film: Path, short_films: Path, small_disk: Path, tmp_path: Path,
    same_entries: Callable[..., None], store_format: str,
) -> None:  # fmt: skip
    folder = tmp_path / "videos"
    shutil.copytree(short_films, folder)
    shutil.copy2(long_film, folder)
    words = (folder, "--store", small_disk / "store", "--format", store_format)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(20 << 20 >> 1) + bytes((10 << 20) - (800 << 10)))  # what is left holds a few blocks
    ended = affect.extract(*words)
    assert ended.code == 2
    assert "no space left" in ended.err
    assert "run the same command again" in ended.err
    assert "Traceback" not in ended.err
    half = open_store(small_disk / "store")
    assert len(half.ids()) < 5
    assert all(half.verify(name) == [] for name in half.ids())
    ballast.unlink()
    ended = affect.extract(*words)
    assert ended.code == 0, ended.err
    assert affect.extract(folder, "--store", tmp_path / "roomy").code == 0
    same_entries(small_disk / "store", tmp_path / "roomy")


def test_a_store_that_may_not_be_written_says_so_and_is_still_read(
    affect: "Command", short_films: Path, long_film: Path, small_disk: Path
) -> None:
    words = (short_films, "--store", small_disk / "store")
    assert affect.extract(*words).code == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    skipped = affect.extract(*words)
    assert skipped.code == 0, skipped.err
    assert set(skipped.statuses().values()) == {"skipped"}
    refused = affect.extract(long_film, "--store", small_disk / "store")
    assert refused.code == 2
    assert "may not be written" in refused.err
    assert "Hint:" in refused.err
    assert "Traceback" not in refused.err
    assert affect.run("inspect-cache", small_disk / "store", "--verify").code == 0
