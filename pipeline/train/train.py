"""`affect train-temporal`: a store and a label table to a run with its models, predictions and metrics."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import distributed

from ...cache.manifest import check_targets_vary
from ...cache.records import Json
from ...configs.schema import Config
from ...errors import AffectError
from ...stages.features.recipe import settings_of
from ...stages.temporal.fit import EpochRecord
from ..runs.files import read_json, write_whole
from ..runs.folder import RunFolder, write_failures
from ..workers import WorkerDiedError, Workers, resolve_device, run_all, spread_devices
from .fold import FoldOutcome, FoldTask, run_fold
from .held_out import levels_of, measure, measure_subjects, predictions_table, read_fold_tables
from .provenance import describe_environment
from .splits import Fold, make_folds
from .training_set import TrainingSet, build_training_set, check_contexts_disjoint


@dataclass(frozen=True, slots=True)
class TrainingListener:
    """What a caller may want to hear of a run while it goes. Epochs of folds in other processes are not heard."""

    planned: Callable[[int, int], None] = lambda folds, epochs: None  # folds left, most epochs each
    epoch: Callable[[str, EpochRecord], None] = lambda fold, record: None
    finished: Callable[[FoldOutcome], None] = lambda outcome: None


@dataclass(slots=True)
class TrainingSummary:
    """What a run came to. `metrics` is what metrics.json holds; empty where no fold was done."""

    run: Path
    warnings: tuple[str, ...]  # shared subjects first
    outcomes: list[FoldOutcome] = field(default_factory=list)  # of this call, in the order they came
    resumed: tuple[str, ...] = ()  # folds that were done before
    skipped: tuple[tuple[str, str, str], ...] = ()  # spans not used: where in the manifest, video, why
    metrics: Json = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def failed(self) -> list[FoldOutcome]:
        """Folds without a result."""
        return [outcome for outcome in self.outcomes if outcome.reason]


def train_temporal(
    store: str,
    labels: str | Path,
    run: str | Path,
    config: Config,
    *,
    device: str = "auto",
    workers: Workers | None = None,
    resume: bool = False,
    mirrored: str | None = None,
    listener: TrainingListener | None = None,
) -> TrainingSummary:
    """Train and judge every fold of `config.evaluation.protocol`; a failed fold is listed and the others stand.

    `mirrored`: a store of the same videos with features.view=hflip, mixed into training. Under torchrun every rank
    calls this, and the first one writes.
    Errors: ManifestError, StoreError, ConfigError, DeviceError, RunError before anything is trained.
    """
    started = time.monotonic()
    workers, listener = workers or Workers(), listener or TrainingListener()
    labels, run = Path(labels), Path(run)
    with _ranks(resolve_device(device)) as place:
        data = build_training_set(store, labels, config, place, mirrored)
        # Stage one of this run is what the store holds, whatever the configuration says.
        config = replace(config, features=settings_of(data.recipe, data.weights))
        folds = _folds(data, config)
        environment = describe_environment(
            data, labels, store=store, mirrored=mirrored, seed=config.training.seed, device=place
        )
        folder = _first_rank_creates(run, config, environment, resume)
        done = folder.finished_folds()
        summary = TrainingSummary(run, _warnings(data, folds), resumed=tuple(done), skipped=data.skipped)
        left = [fold for fold in folds if fold.name not in done]
        listener.planned(len(left), config.training.epochs)
        devices = spread_devices(place, workers.jobs)
        tasks = [
            FoldTask(fold, store, mirrored, labels, run, config, devices[number % len(devices)])
            for number, fold in enumerate(left)
        ]
        for outcome in _outcomes(tasks, workers, data, listener):
            summary.outcomes.append(outcome)
            listener.finished(outcome)
        if _first_rank():
            summary.metrics = summarise(folder, config, data, folds, summary)
    summary.seconds = time.monotonic() - started
    return summary


def _outcomes(
    tasks: Sequence[FoldTask], workers: Workers, data: TrainingSet, listener: TrainingListener
) -> Iterator[FoldOutcome]:
    if workers.in_process or len(tasks) == 1 or distributed.is_initialized():
        yield from (run_fold(task, listener.epoch, data) for task in tasks)
    else:
        yield from _outlive_workers(tasks, workers)


def _outlive_workers(tasks: Sequence[FoldTask], workers: Workers) -> Iterator[FoldOutcome]:
    """Outcomes of all tasks. A worker that is killed breaks the pool; what is left then gets a process each."""
    left = {task.fold.name: task for task in tasks}
    try:
        for outcome in run_all(workers, run_fold, [(task,) for task in tasks]):
            del left[outcome.name]
            yield outcome
    except WorkerDiedError:
        for task in left.values():
            try:
                yield from run_all(replace(workers, jobs=max(2, workers.jobs)), run_fold, [(task,)])
            except WorkerDiedError:
                reason = "its process was killed, perhaps for want of memory"
                yield FoldOutcome(task.fold.name, task.fold.subjects["test"], reason)


def _folds(data: TrainingSet, config: Config) -> list[Fold]:
    folds = make_folds(data.manifest, config.evaluation, config.training.seed)
    if len(folds) == 1:  # with several, the one that cannot train is listed and the others stand
        check_targets_vary(data.manifest, folds[0].train)
    return [check_contexts_disjoint(data, fold, config.evaluation.allow_shared_subjects) for fold in folds]


def _warnings(data: TrainingSet, folds: Sequence[Fold]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(warning for fold in folds for warning in fold.warnings), *data.warnings]))


def summarise(
    folder: RunFolder, config: Config, data: TrainingSet, folds: Sequence[Fold], summary: TrainingSummary
) -> Json:
    """Write predictions.csv, metrics.json, log.jsonl, failures.csv and skipped.csv from the finished folds."""
    failures = [(item.name, " ".join(item.test_subjects), item.reason) for item in summary.failed]
    write_failures(folder.path / "failures.csv", failures)
    if summary.skipped:
        table = pd.DataFrame(summary.skipped, columns=["where", "video", "reason"])
        write_whole(folder.path / "skipped.csv", table.to_csv(index=False))
    names = folder.finished_folds()
    if not names:
        return {}
    records = {name: read_json(folder.folds / name / "fold.json") for name in names}
    levels = levels_of(read_fold_tables([folder.folds / name / "predictions.csv" for name in names]))
    write_whole(folder.path / "predictions.csv", predictions_table(levels).to_csv(index=False))
    logs = [(folder.folds / name / "log.jsonl").read_text("utf-8") for name in names]
    write_whole(folder.path / "log.jsonl", "".join(logs))
    targets, seed = data.manifest.target_names, config.training.seed
    metrics: Json = {
        "warnings": list(summary.warnings),
        "subject_independent": all(fold.subject_independent for fold in folds),
        "protocol": config.evaluation.protocol,
        "targets": list(targets),
        "units": {target.name: target.unit for target in data.manifest.targets},
        "ranges": {target.name: [target.low, target.high] for target in data.manifest.targets},
        "interval": "95 %, bootstrap over subjects",
        "icc": "ICC(3,1)",
        "folds": {"done": names, "failed": {item.name: item.reason for item in summary.failed}},
        "validation": _validation(records),
        **measure(levels, targets, config.evaluation, seed),
        "per_subject": measure_subjects(levels, targets),
    }
    folder.write_json("metrics.json", metrics)
    return folder.read_json("metrics.json")


def _validation(records: dict[str, dict[str, Json]]) -> Json:
    """Mean CCC of the inner validation clips, by fold: what a choice between settings may look at."""
    scores = {name: record["validation_ccc"] for name, record in records.items()}
    known = [score for score in scores.values() if score is not None]
    return {"ccc": float(np.mean(known)) if known else None, "folds": scores}


@contextlib.contextmanager
def _ranks(device: str) -> Iterator[str]:
    """The device of this process; under torchrun, with the process group that its batches are spread over."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield device
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def _first_rank() -> bool:
    return not distributed.is_initialized() or distributed.get_rank() == 0


def _first_rank_creates(run: Path, config: Config, environment: dict[str, Json], resume: bool) -> RunFolder:
    """The run's folder. Every rank leaves with the first one's error, so that none waits for the others."""
    if not distributed.is_initialized():
        return RunFolder.create(run, config, environment, resume)
    said: list[Exception | None] = [None]
    if _first_rank():
        try:
            RunFolder.create(run, config, environment, resume)
        except AffectError as error:
            said = [error]
    distributed.broadcast_object_list(said)
    if said[0] is not None:
        raise said[0]
    return RunFolder(run)
