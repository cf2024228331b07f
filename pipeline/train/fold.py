"""One fold of an experiment: fitted, resumed where it was stopped, scored on people it has never seen."""

import io
import json
import pickle
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import distributed

from ...cache.csv_cells import to_cells
from ...cache.files import make_folder, write_whole
from ...cache.manifest import check_targets_vary
from ...cache.predictions import RangeCheck
from ...cache.records import Array
from ...configs.schema import Config
from ...errors import UNNAMED, AffectError, FoldError, named
from ...stages.temporal.baselines import fit_ridge, predict_mean, span_features
from ...stages.temporal.fit import Fit, LabelledClips, build_model
from ...stages.temporal.model import ModelSpec, TemporalModel
from ...stages.temporal.score import fit_reference, score_clips
from ..events import EpochDone, FoldOutcome
from ..runs.folder import UNFINISHED, RunFolder
from ..runs.model_file import ModelCard, write_model
from ..runs.places import without_places
from .curves import CurvesFile
from .splits import Fold
from .training_set import TrainingSet, build_training_set

FAILURES = (AffectError, RuntimeError, ValueError, *UNNAMED, ArithmeticError)
CURVES = ("loss", "regression", "relational", "validation_ccc", "learning_rate")
SAVE_SHARE = 0.1  # of the time may go into saving the state between epochs


@dataclass(frozen=True, slots=True)
class FoldTask:
    """One fold for a worker, with all the worker needs to know."""

    fold: Fold
    store: str
    mirrored: str | None
    labels: Path
    run: Path
    config: Config
    device: str
    store_digest: str  # of the videos that the run was planned on

    @property
    def folder(self) -> Path:
        """Where the fold's files go."""
        return RunFolder(self.run).folds / self.fold.name

    def write(self, name: str, data: str | bytes) -> None:
        """Write one of the fold's files, whole. Errors: DiskError."""
        write_whole(self.folder / name, data, self.run)


def run_fold(task: FoldTask, data: TrainingSet | None = None) -> Generator[EpochDone | FoldOutcome, None, None]:
    """Each epoch of a fold, and its outcome last; its files lie in the run's folder.

    `data` saves reading the store again. Closed between two epochs, it leaves a state that the next call goes on from.
    """
    try:
        if data is None:
            data = build_training_set(task.store, task.labels, task.config, task.device, task.mirrored)
            if data.store_digest != task.store_digest:
                raise FoldError(
                    f"fold {task.fold.name}: store {task.store} is not as it was when this run began",
                    hint="affect inspect-cache STORE --verify, then the same command with --resume",
                )
        yield from _fit_and_score(task, data)
    except FAILURES as error:  # one fold's failure is listed, the other folds stand
        ours = isinstance(error, (AffectError, *UNNAMED))
        reason = named(error, task.folder).message if ours else f"{type(error).__name__}: {error}"
        yield FoldOutcome(task.fold.name, task.fold.subjects["test"], reason=without_places(reason))


def _fit_and_score(task: FoldTask, data: TrainingSet) -> Generator[EpochDone | FoldOutcome, None, None]:
    fold = task.fold
    sides = {name: data.clips_of(rows) for name, rows in fold.sides.items()}
    for name, clips in sides.items():
        if len(clips) < (2 if name == "train" else 1):
            raise FoldError(f"fold {fold.name}: {len(clips)} {name} clips in {len(fold.sides[name])} spans")
    check_targets_vary(data.manifest, fold.train)
    fit = _new_fit(task, data, sides)
    state = task.folder / UNFINISHED
    _load_state(fit, RunFolder(task.run).own(state), task.device)
    if distributed.is_initialized() and distributed.get_rank() > 0:
        for _ in fit.epochs():  # the first rank tells of them and writes
            pass
    else:
        yield from _follow(fit, task)
        check = fit_reference(fit.model, data.clips, sides["train"], data.people[sides["train"]])
        _write_results(task, data, sides, fit, check)
        state.unlink(missing_ok=True)
    yield FoldOutcome(fold.name, fold.subjects["test"], "", fit.progress.best_score, fit.progress.epochs)


def spec_of(data: TrainingSet, config: Config) -> ModelSpec:
    """The network that a configuration makes of these features and targets. Errors: ConfigError for none."""
    spec = ModelSpec(
        feature_size=data.clips.table.feature_size,
        targets=data.manifest.target_names,
        clip_length=data.clips.clip_length,
        context=config.clips.context,
        config=config.model,
    )
    with torch.device("meta"):  # without memory: every check of the network's parts, and nothing else
        TemporalModel(spec)
    return spec


def _new_fit(task: FoldTask, data: TrainingSet, sides: dict[str, Array]) -> Fit:
    config = task.config
    spec = spec_of(data, config)
    seed = config.training.seed + 1000 * task.fold.number
    labelled = LabelledClips(
        data.clips, data.scaling.to_training(data.labels), sides["train"], sides["validation"], data.mirrored
    )
    return Fit(build_model(spec, seed, task.device), labelled, config.training, config.loss, seed)


