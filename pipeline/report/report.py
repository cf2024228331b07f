"""`affect report`: a run as a page in its own folder, or several runs as one page."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...cache.files import OLD_PARTIAL_S, sweep, write_whole
from ...cache.json_files import flat, read_json, write_json
from ...cache.metrics import Score
from ...cache.records import Json
from ...configs.places import without_absolute_places
from ...errors import InputError, RunError
from ...stages.views.charts import Curve
from ...stages.views.comparison import comparison_html
from ...stages.views.offer import centring_offer
from ...stages.views.origin import FoldHistory, Origin
from ...stages.views.report import HeldOutVideo, Report, report_html
from ..train.held_out import over_ridge
from .compare import compare, with_all
from .data import EvaluatedRun, FinishedFold, read_evaluated_run

PAGE_BEGINS = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'


def write_report(run_folder: str | Path) -> Path:
    """Write `report.html` into the run's folder, whole; its path.

    Errors: RunError for a folder that is no run, or one without held-out predictions.
    """
    run = read_evaluated_run(run_folder)
    path = run.path / "report.html"
    _check_page(path, ": report")
    sweep(run.path, silent_s=OLD_PARTIAL_S)
    write_whole(path, report_html(report_of(run)), run.path)
    return path


def compare_runs(runs: Sequence[str | Path], output: str | Path) -> Path:
    """Write the comparison of several runs as a page, and as JSON beside it; the page's path.

    Errors: RunError for fewer than two runs, a folder that is none, or runs that cannot be compared; InputError for a
    file that is there and is no older page of ours.
    """
    path = Path(output)
    data = path.with_suffix(".json")
    if path == data:
        raise InputError(f"--output {path} is where the numbers go", hint="--output compared.html")
    _check_page(path, ": comparison")
    if os.path.lexists(data) and not _is_comparison(data):
        raise InputError(f"{data} exists, and is no comparison that affect has made", hint="name another --output")
    comparison = compare(runs)
    write_json(data, comparison.to_json())
    write_whole(path, comparison_html(comparison))
    return path


def _check_page(path: Path, title: str) -> None:
    """Errors: InputError where something lies at `path` that is no older page of ours with such a title."""
    if not os.path.lexists(path):
        return
    begins = ""
    if path.is_file() and not path.is_symlink():
        with path.open("r", encoding="utf-8", errors="replace") as file:
            begins = file.read(2000)
    if not begins.startswith(PAGE_BEGINS) or f"{title}</title>" not in begins:
        raise InputError(
            f"{path} exists, and is no page that affect report has made; nothing was written",
            hint="name another --output, or move that file away",
        )


def _is_comparison(path: Path) -> bool:
    try:
        return set(read_json(path)) == {"targets", "spans", "subjects", "warnings", "settings", "runs"}
    except RunError:
        return False


def report_of(run: EvaluatedRun) -> Report:
    """What the page of a run shows."""
    spans = run.level("spans")
    return Report(
        name=run.name,
        metrics=run.metrics,
        method=run.method,
        warnings=tuple(run.warnings()),
        prediction=run.predicted(spans),
        label=run.labels(spans),
        over_ridge=_over_ridge(run),
        videos=_videos(run),
        folds=tuple(map(_history, run.folds)),
        failed_folds=len(run.failures),
        origin=_origin(run),
        offer=centring_offer(run.config.clips.centre, [fold.record.ridge_ccc for fold in run.folds]),
    )


def _over_ridge(run: EvaluatedRun) -> dict[str, Score]:
    """Target, or all of them -> CCC of the run's method minus that of ridge regression; empty without either."""
    if "ridge" not in run.metrics.spans.scores or run.method == "ridge":
        return {}
    found = with_all(over_ridge(run.level("spans"), run.targets, run.method))
    return {name: scores["ccc"] for name, scores in found.items()}


def _videos(run: EvaluatedRun) -> tuple[HeldOutVideo, ...]:
    return tuple(
        HeldOutVideo(
            subject=str(subject),
            name=str(video),
            start_s=rows["start_s"].to_numpy(np.float64),
            end_s=rows["end_s"].to_numpy(np.float64),
            prediction=run.predicted(rows),
            label=run.labels(rows),
        )
        for (subject, video), rows in run.level("clips").groupby(["subject", "video"])
    )


def _history(fold: FinishedFold) -> FoldHistory:
    record = fold.record
    return FoldHistory(
        name=fold.name,
        subjects=record.subjects,
        clips=record.clips,
        epochs=record.epochs,
        best_epoch=record.best_epoch,
        validation_ccc=_curve(fold.log, "supervised", "validation_ccc"),
        loss=_curve(fold.log, "supervised", "loss"),
        contrastive_loss=_curve(fold.log, "contrastive", "loss"),
    )


def _curve(log: pd.DataFrame, phase: str, column: str) -> Curve | None:
    rows = log[(log["phase"] == phase) & (log["seed"] == 0)] if "seed" in log else log[log["phase"] == phase]
    rows = rows.dropna(subset=[column]) if column in rows else rows[:0]
    if len(rows) == 0:
        return None
    return Curve(rows["epoch"].to_numpy(np.float64), rows[column].astype(float).to_numpy(np.float64))


def _origin(run: EvaluatedRun) -> Origin:
    inputs: dict[str, Json] = dict(run.environment)
    recipe, versions = inputs.pop("recipe", {}), inputs.pop("versions", {})
    told = {name: _without_places(value) for name, value in flat(inputs).items()}
    config = without_absolute_places(run.config_text)
    skipped = tuple((without_absolute_places(where), video, reason) for where, video, reason in run.skipped)
    return Origin(flat(recipe), told, flat(versions), skipped, config)


def _without_places(value: Json) -> Json:
    """Older runs recorded where their inputs lay; a page is passed on."""
    if isinstance(value, list):
        return [_without_places(item) for item in value]
    return without_absolute_places(value) if isinstance(value, str) else value
