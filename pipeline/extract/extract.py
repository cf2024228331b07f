"""`affect extract-features`: videos into a store, each once, resumed where it stopped, and never lied about."""

import contextlib
import functools
import multiprocessing
import queue as queue_module
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...cache.opening import create_store, open_store
from ...cache.records import FrameStatus
from ...cache.store import Store
from ...configs.schema import FeaturesConfig
from ...errors import BusyError, EntryError, VideoError
from ..workers import WorkerDiedError, Workers, resolve_device, run_all, spread_devices
from .plan import VideoOutcome, plan
from .videos import Source

if TYPE_CHECKING:
    from ...stages.features.stream import FeatureExtractor

BUSY_POLL_S = 2.0


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the extraction of one video stands."""

    id: str
    position_s: float
    duration_s: float | None
    frames: int  # kept so far


@dataclass(slots=True)
class ExtractionSummary:
    """Outcomes of a run, in the order they came."""

    store: str
    outcomes: list[VideoOutcome] = field(default_factory=list)
    seconds: float = 0.0

    def of(self, status: str) -> list[VideoOutcome]:
        """Outcomes with this status."""
        return [outcome for outcome in self.outcomes if outcome.status == status]


@dataclass(frozen=True, slots=True)
class Listener:
    """What a caller may want to hear of a run while it goes."""

    planned: Callable[[int], None] = lambda videos: None
    moved: Callable[[Moved], None] = lambda moved: None
    finished: Callable[[VideoOutcome], None] = lambda outcome: None


@dataclass(frozen=True, slots=True)
class ExtractionTask:
    """One video for a worker, with all the worker needs to know."""

    source: Source
    store: str
    config: FeaturesConfig
    device: str
    threads: int
    overwrite: bool


def extract_videos(
    sources: Sequence[Source],
    location: str,
    config: FeaturesConfig,
    *,
    store_format: str | None = None,
    device: str = "auto",
    workers: Workers | None = None,
    overwrite: bool = False,
    verify: bool = False,
    listener: Listener | None = None,
) -> ExtractionSummary:
    """Every video of `sources` in the store at `location`; a failed one does not stop the others.

    `verify` reads the checksums of what is stored, and extracts again what is damaged.
    Errors: StoreError for a store of another recipe, DeviceError, WeightsError.
    """
    workers, listener = workers or Workers(), listener or Listener()
    started = time.monotonic()
    device = resolve_device(device)
    recipe = _extractor(config, device, workers.threads, threading.get_ident()).recipe
    store = create_store(location, recipe, store_format, _weights_file(config))
    summary = ExtractionSummary(location)

    def finish(outcome: VideoOutcome) -> None:
        summary.outcomes.append(outcome)
        listener.finished(outcome)

    todo = plan(store, sources, overwrite=overwrite, verify=verify, finish=finish)
    listener.planned(len(todo))
    devices = spread_devices(device, workers.jobs)
    while todo:
        busy: list[Source] = []
        tasks = [
            ExtractionTask(source, location, config, devices[number % len(devices)], workers.threads, overwrite or redo)
            for number, (source, redo) in enumerate(todo)
        ]
        with _heard_here(workers, listener.moved) as moved:
            for task, outcome in _outcomes(workers, tasks, moved):
                if outcome.status == "busy":
                    busy.append(task.source)
                else:
                    finish(outcome)
        if busy:  # another run is on them: wait for it to finish, or to die
            time.sleep(BUSY_POLL_S)
        todo = plan(store, busy, overwrite=False, verify=False, finish=finish)
    summary.seconds = time.monotonic() - started
    return summary


def _outcomes(
    workers: Workers, tasks: Sequence[ExtractionTask], moved: Callable[[Moved], None] | None
) -> Iterator[tuple[ExtractionTask, VideoOutcome]]:
    """One outcome a task, whatever becomes of the workers.

    A death takes every video along that was under way, and which one caused it is not known: each of those is then
    tried alone, and listed as failed where its worker dies again.
    """
    rounds = [list(tasks)]
    while rounds:
        waiting = {task.source.id: task for task in rounds.pop(0)}
        alone = len(waiting) == 1
        try:
            for outcome in run_all(workers, extract_one, [(task, moved) for task in waiting.values()]):
                yield waiting.pop(outcome.id), outcome
        except WorkerDiedError as death:
            left = list(waiting.values())
            if alone and left:
                reason = f"its worker process died: {death}\nHint: fewer --jobs need less memory"
                yield left[0], VideoOutcome(left[0].source.id, str(left[0].source.path), "failed", reason)
            else:
                rounds = [[task] for task in left[: workers.jobs]] + [left[workers.jobs :]] + rounds


def _weights_file(config: FeaturesConfig) -> str | None:
    """Where the backbone's weights lie, for whoever has to make such features again."""
    if config.weights is None or not Path(config.weights).is_file():
        return config.weights  # what comes with the backbone's name, or the word "random"
    return str(Path(config.weights).resolve())


