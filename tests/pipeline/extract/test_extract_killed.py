"""`affect extract-features` killed at random moments, watched by a reader, and what the next run makes of it."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import numpy as np
import pytest

from affect.cache import open_store
from affect.cache.opening import store_exists
from affect.cache.records import FrameFeatures

if TYPE_CHECKING:
    from .conftest import Command, Running

Same = Callable[..., None]
BLOCKS = 10  # of 32 frames, in 300


@dataclass(frozen=True)
class Whole:
    """What one undisturbed run made, and how long it took to its first block and for each one more."""

    format: str
    store: Path
    first_s: float
    block_s: float
    features: FrameFeatures


@pytest.fixture(scope="module", params=["zarr", "hdf5"])
def whole(
    request: pytest.FixtureRequest, affect: "Command", long_film: Path, small: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Whole:  # fmt: skip
    store = tmp_path_factory.mktemp("whole") / "store"
    started = time.monotonic()
    running = affect.start("extract-features", long_film, "--store", store, "--format", request.param, *small)
    grown: dict[int, float] = {}  # blocks -> seconds
    while not running.ended():
        grown.setdefault(len(journal(store)), time.monotonic() - started)
        time.sleep(0.005)
    ended = running.wait()
    assert ended.code == 0, ended.err
    first, last = min(grown.keys() - {0}), max(grown)
    assert first < last, grown
    block_s = (grown[last] - grown[first]) / (last - first)
    features = open_store(store).read("long.mp4")
    assert len(np.unique(features.values, axis=0)) == 300  # no two frames alike, so no block passes for another
    return Whole(request.param, store, grown[first], block_s, features)


Marks = dict[str, tuple[object, ...]]


def journal(location: Path | str) -> Marks:
    """Each block in a store's journal, with what another writing of it would change; by none of the store's code."""
    if isinstance(location, str):
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/.journal")
        found = [item for page in pages for item in page.get("Contents", []) if "/block-" in item["Key"]]
        return {item["Key"][-11:]: (item["ETag"], item["LastModified"], item["Size"]) for item in found}
    marks: Marks = {}
    for folder, _, names in os.walk(location):  # which may vanish meanwhile: Path.rglob raises then
        for name in filter(lambda name: name.startswith("block-"), names):
            with contextlib.suppress(FileNotFoundError):
                stat = Path(folder, name).stat()
                marks[name] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
    return marks


class Journals:
    """Looks at a store's journal while runs come and go: its blocks stand untouched until the entry does."""

    def __init__(self, location: Path | str) -> None:
        self.location = location
        self._seen: Marks = {}

    def blocks(self) -> int:
        now = journal(self.location)
        assert all(now.get(name, mark) == mark for name, mark in self._seen.items()), "a durable block was made anew"
        assert now.keys() >= self._seen.keys() or self._stands(), "a durable block is lost"
        self._seen = now
        return len(now)

    def _stands(self) -> bool:
        return store_exists(self.location) and open_store(self.location).ids() != []


@contextmanager
def reader(folder: Path, features: FrameFeatures) -> Iterator[None]:
    """A thread that opens and reads the stores in a folder all the time: there is no entry, or the whole of it."""
    stop, seen = threading.Event(), list[str]()

    def look() -> None:
        while not stop.wait(0.05):
            for store in [open_store(location) for location in folder.iterdir() if store_exists(location)]:
                for name in store.ids():
                    found = store.read(name)
                    if not np.array_equal(found.values, features.values) or store.verify(name):
                        seen.append(f"{store.location}: {name}")

    def look_and_tell() -> None:
        try:
            look()
        except Exception as error:  # noqa: BLE001  (whatever a reader meets fails the test)
            seen.append(repr(error))

    thread = threading.Thread(target=look_and_tell)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert seen == []


