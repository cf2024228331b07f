"""What does the relational loss gain on real recordings, and what do longer clips and smoothed scores?

    python benchmarks/relational.py terms STORE LABELS.csv --name NAME --folder FOLDER [--set KEY=VALUE ...]
    python benchmarks/relational.py clips STORE LABELS.csv --name NAME --folder FOLDER [--set KEY=VALUE ...]
    python benchmarks/relational.py smoothing STORE LABELS.csv --name NAME --folder FOLDER [--set KEY=VALUE ...]
    python benchmarks/ablation.py --page docs

`terms` trains the preset `small` without the relational loss and with each form of it; `clips` trains it on clips of
other lengths around each labelled span; `smoothing` averages the scores of neighbouring spans. Every row has the same
seeds, people and spans, so gains are paired. STORE holds the features of the recordings, LABELS.csv their spans; --set
says how people are divided, such as evaluation.protocol=leave-one-subject-out. FOLDER keeps each training: a command
that is stopped, or over after --minutes, goes on where it was. Take a new one after a change of the code.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Memory, Parallel, delayed

from affect.benchmarks.ablation import interval
from affect.benchmarks.hardware import hardware, write_result
from affect.benchmarks.reduced_once import reduced_once
from affect.benchmarks.relational_page import RIDGE
from affect.cache import open_store
from affect.cache.manifest import match_videos
from affect.cache.records import Array
from affect.configs.load import load_config
from affect.configs.schema import Config
from affect.pipeline.train.training_set import TrainingSet, build_training_set
from affect.stages.temporal.baselines import span_features
from affect.stages.temporal.clips import ClipTable, index_clips
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.fit import Fit, LabelledClips, build_model
from affect.stages.temporal.metrics import mean_ccc
from affect.stages.temporal.model import ModelSpec
from affect.stages.temporal.overlaps import overlapping_clips
from affect.stages.temporal.ridge import fit_ridge
from affect.stages.temporal.score import score_clips
from affect.stages.temporal.splits import Fold, make_folds

PRESET = "small"
SMOOTHED = (3, 5, 9)  # spans that a moving average takes together


@dataclass(frozen=True, slots=True)
class Row:
    """One variant: what it is called, and what it replaces in the preset."""

    name: str
    words: tuple[str, ...] = ()
    seconds: float | None = None  # of a clip; None: as long as the span, or the preset's


_MATRIX = ("loss.relational=matrix", "loss.relational_weight=1")
ROWS = {
    "terms": (
        Row("none", ("loss.relational_weight=0",)),
        Row("cosine (published)", _MATRIX),
        Row("centred cosine", (*_MATRIX, "loss.label_similarity=centred")),
        Row("distance", (*_MATRIX, "loss.label_similarity=distance")),
        Row("y-aware", ("loss.relational=y-aware", "loss.relational_weight=1")),
        Row("y-aware at weight 0.1", ("loss.relational=y-aware", "loss.relational_weight=0.1")),
        Row("expw", ("loss.relational=expw", "loss.relational_weight=1")),
        Row("expw at weight 0.1", ("loss.relational=expw", "loss.relational_weight=0.1")),
    ),
    "clips": (
        Row("the span"),
        *(Row(f"{seconds:g} s", seconds=seconds) for seconds in (1.28, 2.56, 5.12, 8.0, 12.0, 20.0)),
    ),
    "smoothing": (Row("as scored"),),
}


@dataclass(frozen=True, slots=True)
class Scored:
    """What was held out: n spans in the order of fold, video and time; K targets in their own units."""

    place: Array  # (n, 2) fold and video
    label: Array  # (n, K)
    score: Array  # (n, K)
    ridge: Array  # (n, K)


def scored(store: str, labels: str, words: tuple[str, ...], seconds: float | None, seed: int) -> Scored | None:
    """The held-out spans of every fold under one setting and seed; None where clips reach across the sides."""
    torch.set_num_threads(1)
    config = load_config(PRESET, (*words, f"training.seed={seed}"))
    data = build_training_set(store, Path(labels), config, "cpu")
    if seconds is not None:
        data = replace(data, clips=clips_around(data, store, config, seconds))
    parts = []
    for fold in make_folds(data.manifest, config.evaluation, seed):
        side = np.full(len(data.manifest), -1)
        side[fold.train], side[fold.validation], side[fold.test] = 0, 0, 2
        if seconds is not None and overlapping_clips(replace(data.clips, context=0), side[data.clips.span]):
            return None
        parts.append(fold_scores(data, fold, config, seed))
    together = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("place", "label", "score", "ridge")
    )
    return Scored(*together)


def clips_around(data: TrainingSet, store: str, config: Config, seconds: float) -> ClipTable:
    """One clip or several of `seconds` for each span; where the span is shorter, the clip has it in its middle."""
    opened, spans = open_store(store), data.manifest
    fps = opened.recipe.fields["sample_fps"]
    assert isinstance(fps, int | float), "the store keeps frames at a rate, not every one"
    more = np.maximum(0, seconds - (spans.end_s - spans.start_s)) / 2
    videos, length = match_videos(spans, opened.ids()), max(1, round(seconds * fps))
    return index_clips(
        data.clips.table, videos, spans.start_s - more, spans.end_s + more, replace(config.clips, length=length)
    )


def fold_scores(data: TrainingSet, fold: Fold, config: Config, seed: int) -> Scored:
    """The test spans of one fold: each has the mean of its clips' scores."""
    clips, sides = data.clips, {name: data.clips_of(rows) for name, rows in fold.sides.items()}
    spec = ModelSpec(
        clips.table.feature_size, data.manifest.target_names, clips.clip_length, clips.context, config.model
    )
    model, numbered = reduced_once(build_model(spec, seed + 1000 * fold.number, "cpu"), clips, sides["train"])
    labelled = LabelledClips(numbered, data.scaling.to_training(data.labels), sides["train"], sides["validation"])
    fit = Fit(model, labelled, replace(config.training, standardise=False), config.loss, seed)
    for _ in fit.epochs():
        pass
    score = data.scaling.to_units(score_clips([Ensemble([model]).eval()], numbered, sides["test"]).mean)
    spans, means = span_means(clips, sides["test"], score)
    features = {name: span_features(clips, rows) for name, rows in sides.items()}
    known = {name: data.manifest.labels[found[0]] for name, found in features.items()}
    people = [data.manifest.subjects[row] for row in features["train"][0]]
    ridge = fit_ridge(features["train"][1], known["train"], people)
    video = clips.table.number(match_videos(data.manifest, clips.table.ids))[spans]
    order = np.lexsort((data.manifest.start_s[spans], video))
    place = np.stack([np.full(len(spans), fold.number), video], 1)
    return Scored(*(part[order] for part in (place, known["test"], means, ridge.predict(features["test"][1]))))


