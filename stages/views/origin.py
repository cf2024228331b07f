"""Where a run's numbers come from: how the folds learnt, who was on which side, and what made the features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...cache.records import Json
from .charts import Curve, learning_curves
from .html import code, count, figure, folded, number_cell, paragraph, pictures, table, words_cell

SIDES = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class FoldHistory:
    """Who was on which side of a fold, and how it learnt, epoch by epoch; None where nothing is known."""

    name: str
    subjects: Mapping[str, Sequence[str]]  # side -> its people
    clips: Mapping[str, int]  # side -> how many
    epochs: int | None
    best_epoch: int | None  # whose weights were kept
    validation_ccc: Curve | None  # mean over the targets
    loss: Curve | None
    contrastive_loss: Curve | None  # before training


@dataclass(frozen=True, slots=True)
class Origin:
    """What made a run's features and models. Nested settings are flat: `a.b.c` -> value."""

    recipe: Mapping[str, Json]  # of the store
    inputs: Mapping[str, Json]  # with their digests, and where the run was made
    versions: Mapping[str, Json]
    skipped: Sequence[tuple[str, str, str]]  # labelled spans not used: where in the manifest, video, reason
    config_text: str


def learning(folds: Sequence[FoldHistory]) -> list[str]:
    """Learning curves of all folds, and who was on which side of each."""
    chosen = {fold.name: fold.best_epoch for fold in folds if fold.best_epoch}
    validation = {fold.name: fold.validation_ccc for fold in folds}
    figures = (
        _curves("mean CCC of the validation side", "mean CCC", validation, chosen),
        _curves("training loss", "loss", {fold.name: fold.loss for fold in folds}),
        _curves("contrastive loss before training", "loss", {fold.name: fold.contrastive_loss for fold in folds}),
    )
    return [
        paragraph(
            "The dot is the epoch whose weights were kept: the best on the validation side, or the last where "
            "training.keep says so; the test side has no say in it."
        ),
        pictures(figures),
        folded("Who was on which side", _sides(folds)),
    ]


def _curves(title: str, axis: str, folds: Mapping[str, Curve | None], chosen: Mapping[str, int] | None = None) -> str:
    """The figure of the folds that have this curve; empty where none has."""
    known = {name: curve for name, curve in folds.items() if curve is not None}
    dots = {name: epoch for name, epoch in (chosen or {}).items() if name in known}
    return figure(f"{title}, a line per fold", learning_curves(title, known, dots, axis)) if known else ""


def _sides(folds: Sequence[FoldHistory]) -> str:
    rows = []
    for fold in folds:
        cells = [
            words_cell(f"{', '.join(fold.subjects.get(side, []))} ({fold.clips.get(side, '?')} clips)")
            for side in SIDES
        ]
        best, epochs = ("?" if number is None else number for number in (fold.best_epoch, fold.epochs))
        rows.append(("", fold.name, [*cells, number_cell(f"{best} of {epochs}")]))
    return table("Subjects of each fold", ["fold", *SIDES, "epoch kept"], rows, kind="names")


def made_by(origin: Origin) -> list[str]:
    """The features' recipe, inputs and digests, versions, spans not used, and the configuration."""
    return [
        _pairs("The features: recipe of the store", origin.recipe),
        _pairs("The run: inputs, their digests, and where it ran", origin.inputs),
        _pairs("Versions", origin.versions),
        _skipped(origin.skipped),
        folded("Configuration (config.yaml)", code(origin.config_text)),
    ]


def _pairs(caption: str, values: Mapping[str, Json]) -> str:
    rows = [("", name, [words_cell(_plainly(value))]) for name, value in values.items()]
    return table(caption, ["name", "value"], rows, kind="names") if rows else ""


def _skipped(skipped: Sequence[tuple[str, str, str]]) -> str:
    """Labelled spans that could not be used, and why."""
    if not skipped:
        return ""
    rows = [("", where, [words_cell(video), words_cell(reason)]) for where, video, reason in skipped]
    return folded(
        f"{count(len(rows), 'labelled span')} could not be used",
        table("Spans that neither train nor test", ["where", "video", "why"], rows, kind="names"),
    )


def _plainly(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
