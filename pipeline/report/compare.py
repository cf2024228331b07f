"""Several runs side by side on the spans that all of them held out, each paired with the first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from ...cache.records import Array, Json
from ...errors import RunError
from ...stages.temporal.metrics import METRICS, Score, evaluate, evaluate_subjects, paired_difference
from ...stages.views.charts import bars, intervals
from ...stages.views.html import figure, number_cell, page, paragraph, pictures, section, table, warning, words_cell
from ...stages.views.svg import padded
from ..runs.files import flat
from .data import ReportData, read_report_data

LABEL_TOLERANCE = 1e-6
Values = dict[str, Score]  # metric -> score


@dataclass(frozen=True, slots=True)
class RunScores:
    """One run on the common spans. Differences are this run's minus the first run's."""

    name: str
    scores: dict[str, Values]  # target -> metric -> score
    differences: dict[str, Values]  # empty for the first run
    subject_ccc: dict[str, float]  # subject -> mean CCC over the targets; NaN where no target has one
    subject_difference: Score | None  # mean over subjects of the difference in that; None for the first run
    better: int = 0  # subjects with a higher CCC than under the first run


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found; the first run is what the others are held against."""

    runs: tuple[RunScores, ...]
    targets: tuple[str, ...]
    spans: int
    subjects: int
    warnings: tuple[str, ...]  # shared subjects first
    settings: dict[str, tuple[Json, ...]]  # setting or input that differs -> its value in each run

    def to_json(self) -> dict[str, Json]:
        """Plain values."""
        return {
            "targets": list(self.targets),
            "spans": self.spans,
            "subjects": self.subjects,
            "warnings": list(self.warnings),
            "settings": {name: list(values) for name, values in self.settings.items()},
            "runs": [
                {
                    "name": run.name,
                    "scores": _plain(run.scores),
                    "differences": _plain(run.differences),
                    "subject_ccc": {k: v if math.isfinite(v) else None for k, v in run.subject_ccc.items()},
                    "subject_difference": run.subject_difference.to_json() if run.subject_difference else None,
                    "better": run.better,
                }
                for run in self.runs
            ],
        }


def compare(runs: Sequence[str | Path], bootstrap: int = 1000, seed: int = 0) -> Comparison:
    """The runs on their common held-out spans and targets.

    Errors: RunError for fewer than two runs, a folder that is none, nothing in common, or labels that differ.
    """
    if len(runs) < 2:
        raise RunError(f"{len(runs)} run given; a comparison needs at least two", hint="affect report RUN RUN ...")
    data = [read_report_data(path) for path in runs]
    names = _names([item.path for item in data])
    targets = tuple(name for name in data[0].targets if all(name in item.targets for item in data))
    if not targets:
        raise RunError(f"the runs have no target in common: {'; '.join(', '.join(item.targets) for item in data)}")
    tables = _common_rows(data, names, targets)
    subjects = tables[0]["subject"].tolist()
    per_subject = [_subject_ccc(rows, targets) for rows in tables]
    scores = []
    for number, (name, rows) in enumerate(zip(names, tables, strict=True)):
        differences: dict[str, Values] = {}
        mean_difference, better = None, 0
        if number:
            differences = {
                target: paired_difference(
                    _column(rows, target),
                    _column(tables[0], target),
                    _column(rows, f"{target}_label"),
                    subjects,
                    bootstrap=bootstrap,
                    seed=seed,
                )
                for target in targets
            }
            gains = np.array([per_subject[number][one] - per_subject[0][one] for one in per_subject[0]])
            mean_difference, better = _mean_over_subjects(gains, bootstrap, seed), int((gains > 0).sum())
        pooled = {
            target: evaluate(_column(rows, target), _column(rows, f"{target}_label"), subjects, bootstrap, seed)
            for target in targets
        }
        scores.append(RunScores(name, pooled, differences, per_subject[number], mean_difference, better))
    warnings = [(words, name) for item, name in zip(data, names, strict=True) for words in item.warnings()]
    warnings.sort(key=lambda pair: not pair[0].startswith("NOT"))
    said = tuple(f"{name}: {words}" for words, name in warnings)
    if any(len(rows) < len(item.level("spans")) for rows, item in zip(tables, data, strict=True)):
        counts = ", ".join(f"{name} {len(item.level('spans'))}" for name, item in zip(names, data, strict=True))
        said += (f"only the {len(tables[0])} spans that all runs held out are compared; held out were: {counts}",)
    return Comparison(tuple(scores), targets, len(tables[0]), len(set(subjects)), said, _settings(data))


