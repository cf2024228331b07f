"""Does each term help, and when? Five rows on generated multi-target data, and what their gain depends on.

    python benchmarks/ablation.py [--seeds 10] [--jobs 2] [--only main] [--docs docs]
    python benchmarks/ablation.py --page docs

The data (tests/generated.py): few people, noise in frames, clips and labels, subjects that look and are
rated differently, four targets from two numbers, and labels half of which belong to the clips around. Each seed is
another world, other people and another model. The epoch is chosen on validation people; test people are scored once.
`--page` measures nothing: it writes the page from the newest results, those of benchmarks/relational.py among them.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy import stats

from affect.benchmarks.ablation_page import write_docs
from affect.benchmarks.hardware import RESULTS, hardware, write_result
from affect.benchmarks.relational_page import newest
from affect.cache.records import Array
from affect.configs.schema import ClipsConfig, LossConfig, ModelConfig, TrainingConfig
from affect.stages.temporal.baselines import span_features
from affect.stages.temporal.clips import ClipTable, FeatureTable, index_clips
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.fit import Fit, LabelledClips, build_model
from affect.stages.temporal.metrics import mean_ccc
from affect.stages.temporal.model import ModelSpec
from affect.stages.temporal.ridge import fit_ridge
from affect.stages.temporal.score import score_clips
from affect.tests.generated import Generated, GeneratedData, generated_in_memory

TRAIN, VALIDATION, TEST = 10, 4, 12  # people
DATA = GeneratedData(
    subjects=TRAIN + VALIDATION + TEST, videos=2, video_frames=(256, 256), feature_size=64,
    targets=("valence", "arousal", "dominance", "expectancy"), rank=2, noise=2.0, clip_noise=1.0, label_noise=0.2,
    neighbours=0.5, reach=2, subject_effect=0.7, subject_bias=0.15, curvature=0.5,
)  # fmt: skip
MODEL = ModelConfig(width=64, heads=4, feed_forward=128, layers=2)
TRAINING = TrainingConfig(learning_rate=1e-3, epochs=40, patience=10)


@dataclass(frozen=True, slots=True)
class Row:
    """One variant: what differs from plain regression."""

    name: str
    context: int = 0
    relational: float = 0.0
    contrastive: int = 0


ROWS = (
    Row("regression"),
    Row("+ contrastive", contrastive=15),
    Row("+ relational", relational=1.0),
    Row("+ context", context=2),
    Row("full", context=2, relational=1.0),
)


# A term: the row that has it, and the row that differs in it alone.
TERMS = {
    "+ relational": ("+ relational", "regression"),
    "+ context": ("+ context", "regression"),
    "relational upon context": ("full", "+ context"),
    "+ contrastive": ("+ contrastive", "regression"),
}


@dataclass(frozen=True, slots=True)
class Axis:
    """What a term's gain may depend on: a field of the data, in words, and what else is set."""

    setting: str
    words: str
    values: tuple[float, ...]
    terms: tuple[str, ...]
    fixed: Mapping[str, float] = field(default_factory=dict)


CURVED = {"curvature": 1.0}
OWN = {"curvature": 1.0, "neighbours": 0.0, "noise": 1.0, "train": 6}
AXES = {
    "curvature": Axis("curvature", "curvature of the features", (0.0, 0.5, 1.0), tuple(TERMS)),
    "neighbours": Axis(
        "neighbours", "share of a label from the clips around", (0.0, 0.25, 0.5, 0.75), tuple(TERMS)[:3]
    ),
    "clip_noise": Axis("clip_noise", "noise of a whole clip's features", (0.0, 1.0, 2.0), ("+ context",)),
    "label_noise": Axis(
        "label_noise", "noise of the labels (curvature 1)", (0.0, 0.2, 0.4, 0.6), ("+ relational",), CURVED
    ),
    "rank": Axis("rank", "numbers behind the targets (curvature 1)", (1, 2, 4), ("+ relational",), CURVED),
    "train": Axis("train", "people who train (curvature 1)", (3, 6, 10, 20), ("+ relational", "+ contrastive"), CURVED),
    "unlabelled": Axis(
        "unlabelled", "unlabelled share of training (curvature 1)", (0.0, 0.5, 0.9), ("+ contrastive",), CURVED
    ),
    # On three other seeds the relational term gained .02 here; measured on more, to see whether it holds.
    "own_labels": Axis(
        "clip_noise", "noise of a clip (own labels, curved)", (0.0, 0.3, 0.6, 1.0), ("+ relational",), OWN
    ),
}