def span_means(clips: ClipTable, numbers: Array, score: Array) -> tuple[Array, Array]:
    """Spans (S,), ascending, and the mean score (S, K) of the clips of each, whose numbers and scores (n, K) are."""
    spans, place = np.unique(clips.span[numbers], return_inverse=True)
    means = np.stack([np.bincount(place, column) for column in score.T], 1) / np.bincount(place)[:, None]
    return spans, means


def agreement(score: Array, label: Array) -> dict[str, float]:
    """Means over the targets, of all held-out spans together."""
    pairs = [(a[np.isfinite(b)], b[np.isfinite(b)]) for a, b in zip(score.T, label.T, strict=True)]
    return {"pcc": float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])), "ccc": mean_ccc(score, label)}


def smoothed(found: Scored, width: int) -> Array:
    """(n, K): each span's score as the mean of `width` spans around it, those of its own video and fold."""
    out = np.empty_like(found.score)
    for place in np.unique(found.place, axis=0):
        mine = np.flatnonzero((found.place == place).all(1))
        for number, row in enumerate(mine):
            out[row] = found.score[mine[max(0, number - width // 2) : number + width // 2 + 1]].mean(0)
    return out


def record(name: str, found: Sequence[Mapping[str, float]], usual: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """A row of the table: means over seeds, and the gain over the first row, paired by seed, with its interval."""
    values: dict[str, Any] = {"row": name, "seeds": len(found)}
    for metric in ("pcc", "ccc"):
        differences = [a[metric] - b[metric] for a, b in zip(found, usual, strict=True)]
        mean, low, high = interval(differences) if len(found) > 1 else (differences[0], float("nan"), float("nan"))
        values[metric] = {
            "mean": float(np.mean([item[metric] for item in found])),
            "by_seed": [item[metric] for item in found],
            "gain": mean, "low": low, "high": high, "better": sum(value > 0 for value in differences),
        }  # fmt: skip
    return values


def table(kind: str, found: Mapping[str, Sequence[Scored]]) -> list[dict[str, Any]]:
    """A record for each row, ridge regression, and with `smoothing` for each width."""
    rows = {name: [agreement(item.score, item.label) for item in items] for name, items in found.items()}
    first = next(iter(found))
    if kind == "smoothing":
        for width in SMOOTHED:
            rows[f"mean of {width} spans"] = [agreement(smoothed(item, width), item.label) for item in found[first]]
    rows[RIDGE] = [agreement(item.ridge, item.label) for item in found[first]]
    return [record(name, values, rows[first]) for name, values in rows.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=tuple(ROWS))
    parser.add_argument("store")
    parser.add_argument("labels")
    parser.add_argument("--name", required=True, help="of the recordings, in the result's name and in the page")
    parser.add_argument("--about", default="", help="a sentence for the page: what the recordings and the sides are")
    parser.add_argument("--folder", type=Path, required=True, help="keeps each training")
    parser.add_argument("--set", action="append", default=[], dest="words", help="a setting of every row")
    parser.add_argument("--row", action="append", dest="rows", metavar="NAME", help="one of some; all by default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0, help="begin no training after this long; run it again")
    args = parser.parse_args()
    machine, begun = hardware(), time.monotonic()
    kept = Memory(args.folder, verbose=0).cache(scored)
    rows = [row for row in ROWS[args.table] if args.rows is None or row.name in args.rows]
    if unknown := set(args.rows or ()) - {row.name for row in rows}:
        parser.error(f"no row {min(unknown)!r}; expected some of {', '.join(row.name for row in ROWS[args.table])}")
    tasks = [(row, seed) for seed in range(args.seeds) for row in rows]
    done: list[Scored | None] = []
    while len(done) < len(tasks):
        if time.monotonic() - begun > 60 * args.minutes:
            raise SystemExit(f"{len(done)} of {len(tasks)} trainings are done; the same command goes on")
        done += Parallel(n_jobs=args.jobs)(
            delayed(kept)(args.store, args.labels, (*args.words, *row.words), row.seconds, seed)
            for row, seed in tasks[len(done) : len(done) + args.jobs]
        )
    found: dict[str, list[Scored]] = {}
    for (row, _), item in zip(tasks, done, strict=True):
        if item is not None:
            found.setdefault(row.name, []).append(item)
    spans, recipe = len(next(iter(found.values()))[0].label), open_store(args.store).recipe.fields
    measured = {"table": args.table, "recordings": args.name, "about": args.about, "preset": PRESET, "held_out": spans,
                "backbone": recipe["backbone"], "sample_fps": recipe["sample_fps"], "settings": args.words,
                "left_out": [row.name for row in rows if row.name not in found],
                "rows": table(args.table, found)}  # fmt: skip
    write_result(f"relational-{args.table}-{args.name}", measured, machine)


if __name__ == "__main__":
    main()
