"""`affect extract-features`: the features of every video in a store, each made once."""

import contextlib
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ...cache.csv_cells import rows_text
from ...cache.dictionary import dictionary
from ...cache.files import write_whole
from ...cache.opening import create_store, open_store, store_exists
from ...cache.records import FrameStatus, Recipe
from ...cache.store import Store
from ...configs.plain_text import sentence
from ...configs.schema import OPENVINO, TORCH, FeaturesConfig
from ...configs.trust import RANDOM
from ...errors import UNNAMED, BusyError, DiskError, EntryError, VideoError, named
from ...stages.views.shown import Shown, Text
from ...stages.views.text_table import table
from ...stages.views.warned import together
from ..clusters import joined
from ..devices import passed_over, resolve_device, spread_devices
from ..events import Begun, LeftToOther, Moved, Planned, Step, VideoOutcome
from ..workers import Died, Workers, cores, held, let_go, run_all, run_beside
from .plan import Todo, lengths_s, plan
from .videos import Source

if TYPE_CHECKING:
    from ...stages.features.stream import FeatureExtractor
    from ...stages.features.tables.importer import ImportConfig, TableImporter

BUSY_POLL_S = 2.0
MOST_AT_ONCE = 16  # videos that feed one GPU; each holds some hundred megabytes of decoded pictures
NAMES_SHOWN = 5
ENGINES = (TORCH, OPENVINO)
Settings: TypeAlias = "FeaturesConfig | ImportConfig"  # of videos, or of tables of features


@dataclass(slots=True, repr=False)
class ExtractionSummary(Shown):
    """Outcomes of a run, in the order they came."""

    store: str
    outcomes: list[VideoOutcome] = field(default_factory=list)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)  # of the run as a whole

    def of(self, status: str) -> list[VideoOutcome]:
        """Outcomes with this status."""
        return [outcome for outcome in self.outcomes if outcome.status == status]

    def text(self) -> Text:
        """What became of each video; skipped ones by reason."""
        done, skipped, failed = self.of("done"), self.of("skipped"), self.of("failed")
        reasons: dict[str, list[str]] = {}
        for item in skipped:
            reasons.setdefault(item.reason, []).append(item.id)
        lines = [
            *table(
                ["stored", "frames", "rows", "with a face"],
                [[item.id, str(item.frames), str(item.rows), f"{item.face_share:.1%}"] for item in done],
            ),
            *(f"skipped {len(ids)}: {reason} ({_some(ids)})" for reason, ids in reasons.items()),
            *(f"warning: {words}" for words in together((item.id, words) for item in done for words in item.warnings)),
            *(f"warning: {warning}" for warning in self.warnings),
            f"{len(done)} stored, {len(skipped)} skipped, {len(failed)} failed in {self.seconds:.1f} s; "
            f"features in {self.store}",
        ]
        return Text(tuple(lines), tuple(f"failed: {item.id}: {sentence(item.reason)}" for item in failed))


@dataclass(frozen=True, slots=True)
class ExtractionTask:
    """One video for a worker, with all the worker needs to know."""

    source: Source
    store: str
    config: Settings
    device: str
    threads: int
    overwrite: bool


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids) if len(ids) <= NAMES_SHOWN else f"{', '.join(ids[:3])}, ... {ids[-1]}"


Doing = Step | Planned | Begun | Moved | LeftToOther | VideoOutcome
Event = Doing | ExtractionSummary


def extract(
    sources: Sequence[Source],
    location: str,
    config: Settings,
    *,
    store_format: str | None = None,
    device: str = "auto",
    workers: Workers | None = None,
    overwrite: bool = False,
    verify: bool = False,
) -> Generator[Event, None, None]:
    """Every video of `sources` in the store at `location`; a failed one does not stop the others.

    `verify` reads the checksums of what is stored and all bytes of the videos, and extracts again what is damaged. The
    last event is the summary.
    Errors, before anything is made: StoreError for a store of another recipe, DeviceError, WeightsError, ConfigError
    for a cluster that does not answer.
    """
    workers, started = workers or Workers(), time.monotonic()
    summary = ExtractionSummary(location)
    with contextlib.ExitStack() as stack:
        stack.enter_context(joined(workers.backend, workers.scheduler))
        stack.callback(let_go, "extractor")
        weights, stored = _weights_file(config), open_store(location).recipe if store_exists(location) else None
        steps: list[Todo | VideoOutcome] | None = None
        if stored is not None and _surely_makes(config, device, stored):
            store = create_store(location, stored, store_format, weights)
            steps = list(plan(store, sources, overwrite=overwrite, verify=verify))
        if steps is None or any(isinstance(step, Todo) for step in steps):
            summary.warnings += passed_over(device)
            device = resolve_device(device)
            if stored is not None:  # it says what `auto` is: another machine would choose another
                config = _as_recipe(config, stored)
            recipe = recipe_of(config, device, workers)
            store = create_store(location, recipe, store_format, weights)
            if not workers.in_process:
                let_go("extractor")  # each worker loads its own, of what was found here
                config = _as_recipe(config, recipe)
        if steps is None:
            steps = list(plan(store, sources, overwrite=overwrite, verify=verify))
        every = _extract_all(store, sources, steps, config, device=device, workers=workers)
        for event in stack.enter_context(contextlib.closing(every)):
            if isinstance(event, VideoOutcome):
                summary.outcomes.append(event)
            yield event
    _write_failures(summary)
    summary.seconds = time.monotonic() - started
    yield summary