@dataclass(frozen=True, slots=True)
class World:
    """One draw of the data, split by people."""

    made: Generated
    plain: FeatureTable
    mirrored: FeatureTable
    sides: Mapping[str, Array]  # train, validation, test -> rows of the manifest


def draw(data: GeneratedData, train: int = TRAIN) -> World:
    """Features of both views in memory, and who trains."""
    features, made = generated_in_memory(data)
    mirrored, _ = generated_in_memory(data, view="hflip")
    subject = np.array([int(name[1:]) for name in made.manifest.subjects])
    sides = {
        "train": np.flatnonzero(subject < train),
        "validation": np.flatnonzero((subject >= train) & (subject < train + VALIDATION)),
        "test": np.flatnonzero(subject >= train + VALIDATION),
    }
    return World(made, FeatureTable.from_videos(features), FeatureTable.from_videos(mirrored), sides)


def clips_of(world: World, table: FeatureTable, context: int) -> ClipTable:
    """The clips of every span."""
    spans = world.made.manifest
    return index_clips(table, spans.videos, spans.start_s, spans.end_s, ClipsConfig(context=context))


def held_out_ccc(world: World, row: Row, seed: int, unlabelled: float = 0.0) -> float:
    """Mean CCC over the targets on the test people's clips, of a model fitted as `row` says."""
    clips = clips_of(world, world.plain, row.context)
    labels = world.made.manifest.labels[clips.span].astype(np.float32)
    numbers = {side: np.flatnonzero(np.isin(clips.span, rows)) for side, rows in world.sides.items()}
    if unlabelled:
        hidden = np.random.default_rng(seed).random(len(labels)) < unlabelled
        labels[hidden & np.isin(np.arange(len(labels)), numbers["train"])] = np.nan
    data = LabelledClips(
        clips, labels, numbers["train"], numbers["validation"], clips_of(world, world.mirrored, row.context)
    )
    spec = ModelSpec(clips.table.feature_size, world.made.manifest.target_names, clips.clip_length, row.context, MODEL)
    loss = LossConfig(relational_weight=row.relational, contrastive_epochs=row.contrastive)
    fit = Fit(build_model(spec, seed, "cpu"), data, TRAINING, loss, seed)
    for _ in fit.epochs():
        pass
    return mean_ccc(score_clips([Ensemble([fit.model]).eval()], clips, numbers["test"]).mean, labels[numbers["test"]])


def references(world: World) -> dict[str, float]:
    """Ridge regression on a clip's mean feature, and the labels' own answer before their noise: the ceiling."""
    clips = clips_of(world, world.plain, 0)
    labels = world.made.manifest.labels
    sides = {
        side: span_features(clips, np.flatnonzero(np.isin(clips.span, rows))) for side, rows in world.sides.items()
    }
    (train, x), (test, t) = sides["train"], sides["test"]
    ridge = fit_ridge(x, labels[train], [world.made.manifest.subjects[row] for row in train])
    return {
        "ridge regression": mean_ccc(ridge.predict(t), labels[test]),
        "the answer itself": mean_ccc(world.made.answer[test], labels[test]),
    }


