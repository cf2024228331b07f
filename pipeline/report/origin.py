"""Where a run's numbers come from: how the folds learnt, who was on which side, and what made the features."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ...cache.records import Array, Json
from ...stages.views.charts import learning_curves
from ...stages.views.html import code, figure, folded, number_cell, paragraph, pictures, table, words_cell
from ..runs.files import flat
from .data import FinishedFold, ReportData
from .scores import count


def learning(data: ReportData) -> list[str]:
    """Learning curves of all folds, and who was on which side of each."""
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
            "The dot is the epoch whose weights were kept: the best on the validation side, or the last where "
            "training.keep says so; the test side has no say in it."
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


def made_by(data: ReportData) -> list[str]:
    """The features' recipe, inputs and digests, versions, spans not used, and the configuration."""
    environment = dict(data.environment)
    recipe = environment.pop("recipe", {})
    versions = environment.pop("versions", {})
    return [
        _pairs("The features: recipe of the store", flat(recipe)),
        _pairs("The run: inputs, their digests, and where it ran", flat(environment)),
        _pairs("Versions", flat(versions)),
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
        f"{count(len(rows), 'labelled span')} could not be used",
        table("Spans that neither train nor test", ["where", "video", "why"], rows, kind="names"),
    )


def _plainly(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
