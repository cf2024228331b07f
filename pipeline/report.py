"""A run as one page that can be opened anywhere: what was measured, how well, and what made it."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from ..cache.records import Array, Json
from .compare import compare, comparison_html, paired
from .report_axes import padded
from .report_data import METHODS, FinishedFold, ReportData, read_report_data
from .report_page import (
    code,
    facts,
    figure,
    folded,
    number_cell,
    page,
    paragraph,
    pictures,
    section,
    table,
    warning,
    words_cell,
)
from .report_pictures import Strip, bars, bland_altman, intervals, learning_curves, over_time, scatter
from .whole_files import write_json, write_whole

METRICS = {"ccc": "CCC", "pcc": "PCC", "icc": "ICC", "mae": "MAE", "rmse": "RMSE"}
ALL = "all targets"
LEVEL_WORDS = {"spans": "labelled spans", "clips": "clips", "videos": "videos"}
MOST_OPEN = 6  # videos that are unfolded from the start


def write_report(run_folder: str | Path) -> Path:
    """Write `report.html` into the run's folder, whole; its path.

    Errors: RunError for a folder that is no run, or one without held-out predictions.
    """
    data = read_report_data(run_folder)
    path = data.path / "report.html"
    write_whole(path, report_html(data))
    return path


def compare_runs(runs: Sequence[str | Path], output: str | Path) -> Path:
    """Write the comparison of several runs as a page, and as JSON beside it; the page's path.

    Errors: RunError for fewer than two runs, a folder that is none, or runs that cannot be compared.
    """
    comparison = compare(runs)
    path = Path(output)
    write_json(path.with_suffix(".json"), comparison.to_json())
    write_whole(path, comparison_html(comparison))
    return path


def report_html(data: ReportData) -> str:
    """The page."""
    shared = data.shares_subjects
    title = "How well it predicts (people are shared)" if shared else "How well it predicts people it has never seen"
    return page(
        f"{data.name}: report",
        [
            f"<header><h1>{escape(data.name)}</h1>{warning(data.warnings())}{_opening(data)}</header>",
            "<main>",
            facts(_facts(data)),
            section("metrics", title, *_metrics(data)),
            section("agreement", "Agreement with the labels", _agreement(data)),
            section("subjects", "Subject by subject", _subjects(data)),
            section("videos", "Over time", *_videos(data)),
            section("learning", "Learning", *_learning(data)),
            section("made-by", "What made these numbers", *_made_by(data)),
            "</main>",
        ],
    )


def _opening(data: ReportData) -> str:
    links = {"metrics": "Metrics", "agreement": "Agreement", "subjects": "Subjects", "videos": "Over time"}
    links |= {"learning": "Learning", "made-by": "Made by"}
    items = " ".join(f'<a href="#{name}">{words}</a>' for name, words in links.items())
    return f'{paragraph(_lead(data), "lead")}<nav aria-label="Sections">{items}</nav>'


def _lead(data: ReportData) -> str:
    """The result in a sentence."""
    values = {
        words: _bounds(data.metrics["spans"][method][ALL]["ccc"])[0]
        for method, words in METHODS.items()
        if method in data.metrics["spans"]
    }
    said = [f"{words} {_digits(value) if math.isfinite(value) else 'not defined'}" for words, value in values.items()]
    return f"Mean CCC over {_count(len(data.targets), 'target')} on held-out data: {', '.join(said)}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _facts(data: ReportData) -> list[tuple[str, str]]:
    spans, clips = data.level("spans"), data.level("clips")
    protocol = str(data.config["evaluation"]["protocol"])
    return [
        ("protocol", protocol),
        ("folds", f"{len(data.folds)}" + (f", {len(data.failures)} failed" if data.failures else "")),
        ("held-out subjects", f"{spans['subject'].nunique()}"),
        ("held-out videos", f"{spans['video'].nunique():,}"),
        ("held-out spans", f"{len(spans):,}"),
        ("clips in them", f"{len(clips):,}"),
        ("backbone", str(data.environment.get("recipe", {}).get("backbone", "unknown"))),
    ]


def _metrics(data: ReportData) -> list[str]:
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
            (METHODS[method], *_bounds(scores[method][target]["ccc"]), kind)
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
    score = paired(
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
    caption = f"{scores['rows']:,} held-out {LEVEL_WORDS[level]} of {_count(scores['subjects'], 'subject')}"
    return table(caption, ["", *METRICS.values()], rows)


def _score_cell(score: Mapping[str, Json]) -> str:
    value, low, high = _bounds(score)
    if not math.isfinite(value):
        return number_cell("\N{EN DASH}", str(score.get("reason") or ""))
    interval = f"{_digits(low)} to {_digits(high)}" if math.isfinite(low) and math.isfinite(high) else ""
    return number_cell(_digits(value), interval or str(score.get("reason") or ""))


def _bounds(score: Mapping[str, Json]) -> tuple[float, float, float]:
    value, low, high = (
        math.nan if score.get(name) is None else float(score[name]) for name in ("value", "low", "high")
    )
    return value, low, high


def _digits(value: float) -> str:
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def _agreement(data: ReportData) -> str:
    items = []
    for target in data.targets:
        prediction, label = data.columns("spans", target)
        unit = data.units.get(target, "")
        ccc, *_ = _bounds(data.metrics["spans"]["model"][target]["ccc"])
        note = f"CCC {_digits(ccc)}" if math.isfinite(ccc) else "CCC not defined"
        items.append(
            figure(f"{target}: predicted against true", scatter(target, label, prediction, unit=unit, note=note))
        )
        items.append(figure(f"{target}: Bland-Altman", bland_altman(target, label, prediction, unit=unit)))
    return pictures(items, "pairs")


def _subjects(data: ReportData) -> str:
    people = data.metrics["per_subject"]["spans"]
    if len(people) < 2:
        return ""
    items = []
    for target in data.targets:
        values = {name: methods["model"][target]["ccc"] for name, methods in people.items()}
        pooled, *_ = _bounds(data.metrics["spans"]["model"][target]["ccc"])
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


def _videos(data: ReportData) -> list[str]:
    clips = data.level("clips")
    spans = {name: padded(*data.columns("clips", name)) for name in data.targets}
    by_subject: dict[str, list[str]] = {}
    for (subject, video), rows in clips.groupby(["subject", "video"]):
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
            folded(f"Subject {subject} ({_count(len(items), 'video')})", pictures(items), opened=shown < MOST_OPEN)
        )
        shown += len(items)
    return parts


def _learning(data: ReportData) -> list[str]:
    supervised = {fold.name: fold.log[fold.log["phase"] == "supervised"] for fold in data.folds if len(fold.log)}
    items = []
    chosen = {fold.name: int(fold.record["best_epoch"]) for fold in data.folds if fold.record.get("best_epoch")}
    shown = (("validation_ccc", "mean CCC of the validation side", "mean CCC"), ("loss", "training loss", "loss"))
    for column, words, axis in shown:
        series = _series(supervised, column)
        if series:
            marks = {name: epoch for name, epoch in chosen.items() if name in series} if column != "loss" else {}
            items.append(figure(f"{words}, a line per fold", learning_curves(words, series, marks, axis)))
    before = {fold.name: fold.log[fold.log["phase"] == "contrastive"] for fold in data.folds if len(fold.log)}
    series = _series(before, "loss")
    if series:
        words = "contrastive loss before training"
        items.append(figure(words, learning_curves(words, series, {}, "loss")))
    return [
        paragraph(
            "The dot is the epoch whose weights were kept: chosen on the validation side, never on the test side."
        ),
        pictures(items),
        folded("Who was on which side", _sides(data.folds)),
    ]


def _series(logs: Mapping[str, pd.DataFrame], column: str) -> dict[str, tuple[Array, Array]]:
    return {
        name: (log["epoch"].to_numpy(np.float64), log[column].astype(float).to_numpy(np.float64))
        for name, log in logs.items()
        if len(log) and column in log
    }


def _sides(folds: Sequence[FinishedFold]) -> str:
    rows = []
    for fold in folds:
        subjects, clips = fold.record.get("subjects", {}), fold.record.get("clips", {})
        cells = [
            words_cell(f"{', '.join(subjects.get(side, []))} ({clips.get(side, '?')} clips)")
            for side in ("train", "validation", "test")
        ]
        cells.append(number_cell(f"{fold.record.get('best_epoch', '?')} of {fold.record.get('epochs', '?')}"))
        rows.append(("", fold.name, cells))
    return table("Subjects of each fold", ["fold", "train", "validation", "test", "epoch kept"], rows, kind="names")


def _made_by(data: ReportData) -> list[str]:
    environment = dict(data.environment)
    recipe = environment.pop("recipe", {})
    versions = environment.pop("versions", {})
    return [
        _pairs("The features: recipe of the store", _flat(recipe)),
        _pairs("The run: inputs, their digests, and where it ran", _flat(environment)),
        _pairs("Versions", _flat(versions)),
        _skipped(data),
        folded("Configuration (config.yaml)", code(data.config_text)),
    ]


def _pairs(caption: str, values: Mapping[str, Json]) -> str:
    rows = [("", name, [words_cell(_plainly(value))]) for name, value in values.items()]
    return table(caption, ["name", "value"], rows, kind="names") if rows else ""


def _skipped(data: ReportData) -> str:
    """Labelled spans that could not be used, and why."""
    if not data.skipped:
        return ""
    rows = [("", where, [words_cell(video), words_cell(reason)]) for where, video, reason in data.skipped]
    return folded(
        f"{_count(len(rows), 'labelled span')} could not be used",
        table("Spans that neither train nor test", ["where", "video", "why"], rows, kind="names"),
    )


def _plainly(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _flat(tree: Mapping[str, Json], where: str = "") -> dict[str, Json]:
    flat: dict[str, Json] = {}
    for key, value in tree.items():
        name = f"{where}.{key}" if where else str(key)
        flat |= _flat(value, name) if isinstance(value, Mapping) and value else {name: value}
    return flat
