"""Where work runs: in threads, in processes of this machine, or on a cluster, and what becomes of one that dies."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from typing import Any, Literal, TypeVar

from ..errors import ConfigError
from ..stages.features.heap import share_one_heap
from .clusters import joined, ray_share
from .devices import at_home

Value = TypeVar("Value")
# What a worker's death is called: loky's names, Dask's, and Ray's.
DEATHS = {"TerminatedWorkerError", "BrokenProcessPool", "KilledWorker", "WorkerCrashedError", "RayActorError"}
LOST_NODE_S, LOST_NODE_TRIES = 10, 2  # Ray gives work to a node that is gone until it has missed some heartbeats
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
    from ..cache import system  # which brings numpy along: too much for `--help`

    return system.cores()


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


def run_beside(
    function: Callable[[Any], Generator[Any, None, None]], tasks: Sequence[Any], at_once: int
) -> Generator[Any, None, None]:
    """Every event of `function(task)` for every task, of so many at once in threads of this process, as they come.

    For work whose expensive part is one for all of them, as a GPU is. What one raises is raised here and ends all.
    Closing the generator closes each task at its next event.
    """
    arrived: SimpleQueue[tuple[Any, BaseException | None, bool]] = SimpleQueue()
    ended = threading.Event()

    def work(task: Any) -> None:
        try:
            with contextlib.closing(function(task)) as events:
                for event in events:
                    arrived.put((event, None, False))
                    if ended.is_set():
                        return
            arrived.put((None, None, True))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the events are read
            arrived.put((None, error, True))

    pool = ThreadPoolExecutor(at_once, "beside")
    try:
        for task in tasks:
            pool.submit(work, task)
        left = len(tasks)
        while left:
            event, error, is_end = arrived.get()
            if error is not None:
                raise error
            if is_end:
                left -= 1
            else:
                yield event
    finally:
        ended.set()
        pool.shutdown(cancel_futures=True)


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
        homes = (
            manager.Lock(),
            manager.dict(),
            list(dict.fromkeys(getattr(task, "device", "") for task in tasks.values())),
        )

        def pass_on_events() -> None:
            for number, event in iter(channel.get, None):
                arrived.put((number, event, False))

        def pass_on_answers() -> None:
            try:
                for number, answer in _answers(workers, run_one, tasks, (channel, homes)):
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
    workers: Workers, run_one: Callable[..., tuple[int, Any]], tasks: dict[int, Any], here: tuple[Any, Any] | None
) -> Generator[tuple[int, Any], None, None]:
    """(task number, answer) in the order they are finished.

    here: of processes here, the channel that takes what comes before an answer, and the devices they share out.
    """
    import joblib

    calls = (joblib.delayed(run_one)(number, task, here) for number, task in tasks.items())
    # Ray's backend gives its results at the end alone, and takes all of the cluster for -1, as Dask's always does.
    given = "list" if workers.backend == "ray" else "generator_unordered"
    jobs = -1 if workers.backend != "loky" and workers.jobs == 1 else workers.pool(len(tasks))
    options: dict[str, Any] = {"inner_max_num_threads": workers.threads} if workers.backend == "loky" else {}
    with joined(workers.backend, workers.scheduler):
        if workers.backend == "ray":
            jobs, options = ray_share(jobs, any(task.device.startswith("cuda") for task in tasks.values()))
        try:
            with joblib.parallel_config(workers.backend, **options):
                yield from joblib.Parallel(n_jobs=jobs, return_as=given, batch_size=1)(calls)
        except Exception as error:
            # Named by word: Dask and Ray may not be installed.
            if DEATHS.isdisjoint(kind.__name__ for kind in type(error).__mro__):
                raise
            raise _WorkerDiedError(str(error).split("\n")[0]) from error


def _run_one(
    function: Callable[[Any], Iterator[Any]], answer: type, number: int, task: Any, here: tuple[Any, Any] | None
) -> tuple[int, Any]:
    """The task's answer, in the worker; each event before it goes into the channel at once."""
    if here is None:
        task = at_home(task)  # a cluster's process, which may do other work besides
    else:
        own_process()
        task = _settled(task, here[1])
    for event in function(task):
        if isinstance(event, answer):
            return number, event
        if here is not None:
            here[0].put((number, event))
    raise AssertionError(f"{function} ended without its {answer.__name__}")


def _settled(task: Any, homes: tuple[Any, Any, list[str]]) -> Any:
    """The task on the device that this process took with its first one: its networks are loaded once, not on each.

    homes: a lock, the device of each process by its number, and all devices; the one with the fewest is taken.
    """
    if not hasattr(task, "device"):
        return task
    if not hasattr(_of_this_thread, "home"):
        from ..cache.system import started

        lock, taken, devices = homes
        with lock:
            living = [device for process, device in taken.items() if started(process) is not None]
            taken[os.getpid()] = _of_this_thread.home = min(devices, key=living.count)
    return replace(task, device=_of_this_thread.home)


def own_process() -> None:
    """Set this process up for our work alone: the program calls it, an import never does."""
    share_one_heap()


def _end_processes(kill: bool) -> None:
    """End joblib's processes here, which would hold their networks for minutes more; at once where they are busy."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=kill)
