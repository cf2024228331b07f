"""One fold of an experiment: fitted, resumed where it was stopped, scored on people it has never seen."""

import io
import json
import pickle
import time
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...cache.files import make_folder, write_whole
from ...cache.fold_record import BY_CENTRE
from ...cache.manifest import check_targets_vary
from ...cache.metrics import METHODS
from ...cache.predictions import ClipScores, RangeCheck, ScoreReason
from ...cache.records import Array, Json
from ...cache.regular import read_regular
from ...cache.sealed import DIGEST_BYTES, is_sealed, sealed
from ...configs.places import without_places
from ...configs.schema import Config, Method
from ...errors import UNNAMED, AffectError, FoldError, named
from ...stages.features.one_thread import one_thread
from ...stages.temporal.baselines import predict_mean, span_features
from ...stages.temporal.centring import ccc_by_centre, one_span_each, span_features_otherwise
from ...stages.temporal.ensemble import Ensemble, LinearScores, blended
from ...stages.temporal.fit import Fit, LabelledClips, build_model
from ...stages.temporal.model import ModelSpec, TemporalModel
from ...stages.temporal.products import quick_products
from ...stages.temporal.ranks import rank
from ...stages.temporal.ridge import Ridge, fit_ridge
from ...stages.temporal.score import fit_reference, score_clips
from ...stages.temporal.splits import Fold, people_by_row
from ..events import EpochDone, FoldOutcome
from ..runs.folder import UNFINISHED, RunFolder
from ..runs.model_file import ModelCard, write_model
from .curves import CurvesFile
from .held_out import column_of
from .training_set import TrainingSet, build_training_set

FAILURES = (AffectError, RuntimeError, ValueError, *UNNAMED, ArithmeticError)
CURVES = ("loss", "regression", "relational", "validation_ccc", "learning_rate")
SEED_STEP = 1_000_000  # from one seed of a fold to its next; folds are 1,000 apart
ONE_THREAD_WIDTH = 256  # networks up to so wide compute on one thread of the CPU
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
        with quick_products(), one_thread() if _is_small(task, data) else nullcontext():
            yield from _fit_and_score(task, data)
    except FAILURES as error:  # one fold's failure is listed, the other folds stand
        ours = isinstance(error, (AffectError, *UNNAMED))
        reason = named(error, task.folder).message if ours else f"{type(error).__name__}: {error}"
        yield FoldOutcome(task.fold.name, task.fold.subjects["test"], reason=without_places(reason))


def _is_small(task: FoldTask, data: TrainingSet) -> bool:
    """Whether a second thread costs more than it gives: beside other work, eight times the time was measured."""
    width = task.config.model.width or data.clips.table.feature_size
    return width <= ONE_THREAD_WIDTH and torch.device(task.device).type == "cpu"


def _fit_and_score(task: FoldTask, data: TrainingSet) -> Generator[EpochDone | FoldOutcome, None, None]:
    fold = task.fold
    sides = _sides(task, data)
    for name, clips in sides.items():
        least = {"train": 2, "validation": 0 if task.config.training.refit else 1, "test": 1}[name]
        if len(clips) < least:
            raise FoldError(f"fold {fold.name}: {len(clips)} {name} clips in {len(fold.sides[name])} spans")
    check_targets_vary(data.manifest, fold.train)
    state = task.folder / UNFINISHED
    fits = _begun(task, data, sides, RunFolder(task.run).own(state))
    if rank() > 0:
        for fit in fits:
            for _ in fit.epochs():  # the first rank tells of them and writes
                pass
    else:
        yield from _follow(fits, task)
        check = fit_reference(fits[0].model, data.clips, sides["train"], data.people[sides["train"]])
        _write_results(task, data, sides, fits, check)
        state.unlink(missing_ok=True)
    epochs = sum(fit.progress.epochs for fit in fits)
    yield FoldOutcome(fold.name, fold.subjects["test"], "", _validation_ccc(fits), epochs)


def _sides(task: FoldTask, data: TrainingSet) -> dict[str, Array]:
    """Side -> its clips. With `training.refit` nothing is chosen on the validation spans, and they train too."""
    rows = task.fold.sides_of(refit=task.config.training.refit)
    return {name: data.clips_of(mine) for name, mine in rows.items()}