def _follow(fit: Fit, task: FoldTask) -> Generator[EpochDone, None, None]:
    """The epochs that are left: each is logged, and the state saved as often as SAVE_SHARE allows."""
    make_folder(task.folder, task.run)  # the board would follow a link
    saved, cost = time.perf_counter(), 0.0
    with CurvesFile(task.folder, from_step=len(fit.progress.history) + 1) as curves:
        for record in fit.epochs():
            values = {name: getattr(record, name) for name in CURVES}
            finite = {f"{record.phase}/{name}": value for name, value in values.items() if np.isfinite(value)}
            curves.add(finite, step=len(fit.progress.history))
            if time.perf_counter() - saved >= cost / SAVE_SHARE:
                started = time.perf_counter()
                _save_state(fit, task)
                saved = time.perf_counter()
                cost = saved - started
            yield EpochDone(task.fold.name, record)
    _write_log(fit, task)


def _save_state(fit: Fit, task: FoldTask) -> None:
    buffer = io.BytesIO()
    torch.save(fit.state(), buffer)
    task.write(UNFINISHED, buffer.getvalue())
    _write_log(fit, task)


def _load_state(fit: Fit, path: Path, device: str) -> None:
    """Go on from a saved state, if there is one. Errors: FoldError for a file that is none."""
    if not path.exists():
        return
    try:
        fit.load_state(torch.load(path, map_location=device, weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
        raise FoldError(f"{path} is no state of this fold: {error}", hint=f"delete {path} to begin again") from error


def _write_log(fit: Fit, task: FoldTask) -> None:
    """Write log.jsonl, a line an epoch, as far as the fit has come."""
    rows = [{"fold": task.fold.name} | row for row in fit.progress.history]
    for row in rows:
        row["validation_ccc"] = row["validation_ccc"] if np.isfinite(row["validation_ccc"]) else None
    task.write("log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def _write_results(task: FoldTask, data: TrainingSet, sides: dict[str, Array], fit: Fit, check: RangeCheck) -> None:
    """Write the fold's predictions and model; fold.json comes last, and with it the fold counts as done."""
    fold, progress = task.fold, fit.progress
    training_mean = predict_mean(data.labels[sides["train"]], 1)[0]
    training = {
        "fold": fold.name,
        "epochs": progress.epochs,
        "best_epoch": progress.best_epoch,
        "validation_ccc": progress.best_score if np.isfinite(progress.best_score) else None,
        "warnings": [*fold.counted_warnings, *data.warnings],  # no names: a model file is passed on by itself
    }
    card = ModelCard(
        spec=fit.model.spec,
        recipe=data.recipe,
        clips=replace(task.config.clips, length=data.clips.clip_length),
        scaling=data.scaling,
        targets=data.manifest.targets,
        training_mean=dict(zip(data.manifest.target_names, training_mean.tolist(), strict=True)),
        training=training,
        range_check=check,
    )
    table = _held_out_table(task, data, sides, fit)
    task.write("predictions.csv", to_cells(table).to_csv(index=False))
    sha256 = write_model(task.folder / "model.safetensors", fit.model, card, task.run)
    record = {
        "model_sha256": sha256,
        **training,
        "warnings": [*fold.warnings, *data.warnings],
        "subjects": {side: list(names) for side, names in fold.subjects.items()},
        "spans": {side: len(rows) for side, rows in fold.sides.items()},
        "clips": {side: len(rows) for side, rows in sides.items()},
        **{name: value for name, value in card.to_json().items() if name not in ("spec", "training")},
    }
    RunFolder(task.run).write_json(f"folds/{fold.name}/fold.json", record)


def _held_out_table(task: FoldTask, data: TrainingSet, sides: dict[str, Array], fit: Fit) -> pd.DataFrame:
    """A row a held-out clip: where it is, its labels, and what the model and the baselines say, in own units."""
    test, clips = sides["test"], data.clips
    columns: dict[str, object] = {
        "fold": task.fold.name,
        "subject": np.array(data.manifest.subjects)[clips.span[test]],
        "video": np.array(clips.table.ids)[clips.video[test]],
        "span": clips.span[test],
        "start_s": clips.start_s[test],
        "end_s": clips.end_s[test],
        "coverage": clips.coverage[test],
    }
    model = data.scaling.to_units(score_clips([fit.model], clips, test, task.config.training.batch_size).mean)
    baselines = {"ridge": _ridge(data, sides), "mean": predict_mean(data.labels[sides["train"]], len(test))}
    for number, name in enumerate(data.manifest.target_names):
        columns[name] = model[:, number]
        columns[f"{name}_label"] = data.labels[test, number]
        for method, values in baselines.items():
            columns[f"{name}_{method}"] = values[:, number]
    return pd.DataFrame(columns)


def _ridge(data: TrainingSet, sides: dict[str, Array]) -> Array:
    """(n, K): ridge regression on each span's mean feature, the same score for every held-out clip of a span."""
    features = {side: span_features(data.clips, numbers) for side, numbers in sides.items()}
    labels = {side: data.manifest.labels[spans] for side, (spans, _) in features.items()}
    ridge = fit_ridge(features["train"][1], labels["train"], features["validation"][1], labels["validation"])
    spans, values = features["test"]
    scores: Array = ridge.predict(values)[np.searchsorted(spans, data.clips.span[sides["test"]])]
    return scores
