"""`affect extract-features`: the features of every video in a store, each made once."""

import contextlib
import csv
import io
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...cache.files import write_whole
from ...cache.opening import create_store, open_store, store_exists
from ...cache.pictures import are_pictures
from ...cache.records import FrameStatus, Recipe
from ...cache.store import Store
from ...configs.plain_text import cell
from ...configs.schema import FeaturesConfig
from ...configs.trust import RANDOM
from ...errors import UNNAMED, BusyError, DiskError, EntryError, InputError, VideoError, named
from ..devices import passed_over, resolve_device, spread_devices
from ..events import Moved, Planned, VideoOutcome
from ..workers import Died, Workers, held, joined, let_go, run_all
from .plan import Todo, plan
from .videos import Source

if TYPE_CHECKING:
    from ...stages.features.stream import FeatureExtractor

BUSY_POLL_S = 2.0


@dataclass(slots=True)
class ExtractionSummary:
    """Outcomes of a run, in the order they came."""

    store: str
    outcomes: list[VideoOutcome] = field(default_factory=list)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)  # of the run as a whole

    def of(self, status: str) -> list[VideoOutcome]:
        """Outcomes with this status."""
        return [outcome for outcome in self.outcomes if outcome.status == status]


@dataclass(frozen=True, slots=True)
class ExtractionTask:
    """One video for a worker, with all the worker needs to know."""

    source: Source
    store: str
    config: FeaturesConfig
    device: str
    threads: int
    overwrite: bool


Event = Planned | Moved | VideoOutcome | ExtractionSummary


def extract(
    sources: Sequence[Source],
    location: str,
    config: FeaturesConfig,
    *,
    store_format: str | None = None,
    device: str = "auto",
    workers: Workers | None = None,
    overwrite: bool = False,
    verify: bool = False,
) -> Generator[Event, None, None]:
    """Every video of `sources` in the store at `location`; a failed one does not stop the others.

    `verify` reads the checksums of what is stored, and extracts again what is damaged. The last event is the summary.
    Errors, before anything is made: StoreError for a store of another recipe, DeviceError, WeightsError, ConfigError
    for a cluster that does not answer.
    """
    workers, started = workers or Workers(), time.monotonic()
    summary = ExtractionSummary(location, warnings=[*passed_over(device)])
    device = resolve_device(device)
    with contextlib.ExitStack() as stack:
        stack.enter_context(joined(workers))
        stack.callback(let_go, "extractor")
        config = _at_its_precision(config, location)
        recipe = recipe_of(config, device, workers)
        store = create_store(location, recipe, store_format, _weights_file(config))
        if not workers.in_process:
            let_go("extractor")  # each worker loads its own, at the precision that was found here
            config = replace(config, precision=recipe.fields["precision"])
        every = _extract_all(store, sources, config, device, workers, overwrite=overwrite, verify=verify)
        for event in stack.enter_context(contextlib.closing(every)):
            if isinstance(event, VideoOutcome):
                summary.outcomes.append(event)
            yield event
    _write_failures(summary)
    summary.seconds = time.monotonic() - started
    yield summary


def _write_failures(summary: ExtractionSummary) -> None:
    """`failures.csv` in a local store, or none where nothing failed. The same reasons are in the summary anyway."""
    path = Path(summary.store, "failures.csv")
    rows = [(outcome.id, outcome.path, outcome.reason) for outcome in summary.of("failed")]
    if "://" in summary.store or not (rows or os.path.lexists(path)):
        return
    try:
        if not rows:
            path.unlink()
            return
        text = io.StringIO()
        csv.writer(text).writerows([("id", "path", "reason"), *(map(cell, row) for row in rows)])
        write_whole(path, text.getvalue().encode("utf-8", "backslashreplace"))
    except (OSError, DiskError) as error:
        summary.warnings.append(named(error, path).message)


def _at_its_precision(config: FeaturesConfig, location: str) -> FeaturesConfig:
    """The settings with the store, where there is one, asked what `auto` is: another device would choose another."""
    from ...stages.features.prepare import PRECISIONS

    if config.precision != "auto" or not store_exists(location):
        return config
    word = open_store(location).recipe.fields.get("precision")
    return replace(config, precision=word) if word in PRECISIONS else config  # `create_store` refuses what is unknown


def recipe_of(config: FeaturesConfig, device: str, workers: Workers | None = None) -> Recipe:
    """What would make the features of a store under these settings. Errors: ConfigError, WeightsError."""
    return extractor_of(config, device, (workers or Workers()).threads).recipe


