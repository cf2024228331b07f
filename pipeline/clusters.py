"""Clusters that are there already: a Dask scheduler or a Ray head is joined for as long as work lasts."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

from ..errors import ConfigError, first_line

ANSWER_S = 30  # a scheduler, or a first worker, that takes longer is not there
STARTS = 3  # of Dask's client, whose thread must run within ten seconds, and on a machine that stalls does not


@contextlib.contextmanager
def joined(backend: str, scheduler: str | None) -> Iterator[None]:
    """The workers' cluster, where they have one, is reached for as long as this lasts; it may be joined again inside.

    backend: loky, which has none, dask or ray; scheduler: its address.
    Errors: ConfigError for a cluster that does not answer, or is too small.
    """
    if backend == "dask":
        with _dask_cluster(str(scheduler)):
            yield
    elif backend == "ray":
        with _ray_cluster(scheduler):
            yield
    else:
        yield


@contextlib.contextmanager
def _dask_cluster(address: str) -> Iterator[None]:
    distributed = _optional("distributed", "dask")
    try:
        client = _dask_client(distributed, address)
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


def _dask_client(distributed: Any, address: str) -> Any:
    for _ in range(STARTS - 1):
        with contextlib.suppress(AssertionError):  # all that the library says of a thread that was late
            return distributed.Client(address, timeout=ANSWER_S)
    return distributed.Client(address, timeout=ANSWER_S)


@contextlib.contextmanager
def _ray_cluster(address: str | None) -> Iterator[None]:
    with _environment("RAY_DEDUP_LOGS_SKIP_REGEX", "."):  # Ray would print what becomes of nodes among our words
        ray = _optional("ray", "ray")
    _optional("ray.util.joblib", "ray").register_ray()
    joined = not ray.is_initialized()
    if joined:
        try:
            with _environment("RAY_USAGE_STATS_ENABLED", "0"):  # Ray would report its use over the network
                ray.init(address=address, log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"--scheduler {address}: no Ray cluster answers ({first_line(error)})",
                hint="start one with `ray start --head`, and `ray start --address ADDRESS` on each machine",
            ) from error
    try:
        _require_cores(int(ray.cluster_resources().get("CPU", 0)), "the Ray cluster")
        yield
    finally:
        if joined:
            ray.shutdown()


def ray_share(jobs: int, on_gpus: bool) -> tuple[int, dict[str, Any]]:
    """How many processes, and what each asks for: no more than there are cores, which Ray refuses, and a node may be
    lost; and a share of a GPU, as Ray hides those that were not asked for.

    Errors: ConfigError for a cluster that counts no GPU.
    """
    found = _optional("ray", "ray").cluster_resources()
    most, gpus = int(found.get("CPU", 0)), int(found.get("GPU", 0))
    if not on_gpus:
        return min(jobs, most), {}
    if gpus == 0:
        raise ConfigError(
            "the Ray cluster counts no GPU", hint="`ray start --num-gpus N` on each machine, or --device cpu"
        )
    jobs = min(most, max(2, gpus if jobs == -1 else jobs))  # joblib does the work of one itself
    return jobs, {"ray_remote_args": {"num_gpus": 10_000 // -(-jobs // gpus) / 10_000}}


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable of the environment, for a while; one that is set stays as it is."""
    known = name in os.environ
    os.environ.setdefault(name, value)
    try:
        yield
    finally:
        if not known:
            os.environ.pop(name, None)


def _require_cores(cores: int, where: str) -> None:
    """Errors: ConfigError for a cluster that joblib would leave aside, and do the work in this process."""
    if cores < 2:
        raise ConfigError(
            f"{where} works on {cores} task at a time; expected at least 2, as joblib needs to use a cluster",
            hint="add a worker, or give one more threads (`dask worker --nthreads 2`, `ray start --num-cpus 2`)",
        )


def _optional(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--backend {extra} needs the package {error.name}", hint=f"pip install 'affect[{extra}]'"
        ) from error
