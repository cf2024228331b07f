"""Held-out predictions of all folds into one table and its metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...cache.records import Array, Json
from ...configs.schema import EvaluationConfig
from ...errors import RunError
from ...stages.temporal.metrics import METRICS, Score, evaluate, evaluate_subjects

METHODS = ("model", "ridge", "mean")
LEVELS = {"clips": "clip", "spans": "span", "videos": "video"}  # in metrics.json -> in predictions.csv
KEYS = {"spans": ["fold", "subject", "video", "span"], "videos": ["fold", "subject", "video"]}


def read_fold_tables(paths: Sequence[Path]) -> pd.DataFrame:
    """All folds' held-out clips. Errors: RunError naming a table that cannot be read."""
    tables = []
    for path in paths:
        try:
            tables.append(pd.read_csv(path, dtype={"fold": str, "subject": str, "video": str}, keep_default_na=True))
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read: {error}") from error
    return pd.concat(tables, ignore_index=True)


def levels_of(clips: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Level -> its rows: clips as they are, spans and videos as the means of their clips."""
    tables = {"clips": clips}
    times = {"start_s": "min", "end_s": "max"}
    for level, keys in KEYS.items():
        values = [name for name in clips.columns if name not in {*keys, "span", *times}]
        grouped = clips.groupby(keys, sort=False, dropna=False)
        tables[level] = grouped.agg(times | dict.fromkeys(values, "mean")).reset_index()
    return tables


def predictions_table(levels: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The run's predictions.csv: every level's rows under one another, named in the column `level`."""
    tables = [table.assign(level=LEVELS[level]) for level, table in levels.items()]
    whole = pd.concat(tables, ignore_index=True)
    return whole[["level", *(name for name in whole.columns if name != "level")]]


def measure(levels: Mapping[str, pd.DataFrame], targets: Sequence[str], config: EvaluationConfig, seed: int) -> Json:
    """Level -> method -> target -> metric -> value, low, high, reason; `mean` of the targets under "all targets"."""
    result: dict[str, Json] = {}
    for level, table in levels.items():
        result[level] = {"rows": len(table), "subjects": int(table["subject"].nunique())}
        for method in METHODS:
            scores = {
                name: evaluate(*_columns(table, name, method), table["subject"].tolist(), config.bootstrap, seed)
                for name in targets
            }
            result[level][method] = {name: _to_json(score) for name, score in scores.items()}
            result[level][method]["all targets"] = _averages(list(scores.values()))
    return result


def measure_subjects(levels: Mapping[str, pd.DataFrame], targets: Sequence[str]) -> Json:
    """Level -> subject -> method -> target -> metric -> value (null where it is not defined)."""
    result: dict[str, Json] = {}
    for level, table in levels.items():
        subjects = table["subject"].tolist()
        result[level] = {name: {method: {} for method in METHODS} for name in sorted(set(subjects))}
        for method in METHODS:
            for target in targets:
                for name, scores in evaluate_subjects(*_columns(table, target, method), subjects).items():
                    values = {metric: score.value for metric, score in scores.items()}
                    result[level][name][method][target] = values
    return result


def _columns(table: pd.DataFrame, target: str, method: str) -> tuple[Array, Array]:
    name = target if method == "model" else f"{target}_{method}"
    return table[name].to_numpy(np.float64), table[f"{target}_label"].to_numpy(np.float64)


def _to_json(scores: Mapping[str, Score]) -> dict[str, Json]:
    return {metric: score.to_json() for metric, score in scores.items()}


def _averages(scores: Sequence[Mapping[str, Score]]) -> dict[str, Json]:
    """Metric -> mean over the targets that have a value."""
    averages: dict[str, Json] = {}
    for metric in METRICS:
        values = [target[metric].value for target in scores if np.isfinite(target[metric].value)]
        averages[metric] = {"value": float(np.mean(values)) if values else None, "targets": len(values)}
    return averages
