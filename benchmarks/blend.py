"""Half ridge regression and half networks, or a share learnt from people (or blocks) left out of the training side?

    python benchmarks/blend.py STORE LABELS.csv --name NAME [--set KEY=VALUE ...] [--seeds 5]

Every fold is trained as `affect train-temporal` would without any --config. The learnt share is the one of 0, .05, ...,
1 with the highest mean CCC of training spans whose person was left out, by networks and by ridge regression alike (of
fifths in time where there are fewer than three people). One network an inner fold, as many as the default outside.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affect.benchmarks.ablation import interval
from affect.benchmarks.hardware import hardware, write_result
from affect.benchmarks.relational import agreement, span_means
from affect.cache.records import Array
from affect.configs.load import load_config
from affect.configs.schema import Config
from affect.pipeline.train.fold import spec_of
from affect.pipeline.train.sizes import sized
from affect.pipeline.train.training_set import TrainingSet, build_training_set
from affect.stages.temporal.baselines import span_features
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.fit import Fit, LabelledClips, build_model
from affect.stages.temporal.metrics import mean_ccc
from affect.stages.temporal.ridge import BLOCKS, fit_ridge
from affect.stages.temporal.score import score_clips
from affect.stages.temporal.splits import make_folds

SHARES = np.linspace(0, 1, 21)  # of ridge regression
NAMES = {0.0: "networks", 0.25: "a quarter", 0.5: "half", 0.75: "three quarters", 1.0: "ridge"}


@dataclass(frozen=True, slots=True)
class Parts:
    """n spans: their labels, what the networks say and what ridge regression says, (n, K) each, in own units."""

    label: Array
    networks: Array
    ridge: Array

    def blend(self, share: float) -> Array:
        """(n, K) with so much of ridge regression."""
        return share * self.ridge + (1 - share) * self.networks


def joined(parts: Sequence[Parts]) -> Parts:
    """The spans of all of them."""
    return Parts(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("label", "networks", "ridge")))


def spans_in_order(data: TrainingSet, rows: Array) -> Array:
    """Spans by video and time, those with clips."""
    spans = np.unique(data.clips.span[data.clips_of(rows)])
    return spans[np.lexsort((data.manifest.start_s[spans], np.array(data.manifest.videos)[spans]))]


def scored(data: TrainingSet, config: Config, train: Array, test: Array, seed: int, *, networks: int) -> Parts:
    """What is said of spans `test` after learning from spans `train`, both in the order of `spans_in_order`."""
    clips, mine = data.clips, data.clips_of(test)
    spec = spec_of(data, config)
    labelled = LabelledClips(clips, data.scaling.to_training(data.labels), data.clips_of(train), mine[:0])
    models = []
    for member in range(networks):
        fit = Fit(build_model(spec, seed + 1_000_000 * member, "cpu"), labelled, config.training, config.loss, seed)
        for _ in fit.epochs():
            pass
        models.append(fit.model)
    score = data.scaling.to_units(score_clips([Ensemble(models).eval()], clips, mine, method="model").mean)
    spans, means = span_means(clips, mine, score)
    ridge = fit_ridge(features_of(data, train), data.manifest.labels[train], people_of(data, train))
    place = np.searchsorted(spans, test)
    return Parts(data.manifest.labels[test], means[place], ridge.predict(features_of(data, test)))


def features_of(data: TrainingSet, spans: Array) -> Array:
    """(n, D) mean features."""
    found, features = span_features(data.clips, data.clips_of(spans))
    return features[np.searchsorted(found, spans)]


def people_of(data: TrainingSet, spans: Array) -> list[str]:
    """Whose spans they are."""
    return [data.manifest.subjects[row] for row in spans]


def learnt_share(data: TrainingSet, config: Config, train: Array, seed: int) -> float:
    """The share of ridge regression that is best for spans of the training side that were left out."""
    names, group = np.unique(people_of(data, train), return_inverse=True)
    if len(names) < 3:
        group = np.arange(len(train)) * BLOCKS // len(train)
    inner = [
        scored(data, config, train[group != one], train[group == one], seed, networks=1) for one in np.unique(group)
    ]
    found = joined(inner)
    return float(SHARES[np.argmax([mean_ccc(found.blend(share), found.label) for share in SHARES])])


def measured(store: str, labels: Path, words: Sequence[str], seed: int) -> dict[str, Any]:
    """CCC and PCC of each method on the held-out spans of every fold, and the shares learnt."""
    config = load_config(None, (*words, f"training.seed={seed}"))
    data = build_training_set(store, labels, config, "cpu")
    folds = make_folds(data.manifest, config.evaluation, seed)
    sides = [np.union1d(fold.train, fold.validation) for fold in folds]
    people = min(len(set(people_of(data, side))) for side in sides)
    config, _ = sized(config, min(map(len, sides)), people)
    assert config.training.refit, "more spans than the smallest size is for"
    parts, shares = [], []
    for fold, side in zip(folds, sides, strict=True):
        train, test = spans_in_order(data, side), spans_in_order(data, fold.test)
        shares.append(learnt_share(data, config, train, seed + 1000 * fold.number))
        number = seed + 1000 * fold.number
        parts.append(scored(data, config, train, test, number, networks=config.training.seeds))
    together = joined(parts)
    learnt = np.concatenate([part.blend(share) for part, share in zip(parts, shares, strict=True)])
    said = {NAMES[share]: together.blend(share) for share in NAMES} | {"learnt": learnt}
    return {"shares": shares, **{name: agreement(score, together.label) for name, score in said.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("labels", type=Path)
    parser.add_argument("--name", required=True, help="of the recordings, in the result's name")
    parser.add_argument("--set", action="append", default=[], dest="words", help="a setting of every row")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    machine = hardware()
    found = [measured(args.store, args.labels, args.words, seed) for seed in range(args.seeds)]
    rows = {}
    for name in (*NAMES.values(), "learnt"):
        for metric in ("ccc", "pcc"):
            values = [one[name][metric] for one in found]
            over = interval([one[name][metric] - one["half"][metric] for one in found]) if len(found) > 1 else None
            rows[f"{name} {metric}"] = {"mean": float(np.mean(values)), "by_seed": values, "over_half": over}
    shares = [one["shares"] for one in found]
    write_result(f"blend-{args.name}", {"settings": args.words, "rows": rows, "shares_of_ridge": shares}, machine)


if __name__ == "__main__":
    main()
