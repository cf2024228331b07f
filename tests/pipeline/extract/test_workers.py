"""Who works: threads that hold their own networks, processes that die, streams that are closed."""

import gc
import importlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import distributed
import psutil
import pytest

from affect.cache import open_store
from affect.configs.load import load_config
from affect.configs.schema import FeaturesConfig
from affect.pipeline.events import Moved, VideoOutcome, summary_of
from affect.pipeline.extract.extract import ExtractionSummary, extract
from affect.pipeline.extract.videos import Source, find_videos
from affect.pipeline.workers import Died, Workers, held, run_all, run_beside

Work = Callable[[str], Iterator[str]]
# Backbones that write down where they are made, of which one ends its process where that is a worker; and a task.
NETWORKS = """
import os, threading, time, weakref
import torch

MADE = []

class Small(torch.nn.Module):
    input_size, feature_size = 32, 64

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Conv2d(3, 4, 8, stride=8)

    def preprocess(self, images):
        return torch.nn.functional.interpolate(images.float() / 255, size=(32, 32))

    def forward(self, images):
        return self.net(images).flatten(1)

def logged(weights):
    net = Small()
    MADE.append(weakref.ref(net))
    with open(os.environ["MADE"], "a") as file:
        file.write(f"{os.getpid()} {threading.get_ident()}\\n")
    return net

def deadly(weights):
    if b"loky" in open("/proc/self/cmdline", "rb").read():
        os._exit(9)
    return logged(weights)

def work(task):
    if task == "dies":
        os._exit(9)
    yield ("begun", task)
    time.sleep(60 if task == "lasts" else 0)
    yield task
"""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on the path of this process and its children, with a module `networks_of_a_test`."""
    folder = tmp_path_factory.mktemp("networks")
    (folder / "networks_of_a_test.py").write_text(NETWORKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        yield folder


@pytest.fixture
def work(networks: Path) -> Work:
    """A function that its processes can import."""
    function: Work = importlib.import_module("networks_of_a_test").work
    return function


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that `logged` writes into, a line a network."""
    monkeypatch.setenv("MADE", str(tmp_path / "made"))
    return tmp_path / "made"


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory, film: Callable[..., Path]) -> list[Source]:
    folder = tmp_path_factory.mktemp("twelve")
    for number in range(12):
        film(folder / f"{number:02d}.mp4", 1 + number / 10)
    return find_videos([str(folder)])


def settings(factory: str, *words: str) -> FeaturesConfig:
    given = [f"features.backbone=networks_of_a_test:{factory}", "features.faces.detector=none"]
    return load_config(None, [*given, "features.sample_fps=source", *words]).features


def test_each_thread_of_a_dask_worker_loads_its_networks_once_and_frees_them_with_the_worker(
    networks: Path, made: Path, twelve: list[Source], tmp_path: Path
) -> None:
    with distributed.LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1, threads_per_worker=4, processes=False, dashboard_address=None
    ) as cluster:
        workers = Workers(4, "dask", cluster.scheduler_address)
        summary = summary_of(
            extract(twelve, str(tmp_path / "store"), settings("logged"), workers=workers), ExtractionSummary
        )
    assert [outcome.status for outcome in summary.outcomes] == ["done"] * 12, summary.outcomes
    threads = [line.split()[1] for line in made.read_text().splitlines()]
    assert threads[0] == str(threading.get_ident()), "this thread asks for the recipe"
    assert len(threads[1:]) == len(set(threads[1:])) <= 4, "no thread loads twice"
    assert len(threads) >= 3, "several threads worked"
    gc.collect()
    alive = [ref() for ref in sys.modules["networks_of_a_test"].MADE if ref() is not None]
    assert alive == [], "a worker that has ended holds no network"


def test_what_a_thread_holds_is_its_own_and_one_of_a_kind() -> None:
    first = held("test", 1, object)
    assert held("test", 1, object) is first
    elsewhere: list[object] = []
    thread = threading.Thread(target=lambda: elsewhere.append(held("test", 1, object)))
    thread.start()
    thread.join()
    assert elsewhere[0] is not first
    other = held("test", 2, object)
    assert other is not first
    assert held("test", 1, object) is not first, "the one before was freed"


def test_a_worker_that_dies_while_videos_are_checked_is_a_problem_of_the_video(
    networks: Path, made: Path, twelve: list[Source], tmp_path: Path
) -> None:
    folder = twelve[0].path.parent
    words = ["check-videos", str(folder / "00.mp4"), str(folder / "01.mp4"), "--jobs", "2"]
    given = ["--set", "features.backbone=networks_of_a_test:deadly"]
    command = [sys.executable, "-m", "affect", *words, *given]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("its worker process died") == 2, done.stderr


def test_a_video_whose_worker_dies_is_listed(networks: Path, made: Path, twelve: list[Source], tmp_path: Path) -> None:
    summary = summary_of(
        extract(twelve[:2], str(tmp_path / "store"), settings("deadly"), workers=Workers(2)), ExtractionSummary
    )
    assert [outcome.status for outcome in summary.outcomes] == ["failed", "failed"]
    assert all("its worker process died" in outcome.reason for outcome in summary.outcomes)


