"""`affect train-temporal`: a store and a label table to a run with its models, predictions and metrics."""

import contextlib
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch import distributed

from ...cache.fold_record import FoldRecord
from ...cache.json_files import flat
from ...cache.manifest import check_targets_vary
from ...cache.metrics import Metrics
from ...cache.records import Json
from ...cache.regular import read_regular
from ...cache.versions import version
from ...configs.load import config_to_dict
from ...configs.plain_text import sentence
from ...configs.schema import Config
from ...configs.trust import allowed
from ...errors import AffectError
from ...stages.features.recipe import settings_of
from ...stages.temporal.ranks import all_came, rank, ranks, world
from ...stages.temporal.splits import Fold, make_folds
from ...stages.views.card import TrainedOn, model_card
from ...stages.views.offer import centring_offer
from ...stages.views.shown import Shown, Text
from ...stages.views.text_table import metrics_table
from ...stages.views.verdict import verdict
from ...stages.views.warned import in_order
from ..clusters import joined
from ..devices import passed_over, resolve_device, spread_devices
from ..events import EpochDone, FoldOutcome, FoldsPlanned
from ..runs.folder import RunFolder, write_failures
from ..workers import Died, Workers, run_all
from .fold import FoldTask, run_fold, spec_of
from .held_out import levels_of, measure, predictions_table, read_fold_tables
from .leaks import check_recordings
from .provenance import describe_environment
from .sizes import sized
from .training_set import TrainingSet, build_training_set

SPANS_SHOWN = 10  # that were not used


@dataclass(frozen=True, slots=True, repr=False)
class TrainingSummary(Shown):
    """What a run came to. `metrics` is what metrics.json holds; None where no fold was done."""

    run: Path
    warnings: tuple[str, ...]  # those on shared people first
    outcomes: tuple[FoldOutcome, ...]  # of this call, in the order they came
    resumed: tuple[str, ...]  # folds that were done before
    skipped: tuple[tuple[str, str, str], ...]  # spans not used: where in the manifest, video, why
    metrics: Metrics | None
    seconds: float
    size: str = ""  # what was chosen by the number of labelled spans and people, and why; empty where nothing was
    offer: str = ""  # a setting that would do better among the training people; empty without

    @property
    def failed(self) -> list[FoldOutcome]:
        """Folds without a result."""
        return [outcome for outcome in self.outcomes if outcome.reason]

    def text(self) -> Text:
        """Warnings first, then held-out scores, then what was not used."""
        failed = self.failed
        trained = len(self.outcomes) - len(failed)
        more = len(self.skipped) - SPANS_SHOWN
        lines = [
            *([verdict(self.metrics)] if self.metrics else []),
            *(f"warning: {warning}" for warning in self.warnings),
            *(words for words in (self.size, self.offer) if words),
            *metrics_table(self.metrics),
            *(f"not used: {where} ({video}): {reason}" for where, video, reason in self.skipped[:SPANS_SHOWN]),
            *([f"not used: {more} more spans, listed in {self.run}/skipped.csv"] if more > 0 else []),
            f"{trained} folds trained, {len(self.resumed)} done before, {len(failed)} failed "
            f"in {self.seconds:.1f} s; run in {self.run}",
        ]
        return Text(tuple(lines), tuple(f"failed: fold {item.name}: {sentence(item.reason)}" for item in failed))


Event = FoldsPlanned | EpochDone | FoldOutcome | TrainingSummary


def train(
    store: str,
    labels: str | Path,
    run: str | Path,
    config: Config,
    *,
    device: str = "auto",
    workers: Workers | None = None,
    resume: bool = False,
    mirrored: str | None = None,
) -> Generator[Event, None, None]:
    """What happens while every fold of `config.evaluation.protocol` is trained and judged; the summary comes last.

    A fold that fails is listed and the others stand. Closed at any event, the run keeps its finished folds and the
    saved states of the others, and `resume` goes on from there to the same numbers. A cluster tells of no epochs.
    `mirrored`: a store of the same videos with features.view=hflip, mixed into training. Under torchrun every rank
    calls this, and the first one writes.
    Errors: ManifestError, StoreError, ConfigError, DeviceError, RunError before anything is written.
    """
    started = time.monotonic()
    workers, labels, run = workers or Workers(), Path(labels), Path(run)
    with joined(workers.backend, workers.scheduler), ranks(resolve_device(device)) as place:
        data = build_training_set(store, labels, config, place, mirrored)
        # Stage one of this run is what the store holds, whatever the configuration says. A store that names code
        # would have its run name it, so its words are asked for again.
        features = settings_of(data.recipe, data.weights, f"store {store}")
        allowed(features.backbone, config.features.backbone, "--set features.backbone=")
        config = replace(config, features=features)
        folds = make_folds(data.manifest, config.evaluation, config.training.seed)
        config, size = sized(config, *_to_learn_from(data, folds))
        spec_of(data, config)  # what cannot be built is refused before anything is made
        if len(folds) == 1:  # with several, the one that cannot train is listed and the others stand
            check_targets_vary(data.manifest, folds[0].train)
        folds = check_recordings(data, folds, config)
        environment = describe_environment(
            data, labels, store=store, mirrored=mirrored, seed=config.training.seed, device=place
        )
        environment["folds"] = [fold.name for fold in folds]  # the plan; who reads the run counts against it
        folder = _first_rank_creates(run, config, environment, resume)
        done = folder.finished_folds()
        left = [fold for fold in folds if fold.name not in done]
        epochs = config.loss.contrastive_epochs + config.training.epochs
        settled = {"device": place, "jobs": workers.jobs} | flat(config_to_dict(config))
        yield FoldsPlanned(
            len(left), epochs * config.training.seeds, data.manifest.understood, config.training.patience > 0, settled
        )
        devices = spread_devices(place, workers.jobs_here)
        tasks = [
            FoldTask(fold, store, mirrored, labels, run, config, devices[number % len(devices)], data.store_digest)
            for number, fold in enumerate(left)
        ]
        outcomes = []
        with contextlib.closing(_run_folds(tasks, workers, data)) as events:
            for event in events:
                if isinstance(event, FoldOutcome):
                    outcomes.append(event)
                yield event
        metrics, records = _write_results(folder, config, data, folds, outcomes) if rank() == 0 else (None, ())
    offer = centring_offer(config.clips.centre, [record.ridge_ccc for record in records])
    seconds = time.monotonic() - started
    said = (*_warnings(data, folds), *passed_over(device))
    yield TrainingSummary(run, said, tuple(outcomes), tuple(done), data.skipped, metrics, seconds, size, offer)


