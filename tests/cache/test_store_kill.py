"""A real process killed at random moments, and what the next run makes of what it left."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from affect.cache import create_store, open_store
from affect.cache.folder_store import FolderStore
from affect.cache.records import DTYPES, Recipe

# Writes one video of nine blocks through the public interface, as the pipeline does: resuming behind what is durable.
WORKER = """
import sys, time
import numpy as np
from affect.cache import create_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo

location, store_format, pause_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
recipe = Recipe({"view": "plain"})

def block(number):
    generator = np.random.default_rng(number)
    first, rows = 64 * number, 90
    return FrameFeatures(
        np.arange(first, first + 64) / 3.125, np.arange(first, first + 64) * 8, np.zeros(64, np.uint8),
        generator.standard_normal((rows, 2048)).astype(np.float16),
        first + np.sort(generator.integers(0, 64, rows)), generator.integers(0, 3, rows).astype(np.int32),
        generator.random((rows, 4), np.float32), generator.random(rows, np.float32),
        generator.random((rows, 5, 2), np.float32))

info = VideoInfo(recipe.digest, "f", 1, 1, None, 576, 1.0, 25.0, 64, 64, 0, "h264")
store = create_store(location, recipe, store_format)
if "v/a.mp4" not in store.ids():
    with store.writer("v/a.mp4", "f") as writer:
        first = int(writer.state or b"0")
        assert writer.frames == 64 * first and writer.rows == 90 * first
        print("start", first, flush=True)
        for number in range(first, 9):
            writer.append(block(number), str(number + 1).encode())
            time.sleep(pause_s)
        print("commit", flush=True)
        writer.commit(info)
print("end", flush=True)
"""


def run(location: Path | str, store_format: str, pause_s: float = 0.0) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(location), store_format, str(pause_s)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def said(process: "subprocess.Popen[str]", word: str) -> bool:
    assert process.stdout is not None
    return any(line.startswith(word) for line in process.stdout)


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module", params=["zarr", "hdf5"])
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A format, and a store that one undisturbed run made."""
    location = tmp_path_factory.mktemp("whole") / "store"
    process = run(location, request.param)
    assert said(process, "end")
    process.communicate()
    return request.param, location


def assert_same_arrays(location: Path | str, whole: Path) -> None:
    store, wanted = open_store(location), open_store(whole)
    assert store.ids() == wanted.ids() == ["v/a.mp4"]
    assert store.verify("v/a.mp4") == []
    mine, theirs = store.read("v/a.mp4"), wanted.read("v/a.mp4")
    assert all(getattr(mine, name).tobytes() == getattr(theirs, name).tobytes() for name in DTYPES)


def assert_as_if_nothing_happened(location: Path, whole: Path) -> None:
    assert_same_arrays(location, whole)
    for path in (whole / "v").rglob("*"):
        if path.is_file():
            assert (location / path.relative_to(whole)).read_bytes() == path.read_bytes(), path
    files = {path.relative_to(location) for path in location.rglob("*")}
    assert files == {path.relative_to(whole) for path in whole.rglob("*")}


def kill_until_done(location: Path | str, store_format: str, generator: random.Random, kills: int) -> None:
    for _ in range(kills):
        process = run(location, store_format, pause_s=0.02)
        if generator.random() < 0.5:
            said(process, "commit")  # then it dies while the entry is composed, published or tidied up
            time.sleep(generator.uniform(0, 0.15))
        else:
            said(process, "start")
            time.sleep(generator.uniform(0, 0.25))
        kill(process)
        store = open_store(location)
        for name in store.ids():
            assert store.verify(name) == []
    process = run(location, store_format)
    assert said(process, "end")
    process.communicate()


def test_killed_runs_end_in_the_arrays_of_an_uninterrupted_one(uninterrupted: tuple[str, Path], tmp_path: Path) -> None:
    store_format, whole = uninterrupted
    kill_until_done(tmp_path / "store", store_format, random.Random(7), kills=3)
    assert_as_if_nothing_happened(tmp_path / "store", whole)


def test_killed_runs_on_an_object_store_end_in_the_same_arrays(uninterrupted: tuple[str, Path], s3: str) -> None:
    store_format, whole = uninterrupted
    location = f"s3://features/killed-{store_format}-{time.monotonic_ns()}"
    kill_until_done(location, store_format, random.Random(11), kills=2)
    assert_same_arrays(location, whole)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(30))
def test_thirty_killed_runs(uninterrupted: tuple[str, Path], tmp_path: Path, seed: int) -> None:
    store_format, whole = uninterrupted
    kill_until_done(tmp_path / "store", store_format, random.Random(seed), kills=2)
    assert_as_if_nothing_happened(tmp_path / "store", whole)


# The moment between an entry's appearing and its journal's going is too short to hit by chance.
DIES = """
import os, signal, sys
from affect.cache import blobs_local
from affect.cache import folder_store
from affect.cache import journal
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
class Dying(blobs_local.LocalFolder):
    def publish(self, path, key, root_file, first):
        super().publish(path, key, root_file, lambda: (first(), {before}))
        {after}
import affect.cache.opening
affect.cache.opening.LocalFolder = Dying
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_on_either_side_of_the_rename_is_harmless(
    uninterrupted: tuple[str, Path], tmp_path: Path, moment: str
) -> None:
    store_format, whole = uninterrupted
    dies = DIES.format(before="die()" if moment == "before" else "None", after="die()" if moment == "after" else "")
    location = str(tmp_path / "store")
    dead = subprocess.run([sys.executable, "-c", dies + WORKER, location, store_format, "0"], check=False)
    assert dead.returncode == -signal.SIGKILL
    assert open_store(location).ids() == ([] if moment == "before" else ["v/a.mp4"])
    assert list((tmp_path / "store").rglob("block-*"))
    process = run(tmp_path / "store", store_format)
    assert said(process, "end")
    process.communicate()
    assert_as_if_nothing_happened(tmp_path / "store", whole)


def test_interrupting_a_run_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    process = run(tmp_path / "store", "zarr", pause_s=0.3)
    said(process, "start")
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    with create_store(tmp_path / "store", Recipe({"view": "plain"})).writer("v/a.mp4", "f") as writer:
        assert writer.frames >= 64 * 2
        assert writer.state == str(writer.frames // 64).encode()


def test_objects_of_an_entry_that_was_not_finished_are_no_entry(uninterrupted: tuple[str, Path], s3: str) -> None:
    store_format, whole = uninterrupted
    if store_format == "hdf5":
        return  # one object: there is no half of it
    location = f"s3://features/half-{time.monotonic_ns()}"
    process = run(location, store_format)
    assert said(process, "end")
    process.communicate()
    store = create_store(location, Recipe({"view": "plain"}))
    assert isinstance(store, FolderStore)
    store.blobs.remove("v/a.mp4.zarr/zarr.json")
    assert store.ids() == []
    process = run(location, store_format)
    assert said(process, "end")
    process.communicate()
    assert_same_arrays(location, whole)
