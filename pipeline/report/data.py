"""An evaluated run as its folder holds it: what a report and a comparison are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...cache.checked import loaded
from ...cache.fold_record import FoldRecord
from ...cache.metrics import LEVELS, Metrics
from ...cache.records import Array, Json
from ...configs.plain_text import from_cell
from ...configs.schema import Config
from ...errors import RunError, first_line, named, shown
from ...stages.temporal.intervals import INTERVAL, METHOD
from ...stages.temporal.metrics import ICC
from ...stages.views.disagreement import disagreement
from ..runs.folder import TRAIN_FIRST, RunFolder
from ..train.held_out import column_of, measure_level, read_held_out

CURVES = ("loss", "validation_ccc")  # of a log, in the pictures


@dataclass(frozen=True, slots=True)
class FinishedFold:
    """One fold: fold.json and the columns of its log, an entry an epoch."""

    name: str
    record: FoldRecord
    log: pd.DataFrame


@dataclass(frozen=True, slots=True)
class EvaluatedRun:
    """A run that has been evaluated."""

    path: Path
    config: Config
    config_text: str
    environment: Mapping[str, Json]
    metrics: Metrics
    predictions: pd.DataFrame  # of all levels
    folds: tuple[FinishedFold, ...]
    failures: tuple[tuple[str, str, str], ...]  # fold, its subjects, reason
    skipped: tuple[tuple[str, str, str], ...]  # labelled spans not used: where in the manifest, video, reason
    notes: tuple[str, ...] = ()  # what is wrong with the folder itself

    @property
    def name(self) -> str:
        """The folder's."""
        return self.path.resolve().name

    @property
    def method(self) -> str:
        """Whose scores the run gives: as its configuration says, or the networks' where it has no others."""
        method = self.config.evaluation.method
        return method if method in self.metrics.spans.scores else "model"

    @property
    def targets(self) -> tuple[str, ...]:
        """Their names, in the order of the metrics."""
        return tuple(target.name for target in self.metrics.targets)

    def level(self, name: str) -> pd.DataFrame:
        """Held-out rows of "spans", "clips" or "videos"."""
        rows: pd.DataFrame = self.predictions[self.predictions["level"] == LEVELS[name]]
        return rows

    def predicted(self, rows: pd.DataFrame, method: str | None = None) -> Array:
        """(N, K) predictions in some rows, by a method; None: by the run's."""
        return rows[[column_of(name, method or self.method) for name in self.targets]].to_numpy(np.float64)

    def labels(self, rows: pd.DataFrame) -> Array:
        """(N, K) labels of some rows."""
        return rows[[column_of(name, "label") for name in self.targets]].to_numpy(np.float64)

    def warnings(self) -> list[str]:
        """Sentences a reader must know, each once; first what is wrong with the run's folder."""
        found: dict[str, list[str]] = {words: [] for words in (*self.notes, *self.metrics.warnings)}
        for fold in self.folds:
            for words in fold.record.warnings:
                found.setdefault(words, []).append(fold.name)
        sentences = [
            words if len(folds) in (0, len(self.folds)) else f"{words} (fold {', '.join(folds)})"
            for words, folds in found.items()
        ]
        for fold_name, subjects, reason in self.failures:
            sentences.append(f"fold {fold_name} ({subjects}) failed and is not part of any number here: {reason}")
        return sentences


def read_evaluated_run(path: str | Path) -> EvaluatedRun:
    """Errors: RunError for a folder that is no run, has no finished fold, or holds a file that cannot be read."""
    folder = RunFolder.open(Path(path))
    names = folder.finished_folds()
    if not names:
        raise RunError(f"{path} has no finished fold; there is nothing to report", hint=TRAIN_FIRST)
    if not (folder.path / "metrics.json").exists():
        raise RunError(
            f"{folder.path / 'metrics.json'} is missing: the training of {path} has not ended, {len(names)} folds "
            "are done",
            hint=f"affect train-temporal ... --run {path} --resume ends it",
        )
    said = folder.metrics()
    config = folder.config()
    targets = [target.name for target in said.targets]
    path = folder.own(folder.path / "predictions.csv")
    table = read_held_out(path, targets, tuple(said.spans.scores), ("level",))
    metrics = _measured(said, table)
    missing = folder.missing_folds().replace("models used", "models are here")
    notes = (missing, _other_intervals(said), disagreement(said, metrics))
    return EvaluatedRun(
        path=folder.path,
        config=config,
        config_text=folder.config_file.read_text("utf-8"),
        environment=_read_environment(folder),
        metrics=metrics,
        predictions=table,
        folds=tuple(FinishedFold(name, folder.fold(name), _read_log(folder, name)) for name in names),
        failures=_read_rows(folder.own(folder.path / "failures.csv")),
        skipped=_read_rows(folder.own(folder.path / "skipped.csv")),
        notes=tuple(filter(None, notes)),
    )


def _measured(said: Metrics, table: pd.DataFrame) -> Metrics:
    """The metrics that the run's own predictions have, whatever metrics.json says of them."""
    names = [target.name for target in said.targets]
    numbers = {
        name: measure_level(table[table["level"] == level], names, tuple(getattr(said, name).scores))
        for name, level in LEVELS.items()
    }
    clips, spans, videos = numbers["clips"], numbers["spans"], numbers["videos"]
    return replace(said, interval=INTERVAL, interval_method=METHOD, icc=ICC, clips=clips, spans=spans, videos=videos)


def _other_intervals(said: Metrics) -> str:
    """That an older version's metrics.json has intervals of another kind; empty where it has ours."""
    if said.interval_method == METHOD:
        return ""
    return (
        f"metrics.json was written by another version, with intervals by {said.interval_method}; those shown here are "
        f"by {METHOD}"
    )


def _read_environment(folder: RunFolder) -> dict[str, Json]:
    """What made the run. Errors: RunError where what is shown of it is of another kind."""
    environment = folder.read_json("environment.json")
    for key in ("recipe", "versions"):
        if not isinstance(environment.get(key, {}), dict):
            raise RunError(f"environment.json of {folder.path}: {key} is {shown(environment[key])}; expected an object")
    return environment


def _read_log(folder: RunFolder, name: str) -> pd.DataFrame:
    """A fold's epochs; empty where it kept no log. Errors: RunError where a line is no epoch."""
    path = folder.own(folder.folds / name / "log.jsonl")
    if not path.is_file():
        return pd.DataFrame({"phase": [], "epoch": []})
    try:
        rows = [loaded(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        if not all(isinstance(row, dict) and {"phase", "epoch"} <= row.keys() for row in rows):
            raise ValueError("a line is no epoch")
        log = pd.DataFrame(rows, columns=None if rows else ["phase", "epoch"])
        numbers = [column for column in (*CURVES, "epoch") if column in log]
        return log.astype(dict.fromkeys(numbers, np.float64))
    except OSError as error:
        raise named(error, path) from error
    except (ValueError, TypeError, RecursionError, MemoryError) as error:  # no UTF-8, no JSON, no numbers, too deep
        raise RunError(f"{path} is damaged: {first_line(error)}") from error


def _read_rows(path: Path) -> tuple[tuple[str, str, str], ...]:
    """The rows of a table of three columns; none where there is no such table."""
    if not path.is_file():
        return ()
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise named(error, path) from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if len(table.columns) < 3:
        raise RunError(f"{path} has {len(table.columns)} columns; expected 3")
    return tuple((from_cell(row[0]), from_cell(row[1]), from_cell(row[2])) for row in table.itertuples(index=False))