def _surely_makes(config: Settings, device: str, recipe: Recipe) -> bool:
    """Whether it is told without a network that these settings make a store's recipe."""
    if not isinstance(config, FeaturesConfig) or device not in ("auto", "cpu"):
        return False  # tables need no network; whether another device is there, torch has to say
    from ...stages.features.known import surely_makes

    return surely_makes(config, recipe)


def _write_failures(summary: ExtractionSummary) -> None:
    """`failures.csv` in a local store, or none where nothing failed. The same reasons are in the summary anyway."""
    path = Path(summary.store, "failures.csv")
    rows = [(outcome.id, outcome.path, outcome.reason) for outcome in summary.of("failed")]
    if "://" in summary.store or not (rows or os.path.lexists(path)):
        return
    try:
        if not rows:
            path.unlink()
            path.with_suffix(".json").unlink(missing_ok=True)
            return
        columns = ("id", "path", "reason")
        write_whole(path, rows_text([columns, *rows]).encode("utf-8", "backslashreplace"))
        write_whole(path.with_suffix(".json"), dictionary(columns))
    except (OSError, DiskError) as error:
        summary.warnings.append(named(error, path).message)


def _as_recipe(config: Settings, recipe: Recipe) -> Settings:
    """The settings with the recipe's words in the place of `auto`; unknown words are left to be refused."""
    if not isinstance(config, FeaturesConfig):
        return config
    from ...stages.features.prepare import PRECISIONS

    precision, engine = recipe.fields.get("precision"), recipe.fields.get("engine", TORCH)
    if config.precision == "auto" and precision in PRECISIONS:
        config = replace(config, precision=precision)
    return replace(config, engine=engine) if config.engine == "auto" and engine in ENGINES else config


def recipe_of(config: Settings, device: str, workers: Workers | None = None) -> Recipe:
    """What would make the features of a store under these settings. Errors: ConfigError, WeightsError."""
    return extractor_of(config, device, (workers or Workers()).threads).recipe


def extractor_of(config: Settings, device: str, threads: int) -> "FeatureExtractor | TableImporter":
    """The detector and the backbone of this thread, loaded once and kept for its next video; or who reads tables."""
    if not isinstance(config, FeaturesConfig):
        return held("extractor", config, config.importer)
    from ...stages.features.stream import FeatureExtractor

    return held("extractor", (config, device, threads), lambda: FeatureExtractor(config, device, threads))


def _extract_all(
    store: Store,
    sources: Sequence[Source],
    steps: Sequence[Todo | VideoOutcome],
    config: Settings,
    *,
    device: str,
    workers: Workers,
) -> Generator[Doing, None, None]:
    """Outcomes of all sources; a video that another run is on is waited for until that run ends or dies.

    steps: what a plan says of each; those that are to be waited for are planned again.
    """
    waiting, asked, told = {source.id: source for source in sources}, True, False
    while waiting:
        todo = [step for step in steps if isinstance(step, Todo)]
        yield from (step for step in steps if not isinstance(step, Todo))
        if asked:
            settled = {"device": device, "jobs": workers.jobs, **store.recipe.fields}
            yield Planned(len(todo), lengths_s([step.source for step in todo]), settled)
        if not todo:
            return
        devices = spread_devices(device, workers.jobs_here)
        tasks = [
            ExtractionTask(
                step.source, store.location, config, devices[number % len(devices)], workers.threads, step.replaces
            )
            for number, step in enumerate(todo)
        ]
        known, waiting, asked = waiting, {}, False
        with contextlib.closing(_run(tasks, workers)) as events:
            for event in events:
                if isinstance(event, Died):
                    source = event.task.source
                    yield VideoOutcome(source.id, str(source.path), "failed", event.reason)
                elif isinstance(event, VideoOutcome) and event.status == "busy":
                    waiting[event.id] = known[event.id]
                    yield LeftToOther(event.id)
                else:
                    yield event
        if waiting:
            if not told:
                yield Step(f"waiting for {len(waiting)} videos that another run is at")
            told = True
            time.sleep(BUSY_POLL_S)
            steps = list(plan(store, list(waiting.values()), overwrite=False, verify=False))