def _run_folds(
    tasks: Sequence[FoldTask], workers: Workers, data: TrainingSet
) -> Generator[EpochDone | FoldOutcome, None, None]:
    if workers.in_process or len(tasks) == 1 or world() > 1:
        for task in tasks:
            for event in run_fold(task, data):
                if isinstance(event, FoldOutcome):
                    all_came(str(task.folder), event.reason)
                yield event
        return
    with contextlib.closing(run_all(workers, run_fold, tasks, FoldOutcome)) as events:
        for event in events:
            if isinstance(event, Died):
                yield FoldOutcome(event.task.fold.name, event.task.fold.subjects["test"], event.reason)
            else:
                yield event


def _to_learn_from(data: TrainingSet, folds: Sequence[Fold]) -> tuple[int, int]:
    """Labelled spans that can be used, and people, that a fold may learn from, at the least."""
    usable = np.isin(np.arange(len(data.manifest)), data.clips.span)
    people = np.array(data.manifest.subjects)
    sides = [rows[usable[rows]] for rows in (np.concatenate([fold.train, fold.validation]) for fold in folds)]
    return min(map(len, sides)), min(len(np.unique(people[rows])) for rows in sides)


def _warnings(data: TrainingSet, folds: Sequence[Fold]) -> tuple[str, ...]:
    return tuple(in_order([*(warning for fold in folds for warning in fold.warnings), *data.all_warnings]))


def _trained_on(data: TrainingSet) -> TrainedOn:
    clips, seconds = data.clips, float((data.clips.end_s - data.clips.start_s).sum())
    people, videos, spans = (len(np.unique(of)) for of in (data.people, clips.video, clips.span))
    return TrainedOn(people, videos, spans, len(clips), seconds)


def _write_results(
    folder: RunFolder, config: Config, data: TrainingSet, folds: Sequence[Fold], outcomes: Sequence[FoldOutcome]
) -> tuple[Metrics | None, Sequence[FoldRecord]]:
    """Write all that tells of the whole run: its tables, its log and metrics.json.

    Given back: the content of metrics.json, None without a finished fold, and the records of the finished folds.
    """
    failed = [item for item in outcomes if item.reason]
    write_failures(folder, [(item.name, " ".join(item.test_subjects), item.reason) for item in failed])
    if data.skipped:
        folder.write_table("skipped", pd.DataFrame(data.skipped, columns=["where", "video", "reason"]))
    names = folder.finished_folds()
    if not names:
        return None, ()
    logs = [folder.own(folder.folds / name / "log.jsonl") for name in names]
    folder.write("log.jsonl", b"".join(read_regular(log) for log in logs if log.exists()))
    tables = [folder.own(folder.folds / name / "predictions.csv") for name in names]
    levels = levels_of(read_fold_tables(tables, data.manifest.target_names))
    folder.write_table("predictions", predictions_table(levels), data.manifest.targets)
    records = {name: folder.fold(name) for name in names}
    metrics = measure(
        levels,
        data.manifest.targets,
        config,
        warnings=_warnings(data, folds),
        shares_people=not all(fold.subject_independent for fold in folds),
        validation={name: record.validation_ccc for name, record in records.items()},
        failed={item.name: item.reason for item in failed},
    )
    folder.write_json("metrics.json", metrics.to_json())
    folder.write("README.md", model_card(metrics, _trained_on(data), data.recipe, version("affect")))
    return metrics, tuple(records.values())


def _first_rank_creates(run: Path, config: Config, environment: dict[str, Json], resume: bool) -> RunFolder:
    """The run's folder. Every rank leaves with the first one's error, so that none waits for the others."""
    if not distributed.is_initialized():
        return RunFolder.create(run, config, environment, resume)
    said: list[Exception | None] = [None]
    if rank() == 0:
        try:
            RunFolder.create(run, config, environment, resume)
        except AffectError as error:
            said = [error]
    distributed.broadcast_object_list(said)
    if said[0] is not None:
        raise said[0]
    return RunFolder(run)
