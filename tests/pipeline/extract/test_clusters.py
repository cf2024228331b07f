"""Both stages on a cluster of two nodes, of which one is killed at work: nothing is lost, and no number differs."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from affect.tests.generated import GeneratedData, generated_features

if TYPE_CHECKING:
    from .conftest import Command

# Each prints the cluster's address, kills its second node when it is told to, and ends with its input.
DASK = """
import subprocess, sys, distributed

if __name__ == "__main__":
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, processes=True) as cluster:
        address = cluster.scheduler_address
        words = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "2", "--no-nanny",
                 "--no-dashboard"]
        nodes = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
        with distributed.Client(address) as client:
            client.wait_for_workers(2, timeout=60)
        print(address, flush=True)
        for line in sys.stdin:
            nodes[1].kill()
            print("killed", flush=True)
        for node in nodes:
            node.kill()
"""
RAY = """
import sys
from ray.cluster_utils import Cluster

if __name__ == "__main__":
    size = {"num_cpus": 2, "object_store_memory": 100 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    other = cluster.add_node(**size)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        cluster.remove_node(other, allow_graceful=False)
        print("killed", flush=True)
    cluster.shutdown()
"""
TINY = (
    "evaluation.protocol=leave-one-subject-out", "model.width=16", "model.heads=2", "model.layers=1",
    "model.feed_forward=32", "training.epochs=20", "training.seeds=1", "clips.context=1",
)  # fmt: skip


class Cluster:
    """Two nodes of a backend, in processes of their own."""

    def __init__(self, backend: str) -> None:
        script = {"dask": DASK, "ray": RAY}[backend]
        self._process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"},
        )  # fmt: skip
        self.words = ("--backend", backend, "--scheduler", self._line(), "--jobs", 2)

    def kill_a_node(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("kill\n")
        self._process.stdin.flush()
        assert self._line() == "killed"

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


# Ray takes half a minute and more to see that a node is gone and to start anew.
@pytest.fixture(params=["dask", pytest.param("ray", marks=pytest.mark.stress)])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    made = Cluster(request.param)
    yield made
    made.close()


def wait_until(holds: Callable[[], bool], limit_s: float = 240) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_nodes_of_which_one_is_killed_extract_what_one_process_extracts(
    cluster: Cluster, affect: "Command", film: Callable[..., Path], small: tuple[str, ...], tmp_path: Path,
    same_entries: Callable[..., None],
) -> None:  # fmt: skip
    for number in range(4):
        film(tmp_path / "films" / f"{number}.mp4", 4 + number / 5)
    assert affect.extract(tmp_path / "films", "--store", tmp_path / "alone").code == 0
    words = ("extract-features", tmp_path / "films", "--store", tmp_path / "store", *small, *cluster.words)
    running = affect.start(*words, fresh=True)
    wait_until(lambda: running.ended() or affect.has_stored_a_block(tmp_path / "store", 1))
    assert not running.ended(), running.wait().err
    cluster.kill_a_node()
    ended = running.wait(limit_s=240)
    assert ended.code == 0, ended.err + ended.out
    assert set(ended.statuses().values()) <= {"done", "skipped"}
    same_entries(tmp_path / "store", tmp_path / "alone")


def test_two_nodes_of_which_one_is_killed_train_what_one_process_trains(
    cluster: Cluster, affect: "Command", tmp_path: Path
) -> None:
    data = GeneratedData(subjects=6, video_frames=(160, 160), noise=0.3)
    generated_features(tmp_path / "store", tmp_path / "labels.csv", data)
    settings = [word for setting in TINY for word in ("--set", setting)]
    words = ("train-temporal", "--store", tmp_path / "store", "--labels", tmp_path / "labels.csv", *settings)
    assert affect.run(*words, "--run", tmp_path / "alone").code == 0
    running = affect.start(*words, "--run", tmp_path / "run", *cluster.words, fresh=True)
    folds = tmp_path / "run" / "folds"
    wait_until(lambda: running.ended() or len(list(folds.glob("*/events*"))) > 1)
    assert not running.ended(), running.wait().err
    cluster.kill_a_node()
    ended = running.wait(limit_s=240)
    assert ended.code == 0, ended.err + ended.out
    tables = [list(csv.reader((tmp_path / run / "predictions.csv").open())) for run in ("run", "alone")]
    assert len(tables[0]) > 60 and tables[0] == tables[1]
