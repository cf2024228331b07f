"""An evaluated run as its folder holds it: what a report and a comparison are made of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...cache.csv_cells import from_cells
from ...cache.predictions import Metrics
from ...cache.records import Array, Json
from ...configs.plain_text import from_cell
from ...configs.schema import Config
from ...errors import RunError, first_line
from ..runs.folder import TRAIN_FIRST, RunFolder
from ..train.held_out import LEVELS, column_of


@dataclass(frozen=True, slots=True)
class FinishedFold:
    """One fold: fold.json and the columns of its log, an entry an epoch."""

    name: str
    record: Mapping[str, Json]
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

    @property
    def name(self) -> str:
        """The folder's."""
        return self.path.resolve().name

    @property
    def targets(self) -> tuple[str, ...]:
        """Their names, in the order of the metrics."""
        return tuple(target.name for target in self.metrics.targets)

    def level(self, name: str) -> pd.DataFrame:
        """Held-out rows of "spans", "clips" or "videos"."""
        rows: pd.DataFrame = self.predictions[self.predictions["level"] == LEVELS[name]]
        return rows

    def predicted(self, rows: pd.DataFrame, method: str = "model") -> Array:
        """(N, K) predictions in some rows."""
        return rows[[column_of(name, method) for name in self.targets]].to_numpy(np.float64)

    def labels(self, rows: pd.DataFrame) -> Array:
        """(N, K) labels of some rows."""
        return rows[[column_of(name, "label") for name in self.targets]].to_numpy(np.float64)

    def warnings(self) -> list[str]:
        """Sentences a reader must know, each once."""
        found: dict[str, list[str]] = {words: [] for words in self.metrics.warnings}
        for fold in self.folds:
            for words in fold.record.get("warnings", []):
                found.setdefault(str(words), []).append(fold.name)
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
    metrics = _read_metrics(folder)
    return EvaluatedRun(
        path=folder.path,
        config=folder.config(),
        config_text=folder.config_file.read_text("utf-8"),
        environment=folder.read_json("environment.json"),
        metrics=metrics,
        predictions=_read_table(folder.path / "predictions.csv", metrics),
        folds=tuple(
            FinishedFold(name, folder.read_json(f"folds/{name}/fold.json"), _read_log(folder.folds / name))
            for name in names
        ),
        failures=_read_rows(folder.path / "failures.csv"),
        skipped=_read_rows(folder.path / "skipped.csv"),
    )


def _read_metrics(folder: RunFolder) -> Metrics:
    try:
        return Metrics.from_json(folder.read_json("metrics.json"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            f"{folder.path / 'metrics.json'} holds no metrics of a run: {type(error).__name__} {error}",
            hint=f"affect train-temporal ... --run {folder.path} --resume writes them again",
        ) from error


def _read_table(path: Path, metrics: Metrics) -> pd.DataFrame:
    """The run's predictions, with the columns that its metrics speak of."""
    try:
        table = from_cells(pd.read_csv(path, dtype={"level": str, "fold": str, "subject": str, "video": str}))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: this run was never evaluated", hint=TRAIN_FIRST) from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    columns = ("label", *metrics.spans.scores)
    expected = ["level", "subject", "video", "start_s", "end_s"]
    expected += [column_of(target.name, column) for target in metrics.targets for column in columns]
    missing = [name for name in expected if name not in table]
    if missing:
        raise RunError(f"{path} has no column {', '.join(missing)}; expected a run's predictions")
    return table


def _read_log(folder: Path) -> pd.DataFrame:
    """The fold's epochs; empty where it kept no log."""
    path = folder / "log.jsonl"
    if not path.is_file():
        return pd.DataFrame({"phase": [], "epoch": []})
    try:
        return pd.DataFrame([json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()])
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise RunError(f"{path} is damaged: {first_line(error)}") from error


def _read_rows(path: Path) -> tuple[tuple[str, str, str], ...]:
    """The rows of a table of three columns; none where there is no such table."""
    if not path.is_file():
        return ()
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return tuple((from_cell(row[0]), from_cell(row[1]), from_cell(row[2])) for row in table.itertuples(index=False))