def test_a_death_costs_the_task_that_dies_again_when_alone_and_no_other(work: Work) -> None:
    tasks = ["0", "dies", "1", "2", "3", "dies", "4"]
    found = list(run_all(Workers(2), work, tasks, str))
    assert [event.task for event in found if isinstance(event, Died)] == ["dies", "dies"]
    assert sorted(event for event in found if event in tasks) == ["0", "1", "2", "3", "4"]


def test_events_of_other_processes_come_before_their_answers(work: Work) -> None:
    found = list(run_all(Workers(2), work, ["a", "b", "c"], str))
    for task in "abc":
        begun = ("begun", task)
        assert begun not in found or found.index(begun) < found.index(task)
    assert {"a", "b", "c"} <= set(found) and len(found) > 3, "progress is heard of"


def test_a_closed_stream_ends_its_processes_within_seconds(work: Work) -> None:
    started = time.monotonic()
    events = run_all(Workers(2), work, ["lasts", "lasts", "lasts"], str)
    assert next(events) == ("begun", "lasts")
    assert time.monotonic() - started < 50, "an event is heard of when it happens, not with the one after it"
    assert len(loky_workers()) == 2
    started = time.monotonic()
    events.close()
    assert time.monotonic() - started < 10
    assert loky_workers() == []
    found = list(run_all(Workers(2), work, ["again", "and again"], str))
    assert {"again", "and again"} <= set(found), "the next stream has processes of its own"


def test_work_side_by_side_is_heard_of_as_it_comes_and_ends_when_it_is_closed() -> None:
    both, closed = threading.Barrier(2, timeout=20), []

    def count(task: str) -> Generator[str, None, None]:
        try:
            both.wait()  # none goes on before two are there
            for number in range(10_000):
                yield f"{task}{number}"
                time.sleep(0.001)
        finally:
            closed.append(task)

    events = run_beside(count, ["a", "b", "c", "d"], 2)
    heard = [next(events) for _ in range(50)]
    assert {event[0] for event in heard} == {"a", "b"}
    assert [event for event in heard if event[0] == "a"] == [f"a{n}" for n in range(sum(e[0] == "a" for e in heard))]
    events.close()
    assert sorted(closed) == ["a", "b"], "the others never began"
    assert sorted(run_beside(lambda task: (event for event in task), ["12", "", "3"], 2)) == ["1", "2", "3"]


def test_what_one_of_them_raises_is_raised_and_ends_the_others() -> None:
    def fail(task: int) -> Generator[int, None, None]:
        for number in range(10_000):
            if task == 1 and number == 20:
                raise OSError("the disk is gone")
            yield number
            time.sleep(0.001)

    started = time.monotonic()
    with pytest.raises(OSError, match="the disk is gone"):
        list(run_beside(fail, [0, 1, 2], 3))
    assert time.monotonic() - started < 8


def loky_workers() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE
        and "loky" in " ".join(child.cmdline())
        and "resource_tracker" not in " ".join(child.cmdline())
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_extraction_closed_at_an_event_keeps_its_blocks_and_goes_on_to_the_same_store(
    networks: Path,
    made: Path,
    long_film: Path,
    twelve: list[Source],
    tmp_path: Path,
    same_entries: Callable[..., None],
    jobs: int,
) -> None:
    sources = [Source(long_film, "long.mp4"), twelve[0]]
    config, workers = settings("logged"), Workers(jobs)
    summary = summary_of(extract(sources, str(tmp_path / "whole"), config), ExtractionSummary)
    assert [outcome.status for outcome in summary.outcomes] == ["done", "done"]
    events = extract(sources, str(tmp_path / "store"), config, workers=workers)
    for event in events:
        if isinstance(event, Moved) and event.id == "long.mp4":
            break
    events.close()
    assert loky_workers() == []
    store = open_store(tmp_path / "store")
    assert "long.mp4" not in store.ids(), "it was stopped inside the video"
    assert list((tmp_path / "store" / ".journal").rglob("long.mp4*")), "its blocks are kept"
    again = summary_of(extract(sources, str(tmp_path / "store"), config), ExtractionSummary)
    assert {outcome.id for outcome in again.outcomes if outcome.stored} == {"long.mp4", "00.mp4"}
    same_entries(tmp_path / "store", tmp_path / "whole")


def test_an_error_in_the_loop_over_events_stops_the_work(
    networks: Path, made: Path, long_film: Path, tmp_path: Path
) -> None:
    def loop() -> None:
        for event in extract([Source(long_film, "long.mp4")], str(tmp_path / "store"), settings("logged")):
            if isinstance(event, Moved):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop()
    gc.collect()
    assert not [thread for thread in threading.enumerate() if "long.mp4" in thread.name], "its threads have ended"
    outcomes = [event for event in extract([Source(long_film, "long.mp4")], str(tmp_path / "store"), settings("logged"))
                if isinstance(event, VideoOutcome)]  # fmt: skip
    assert [outcome.status for outcome in outcomes] == ["done"], "nobody holds the claim any more"