def _validation_ccc(fits: Sequence[Fit]) -> float:
    """Mean over the seeds of the score that was kept; NaN where nothing was chosen."""
    scores = [fit.progress.best_score for fit in fits]
    return float(np.mean(scores)) if np.isfinite(scores).all() else float("nan")


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


def _begun(task: FoldTask, data: TrainingSet, sides: dict[str, Array], state: Path) -> list[Fit]:
    """A fit for each seed, each where a saved state left it. Errors: FoldError for a file that is no such state."""
    fits = [_new_fit(task, data, sides, number) for number in range(task.config.training.seeds)]
    if state.exists():
        try:
            found = read_regular(state)
            if not is_sealed(found):  # torch.load takes damaged numbers for sound ones
                raise ValueError("it is damaged, or of an earlier version")
            saved = torch.load(io.BytesIO(found[:-DIGEST_BYTES]), map_location=task.device, weights_only=True)
            for fit, values in zip(fits, saved["fits"], strict=True):
                fit.load_state(values)
        except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
            raise FoldError(
                f"{state} is no state of this fold: {error}; delete it to begin again", hint=f"delete {state}"
            ) from error
    return fits


def _new_fit(task: FoldTask, data: TrainingSet, sides: dict[str, Array], number: int) -> Fit:
    config = task.config
    spec = spec_of(data, config)
    seed = config.training.seed + 1000 * task.fold.number + SEED_STEP * number
    labelled = LabelledClips(
        data.clips, data.scaling.to_training(data.labels), sides["train"], sides["validation"], data.mirrored
    )
    return Fit(build_model(spec, seed, task.device), labelled, config.training, config.loss, seed)


def _follow(fits: Sequence[Fit], task: FoldTask) -> Generator[EpochDone, None, None]:
    """The epochs that are left: each is logged, and the state saved as often as SAVE_SHARE allows.

    In the curves, one seed's epochs follow the other's.
    """
    make_folder(task.folder, task.run)  # the board would follow a link
    saved, cost = time.perf_counter(), 0.0
    with CurvesFile(task.folder, from_step=_epochs(fits) + 1) as curves:
        for fit in fits:
            for record in fit.epochs():
                values = {name: getattr(record, name) for name in CURVES}
                finite = {f"{record.phase}/{name}": value for name, value in values.items() if np.isfinite(value)}
                curves.add(finite, step=_epochs(fits))
                if time.perf_counter() - saved >= cost / SAVE_SHARE:
                    started = time.perf_counter()
                    _save_state(fits, task)
                    saved = time.perf_counter()
                    cost = saved - started
                yield EpochDone(task.fold.name, record, _epochs(fits), sum(fit.most_epochs for fit in fits))
    _write_log(fits, task)


def _epochs(fits: Sequence[Fit]) -> int:
    """Epochs done, of all seeds, with those of pre-training."""
    return sum(len(fit.progress.history) for fit in fits)


def _save_state(fits: Sequence[Fit], task: FoldTask) -> None:
    buffer = io.BytesIO()
    torch.save({"fits": [fit.state() for fit in fits]}, buffer)
    task.write(UNFINISHED, sealed(buffer.getvalue()))
    _write_log(fits, task)


