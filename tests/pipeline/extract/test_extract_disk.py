"""Stores on file systems that are full or may not be written."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from affect.cache import open_store

if TYPE_CHECKING:
    from .conftest import Command


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
    ballast.write_bytes(bytes((20 << 20) - (150 << 10)))  # what is left holds an entry or two
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


@pytest.mark.stress
@pytest.mark.parametrize("store_format", ["zarr", "hdf5"])
def test_a_disk_may_fill_at_any_step(
    affect: "Command", short_films: Path, small_disk: Path, tmp_path: Path, same_entries: Callable[..., None],
    store_format: str,
) -> None:  # fmt: skip
    assert affect.extract(short_films, "--store", tmp_path / "roomy").code == 0
    words = (short_films, "--store", small_disk / "store", "--format", store_format)
    ballast, codes = small_disk / "ballast", []
    for free_kb in range(0, 400, 20):
        ballast.write_bytes(bytes((20 << 20) - (free_kb << 10)))
        ended = affect.extract(*words)
        codes.append(ended.code)
        assert ended.code == 0 or (ended.code == 2 and "no space left" in ended.err), (free_kb, ended.out, ended.err)
        assert "Traceback" not in ended.err
        ballast.unlink()
        ended = affect.extract(*words)
        assert ended.code == 0, (free_kb, ended.out, ended.err)
        same_entries(small_disk / "store", tmp_path / "roomy")
        shutil.rmtree(small_disk / "store")
    assert {codes[0], codes[-1]} == {2, 0}
    assert codes == sorted(codes, reverse=True)


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