def kill_and_resume(
    affect: "Command", film: Path, location: Path | str, whole: Whole, same: Same, *, kills: int, seed: int,
    options: tuple[str, ...], environment: Mapping[str, str] | None = None, fresh: bool = False,
) -> int:  # fmt: skip
    """How many kills struck a run whose journal had blocks. A store that gets done before is begun anew.

    A moment is a number of blocks from one to all and up to two blocks' time more, or one on the way to the first.
    """
    generator, struck, resumed, number = random.Random(seed), 0, 0, 0
    base = location
    journals = Journals(location)
    words = ("extract-features", film, "--format", whole.format, *options)

    def run_until(enough: Callable[[], bool]) -> "Running":
        running = affect.start(*words, "--store", location, environment=environment, fresh=fresh)
        while not running.ended() and not enough():
            time.sleep(0.005)
        return running

    while struck < kills:
        wanted = generator.randint(0, BLOCKS)
        running = run_until(lambda: journals.blocks() >= wanted)  # noqa: B023  (called before the next draw)
        time.sleep(generator.random() * (2 * whole.block_s if wanted else whole.first_s))
        if not running.ended():
            running.send(signal.SIGKILL)
        code = running.wait().code
        if code == 0:
            same(location, whole.store)
            number += 1
            location = base.parent / f"{base.name}-{number}" if isinstance(base, Path) else f"{base}-{number}"
            journals = Journals(location)
            continue
        assert code == -signal.SIGKILL
        struck += 1
        resumed += journals.blocks() > 0
    ended = run_until(lambda: journals.blocks() < 0).wait()
    assert ended.code == 0, ended.err
    same(location, whole.store)
    assert journal(location) == {}
    if isinstance(location, Path):
        assert {path.relative_to(location) for path in location.rglob("*")} == {
            path.relative_to(whole.store) for path in whole.store.rglob("*")
        }
    return resumed


def test_a_killed_run_ends_in_the_arrays_of_an_uninterrupted_one(
    whole: Whole, affect: "Command", long_film: Path, tmp_path: Path, same_entries: Same, small: tuple[str, ...]
) -> None:
    with reader(tmp_path, whole.features):
        resumed = kill_and_resume(
            affect, long_film, tmp_path / "store", whole, same_entries, kills=3, seed=3, options=small
        )
    assert resumed >= 2


@pytest.mark.stress
def test_thirty_kills_end_in_the_arrays_of_an_uninterrupted_run(
    whole: Whole, affect: "Command", long_film: Path, tmp_path: Path, same_entries: Same, small: tuple[str, ...]
) -> None:
    with reader(tmp_path, whole.features):
        resumed = kill_and_resume(
            affect, long_film, tmp_path / "store", whole, same_entries, kills=30, seed=30, options=small
        )
    assert resumed >= 15


@pytest.mark.stress
def test_killed_processes_of_the_command_itself_end_in_the_same_arrays(
    whole: Whole, affect: "Command", long_film: Path, tmp_path: Path, same_entries: Same, small: tuple[str, ...]
) -> None:
    resumed = kill_and_resume(
        affect, long_film, tmp_path / "store", whole, same_entries, kills=5, seed=5, options=small, fresh=True
    )
    assert resumed >= 2


@pytest.mark.parametrize(("kills", "least"), [(2, 1), pytest.param(15, 8, marks=pytest.mark.stress)])
def test_a_killed_run_on_an_object_store_ends_in_the_same_arrays(
    whole: Whole, affect: "Command", long_film: Path, same_entries: Same, small: tuple[str, ...],
    s3: dict[str, str], kills: int, least: int,
) -> None:  # fmt: skip
    location = f"s3://features/{whole.format}-{time.monotonic_ns()}"
    resumed = kill_and_resume(
        affect, long_film, location, whole, same_entries, kills=kills, seed=2, options=small, environment=s3
    )
    assert resumed >= least


def test_an_interrupted_command_stops_within_seconds_and_goes_on_from_there(
    affect: "Command", long_film: Path, tmp_path: Path, same_entries: Same, small: tuple[str, ...]
) -> None:
    words = ("extract-features", long_film, *small, "--store", tmp_path / "store")
    running = affect.start(*words, fresh=True)
    deadline = time.monotonic() + 120
    while len(journal(tmp_path / "store")) < 2:
        assert not running.ended(), running.wait().err
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.send(signal.SIGINT)
    ended = running.wait(limit_s=20)
    assert ended.code == 130
    assert "the same command goes on from there" in ended.err
    assert "Traceback" not in ended.err
    assert len(journal(tmp_path / "store")) >= 2
    assert open_store(tmp_path / "store").ids() == []
    again = affect.run(*words)
    assert again.code == 0, again.err
    undisturbed = affect.extract(long_film, "--store", tmp_path / "undisturbed")
    assert undisturbed.code == 0
    same_entries(tmp_path / "store", tmp_path / "undisturbed")
