"""Where work runs: devices, threads for each worker, and joblib's backends for one machine or many."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Literal, TypeVar

from ..errors import ConfigError, first_line
from ..stages.features.heap import share_one_heap
from .devices import at_home

Value = TypeVar("Value")
# What a worker's death is called: loky's names, Dask's, and Ray's.
DEATHS = {"TerminatedWorkerError", "BrokenProcessPool", "KilledWorker", "WorkerCrashedError", "RayActorError"}
LOST_NODE_S, LOST_NODE_TRIES = 10, 2  # Ray gives work to a node that is gone until it has missed some heartbeats
ANSWER_S = 30  # a scheduler, or a first worker, that takes longer is not there
Backend = Literal["loky", "dask", "ray"]
_of_this_thread = threading.local()


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

    def pool(self, tasks: int) -> int:
        """Processes for so many tasks: no more than there is work or cores; never one, which would be this process.

        A cluster has cores of its own.
        """
        return self.jobs if self.backend != "loky" else max(2, min(self.jobs, tasks, cores()))

    @property
    def jobs_here(self) -> int:
        """Processes on this machine, which may share its devices; a cluster's workers look for their own."""
        return self.jobs if self.backend == "loky" else 1

    @property
    def in_process(self) -> bool:
        """Whether the work runs here, without another process."""
        return self.backend == "loky" and self.jobs == 1

    @property
    def threads(self) -> int:
        """CPU threads for each task: this machine's cores shared among the jobs; one on a cluster, which gives every
        core a task."""
        return max(1, cores() // min(self.jobs, cores())) if self.backend == "loky" else 1


@dataclass(frozen=True, slots=True)
class Died:
    """A task without an answer: its worker process ended, also when the task was tried alone."""

    task: Any
    reason: str


class _WorkerDiedError(Exception):
    """A worker process was killed, ran out of memory, or crashed in a library; every task under way is lost."""


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def held(kind: str, key: Hashable, make: Callable[[], Value]) -> Value:
    """This thread's own `make()`, the same object for as long as `key` stays the same.

    One object a kind: another key frees the one before, and the end of the thread frees all.
    """
    if getattr(_of_this_thread, kind, (None,))[0] != key:
        let_go(kind)
        setattr(_of_this_thread, kind, (key, make()))
    value: Value = getattr(_of_this_thread, kind)[1]
    return value


def let_go(kind: str) -> None:
    """Free what this thread holds of a kind."""
    if hasattr(_of_this_thread, kind):
        delattr(_of_this_thread, kind)


def run_all(
    workers: Workers, function: Callable[[Any], Iterator[Any]], tasks: Sequence[Any], answer: type
) -> Generator[Any, None, None]:
    """Every event of `function(task)` for every task, as they come; a `Died` for a task that ends its worker.

    `function` is a generator function of this package, and its last event, the one of type `answer`, is its answer;
    from a cluster only the answers come, and its tasks name a device. A death takes along every task under way, and
    which one caused it is not known: each of those is tried once more, alone. Closing the generator ends the processes
    here at once; a cluster finishes what it is at.
    """
    if workers.in_process:
        for task in tasks:
            yield from function(task)
        return
    run_one = partial(_run_one, function, answer)
    more = 0 if workers.backend == "loky" else LOST_NODE_TRIES
    rounds = [(list(tasks), more)]  # each with how often a lone task may die and be tried again
    while rounds:
        together, tries = rounds.pop(0)
        waiting = dict(enumerate(together))
        alone = len(waiting) == 1
        try:
            with contextlib.closing(_run_together(workers, run_one, dict(waiting))) as events:
                for number, event, is_answer in events:
                    if is_answer:
                        del waiting[number]
                    yield event
        except _WorkerDiedError as death:
            left = list(waiting.values())
            if alone and left and tries:
                time.sleep(LOST_NODE_S)
                rounds.insert(0, (left, tries - 1))
            elif alone and left:
                yield Died(left[0], f"its worker process died: {death}\nHint: fewer --jobs need less memory")
            else:
                under_way = workers.pool(len(left))
                rounds = [*(([task], more) for task in left[:under_way]), (left[under_way:], more), *rounds]


def _run_together(
    workers: Workers, run_one: Callable[..., tuple[int, Any]], tasks: dict[int, Any]
) -> Generator[tuple[int, Any, bool], None, None]:
    """(task number, event, whether it is the answer) of tasks that share a pool. Errors: _WorkerDiedError."""
    if not tasks:
        return
    if workers.backend != "loky":
        with contextlib.closing(_answers(workers, run_one, tasks, None)) as answers:
            yield from ((number, answer, True) for number, answer in answers)
        return
    import multiprocessing

    arrived: SimpleQueue[tuple[int, Any, bool] | BaseException | None] = SimpleQueue()
    with multiprocessing.Manager() as manager:
        channel = manager.Queue()

        def pass_on_events() -> None:
            for number, event in iter(channel.get, None):
                arrived.put((number, event, False))

        def pass_on_answers() -> None:
            try:
                for number, answer in _answers(workers, run_one, tasks, channel):
                    arrived.put((number, answer, True))
                arrived.put(None)
            except BaseException as error:  # noqa: BLE001 - it is raised again where the events are read
                arrived.put(error)

        threads = [threading.Thread(target=work, daemon=True) for work in (pass_on_events, pass_on_answers)]
        for thread in threads:
            thread.start()
        answered = set()
        try:
            while (item := arrived.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                if item[2]:
                    answered.add(item[0])
                elif item[0] in answered:
                    continue  # overtaken on its way
                yield item
        finally:
            _end_processes(kill=len(answered) < len(tasks))
            channel.put(None)
            for thread in threads:
                thread.join()


def _answers(
    workers: Workers, run_one: Callable[..., tuple[int, Any]], tasks: dict[int, Any], channel: Any
) -> Generator[tuple[int, Any], None, None]:
    """(task number, answer) in the order they are finished; what comes before an answer goes into the channel."""
    import joblib

    calls = (joblib.delayed(run_one)(number, task, channel) for number, task in tasks.items())
    # Ray's backend gives its results at the end alone, and takes all of the cluster for -1, as Dask's always does.
    given = "list" if workers.backend == "ray" else "generator_unordered"
    jobs = -1 if workers.backend != "loky" and workers.jobs == 1 else workers.pool(len(tasks))
    options: dict[str, Any] = {"inner_max_num_threads": workers.threads} if workers.backend == "loky" else {}
    with joined(workers):
        if workers.backend == "ray":
            jobs, options = _ray_share(jobs, any(task.device.startswith("cuda") for task in tasks.values()))
        try:
            with joblib.parallel_config(workers.backend, **options):
                yield from joblib.Parallel(n_jobs=jobs, return_as=given, batch_size=1)(calls)
        except Exception as error:
            # Named by word: Dask and Ray may not be installed.
            if DEATHS.isdisjoint(kind.__name__ for kind in type(error).__mro__):
                raise
            raise _WorkerDiedError(str(error).split("\n")[0]) from error


def _ray_share(jobs: int, on_gpus: bool) -> tuple[int, dict[str, Any]]:
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


def _run_one(
    function: Callable[[Any], Iterator[Any]], answer: type, number: int, task: Any, channel: Any
) -> tuple[int, Any]:
    """The task's answer, in the worker; each event before it goes into the channel at once."""
    if channel is not None:  # a process of ours; a cluster's may do other work besides
        own_process()
    else:
        task = at_home(task)
    for event in function(task):
        if isinstance(event, answer):
            return number, event
        if channel is not None:
            channel.put((number, event))
    raise AssertionError(f"{function} ended without its {answer.__name__}")


def own_process() -> None:
    """Set this process up for our work alone: the program calls it, an import never does."""
    share_one_heap()


def _end_processes(kill: bool) -> None:
    """End joblib's processes here, which would hold their networks for minutes more; at once where they are busy."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=kill)


@contextlib.contextmanager
def joined(workers: Workers) -> Iterator[None]:
    """The workers' cluster, where they have one, is reached for as long as this lasts; it may be joined again inside.

    Errors: ConfigError for a cluster that does not answer, or is too small.
    """
    if workers.backend == "dask":
        with _dask_cluster(str(workers.scheduler)):
            yield
    elif workers.backend == "ray":
        with _ray_cluster(workers.scheduler):
            yield
    else:
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
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--backend {extra} needs the package {error.name}", hint=f"pip install 'affect[{extra}]'"
        ) from error
