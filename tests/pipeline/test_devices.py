"""Which device a command takes, and which one each of its workers."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from affect.errors import DeviceError
from affect.pipeline.devices import passed_over, resolve_device, spread_devices
from affect.pipeline.workers import Workers, run_all
from affect.tests.simulated_device import simulated

# Each worker's machine has two GPUs; the function tells what the worker sees and was told.
WORK = """
import os, threading
from affect.tests.simulated_device import simulated

if os.getpid() != int(os.environ["HEAD"]):
    MACHINE = simulated("cuda", devices=2)
    MACHINE.__enter__()

BOTH = threading.Barrier(2)

def work(task):
    import time
    time.sleep(1)
    yield task.device, os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()
"""


@dataclass(frozen=True)
class Task:
    device: str
    number: int


def test_auto_leaves_a_gpu_aside_that_torch_has_no_kernels_for_and_says_so() -> None:
    with simulated(has_kernels=False):
        assert resolve_device("auto") == "cpu"
        (words,) = passed_over("auto")
        assert "a simulated device" in words and "no kernel image" in words and "the CPU computes" in words
        assert passed_over("cpu") == ()
        with pytest.raises(DeviceError, match="no kernel image"):
            resolve_device("cuda")
    with simulated():
        assert (resolve_device("auto"), passed_over("auto")) == ("cuda", ())


def test_a_gpu_that_fails_in_another_way_is_an_error_and_no_reason_for_the_cpu() -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")

    with simulated() as machine:
        machine.watch = fail
        assert passed_over("auto") == ()
        for word in ("auto", "cuda"):
            with pytest.raises(DeviceError, match="busy or unavailable"):
                resolve_device(word)


def test_auto_takes_the_gpu_of_a_mac_where_it_works_and_says_where_it_does_not() -> None:
    with simulated("mps", has_float64=False) as machine:
        assert (resolve_device("auto"), passed_over("auto")) == ("mps", ())
        assert machine.computed > 0, "it was tried"
        assert resolve_device("cpu") == "cpu"
        machine.has_kernels = False
        assert resolve_device("auto") == "cpu"
        (words,) = passed_over("auto")
        assert "the CPU computes" in words and "mps" in words and "no kernel image" in words
    assert (resolve_device("auto"), passed_over("auto")) == ("cpu", ())


def test_a_gpu_that_computes_wrongly_is_left_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated("mps", has_float64=False):
        monkeypatch.setattr(torch.nn.functional, "conv2d", lambda *_: torch.zeros(1))
        assert resolve_device("auto") == "cpu"
        assert "nine times one is 0" in passed_over("auto")[0]


def test_workers_here_share_the_devices_here_and_those_of_a_cluster_look_for_their_own() -> None:
    with simulated(devices=3):
        assert spread_devices("cuda", Workers(4).jobs_here) == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
        assert spread_devices("cuda", Workers(4, "ray").jobs_here) == ["cuda"]
        assert spread_devices("cuda", Workers(4, "dask", "tcp://127.0.0.1:9").jobs_here) == ["cuda"]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Task], Iterator[object]]]:
    """A function that a cluster's processes can import."""
    (tmp_path / "gpu_work_of_a_test.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("HEAD", str(os.getpid()))
    import importlib

    yield importlib.import_module("gpu_work_of_a_test").work
    sys.modules.pop("gpu_work_of_a_test")


def test_a_process_here_stays_on_the_device_it_began_with(work: Callable[[Task], Iterator[object]]) -> None:
    tasks = [Task(f"cuda:{number % 3}", number) for number in range(5)]  # whose turns would take each to several
    told = list(run_all(Workers(2), work, tasks, tuple))
    homes = {(pid, device) for device, _, pid in told}
    assert len(told) == 5 and len(homes) == len({pid for pid, _ in homes}), told
    assert len({device for _, device in homes}) >= min(2, len(homes)), (
        "and two take two; a third may follow one that ended"
    )


CLUSTER = """
import sys, distributed
if __name__ == "__main__":
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def test_dask_workers_take_devices_of_their_own_machine(work: Callable[[Task], Iterator[object]]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout is not None
        workers = Workers(4, "dask", cluster.stdout.readline().strip())
        with simulated(devices=4):  # on the machine that plans
            devices = spread_devices("cuda", workers.jobs_here)
        tasks = [Task(devices[number % len(devices)], number) for number in range(4)]
        told = list(run_all(workers, work, tasks, tuple))
        cluster.communicate(timeout=60)
    assert len({pid for _, _, pid in told}) == 2, "both worked"
    assert {device for device, _, _ in told} <= {"cuda:0", "cuda:1"}, told


def test_ray_gives_each_worker_a_gpu_of_its_own(work: Callable[[Task], Iterator[object]]) -> None:
    import ray

    ray.init(num_cpus=4, num_gpus=2, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    try:
        told = list(run_all(Workers(2, "ray"), work, [Task("cuda", number) for number in range(4)], tuple))
        cpu = list(run_all(Workers(2, "ray"), work, [Task("cpu", number) for number in range(2)], tuple))
    finally:
        ray.shutdown()
    assert len({pid for _, _, pid in told}) == 2, "both worked"
    assert {(device, seen) for device, seen, _ in told} == {("cuda", "0"), ("cuda", "1")}, told
    assert [device for device, _, _ in cpu] == ["cpu"] * 2
