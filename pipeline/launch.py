"""Where work runs: devices, threads for each worker, and joblib's backends for one machine or many."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ..errors import ConfigError, DeviceError

Result = TypeVar("Result")
DEATHS = {"TerminatedWorkerError", "BrokenProcessPool", "KilledWorker", "WorkerCrashedError"}  # loky's, Dask's, Ray's
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
    calls = (joblib.delayed(function)(*task) for task in tasks)
    with _backend(workers), _deaths_named():
        yield from joblib.Parallel(n_jobs=workers.jobs, return_as="generator_unordered", batch_size=1)(calls)


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
        distributed = _optional("distributed", "dask")
        with distributed.Client(workers.scheduler), joblib.parallel_config("dask"):
            yield
    else:
        ray = _optional("ray", "ray")
        _optional("ray.util.joblib", "ray").register_ray()
        ray.init(address=workers.scheduler, ignore_reinit_error=True, log_to_driver=False)
        with joblib.parallel_config("ray"):
            yield


def _optional(module: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--backend {extra} needs the package {error.name}", hint=f"pip install 'affect[{extra}]'"
        ) from error