def one_seed(seed: int, rows: Sequence[Row], setting: Mapping[str, float]) -> dict[str, float]:
    """Row -> held-out CCC in one world; `setting` replaces fields of the data."""
    torch.set_num_threads(1)
    setting = dict(setting)
    train, unlabelled = int(setting.pop("train", TRAIN)), float(setting.pop("unlabelled", 0.0))
    if "rank" in setting:
        setting["rank"] = int(setting["rank"])
    data = replace(DATA, **setting, seed=seed, subjects=train + VALIDATION + TEST)  # type: ignore[arg-type]
    world = draw(data, train)
    return {row.name: held_out_ccc(world, row, seed, unlabelled) for row in rows} | references(world)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its 95 % interval by Student's t over seeds."""
    array = np.asarray(values)
    mean = float(array.mean())
    half = float(stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array)))
    return mean, mean - half, mean + half


def main_table(results: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """A record per row: mean CCC, its interval, the paired difference to regression, and its interval."""
    table: list[dict[str, Any]] = []
    for name in results[0]:
        mean, low, high = interval([result[name] for result in results])
        gain, below, above = interval([result[name] - result["regression"] for result in results])
        better = sum(result[name] > result["regression"] for result in results)
        table.append(
            {"row": name, "ccc": mean, "low": low, "high": high, "gain": gain, "gain_low": below, "gain_high": above}
            | {"better_seeds": better}
        )
    return table


def run_axes(names: Sequence[str], seeds: int, jobs: int) -> dict[str, list[dict[str, Any]]]:
    """Setting -> a record per value and term: CCC without it, its gain paired by seed, and the gain's interval."""
    named = {row.name: row for row in ROWS}
    tasks = [
        (name, value, seed)
        for name in names
        for value in AXES[name].values
        for seed in range(100, 100 + seeds)  # other worlds than those of the table
    ]
    done = Parallel(n_jobs=jobs, verbose=1)(
        delayed(one_seed)(
            seed,
            [named[row] for row in dict.fromkeys(row for term in AXES[name].terms for row in TERMS[term][::-1])],
            dict(AXES[name].fixed) | {AXES[name].setting: value},
        )
        for name, value, seed in tasks
    )
    gains: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        axis = AXES[name]
        gains[name] = []
        for value in axis.values:
            found = [result for task, result in zip(tasks, done, strict=True) if task[:2] == (name, value)]
            for term in axis.terms:
                row, against = TERMS[term]
                gain, low, high = interval([result[row] - result[against] for result in found])
                base = float(np.mean([result[against] for result in found]))
                gains[name].append(
                    {"term": term, "value": value, "without": base, "gain": gain, "low": low, "high": high}
                )
    return gains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--axis-seeds", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=("main", "axes"))
    parser.add_argument("--axis", action="append", choices=tuple(AXES), help="these alone; all by default")
    parser.add_argument("--rows", type=Path, help="with --only axes: take the rest from this earlier result")
    parser.add_argument("--docs", type=Path, help="write ablation.md and its pictures here")
    parser.add_argument("--page", type=Path, help="measure nothing; write the page here from the newest results")
    args = parser.parse_args()
    words = {name: axis.words for name, axis in AXES.items()}
    if args.page:
        path = newest(RESULTS, "ablation")[""]
        result = json.loads(path.read_text("utf-8"))
        write_docs(args.page, result["measured"], words, result["hardware"], path.name)
        return
    machine = hardware()
    measured: dict[str, Any] = {"people": {"train": TRAIN, "validation": VALIDATION, "test": TEST}}
    if args.only != "axes":
        results = Parallel(n_jobs=args.jobs, verbose=1)(delayed(one_seed)(s, ROWS, {}) for s in range(args.seeds))
        measured |= {"rows": main_table(results), "by_seed": results}
    elif args.rows:
        measured |= json.loads(args.rows.read_text("utf-8"))["measured"]
    if args.only != "main":
        measured["axes"] = measured.get("axes", {}) | run_axes(args.axis or list(AXES), args.axis_seeds, args.jobs)
    path = write_result("ablation", measured, machine)
    if args.docs and "rows" in measured:
        write_docs(args.docs, measured, words, machine, path.name)


if __name__ == "__main__":
    main()