def _run(tasks: Sequence[ExtractionTask], workers: Workers) -> Generator[Doing | Died, None, None]:
    """Every event of every task. Several videos at once feed a GPU in this process, whose networks are loaded once: one
    thread decodes a video, which gives a GPU little to do."""
    first = tasks[0]
    if not workers.in_process or first.device == "cpu" or not isinstance(first.config, FeaturesConfig):
        yield from run_all(workers, extract_one, tasks, VideoOutcome)
        return
    extractor = extractor_of(first.config, first.device, first.threads)
    at_once = max(1, min(len(tasks), cores() - 1, MOST_AT_ONCE))
    yield from run_beside(partial(extract_one, extractor=extractor), tasks, at_once)


def _weights_file(config: Settings) -> str | None:
    """Where the backbone's weights lie, for whoever has to make such features again."""
    if config.weights in (None, RANDOM) or not Path(config.weights).exists():
        return config.weights  # what comes with the backbone's name, or the word "random"
    return str(Path(config.weights).resolve())


def extract_one(
    task: ExtractionTask, extractor: "FeatureExtractor | TableImporter | None" = None
) -> Generator[Begun | Moved | VideoOutcome, None, None]:
    """Extract one video in this process; what a worker runs. extractor: None: this thread's own."""
    extractor = extractor or extractor_of(task.config, task.device, task.threads)
    yield from extract_into(open_store(task.store), task.source, extractor, overwrite=task.overwrite)


def extract_into(
    store: Store, source: Source, extractor: "FeatureExtractor | TableImporter", *, overwrite: bool = False
) -> Generator[Begun | Moved | VideoOutcome, None, None]:
    """One video's features in `store`, resumed from its journal if there is one; its outcome comes last."""
    from ...stages.features.fingerprint import fingerprint, trace

    outcome = VideoOutcome(source.id, str(source.path), "done")
    try:
        if not source.is_there:
            expected = "a table" if source.part else "a video"
            raise VideoError(f"{source.path} is not a file that can be read; expected {expected}")
        found = trace(source.path, *source.part)
        mark = fingerprint(source.path, *source.part)
        with store.writer(source.id, mark, overwrite=overwrite, device=extractor.hardware) as writer:
            reading = extractor.stream(source.path, writer.state, writer.frames, *source.how)
            with contextlib.closing(reading) as stream:
                yield Begun(source.id, stream.duration_s, writer.frames)
                for block, state in stream:
                    writer.append(block, state)
                    yield Moved(source.id, stream.position_s, stream.duration_s, writer.frames)
                info = stream.info(mark)
            if not source.is_there:
                back = "put it back and run the same command again; what was computed is kept"
                raise VideoError(f"{source.path} was removed, renamed or replaced while it was read", hint=back)
            if trace(source.path, *source.part) != found and fingerprint(source.path, *source.part) != mark:
                raise VideoError(f"{source.path} changed while it was read", hint="run again once it is complete")
            writer.commit(info)
            outcome = replace(outcome, frames=writer.frames, rows=writer.rows, warnings=info.warnings)
        status = store.entry(source.id, ("status",)).arrays["status"]
        with_face = int((status == FrameStatus.OK).sum())
        yield replace(outcome, face_share=with_face / outcome.frames if outcome.frames else 0.0)
    except BusyError as error:
        yield replace(outcome, status="busy", reason=str(error))
    except (VideoError, EntryError, *UNNAMED) as error:
        # Another run may have finished it since this one made its plan; the next plan looks at what it stored.
        finished = isinstance(error, EntryError) and not overwrite and source.id in store.ids()
        reason = str(named(error, source.path if isinstance(error, OSError) and error.filename is None else None))
        yield VideoOutcome(source.id, str(source.path), "busy" if finished else "failed", reason)
