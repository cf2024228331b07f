"""Where work runs: devices, threads for each worker, and joblib's backends for one machine or many."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ..errors import ConfigError, DeviceError, first_line
from ..stages.features.heap import share_one_heap

Result = TypeVar("Result")
# What a worker's death is called: loky's names, Dask's, and Ray's.
DEATHS = {"TerminatedWorkerError", "BrokenProcessPool", "KilledWorker", "WorkerCrashedError", "RayActorError"}
ANSWER_S = 30  # a scheduler, or a first worker, that takes longer is not there
Backend = Literal["loky", "dask", "ray"]


class WorkerDiedError(Exception):
    """A worker process ended without an answer: killed, out of memory, or crashed in a library."""


@dataclass(frozen=True, slots=True)
class Workers:
    """How many processes, and who runs them."""

    jobs: int = 1
    backend: Backend = "loky"
    scheduler: str | None = None  # address of a running Dask scheduler or Ray head

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ConfigError(f"--jobs is {self.jobs}; expected at least 1")
        if self.backend == "dask" and self.scheduler is None:
            raise ConfigError("--backend dask needs the scheduler's address", hint="--scheduler tcp://HOST:8786")

    @property
    def in_process(self) -> bool:
        """Whether the work runs here, without another process."""
        return self.backend == "loky" and self.jobs == 1

    @property
    def threads(self) -> int:
        """CPU threads for each task: this machine's cores shared among the jobs; one on a cluster, which gives every
        core a task."""
        return max(1, len(os.sched_getaffinity(0)) // self.jobs) if self.backend == "loky" else 1


def resolve_device(name: str) -> str:
    """`auto` as the best device here, any other name checked. Errors: DeviceError for one this machine lacks."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"--device {name!r} is no device", hint="--device auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count <= (device.index or 0):
            raise DeviceError(
                f"--device {name}: this machine has {count} CUDA devices", hint="--device auto uses what is there"
            )
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("--device mps: not available here", hint="--device auto uses what is there")
    elif device.type not in ("cpu", "mps"):
        raise DeviceError(f"--device {name}: expected auto, cpu, cuda, cuda:N or mps", hint="--device auto")
    return name


def spread_devices(device: str, jobs: int) -> list[str]:
    """One device a worker: with several GPUs, `cuda` becomes `cuda:0`, `cuda:1`, ... in turn."""
    if device != "cuda" or jobs == 1:
        return [device] * jobs
    import torch

    count = max(1, torch.cuda.device_count())
    return [f"cuda:{worker % count}" for worker in range(jobs)]


def run_all(workers: Workers, function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]]) -> Iterator[Result]:
    """Results of `function(*task)` in the order they finish. `function` must live in the package.

    Errors: WorkerDiedError, with which every task that is under way is lost.
    """
    import joblib

    if workers.in_process:
        yield from (function(*task) for task in tasks)
        return
    if workers.backend == "loky":  # whose processes are ours; a cluster's may do other work besides
        calls = (joblib.delayed(_in_own_process)(function, *task) for task in tasks)
    else:
        calls = (joblib.delayed(function)(*task) for task in tasks)
    # Ray's backend gives its results at the end alone, and takes all of the cluster for -1, as Dask's always does.
    given = "list" if workers.backend == "ray" else "generator_unordered"
    jobs = -1 if workers.backend != "loky" and workers.jobs == 1 else workers.jobs
    with _backend(workers), _deaths_named():
        yield from joblib.Parallel(n_jobs=jobs, return_as=given, batch_size=1)(calls)


def own_process() -> None:
    """Set this process up for our work alone: the program calls it, an import never does."""
    share_one_heap()


def _in_own_process(function: Callable[..., Result], *task: Any) -> Result:
    own_process()
    return function(*task)


@contextlib.contextmanager
def _deaths_named() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Named by word: Dask and Ray may not be installed.
        if DEATHS.isdisjoint(kind.__name__ for kind in type(error).__mro__):
            raise
        raise WorkerDiedError(str(error).split("\n")[0]) from error


@contextlib.contextmanager
def _backend(workers: Workers) -> Iterator[None]:
    import joblib

    if workers.backend == "loky":
        with joblib.parallel_config("loky", inner_max_num_threads=workers.threads):
            yield
    elif workers.backend == "dask":
        with _dask_cluster(str(workers.scheduler)), joblib.parallel_config("dask"):
            yield
    else:
        _join_ray(workers.scheduler)
        with joblib.parallel_config("ray"):
            yield


@contextlib.contextmanager
def _dask_cluster(address: str) -> Iterator[None]:
    distributed = _optional("distributed", "dask")
    try:
        client = distributed.Client(address, timeout=ANSWER_S)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--scheduler {address}: no Dask scheduler answers ({first_line(error)})",
            hint="start one with `dask scheduler`, and `dask worker ADDRESS` on each machine",
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=ANSWER_S)
        except TimeoutError as error:
            raise ConfigError(
                f"--scheduler {address}: no Dask worker has joined it after {ANSWER_S} s",
                hint=f"run `dask worker {address}` on each machine",
            ) from error
        _require_cores(sum(client.ncores().values()), f"the Dask cluster at {address}")
        yield


def _join_ray(address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use over the network
    ray = _optional("ray", "ray")
    _optional("ray.util.joblib", "ray").register_ray()
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"--scheduler {address}: no Ray cluster answers ({first_line(error)})",
            hint="start one with `ray start --head`, and `ray start --address ADDRESS` on each machine",
        ) from error
    _require_cores(int(ray.cluster_resources().get("CPU", 0)), "the Ray cluster")


def _require_cores(cores: int, where: str) -> None:
    """Errors: ConfigError for a cluster that joblib would leave aside, and do the work in this process."""
    if cores < 2:
        raise ConfigError(
            f"{where} works on {cores} task at a time; expected at least 2, as joblib needs to use a cluster",
            hint="add a worker, or give one more threads (`dask worker --nthreads 2`, `ray start --num-cpus 2`)",
        )


def _optional(module: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--backend {extra} needs the package {error.name}", hint=f"pip install 'affect[{extra}]'"
        ) from error
