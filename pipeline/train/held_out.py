"""Held-out predictions of all folds into one table and its metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...cache.csv_cells import from_cells
from ...cache.metrics import ALL_TARGETS, LEVELS, METHODS, Average, LevelMetrics, Metrics, Score, Scores
from ...cache.records import Array, Target
from ...configs.schema import Config
from ...errors import RunError, first_line, named, shown
from ...stages.temporal.intervals import INTERVAL, METHOD
from ...stages.temporal.metrics import (
    ICC,
    Estimates,
    estimate,
    estimate_subjects,
    evaluate_subjects,
    mean_over_targets,
    paired_difference,
)
from ..runs.folder import TRAIN_FIRST

WORDS = ("level", "fold", "subject", "video")  # columns that hold no numbers
KEYS = {"spans": ["fold", "subject", "video", "span"], "videos": ["fold", "subject", "video"]}


def column_of(target: str, what: str) -> str:
    """The column of a target's predictions by a method, or of its "label", in the tables of held-out rows."""
    return target if what == "model" else f"{target}_{what}"


def read_held_out(path: Path, targets: Sequence[str], methods: Sequence[str], keys: Sequence[str] = ()) -> pd.DataFrame:
    """A table of held-out rows, with the columns of `targets`, `methods` and `keys` at least.

    Errors: RunError naming a table that is missing, cannot be read, or holds something else.
    """
    try:
        table = from_cells(pd.read_csv(path, dtype=dict.fromkeys(WORDS, str)))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: this run was never evaluated", hint=TRAIN_FIRST) from error
    except OSError as error:
        raise named(error, path) from error
    except ValueError as error:
        raise RunError(f"{path} cannot be read: {first_line(error)}") from error
    expected = [*keys, "subject", "video", "start_s", "end_s"]
    expected += [column_of(target, column) for target in targets for column in ("label", *methods)]
    if missing := [name for name in expected if name not in table]:
        raise RunError(f"{path} has no column {', '.join(missing)}; expected a run's predictions")
    for name in table.columns:
        if name in WORDS:
            table[name] = table[name].fillna("")
        elif not pd.api.types.is_numeric_dtype(table[name]):
            raise RunError(f"{path}: column {shown(name)} holds what is no number; expected a run's predictions")
    return table


def read_fold_tables(paths: Sequence[Path], targets: Sequence[str]) -> pd.DataFrame:
    """All folds' held-out clips. Errors: as `read_held_out`."""
    tables = [read_held_out(path, targets, METHODS, ("fold", "span", "coverage")) for path in paths]
    return pd.concat(tables, ignore_index=True)