@contextlib.contextmanager
def _heard_here(workers: Workers, moved: Callable[[Moved], None]) -> Iterator[Callable[[Moved], None] | None]:
    """`moved` as something a worker can call; None on a cluster, where only finished videos are heard of."""
    if workers.in_process:
        yield moved
    elif workers.backend != "loky":
        yield None
    else:
        with multiprocessing.Manager() as manager:
            queue: queue_module.Queue[Moved | None] = manager.Queue()

            def relay_all() -> None:
                for item in iter(queue.get, None):
                    moved(item)

            relay = threading.Thread(target=relay_all, daemon=True)
            relay.start()
            yield queue.put
            queue.put(None)
            relay.join()


def extract_one(task: ExtractionTask, moved: Callable[[Moved], None] | None = None) -> VideoOutcome:
    """Extract one video in this process; what a worker runs."""
    extractor = _extractor(task.config, task.device, task.threads, threading.get_ident())
    return extract_into(open_store(task.store), task.source, extractor, overwrite=task.overwrite, moved=moved)


def extract_into(
    store: Store,
    source: Source,
    extractor: "FeatureExtractor",
    *,
    overwrite: bool = False,
    moved: Callable[[Moved], None] | None = None,
) -> VideoOutcome:
    """One video's features in `store`, resumed from its journal if there is one."""
    from ...stages.features.fingerprint import fingerprint

    path = str(source.path)
    try:
        if not source.path.is_file():
            raise VideoError(f"{path} is not a file that can be read; expected a video")
        found = _stamp(source.path)
        mark = fingerprint(source.path)
        with store.writer(source.id, mark, overwrite=overwrite) as writer:
            stream = extractor.stream(source.path, writer.state, writer.frames)
            try:
                for block, state in stream:
                    writer.append(block, state)
                    if moved is not None:
                        moved(Moved(source.id, stream.position_s, stream.duration_s, writer.frames))
                info = stream.info(mark)
            finally:
                stream.close()
            if _stamp(source.path) != found and fingerprint(source.path) != mark:
                raise VideoError(f"{path} changed while it was read", hint="run again once it is complete")
            writer.commit(info)
            frames, rows = writer.frames, writer.rows
        status = store.entry(source.id, ("status",)).arrays["status"]
        with_face = int((status == FrameStatus.OK).sum())
    except BusyError as error:
        return VideoOutcome(source.id, path, "busy", str(error))
    except (VideoError, EntryError, OSError, MemoryError) as error:
        if isinstance(error, EntryError) and not overwrite and source.id in store.ids():
            # Another run finished it since this one made its plan; the next plan looks at what it stored.
            return VideoOutcome(source.id, path, "busy", str(error))
        return VideoOutcome(source.id, path, "failed", str(error) or type(error).__name__)
    share = with_face / frames if frames else 0.0
    return VideoOutcome(source.id, path, "done", "", frames, rows, share, info.warnings)


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@functools.lru_cache(maxsize=2)
def _extractor(config: FeaturesConfig, device: str, threads: int, thread: int) -> "FeatureExtractor":
    """The detector and backbone of this worker thread, loaded once and kept for its next video."""
    from ...stages.features.stream import FeatureExtractor

    return FeatureExtractor(config, device, threads)