def comparison_html(comparison: Comparison) -> str:
    """The comparison as one page."""
    first = comparison.runs[0].name
    names = ", ".join(run.name for run in comparison.runs)
    words = (
        f"On the {comparison.spans:,} spans of {comparison.subjects} subjects that every run held out. Differences are "
        f"against {first}; intervals of 95 % from resampling whole subjects, the same ones for both runs of a pair. "
        "An interval that leaves out zero speaks for a difference that is more than the choice of these people."
    )
    return page(
        f"{names}: comparison",
        [
            f"<header><h1>{escape(names)}</h1>{warning(comparison.warnings)}{paragraph(words, 'lead')}</header><main>",
            section("scores", "Scores, and differences below them", _score_table(comparison)),
            section("differences", f"Difference in CCC to {first}", pictures(_difference_figures(comparison))),
            section("subjects", "Subject by subject", pictures(_subject_figures(comparison))),
            section("settings", "What differs between the runs", _settings_table(comparison)),
            "</main>",
        ],
    )


def _score_table(comparison: Comparison) -> str:
    rows: list[tuple[str, str, list[str]]] = []
    for target in comparison.targets:
        rows.append(("", target, []))
        for run in comparison.runs:
            cells = [_with_interval(run.scores[target][metric]) for metric in METRICS]
            rows.append(("main", run.name, cells))
            if run.differences:
                cells = [_with_interval(run.differences[target][metric], sign=True) for metric in METRICS]
                rows.append(("", "difference", cells))
    return table("Pooled over all common spans", ["", *(name.upper() for name in METRICS)], rows)


def _difference_figures(comparison: Comparison) -> list[str]:
    rows = {
        target: [
            (run.name, score.value, score.low, score.high, "model")
            for run in comparison.runs[1:]
            for score in [run.differences[target]["ccc"]]
        ]
        for target in comparison.targets
    }
    averages = "mean over subjects of their mean CCC"
    rows[averages] = [
        (f"{run.name} (better in {run.better} of {comparison.subjects})", score.value, score.low, score.high, "other")
        for run in comparison.runs[1:]
        for score in [run.subject_difference]
        if score is not None
    ]
    span = padded(np.array([row[1:4] for items in rows.values() for row in items], np.float64), np.zeros(1))
    return [
        figure(name, intervals(f"Difference in CCC of {name}", items, label="difference in CCC", span=span))
        for name, items in rows.items()
    ]


def _subject_figures(comparison: Comparison) -> list[str]:
    first = comparison.runs[0]
    items = []
    for run in comparison.runs[1:]:
        names = list(run.subject_ccc)
        gains = np.array([run.subject_ccc[name] - first.subject_ccc[name] for name in names])
        words = f"{run.name} \N{MINUS SIGN} {first.name}: mean CCC by subject"
        items.append(figure(words, bars(words, names, gains)))
    return items


def _settings_table(comparison: Comparison) -> str:
    if not comparison.settings:
        return paragraph("Nothing: same settings, same inputs.")
    rows = [
        ("", name, [words_cell("\N{EN DASH}" if value is None else str(value)) for value in values])
        for name, values in comparison.settings.items()
    ]
    return table("Settings and inputs", ["name", *(run.name for run in comparison.runs)], rows, kind="names")


