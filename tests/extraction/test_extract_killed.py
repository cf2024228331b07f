"""`affect extract-features` killed at random moments, watched by a reader, and what the next run makes of it."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from affect.cache import open_store
from affect.cache.records import FrameFeatures
from affect.cache.store import store_exists

if TYPE_CHECKING:
    from tests.extraction.conftest import Command

Same = Callable[..., None]
BLOCK_FRAMES = 32


@dataclass(frozen=True)
class Whole:
    """What one undisturbed run made, and how long it took."""

    format: str
    store: Path
    seconds: float
    features: FrameFeatures


@pytest.fixture(scope="module", params=["zarr", "hdf5"])
def whole(
    request: pytest.FixtureRequest, affect: "Command", long_film: Path, tmp_path_factory: pytest.TempPathFactory
) -> Whole:
    store = tmp_path_factory.mktemp("whole") / "store"
    started = time.monotonic()
    ended = affect.extract(long_film, "--store", store, "--format", request.param)
    assert ended.code == 0, ended.err
    seconds = time.monotonic() - started
    features = open_store(store).read("long.mp4")
    assert len(features.time_s) == 300
    return Whole(request.param, store, seconds, features)


def blocks_in(location: Path | str) -> int:
    """Blocks in the journal of a local store; 0 for one that is not local."""
    return len(list(Path(location).rglob("block-*"))) if isinstance(location, Path) else 0


@contextmanager
def reader(location: Path | str, features: FrameFeatures) -> Iterator[None]:
    """A thread that opens and reads the store all the time: there is no entry, or the whole of it."""
    stop, seen = threading.Event(), list[str]()

    def look() -> None:
        while not stop.wait(0.05):
            if not store_exists(location):
                continue
            store = open_store(location)
            for name in store.ids():
                found = store.read(name)
                if not np.array_equal(found.values, features.values) or store.verify(name):
                    seen.append(name)

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
    """How many kills struck a run whose journal had blocks. A store that gets done before is begun anew."""
    generator, struck, resumed, number = random.Random(seed), 0, 0, 0
    base = location
    words = ("extract-features", film, "--format", whole.format, *options)
    while struck < kills:
        before = blocks_in(location)
        running = affect.start(*words, "--store", location, environment=environment, fresh=fresh)
        time.sleep(generator.uniform(0.0, 1.1) * whole.seconds + (4 * fresh))
        if running.ended():
            assert running.wait().code == 0
            same(location, whole.store)
            number += 1
            location = base.parent / f"{base.name}-{number}" if isinstance(base, Path) else f"{base}-{number}"
            continue
        running.send(signal.SIGKILL)
        code = running.wait().code
        if code == 0:  # it ended between the look and the kill; the next round sees it done
            continue
        assert code == -signal.SIGKILL
        struck += 1
        # The journal only grows, until the entry stands.
        stands = store_exists(location) and open_store(location).ids() != []
        assert stands or blocks_in(location) >= before
        resumed += blocks_in(location) > 0
    ended = affect.run(*words, "--store", location, environment=environment)
    assert ended.code == 0, ended.err
    same(location, whole.store)
    if isinstance(location, Path):
        assert not list(location.rglob("block-*"))
        assert {path.relative_to(location) for path in location.rglob("*")} == {
            path.relative_to(whole.store) for path in whole.store.rglob("*")
        }
    return resumed


def test_a_killed_run_ends_in_the_arrays_of_an_uninterrupted_one(
    whole: Whole, affect: "Command", long_film: Path, tmp_path: Path, same_entries: Same, small: tuple[str, ...]
) -> None:
    with reader(tmp_path / "store", whole.features):
        kill_and_resume(
            affect, long_film, tmp_path / "store", whole, same_entries, kills=3, seed=3, options=small
        )  # fmt: skip


@pytest.mark.stress
def test_thirty_kills_end_in_the_arrays_of_an_uninterrupted_run(
    whole: Whole, affect: "Command", long_film: Path, tmp_path: Path, same_entries: Same, small: tuple[str, ...]
) -> None:
    with reader(tmp_path / "store", whole.features):
        resumed = kill_and_resume(
            affect, long_film, tmp_path / "store", whole, same_entries, kills=30, seed=30, options=small
        )  # fmt: skip
    assert resumed >= 10


@pytest.mark.stress
def test_killed_processes_of_the_command_itself_end_in_the_same_arrays(
    whole: Whole, affect: "Command", long_film: Path, tmp_path: Path, same_entries: Same, small: tuple[str, ...]
) -> None:
    kill_and_resume(
        affect, long_film, tmp_path / "store", whole, same_entries, kills=5, seed=5, options=small, fresh=True
    )


@pytest.mark.parametrize("kills", [2, pytest.param(15, marks=pytest.mark.stress)])
def test_a_killed_run_on_an_object_store_ends_in_the_same_arrays(
    whole: Whole, affect: "Command", long_film: Path, same_entries: Same, small: tuple[str, ...],
    s3: dict[str, str], kills: int,
) -> None:  # fmt: skip
    location = f"s3://features/{whole.format}-{time.monotonic_ns()}"
    kill_and_resume(
        affect, long_film, location, whole, same_entries, kills=kills, seed=2, options=small, environment=s3
    )


def test_an_interrupted_command_stops_within_seconds_and_goes_on_from_there(
    affect: "Command", long_film: Path, tmp_path: Path, same_entries: Same, small: tuple[str, ...]
) -> None:
    words = ("extract-features", long_film, *small, "--store", tmp_path / "store")
    running = affect.start(*words, fresh=True)
    deadline = time.monotonic() + 120
    while blocks_in(tmp_path / "store") < 2:
        assert not running.ended(), running.wait().err
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.send(signal.SIGINT)
    ended = running.wait(limit_s=20)
    assert ended.code == 130
    assert "the same command goes on from there" in ended.err
    assert "Traceback" not in ended.err
    stopped_at = blocks_in(tmp_path / "store")
    assert stopped_at >= 2
    assert open_store(tmp_path / "store").ids() == []
    again = affect.run(*words)
    assert again.code == 0, again.err
    undisturbed = affect.extract(long_film, "--store", tmp_path / "undisturbed")
    assert undisturbed.code == 0
    same_entries(tmp_path / "store", tmp_path / "undisturbed")
