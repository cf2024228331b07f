"""Several workers, several runs, several machines: the same store in the end, and no video done twice."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import distributed
import psutil
import pytest

from affect.errors import ConfigError
from affect.pipeline import clusters
from affect.pipeline import workers as launch

if TYPE_CHECKING:
    from .conftest import Command

Film = Callable[..., Path]
Same = Callable[..., None]
# A scheduler and two worker processes of their own, as on two machines; prints the address, then each worker's pid.
CLUSTER = """
import sys, distributed
if __name__ == "__main__":
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        pids = [worker.process.process.pid for worker in cluster.workers.values()]
        print(cluster.scheduler_address, *pids, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, film: Film) -> Path:
    """Six films of 75 frames and more."""
    folder = tmp_path_factory.mktemp("several")
    for number in range(6):
        film(folder / f"{number}.mp4", 3 + number / 5)
    return folder


@pytest.fixture(scope="module", params=["zarr", "hdf5"])
def alone(
    request: pytest.FixtureRequest, affect: "Command", several: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A format, and the store that one process made of them."""
    store = tmp_path_factory.mktemp("alone") / "store"
    ended = affect.extract(several, "--store", store, "--format", request.param)
    assert set(ended.statuses().values()) == {"done"}, ended.err
    return request.param, store


@pytest.fixture(scope="module")
def zarr_alone(affect: "Command", several: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("zarr-alone") / "store"
    assert affect.extract(several, "--store", store).code == 0
    return store


def workers_of(pid: int) -> list[psutil.Process]:
    """Processes below that one that have loaded the networks."""
    return [child for child in psutil.Process(pid).children(recursive=True) if _is_worker(child)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        words = " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has ended, waited for or not
        return False
    return "loky" in words and "resource_tracker" not in words


def wait_until(holds: Callable[[], bool], limit_s: float = 120) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_runs_at_once_on_one_store_do_no_video_twice(
    affect: "Command",
    several: Path,
    alone: tuple[str, Path],
    small: tuple[str, ...],
    tmp_path: Path,
    same_entries: Same,
) -> None:
    store_format, whole = alone
    words = ("extract-features", several, "--store", tmp_path / "store", "--format", store_format, *small)
    runs = [affect.start(*words) for _ in range(3)]
    found = [run.wait().videos for run in runs]
    for number in range(6):
        statuses = [videos[f"{number}.mp4"]["status"] for videos in found]
        assert sorted(statuses) == ["done", "skipped", "skipped"], (number, found)
    same_entries(tmp_path / "store", whole)


def test_both_formats_hold_the_same_arrays(
    affect: "Command", several: Path, zarr_alone: Path, tmp_path: Path, same_entries: Same
) -> None:
    assert affect.extract(several, "--store", tmp_path / "store", "--format", "hdf5").code == 0
    same_entries(tmp_path / "store", zarr_alone)


def test_a_killed_worker_costs_no_video_and_two_jobs_make_the_store_of_one(
    affect: "Command", several: Path, zarr_alone: Path, small: tuple[str, ...], tmp_path: Path, same_entries: Same
) -> None:
    words = ("extract-features", several, "--store", tmp_path / "store", *small, "--jobs", 2)
    running = affect.start(*words)
    wait_until(lambda: running.ended() or affect.has_stored_a_block(tmp_path / "store", 1))
    victims = workers_of(running.pid)
    assert len(victims) == 2
    victims[0].kill()
    ended = running.wait()
    assert ended.code == 0, ended.err
    # The dead worker may have stored its video and not said so: the next look finds it there.
    assert set(ended.statuses().values()) <= {"done", "skipped"}
    same_entries(tmp_path / "store", zarr_alone)
    for path in zarr_alone.rglob("*.mp4.zarr/**/*"):
        if path.is_file():
            assert (tmp_path / "store" / path.relative_to(zarr_alone)).read_bytes() == path.read_bytes()


@pytest.mark.stress
def test_a_video_that_kills_its_workers_is_listed_and_the_others_are_done(
    affect: "Command", several: Path, zarr_alone: Path, small: tuple[str, ...], tmp_path: Path, same_entries: Same
) -> None:
    words = ("extract-features", several, "--store", tmp_path / "store", *small, "--jobs", 2)
    running = affect.start(*words)
    journal = tmp_path / "store" / ".journal" / "3.mp4.journal"

    def kill_whoever_reads_it() -> bool:
        if affect.has_stored_a_block(journal, 0):
            with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
                owner = (journal / "claim").read_text()
                for victim in workers_of(running.pid):
                    if f'"{victim.pid}"' in owner:
                        victim.kill()
        return running.ended()

    wait_until(kill_whoever_reads_it, limit_s=300)
    ended = running.wait()
    assert ended.code == 1
    assert {name for name, status in ended.statuses().items() if status == "failed"} == {"3.mp4"}
    assert "worker process" in ended.videos["3.mp4"]["reason"]
    same_entries(tmp_path / "store", zarr_alone, [f"{number}.mp4" for number in (0, 1, 2, 4, 5)])
    assert affect.run(*words[:-2]).statuses()["3.mp4"] == "done"
    same_entries(tmp_path / "store", zarr_alone)


def test_interrupting_two_jobs_ends_both_and_is_resumed(
    affect: "Command", several: Path, small: tuple[str, ...], tmp_path: Path, zarr_alone: Path, same_entries: Same
) -> None:
    words = ("extract-features", several, "--store", tmp_path / "store", *small)
    running = affect.start(*words, "--jobs", 2)
    wait_until(lambda: running.ended() or affect.has_stored_a_block(tmp_path / "store", 1))
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    ended = running.wait(limit_s=30)
    assert ended.code == 130
    assert "goes on from there" in ended.err
    wait_until(lambda: not [p for p in psutil.process_iter() if _in_group(p, running.pid)], limit_s=30)
    assert affect.run(*words).code == 0
    same_entries(tmp_path / "store", zarr_alone)


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["the run alone", "its workers too"])
def test_two_jobs_killed_with_or_without_their_workers_are_resumed(
    affect: "Command", several: Path, small: tuple[str, ...], tmp_path: Path, zarr_alone: Path, same_entries: Same,
    kill: Callable[[int, int], None],
) -> None:  # fmt: skip
    words = ("extract-features", several, "--store", tmp_path / "store", *small)
    running = affect.start(*words, "--jobs", 2)
    wait_until(lambda: running.ended() or affect.has_stored_a_block(tmp_path / "store", 1))
    kill(running.pid, signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL
    # Workers that outlive their run finish the videos they are at; the next run waits for them.
    again = affect.run(*words)
    assert again.code == 0, again.err
    same_entries(tmp_path / "store", zarr_alone)


def _in_group(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


@pytest.fixture
def cluster() -> Iterator[tuple[str, list[int]]]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    address, *pids = process.stdout.readline().split()
    yield address, [int(pid) for pid in pids]
    process.communicate(timeout=60)


def test_dask_workers_of_which_one_is_killed_make_the_store_of_one_process(
    affect: "Command", several: Path, zarr_alone: Path, small: tuple[str, ...], tmp_path: Path, same_entries: Same,
    cluster: tuple[str, list[int]],
) -> None:  # fmt: skip
    address, pids = cluster
    words = ("extract-features", several, "--store", tmp_path / "store", *small, "--jobs", 2)
    running = affect.start(*words, "--backend", "dask", "--scheduler", address)
    wait_until(lambda: running.ended() or affect.has_stored_a_block(tmp_path / "store", 1))
    assert not running.ended(), running.wait().err
    os.kill(pids[0], signal.SIGKILL)
    ended = running.wait()
    assert ended.code == 0, ended.err + ended.out
    assert set(ended.statuses().values()) <= {"done", "skipped"}
    same_entries(tmp_path / "store", zarr_alone)


def test_an_object_store_holds_the_same_arrays_by_two_jobs(
    affect: "Command", short_films: Path, s3: dict[str, str], tmp_path: Path, same_entries: Same
) -> None:
    location = f"s3://features/jobs-{time.monotonic_ns()}"
    ended = affect.extract(short_films, "--store", location, environment=s3)
    assert ended.code == 0, ended.err
    assert affect.extract(short_films, "--store", tmp_path / "store").code == 0
    same_entries(location, tmp_path / "store")
    again = affect.extract(short_films, "--store", location, environment=s3)
    assert set(again.statuses().values()) == {"skipped"}


def test_ray_makes_the_store_of_one_process(
    affect: "Command", several: Path, zarr_alone: Path, small: tuple[str, ...], tmp_path: Path, same_entries: Same
) -> None:
    words = ("extract-features", several, "--store", tmp_path / "store", *small)
    ended = affect.start(*words, "--backend", "ray", fresh=True).wait()
    assert ended.code == 0, ended.err
    assert set(ended.statuses().values()) == {"done"}
    same_entries(tmp_path / "store", zarr_alone)


def test_a_cluster_that_does_not_answer_has_no_worker_or_one_core_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "ANSWER_S", 2)
    refused = {"tcp://127.0.0.1:9": "no Dask scheduler answers", "nowhere://9": "no Dask scheduler answers"}
    for address, words in refused.items():
        with pytest.raises(ConfigError, match=words):
            list(launch.run_all(launch.Workers(2, "dask", address), iter, [[1]], int))
    for workers, words in ((0, "no Dask worker has joined"), (1, "works on 1 task at a time")):
        with distributed.LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster:
            chosen = launch.Workers(2, "dask", cluster.scheduler_address)
            with pytest.raises(ConfigError, match=words):
                list(launch.run_all(chosen, iter, [[1]], int))


def test_a_client_whose_thread_started_late_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    start, late = distributed.utils.LoopRunner._start_unlocked, iter([True, True])

    def stalled(runner: distributed.utils.LoopRunner) -> None:
        assert not next(late, False)
        start(runner)

    with distributed.LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        monkeypatch.setattr(distributed.utils.LoopRunner, "_start_unlocked", stalled)
        with clusters.joined("dask", cluster.scheduler_address):
            assert next(late, None) is None


def test_a_cluster_that_does_not_answer_is_refused_before_anything_is_made(
    affect: "Command", short_films: Path, small: tuple[str, ...], tmp_path: Path
) -> None:
    nowhere = ("--backend", "dask", "--scheduler", "nowhere://9")
    ended = affect.start("extract-features", short_films, "--store", tmp_path / "store", *small, *nowhere).wait()
    assert ended.code == 2 and "no Dask scheduler answers" in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("package", "words"), [("ray", ()), ("distributed", ("--scheduler", "tcp://127.0.0.1:9"))])
def test_without_a_backend_s_package_the_message_says_how_to_get_it(
    affect: "Command", short_films: Path, small: tuple[str, ...], tmp_path: Path, package: str, words: tuple[str, ...]
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / f"{package}.py").write_text(f"raise ModuleNotFoundError('hidden', name={package!r})")
    backend = {"ray": "ray", "distributed": "dask"}[package]
    ended = affect.start(
        "extract-features", short_films, "--store", tmp_path / "store", "--backend", backend, *words, *small,
        fresh=True, environment={"PYTHONPATH": os.pathsep.join([str(hidden), os.environ.get("PYTHONPATH", "")])},
    ).wait()  # fmt: skip
    assert ended.code == 2
    assert f"pip install 'affect[{backend}]'" in ended.err
    assert not (tmp_path / "store").exists()