def _write_log(fits: Sequence[Fit], task: FoldTask) -> None:
    """Write log.jsonl, a line an epoch, as far as the fits have come; seeds are numbered from 0."""
    rows: list[dict[str, Any]] = []
    for number, fit in enumerate(fits):
        rows += [{"fold": task.fold.name, "seed": number} | row for row in fit.progress.history]
    for row in rows:
        row["validation_ccc"] = row["validation_ccc"] if np.isfinite(row["validation_ccc"]) else None
    task.write("log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def _write_results(
    task: FoldTask, data: TrainingSet, sides: dict[str, Array], fits: Sequence[Fit], check: RangeCheck
) -> None:
    """Write the fold's predictions and model; fold.json comes last, and with it the fold counts as done."""
    fold, ccc = task.fold, _validation_ccc(fits)
    training_mean = predict_mean(data.labels[sides["train"]], 1)[0]
    ridge, told = _ridge(data, sides["train"])
    training = {
        "fold": fold.name,
        "epochs": fits[0].progress.epochs,
        "best_epoch": fits[0].progress.best_epoch,
        "validation_ccc": ccc if np.isfinite(ccc) else None,
        "ridge": told,
        "warnings": [*fold.counted_warnings, *data.counted_warnings],  # no names: a model file is passed on by itself
    }
    card = ModelCard(
        spec=fits[0].model.spec,
        recipe=data.recipe,
        clips=replace(task.config.clips, length=data.clips.clip_length),
        scaling=data.scaling,
        targets=data.manifest.targets,
        training_mean=dict(zip(data.manifest.target_names, training_mean.tolist(), strict=True)),
        training=training,
        range_check=check,
    )
    model = Ensemble([fit.model for fit in fits], LinearScores.of(ridge, data.scaling).to(task.device)).eval()
    size = task.config.training.batch_size
    parts: tuple[Method, ...] = ("model", "ridge")
    scores: dict[str, ClipScores] = {
        method: score_clips([model], data.clips, sides["test"], size, method=method) for method in parts
    }
    table = _held_out_table(task, data, sides, scores)
    name = f"folds/{task.fold.name}/predictions"
    RunFolder(task.run).write_table(name, table, data.manifest.targets)
    sha256 = write_model(task.folder / "model.safetensors", model, card, task.run)
    record = {
        "model_sha256": sha256,
        **training,
        "warnings": [*fold.warnings, *data.all_warnings, *_without_number(scores["model"])],
        "subjects": {side: list(names) for side, names in fold.subjects.items()},
        "spans": {side: len(rows) for side, rows in fold.sides.items()},
        "side_clips": {side: len(rows) for side, rows in sides.items()},
        **{name: value for name, value in card.to_json().items() if name not in ("spec", "training")},
    }
    RunFolder(task.run).write_json(f"folds/{fold.name}/fold.json", record)


def _ridge(data: TrainingSet, train: Array) -> tuple[Ridge, dict[str, Json]]:
    """Ridge regression on the mean feature of each span that trains, and what fold.json says of it."""
    spans, features = span_features(data.clips, train)
    order = np.lexsort((data.manifest.start_s[spans], np.array(data.manifest.videos)[spans]))
    rows = spans[order]
    labels, people = data.manifest.labels[rows], people_by_row(data.manifest.subjects)[rows].astype(str).tolist()
    ridge = fit_ridge(features[order], labels, people)
    told: dict[str, Json] = {"alpha": ridge.alpha, "left_out_ccc": ridge.left_out_ccc}
    if not one_span_each(data.manifest.videos):
        other = span_features_otherwise(data.clips, train, features)[order]
        centred = data.clips.table.is_centred
        told[BY_CENTRE] = ccc_by_centre(ridge, features[order], other, labels, people, centred=centred)
    return ridge, told


def _held_out_table(
    task: FoldTask, data: TrainingSet, sides: dict[str, Array], scores: dict[str, ClipScores]
) -> pd.DataFrame:
    """A row a held-out clip: where it is, its labels, and what each method says, in own units.

    scores: of the networks and of ridge regression; the blend is made of them.
    """
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
    means = {method: of_method.mean for method, of_method in scores.items()}
    means["blend"] = blended(means["ridge"], means["model"])
    said = {method: data.scaling.to_units(mean) for method, mean in means.items()}
    said["mean"] = predict_mean(data.labels[sides["train"]], len(test))
    for number, name in enumerate(data.manifest.target_names):
        columns[column_of(name, "label")] = data.labels[test, number]
        for method in METHODS:
            columns[column_of(name, method)] = said[method][:, number]
    return pd.DataFrame(columns)


def _without_number(scores: ClipScores) -> list[str]:
    """That the model broke down on some clips, which no metric can count."""
    silent = int((scores.reason == ScoreReason.NO_NUMBER).sum())
    return [f"{ScoreReason.NO_NUMBER.sentence} for {silent} of {len(scores)} held-out clips"] if silent else []
