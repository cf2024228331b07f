"""Several runs side by side as one page, each beside the first."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...cache.metrics import Score
from ...cache.records import Json
from .charts import bars
from .forest import IntervalRow, interval_figure, interval_span, reason
from .html import count, figure, number_cell, page, paragraph, pictures, score_cell, section, table, warning, words_cell
from .rules import METRICS, PEOPLE_SHARED, escaped
from .verdict import IN_WORDS
from .warned import together

OWN = "mean over subjects of their mean CCC"
Values = Mapping[str, Score]  # metric -> score


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One run on the spans that all runs held out. Differences are this run's minus the first run's."""

    name: str
    method: str  # whose scores these are: the run's own
    shares_people: bool  # as in its metrics
    scores: Mapping[str, Values]  # target, or all of several -> metric -> score
    differences: Mapping[str, Values]  # the same; empty for the first run
    subject_ccc: Mapping[str, float]  # subject -> mean CCC over the targets; NaN where no target has one
    subject_mean: Score  # mean over subjects of that
    subject_difference: Score | None  # mean over subjects of the difference in that; None for the first run
    better: int = 0  # subjects with a higher CCC than under the first run


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that the page of a comparison shows; the first run is what the others are held against."""

    runs: tuple[ComparedRun, ...]
    targets: tuple[str, ...]
    spans: int
    subjects: int
    warnings: tuple[str, ...]  # those of runs that share people first
    settings: Mapping[str, tuple[Json, ...]]  # setting or input that differs -> its value in each run

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
                    "method": run.method,
                    "scores": _plain(run.scores),
                    "differences": _plain(run.differences),
                    "subject_ccc": {k: v if math.isfinite(v) else None for k, v in run.subject_ccc.items()},
                    "subject_mean": run.subject_mean.to_json(),
                    "subject_difference": run.subject_difference.to_json() if run.subject_difference else None,
                    "better": run.better,
                }
                for run in self.runs
            ],
        }


def comparison_html(comparison: Comparison) -> str:
    """The page."""
    first = comparison.runs[0].name
    names = ", ".join(run.name for run in comparison.runs)
    shared = together((run.name, PEOPLE_SHARED) for run in comparison.runs if run.shares_people)
    words = (
        f"On the {comparison.spans:,} spans of {count(comparison.subjects, 'subject')} that every run held out. "
        f"Differences are against {first}. {_by(comparison)} {_of_intervals(comparison)}"
    )
    opening = warning([*shared, *comparison.warnings]) + paragraph(words, "lead")
    return page(
        f"{names}: comparison",
        [
            f"<header><h1>{escaped(names)}</h1>{opening}</header><main>",
            section("scores", "Scores, and differences below them", _score_table(comparison)),
            section("differences", f"Difference in CCC to {first}", pictures(_difference_figures(comparison))),
            section("subjects", "Subject by subject", pictures(_subject_figures(comparison))),
            section("settings", "What differs between the runs", _settings_table(comparison)),
            "</main>",
        ],
    )


def _by(comparison: Comparison) -> str:
    """Whose scores are compared."""
    by = {run.name: IN_WORDS.get(run.method, run.method) for run in comparison.runs}
    if len(set(by.values())) == 1:
        return f"All scores are by {next(iter(by.values()))}."
    return f"Scores are by {'; '.join(f'{method} for {name}' for name, method in by.items())}."


def _of_intervals(comparison: Comparison) -> str:
    """What the intervals say; or that there are none, and why."""
    given = [score for run in comparison.runs for values in run.scores.values() for score in values.values()]
    if any(score.bounded for score in given):
        return (
            "Intervals of 95 % by leaving out one subject at a time, from both runs of a pair. An interval that leaves "
            "out zero speaks for a difference that is more than the choice of these people."
        )
    why = dict.fromkeys(score.no_interval for score in given if score.no_interval)
    return f"No value has an interval{': ' if why else ''}{'; '.join(map(reason, why))}."


def _score_table(comparison: Comparison) -> str:
    rows: list[tuple[str, str, list[str]]] = []
    for target in _targets(comparison):
        rows.append(("", target, []))
        for run in comparison.runs:
            rows.append(("main", run.name, [score_cell(run.scores[target][metric]) for metric in METRICS]))
            if run.differences:
                cells = [score_cell(run.differences[target][metric], signed=True) for metric in METRICS]
                rows.append(("", "difference", cells))
    rows.append(("", OWN, []))
    empty = [number_cell("")] * (len(METRICS) - 1)  # the first metric is the CCC
    for run in comparison.runs:
        rows.append(("main", run.name, [score_cell(run.subject_mean), *empty]))
        if run.subject_difference is not None:
            rows.append(("", "difference", [score_cell(run.subject_difference, signed=True), *empty]))
    return table("Pooled over all common spans; last, all subjects count alike", ["", *METRICS.values()], rows)


def _targets(comparison: Comparison) -> list[str]:
    """The targets, and all of them where there are several."""
    return list(comparison.runs[0].scores)


def _difference_figures(comparison: Comparison) -> list[str]:
    others = comparison.runs[1:]
    rows = {
        target: [IntervalRow(run.name, run.differences[target]["ccc"], "model") for run in others]
        for target in _targets(comparison)
    }
    rows[OWN] = [
        IntervalRow(f"{run.name} (better in {run.better} of {comparison.subjects})", run.subject_difference, "other")
        for run in others
        if run.subject_difference is not None
    ]
    span = interval_span(row.score for of_target in rows.values() for row in of_target)
    return [
        interval_figure(f"{name}: difference in CCC", of_target, "95 %", label="difference in CCC", span=span)
        for name, of_target in rows.items()
    ]


def _subject_figures(comparison: Comparison) -> list[str]:
    first = comparison.runs[0]
    items = []
    for run in comparison.runs[1:]:
        names = list(run.subject_ccc)
        gains = np.array([run.subject_ccc[name] - first.subject_ccc[name] for name in names])
        title = f"{run.name} \N{MINUS SIGN} {first.name}: mean CCC by subject"
        items.append(figure(title, bars(title, names, gains)))
    return items


def _settings_table(comparison: Comparison) -> str:
    if not comparison.settings:
        return paragraph("Nothing: same settings, same inputs.")
    rows = [
        ("", name, [words_cell("\N{EN DASH}" if value is None else str(value)) for value in values])
        for name, values in comparison.settings.items()
    ]
    return table("Settings and inputs", ["name", *(run.name for run in comparison.runs)], rows, kind="names")


def _plain(scores: Mapping[str, Values]) -> dict[str, Json]:
    return {target: {metric: score.to_json() for metric, score in values.items()} for target, values in scores.items()}
