"""How well a run did: tables with intervals, agreement, subject by subject, and over time."""

import math
import re
from collections.abc import Mapping

import numpy as np

from ...cache.records import Json
from ...stages.temporal.metrics import paired_difference
from ...stages.views.charts import Strip, bars, bland_altman, intervals, over_time, scatter
from ...stages.views.html import figure, folded, number_cell, paragraph, pictures, table
from ...stages.views.svg import padded
from .data import METHODS, ReportData

METRICS = {"ccc": "CCC", "pcc": "PCC", "icc": "ICC", "mae": "MAE", "rmse": "RMSE"}
ALL = "all targets"
LEVEL_WORDS = {"spans": "labelled spans", "clips": "clips", "videos": "videos"}
MOST_OPEN = 6  # videos that are unfolded from the start


def metric_parts(data: ReportData) -> list[str]:
    """Metrics of all levels beside the baselines, and what the model has over ridge regression."""
    words = (
        "Pooled over all held-out spans; a span's score is the mean of its clips'. Below each value its 95 % interval "
        f"from {data.config['evaluation']['bootstrap']} resamples of whole subjects. The baselines saw the same "
        "training people: ridge regression on each span's mean feature, and the mean of the training labels."
    )
    if len(data.folds) > 1:
        words += (
            " The training mean differs from fold to fold and is low where the held-out people are high, "
            "which pushes its correlation below zero."
        )
    return [
        paragraph(words),
        _metric_table(data, "spans"),
        pictures(_interval_figures(data)),
        folded("The same for clips", _metric_table(data, "clips")),
        folded("The same for videos", _metric_table(data, "videos")),
    ]


def _interval_figures(data: ReportData) -> list[str]:
    """CCC of each method by target, and what the model has over ridge regression, all on one scale."""
    kinds = {"model": "model", "ridge": "other", "mean": "plain"}
    scores = data.metrics["spans"]
    rows = {
        target: [
            (METHODS[method], *bounds(scores[method][target]["ccc"]), kind)
            for method, kind in kinds.items()
            if method in scores
        ]
        for target in data.targets
    }
    if "ridge" in scores:
        for target in data.targets:
            rows[target].append(("model \N{MINUS SIGN} ridge, paired", *_over_ridge(data, target), "model"))
    numbers = np.array([row[1:4] for items in rows.values() for row in items], np.float64)
    span = padded(numbers, np.zeros(1))
    return [
        figure(f"{target}: CCC with its 95 % interval", intervals(f"CCC of {target}", items, label="CCC", span=span))
        for target, items in rows.items()
    ]


def _over_ridge(data: ReportData, target: str) -> tuple[float, float, float]:
    """CCC of the model minus that of ridge regression, and its interval over subjects."""
    model, label = data.columns("spans", target)
    ridge, _ = data.columns("spans", target, "ridge")
    evaluation, seed = data.config["evaluation"], data.config["training"]["seed"]
    score = paired_difference(
        model, ridge, label, data.level("spans")["subject"].tolist(), bootstrap=evaluation["bootstrap"], seed=seed
    )["ccc"]
    return score.value, score.low, score.high


def _metric_table(data: ReportData, level: str) -> str:
    scores = data.metrics[level]
    rows: list[tuple[str, str, list[str]]] = []
    for target in [*data.targets, *([ALL] if len(data.targets) > 1 else [])]:
        unit = data.units.get(target, "")
        rows.append(("", "mean of the targets" if target == ALL else f"{target} ({unit})" if unit else target, []))
        for method, words in METHODS.items():
            if method in scores:
                cells = [_score_cell(scores[method][target].get(metric, {})) for metric in METRICS]
                rows.append(("main" if method == "model" else "", words, cells))
    caption = f"{scores['rows']:,} held-out {LEVEL_WORDS[level]} of {count(scores['subjects'], 'subject')}"
    return table(caption, ["", *METRICS.values()], rows)


def _score_cell(score: Mapping[str, Json]) -> str:
    value, low, high = bounds(score)
    if not math.isfinite(value):
        return number_cell("\N{EN DASH}", str(score.get("reason") or ""))
    interval = f"{digits(low)} to {digits(high)}" if math.isfinite(low) and math.isfinite(high) else ""
    return number_cell(digits(value), interval or str(score.get("reason") or ""))


def bounds(score: Mapping[str, Json]) -> tuple[float, float, float]:
    """Value, low and high of a score in metrics.json; NaN where it has none."""
    value, low, high = (
        math.nan if score.get(name) is None else float(score[name]) for name in ("value", "low", "high")
    )
    return value, low, high


def digits(value: float) -> str:
    """A metric to three places, with a true minus sign."""
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def agreement(data: ReportData) -> str:
    """Scatter and Bland-Altman plots of every target."""
    items = []
    for target in data.targets:
        prediction, label = data.columns("spans", target)
        unit = data.units.get(target, "")
        ccc, *_ = bounds(data.metrics["spans"]["model"][target]["ccc"])
        note = f"CCC {digits(ccc)}" if math.isfinite(ccc) else "CCC not defined"
        items.append(
            figure(f"{target}: predicted against true", scatter(target, label, prediction, unit=unit, note=note))
        )
        items.append(figure(f"{target}: Bland-Altman", bland_altman(target, label, prediction, unit=unit)))
    return pictures(items, "pairs")


def subjects(data: ReportData) -> str:
    """Bars of every subject's own CCC; empty for one subject."""
    people = data.metrics["per_subject"]["spans"]
    if len(people) < 2:
        return ""
    items = []
    for target in data.targets:
        values = {name: methods["model"][target]["ccc"] for name, methods in people.items()}
        pooled, *_ = bounds(data.metrics["spans"]["model"][target]["ccc"])
        picture = bars(
            f"CCC of {target} by subject",
            list(values),
            np.array(list(values.values()), np.float64),
            reference=_known(pooled),
        )
        items.append(figure(f"CCC of {target} within each subject; dashed: pooled", picture))
    return pictures(items)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def videos(data: ReportData) -> list[str]:
    """Label and prediction over time, subject by subject, the first ones unfolded."""
    clips = data.level("clips")
    spans = {name: padded(*data.columns("clips", name)) for name in data.targets}
    by_subject: dict[str, list[str]] = {}
    groups = sorted(clips.groupby(["subject", "video"]), key=lambda group: tuple(map(_natural, map(str, group[0]))))
    for (subject, video), rows in groups:
        start_s, end_s = rows["start_s"].to_numpy(np.float64), rows["end_s"].to_numpy(np.float64)
        strips = [
            Strip(name, rows[f"{name}_label"].to_numpy(np.float64), rows[name].to_numpy(np.float64), spans[name])
            for name in data.targets
        ]
        by_subject.setdefault(str(subject), []).append(
            figure(str(video), over_time(str(video), start_s, end_s, strips))
        )
    words = "Every held-out video, clip by clip: dashed the label of the span a clip lies in, solid the prediction."
    shown, parts = 0, [paragraph(words)]
    for subject, items in by_subject.items():
        parts.append(
            folded(f"Subject {subject} ({count(len(items), 'video')})", pictures(items), opened=shown < MOST_OPEN)
        )
        shown += len(items)
    return parts


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts P2 before P10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def count(number: int, noun: str) -> str:
    """ "1 target", "2 targets"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
