"""Several runs on the spans that all of them held out, each paired with the first."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...cache.json_files import flat
from ...cache.metrics import ALL_TARGETS, Score
from ...cache.records import Array, Json
from ...configs.load import config_to_dict
from ...errors import RunError
from ...stages.temporal.intervals import FISHER_Z
from ...stages.temporal.metrics import (
    Estimates,
    estimate,
    evaluate_subjects,
    mean_over_subjects,
    mean_over_targets,
    paired_difference,
)
from ...stages.views.comparison import ComparedRun, Comparison
from ...stages.views.warned import together
from ..train.held_out import column_of
from .data import EvaluatedRun, read_evaluated_run

LABEL_TOLERANCE = 1e-6


def compare(runs: Sequence[str | Path]) -> Comparison:
    """The runs on their common held-out spans and targets, each by its own method.

    Errors: RunError for fewer than two runs, a folder that is none, nothing in common, or labels that differ.
    """
    if len(runs) < 2:
        raise RunError(f"{len(runs)} run given; a comparison needs at least two", hint="affect report RUN RUN ...")
    data = [read_evaluated_run(path) for path in runs]
    names = _names([item.path for item in data])
    targets = tuple(name for name in data[0].targets if all(name in item.targets for item in data))
    if not targets:
        raise RunError(f"the runs have no target in common: {'; '.join(', '.join(item.targets) for item in data)}")
    tables = _common_rows(data, names, targets)
    subject_ccc = [_subject_ccc(rows, targets) for rows in tables]
    compared = []
    for number, (name, rows) in enumerate(zip(names, tables, strict=True)):
        gains = np.array([subject_ccc[number][one] - subject_ccc[0][one] for one in subject_ccc[0]])
        compared.append(
            ComparedRun(
                name=name,
                method=data[number].method,
                shares_people=data[number].metrics.shares_people,
                scores=with_all({name: estimate(*_pair(rows, name), rows["subject"].tolist()) for name in targets}),
                differences=_differences(rows, tables[0], targets) if number else {},
                subject_ccc=subject_ccc[number],
                subject_mean=mean_over_subjects(np.array(list(subject_ccc[number].values())), FISHER_Z),
                subject_difference=mean_over_subjects(gains) if number else None,
                better=int((gains > 0).sum()),
            )
        )
    subjects = tables[0]["subject"].nunique()
    warnings = _warnings(data, names, len(tables[0]))
    return Comparison(tuple(compared), targets, len(tables[0]), subjects, warnings, _settings(data))


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' names, with as many parents as tell them apart."""
    whole = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-length:]) for parts in whole]
        if len(set(names)) == len(names):
            return names
    raise RunError(f"{paths[0]} is given more than once; expected different runs")


def _common_rows(data: Sequence[EvaluatedRun], names: Sequence[str], targets: Sequence[str]) -> list[pd.DataFrame]:
    """Each run's held-out spans that all runs have, in one order; a target's column is what the run's method says."""
    same = len({str(item.environment.get("labels_sha256")) for item in data}) == 1
    keys = ["subject", "video", "span"] if same else ["subject", "video", "place"]
    # Other label tables number their spans otherwise; then a span is known by its start, to a hundredth of a second.
    tables = [item.level("spans").assign(place=lambda rows: rows["start_s"].round(2)).set_index(keys) for item in data]
    for rows, item in zip(tables, data, strict=True):
        rows[list(item.targets)] = item.predicted(rows)  # from here on by the run's method, not by the networks
        if not rows.index.is_unique:
            raise RunError(f"{item.path / 'predictions.csv'} holds a span twice; expected each held out once")
    common = tables[0].index
    for rows in tables[1:]:
        common = common.intersection(rows.index)
    if len(common) == 0:
        raise RunError("the runs held out no span in common; expected runs on the same labels")
    aligned = [rows.loc[common].reset_index() for rows in tables]
    for target in targets:
        _, reference = _pair(aligned[0], target)
        for rows, name in zip(aligned[1:], names[1:], strict=True):
            if not np.allclose(reference, _pair(rows, target)[1], rtol=0, atol=LABEL_TOLERANCE, equal_nan=True):
                raise RunError(
                    f"{names[0]} and {name} were judged on other labels of {target}; expected the same label table"
                )
    return aligned


def _pair(rows: pd.DataFrame, target: str) -> tuple[Array, Array]:
    """(N,) predictions and (N,) labels of one target."""
    return rows[target].to_numpy(np.float64), rows[column_of(target, "label")].to_numpy(np.float64)


def _differences(rows: pd.DataFrame, first: pd.DataFrame, targets: Sequence[str]) -> dict[str, dict[str, Score]]:
    """Target, or all of them -> metric -> what these rows' predictions have over the first run's."""
    subjects = first["subject"].tolist()
    differences = {}
    for target in targets:
        prediction, label = _pair(rows, target)
        reference, _ = _pair(first, target)
        differences[target] = paired_difference(prediction, reference, label, subjects)
    return with_all(differences)


def with_all(estimates: Mapping[str, Estimates]) -> dict[str, dict[str, Score]]:
    """Target -> metric -> score; with several targets their mean as well."""
    more = {ALL_TARGETS: mean_over_targets(list(estimates.values()))} if len(estimates) > 1 else {}
    return {name: one.scores() for name, one in {**estimates, **more}.items()}


def _subject_ccc(rows: pd.DataFrame, targets: Sequence[str]) -> dict[str, float]:
    """Subject -> mean of its own CCC over the targets that have one; NaN without any."""
    subjects = rows["subject"].tolist()
    alone = [evaluate_subjects(*_pair(rows, target), subjects) for target in targets]
    found: dict[str, float] = {}
    for name in sorted(set(subjects)):
        known = [scores[name]["ccc"].value for scores in alone if math.isfinite(scores[name]["ccc"].value)]
        found[name] = float(np.mean(known)) if known else math.nan
    return found


def _warnings(data: Sequence[EvaluatedRun], names: Sequence[str], spans: int) -> tuple[str, ...]:
    """The runs' warnings, those of runs that share people first, and how many spans are left out."""
    order = sorted(range(len(data)), key=lambda number: not data[number].metrics.shares_people)
    said = tuple(together((names[number], words) for number in order for words in data[number].warnings()))
    said += tuple(
        f"{name} holds nothing by its method, {item.config.evaluation.method}: it is compared by the networks"
        for name, item in zip(names, data, strict=True)
        if item.method != item.config.evaluation.method
    )
    if len({item.method for item in data}) > 1:
        said += ("the runs score by different methods: a difference is one of methods, and not of settings alone",)
    held_out = [len(item.level("spans")) for item in data]
    if max(held_out) > spans:
        counts = ", ".join(f"{name} {rows}" for name, rows in zip(names, held_out, strict=True))
        said += (f"only the {spans} spans that all runs held out are compared; held out were: {counts}",)
    return said


def _settings(data: Sequence[EvaluatedRun]) -> dict[str, tuple[Json, ...]]:
    """Settings and inputs that differ -> their value in each run."""
    inputs = ("recipe_digest", "store_digest", "labels_sha256", "mirrored_store", "device", "commit")
    leaves = [
        flat(config_to_dict(item.config)) | {name: item.environment.get(name) for name in inputs} for item in data
    ]
    names = dict.fromkeys(name for values in leaves for name in values)
    rows = {name: tuple(values.get(name) for values in leaves) for name in names}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}