def extractor_of(config: FeaturesConfig, device: str, threads: int) -> "FeatureExtractor":
    """The detector and the backbone of this thread, loaded once and kept for its next video."""
    from ...stages.features.stream import FeatureExtractor

    return held("extractor", (config, device, threads), lambda: FeatureExtractor(config, device, threads))


def _extract_all(
    store: Store,
    sources: Sequence[Source],
    config: FeaturesConfig,
    device: str,
    workers: Workers,
    *,
    overwrite: bool,
    verify: bool,
) -> Generator[Planned | Moved | VideoOutcome, None, None]:
    """Outcomes of all sources; a video that another run is on is waited for until that run ends or dies."""
    devices = spread_devices(device, workers.jobs_here)
    waiting, asked = {source.id: source for source in sources}, True
    while waiting:
        todo: list[Todo] = []
        for step in plan(store, list(waiting.values()), overwrite=overwrite and asked, verify=verify and asked):
            if isinstance(step, Todo):
                todo.append(step)
            else:
                yield step
        if asked:
            yield Planned(len(todo))
        tasks = [
            ExtractionTask(
                step.source, store.location, config, devices[number % len(devices)], workers.threads, step.replaces
            )
            for number, step in enumerate(todo)
        ]
        known, waiting, asked = waiting, {}, False
        with contextlib.closing(run_all(workers, extract_one, tasks)) as events:
            for event in events:
                if isinstance(event, Died):
                    source = event.task.source
                    yield VideoOutcome(source.id, str(source.path), "failed", event.reason)
                elif isinstance(event, VideoOutcome) and event.status == "busy":
                    waiting[event.id] = known[event.id]
                else:
                    yield event
        if waiting:
            time.sleep(BUSY_POLL_S)


def _weights_file(config: FeaturesConfig) -> str | None:
    """Where the backbone's weights lie, for whoever has to make such features again."""
    if config.weights in (None, RANDOM) or not Path(config.weights).exists():
        return config.weights  # what comes with the backbone's name, or the word "random"
    return str(Path(config.weights).resolve())


def extract_one(task: ExtractionTask) -> Generator[Moved | VideoOutcome, None, None]:
    """Extract one video in this process; what a worker runs."""
    extractor = extractor_of(task.config, task.device, task.threads)
    yield from extract_into(open_store(task.store), task.source, extractor, overwrite=task.overwrite)


def extract_into(
    store: Store, source: Source, extractor: "FeatureExtractor", *, overwrite: bool = False
) -> Generator[Moved | VideoOutcome, None, None]:
    """One video's features in `store`, resumed from its journal if there is one; its outcome comes last."""
    from ...stages.features.fingerprint import fingerprint, stamp

    outcome = VideoOutcome(source.id, str(source.path), "done")
    try:
        if not (are_pictures(source.path) or source.path.is_file()):
            raise VideoError(f"{source.path} is not a file that can be read; expected a video")
        found = stamp(source.path)
        mark = fingerprint(source.path)
        with store.writer(source.id, mark, overwrite=overwrite, device=extractor.hardware) as writer:
            with contextlib.closing(
                extractor.stream(source.path, writer.state, writer.frames, picture_fps=source.picture_fps)
            ) as stream:
                for block, state in stream:
                    writer.append(block, state)
                    yield Moved(source.id, stream.position_s, stream.duration_s, writer.frames)
                info = stream.info(mark)
            if stamp(source.path) != found and fingerprint(source.path) != mark:
                raise VideoError(f"{source.path} changed while it was read", hint="run again once it is complete")
            writer.commit(info)
            outcome = replace(outcome, frames=writer.frames, rows=writer.rows, warnings=info.warnings)
        status = store.entry(source.id, ("status",)).arrays["status"]
        with_face = int((status == FrameStatus.OK).sum())
        yield replace(outcome, face_share=with_face / outcome.frames if outcome.frames else 0.0)
    except BusyError as error:
        yield replace(outcome, status="busy", reason=str(error))
    except (VideoError, InputError, EntryError, *UNNAMED) as error:
        # Another run may have finished it since this one made its plan; the next plan looks at what it stored.
        finished = isinstance(error, EntryError) and not overwrite and source.id in store.ids()
        reason = str(named(error, source.path if isinstance(error, OSError) and error.filename is None else None))
        yield VideoOutcome(source.id, str(source.path), "busy" if finished else "failed", reason)