def _with_interval(score: Score, sign: bool = False) -> str:
    def shown(value: float) -> str:
        return f"{value:{'+' if sign else ''}.3f}".replace("-", "\N{MINUS SIGN}")

    if not math.isfinite(score.value):
        return number_cell("\N{EN DASH}", score.reason or "")
    known = math.isfinite(score.low) and math.isfinite(score.high)
    return number_cell(shown(score.value), f"{shown(score.low)} to {shown(score.high)}" if known else "")


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' names, with as many parents as tell them apart."""
    whole = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-length:]) for parts in whole]
        if len(set(names)) == len(names):
            return names
    raise RunError(f"{paths[0]} is given more than once; expected different runs")


def _common_rows(data: Sequence[ReportData], names: Sequence[str], targets: Sequence[str]) -> list[pd.DataFrame]:
    """Each run's held-out spans that all runs have, in one order."""
    same = len({str(item.environment.get("labels_sha256")) for item in data}) == 1
    keys = ["subject", "video", "span"] if same else ["subject", "video", "place"]
    # Other label tables number their spans otherwise; then a span is known by its start, to a hundredth of a second.
    tables = [item.level("spans").assign(place=lambda rows: rows["start_s"].round(2)).set_index(keys) for item in data]
    for rows, item in zip(tables, data, strict=True):
        if not rows.index.is_unique:
            raise RunError(f"{item.path / 'predictions.csv'} holds a span twice; expected each held out once")
    common = tables[0].index
    for rows in tables[1:]:
        common = common.intersection(rows.index)
    if len(common) == 0:
        raise RunError("the runs held out no span in common; expected runs on the same labels")
    aligned = [rows.loc[common].reset_index() for rows in tables]
    for target in targets:
        reference = _column(aligned[0], f"{target}_label")
        for rows, name in zip(aligned[1:], names[1:], strict=True):
            other = _column(rows, f"{target}_label")
            if not np.allclose(reference, other, rtol=0, atol=LABEL_TOLERANCE, equal_nan=True):
                raise RunError(
                    f"{names[0]} and {name} were judged on other labels of {target}; expected the same label table"
                )
    return aligned


def _column(rows: pd.DataFrame, name: str) -> Array:
    return rows[name].to_numpy(np.float64)


def _subject_ccc(rows: pd.DataFrame, targets: Sequence[str]) -> dict[str, float]:
    subjects = rows["subject"].tolist()
    found: dict[str, list[float]] = {name: [] for name in sorted(set(subjects))}
    for target in targets:
        scores = evaluate_subjects(_column(rows, target), _column(rows, f"{target}_label"), subjects)
        for name, values in scores.items():
            if math.isfinite(values["ccc"].value):
                found[name].append(values["ccc"].value)
    return {name: float(np.mean(values)) if values else math.nan for name, values in found.items()}


def _mean_over_subjects(gains: Array, bootstrap: int, seed: int) -> Score:
    """Mean gain and its percentile interval over resampled subjects; subjects without a CCC are left out."""
    known = gains[np.isfinite(gains)]
    if len(known) == 0:
        return Score(math.nan, reason="no subject has a CCC under both runs")
    if len(known) == 1 or not bootstrap:
        return Score(float(known.mean()))
    draws = np.random.default_rng(seed).integers(len(known), size=(bootstrap, len(known)))
    low, high = np.percentile(known[draws].mean(axis=1), (2.5, 97.5))
    return Score(float(known.mean()), float(low), float(high))


def _settings(data: Sequence[ReportData]) -> dict[str, tuple[Json, ...]]:
    inputs = ("recipe_digest", "store_digest", "labels_sha256", "mirrored_store", "device", "commit")
    leaves = [flat(item.config) | {name: item.environment.get(name) for name in inputs} for item in data]
    names = dict.fromkeys(name for values in leaves for name in values)
    rows = {name: tuple(values.get(name) for values in leaves) for name in names}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}


def _plain(scores: dict[str, Values]) -> dict[str, Json]:
    return {target: {metric: score.to_json() for metric, score in values.items()} for target, values in scores.items()}