def levels_of(clips: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Level -> its rows: clips as they are, spans and videos as the means of their clips.

    The mean of a target's predictions is over the clips that its label's is over, where there are any.
    """
    tables = {"clips": clips}
    times = {"start_s": "min", "end_s": "max"}
    for level, keys in KEYS.items():
        values = [name for name in clips.columns if name not in {*keys, "span", *times}]
        grouped, alike = clips.groupby(keys, sort=False, dropna=False), clips.copy()
        for label in (name for name in clips.columns if name.endswith("_label")):
            left_out = clips[label].isna() & (grouped[label].transform("count") > 0)
            for name in {column_of(label.removesuffix("_label"), method) for method in METHODS} & {*clips.columns}:
                alike[name] = clips[name].mask(left_out)
        grouped = alike.groupby(keys, sort=False, dropna=False)
        tables[level] = grouped.agg(times | dict.fromkeys(values, "mean")).reset_index()
    return tables


def predictions_table(levels: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The run's predictions.csv: every level's rows under one another, named in the column `level`."""
    tables = [table.assign(level=LEVELS[level]) for level, table in levels.items()]
    whole = pd.concat(tables, ignore_index=True)
    return whole[["level", *(name for name in whole.columns if name != "level")]]


def measure(
    levels: Mapping[str, pd.DataFrame],
    targets: Sequence[Target],
    config: Config,
    *,
    warnings: Sequence[str],
    shares_people: bool,
    validation: Mapping[str, float],
    failed: Mapping[str, str],
) -> Metrics:
    """The run's metrics.

    levels: of `levels_of`. validation: finished fold -> CCC of its inner validation clips, NaN where it has none.
    failed: fold -> reason. shares_people: whether the test side of a fold shares something with another.
    """
    names = [target.name for target in targets]
    return Metrics(
        warnings=tuple(warnings),
        shares_people=shares_people,
        protocol=config.evaluation.protocol,
        targets=tuple(targets),
        interval=INTERVAL,
        interval_method=METHOD,
        icc=ICC,
        folds_done=tuple(validation),
        folds_failed=dict(failed),
        validation_ccc=_mean(list(validation.values())),
        validation_by_fold=dict(validation),
        **{level: measure_level(table, names) for level, table in levels.items()},
    )


def measure_level(table: pd.DataFrame, targets: Sequence[str], methods: Sequence[str] = METHODS) -> LevelMetrics:
    """How well each method did on the rows of one level."""
    subjects = table["subject"].tolist()
    pooled = {
        method: {name: estimate(*_columns(table, name, method), subjects) for name in targets} for method in methods
    }
    return LevelMetrics(
        rows=len(table),
        subjects=int(table["subject"].nunique()),
        scores={
            method: {name: one.scores() for name, one in of_targets.items()} for method, of_targets in pooled.items()
        },
        averages={
            method: mean_over_targets(list(of_targets.values())).over_targets() for method, of_targets in pooled.items()
        },
        per_subject=_measure_subjects(table, targets, methods),
        subject_means={method: _subject_means(table, targets, method) for method in methods},
        over_ridge=_over_ridge(table, targets, methods),
    )


def _over_ridge(table: pd.DataFrame, targets: Sequence[str], methods: Sequence[str]) -> dict[str, Score]:
    """Method -> its mean CCC over the targets minus that of ridge regression; empty without ridge regression."""
    others = [method for method in methods if method != "ridge"] if "ridge" in methods else []
    each = {method: over_ridge(table, targets, method) for method in others}
    return {method: mean_over_targets(list(of.values())).scores()["ccc"] for method, of in each.items()}


def over_ridge(table: pd.DataFrame, targets: Sequence[str], method: str) -> dict[str, Estimates]:
    """Target -> the metrics of a method minus those of ridge regression, paired by subject."""
    subjects, found = table["subject"].tolist(), {}
    for name in targets:
        prediction, label = _columns(table, name, method)
        found[name] = paired_difference(prediction, _columns(table, name, "ridge")[0], label, subjects)
    return found


def _subject_means(table: pd.DataFrame, targets: Sequence[str], method: str) -> dict[str, dict[str, Average]]:
    """Target, or all of them -> metric -> mean over subjects of what each has alone."""
    subjects = table["subject"].tolist()
    means = {name: estimate_subjects(*_columns(table, name, method), subjects) for name in targets}
    means[ALL_TARGETS] = mean_over_targets(list(means.values()))
    return {name: one.over_subjects() for name, one in means.items()}


def _measure_subjects(table: pd.DataFrame, targets: Sequence[str], methods: Sequence[str]) -> dict[str, Scores]:
    """Subject -> scores of its own rows."""
    subjects = table["subject"].tolist()
    alone = {
        method: {name: evaluate_subjects(*_columns(table, name, method), subjects) for name in targets}
        for method in methods
    }
    return {
        subject: {method: {name: alone[method][name][subject] for name in targets} for method in methods}
        for subject in sorted(set(subjects))
    }


def _columns(table: pd.DataFrame, target: str, method: str) -> tuple[Array, Array]:
    return table[column_of(target, method)].to_numpy(np.float64), table[column_of(target, "label")].to_numpy(np.float64)


def _mean(values: Sequence[float]) -> float:
    """Mean of the finite ones; NaN without any."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
