"""What a report is made of, read from a run folder and nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...cache.records import Array, Json
from ...errors import RunError
from ..runs.folder import TRAIN_FIRST, RunFolder

SHARED = "NOT subject-independent"  # how a fold's warning begins when train and test share a person
LEVELS = {"spans": "span", "clips": "clip", "videos": "video"}  # in metrics.json -> in predictions.csv
METHODS = {"model": "model", "ridge": "ridge regression", "mean": "training mean"}


@dataclass(frozen=True, slots=True)
class FinishedFold:
    """One fold: fold.json and the columns of its log, an entry an epoch."""

    name: str
    record: Mapping[str, Json]
    log: pd.DataFrame


@dataclass(frozen=True, slots=True)
class ReportData:
    """A run that has been evaluated."""

    path: Path
    config: Mapping[str, Json]
    config_text: str
    environment: Mapping[str, Json]
    metrics: Mapping[str, Json]
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
        """In the order of the predictions' columns."""
        return tuple(name.removesuffix("_label") for name in self.predictions.columns if name.endswith("_label"))

    @property
    def units(self) -> dict[str, str]:
        """Target -> unit, where one is known."""
        units: dict[str, str] = dict(self.folds[0].record.get("units", {})) if self.folds else {}
        return units

    def level(self, name: str) -> pd.DataFrame:
        """Held-out rows of "spans", "clips" or "videos"."""
        rows: pd.DataFrame = self.predictions[self.predictions["level"] == LEVELS[name]]
        return rows

    def columns(self, level: str, target: str, method: str = "model") -> tuple[Array, Array]:
        """(N,) predicted and (N,) true values of a level."""
        rows = self.level(level)
        name = target if method == "model" else f"{target}_{method}"
        return rows[name].to_numpy(np.float64), rows[f"{target}_label"].to_numpy(np.float64)

    @property
    def shares_subjects(self) -> bool:
        """Whether a person stands on two sides of some fold."""
        return any(words.startswith(SHARED) for words in self.warnings())

    def warnings(self) -> list[str]:
        """Sentences a reader must know, each once, shared subjects before all others."""
        found: dict[str, list[str]] = {str(words): [] for words in self.metrics.get("warnings", [])}
        for fold in self.folds:
            for words in fold.record.get("warnings", []):
                found.setdefault(str(words), []).append(fold.name)
        sentences = [
            words if len(folds) in (0, len(self.folds)) else f"{words} (fold {', '.join(folds)})"
            for words, folds in found.items()
        ]
        for fold_name, subjects, reason in self.failures:
            sentences.append(f"fold {fold_name} ({subjects}) failed and is not part of any number here: {reason}")
        return sorted(sentences, key=lambda words: not words.startswith(SHARED))


def read_report_data(path: str | Path) -> ReportData:
    """Errors: RunError for a folder that is no run, has no finished fold, or holds a file that cannot be read."""
    folder = RunFolder.open(Path(path))
    names = folder.finished_folds()
    if not names:
        raise RunError(f"{path} has no finished fold; there is nothing to report", hint=TRAIN_FIRST)
    return ReportData(
        path=folder.path,
        config=_plain(folder),
        config_text=folder.config_file.read_text("utf-8"),
        environment=folder.read_json("environment.json"),
        metrics=folder.read_json("metrics.json"),
        predictions=_read_table(folder.path / "predictions.csv"),
        folds=tuple(
            FinishedFold(name, folder.read_json(f"folds/{name}/fold.json"), _read_log(folder.folds / name))
            for name in names
        ),
        failures=_read_rows(folder.path / "failures.csv"),
        skipped=_read_rows(folder.path / "skipped.csv"),
    )


def _plain(folder: RunFolder) -> dict[str, Json]:
    from ...configs.load import config_to_dict

    return config_to_dict(folder.config())


def _read_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"level": str, "fold": str, "subject": str, "video": str})
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: this run was never evaluated", hint=TRAIN_FIRST) from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    missing = {"level", "subject", "video", "start_s", "end_s"} - set(table.columns)
    if missing:
        raise RunError(f"{path} has no column {', '.join(sorted(missing))}; expected a run's predictions")
    return table


def _read_log(folder: Path) -> pd.DataFrame:
    """The fold's epochs; empty where it kept no log."""
    path = folder / "log.jsonl"
    if not path.is_file():
        return pd.DataFrame({"phase": [], "epoch": []})
    try:
        return pd.DataFrame([json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()])
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def _read_rows(path: Path) -> tuple[tuple[str, str, str], ...]:
    """The rows of a table of three columns; none where there is no such table."""
    if not path.is_file():
        return ()
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return tuple((row[0], row[1], row[2]) for row in table.itertuples(index=False))
