"""How many clips of new people are marked as out of range, as many as is said, and whether the spread ranks errors.

`python benchmarks/out_of_range.py [--worlds N] [--draws N]`. All on generated features: each world has forty people who
differ in level and gain; some train, the others are new. `before` is the rule that the threshold is the quantile of the
clips of a few validation people.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import affect
from affect.benchmarks.hardware import hardware, write_result
from affect.cache.records import Array
from affect.configs.load import load_config
from affect.pipeline.events import summary_of
from affect.pipeline.train.train import TrainingSummary, train
from affect.stages.temporal.reference_distribution import QUANTILE, ReferenceDistribution
from affect.tests.generated import GeneratedData, generated_clip_means, generated_features

FRAMES, CLIPS, SIZE, PEOPLE = 16, 30, 128, 40
VALIDATION = {3: 1, 6: 2, 10: 4, 20: 5}  # training people -> validation people of the rule before
EFFECTS = (0.5, 1.0)  # how much people differ
WORDS = (
    "model.width=32", "model.heads=4", "model.layers=1", "model.feed_forward=64", "training.learning_rate=3e-3",
    "training.epochs=15", "evaluation.protocol=k-fold", "evaluation.folds=4",
)  # fmt: skip


def clips_of(count: int, seed: int, effect: float) -> list[Tensor]:
    """(CLIPS, SIZE) mean features of each clip, for every person of a world."""
    made = generated_clip_means(count, seed, effect, clips=CLIPS, frames=FRAMES, size=SIZE)
    return [torch.from_numpy(rows) for rows in made]


def marked(count: int, draws: int, worlds: list[tuple[list[Tensor], list[Tensor]]]) -> dict[str, Any]:
    """Shares of clips, by person: of new people now and before, what is said of them, and of people from elsewhere."""
    new, said, before, elsewhere = [], [], [], []
    for number, (everybody, strangers) in enumerate(worlds):
        for draw in range(draws):
            order = np.random.default_rng([number, draw, count]).permutation(len(everybody))
            training, others = ([everybody[i] for i in part] for part in np.split(order, [count]))
            reference = ReferenceDistribution(SIZE)
            check = reference.fit(torch.cat(training), np.repeat(np.arange(count), CLIPS))
            said.append(check.rate)
            distances = [reference.distance(rows) for rows in others]
            chosen = VALIDATION[count]
            quantile = torch.cat(distances[:chosen]).quantile(QUANTILE)
            new += [float((rows > reference.threshold).float().mean()) for rows in distances]
            before += [float((rows > quantile).float().mean()) for rows in distances[chosen:]]
            elsewhere += [float((reference(rows) > 1).float().mean()) for rows in strangers]
    return {
        "training_people": count, "validation_people_before": VALIDATION[count],
        "before": _of(before), "now": _of(new), "said": round(float(np.mean(np.array(said, float))), 4),
        "people_of_another_world": _of(elsewhere),
    }  # fmt: skip


def _of(shares: list[float]) -> dict[str, float]:
    values = np.array(shares)
    return {"mean": round(float(values.mean()), 4), "people_mostly_marked": round(float((values > 0.5).mean()), 4)}


def spread_and_error(seed: int) -> dict[str, float]:
    """Of four models' spread and the error of their mean, for clips of people whom none of them has seen."""
    made = GeneratedData(subjects=20, videos=1, video_frames=(480, 480), subject_bias=0.3, clip_noise=0.7, seed=seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = generated_features(folder / "store", folder / "all.csv", made)
        lines = (folder / "all.csv").read_text("utf-8").splitlines()
        known = [line for line in lines if not line.startswith("video") and int(line[1:5]) < 12]
        (folder / "labels.csv").write_text("\n".join([lines[0], *known]) + "\n", "utf-8")
        (folder / "labels.yaml").write_bytes((folder / "all.yaml").read_bytes())
        config = load_config(None, list(WORDS))
        summary_of(train(str(folder / "store"), folder / "labels.csv", folder / "run", config, device="cpu"),
                   TrainingSummary)  # fmt: skip
        spread, error = [], []
        labels, videos = found.manifest.labels, np.array(found.manifest.videos)
        for video in sorted({video for video in videos.tolist() if int(video[1:5]) >= 12}):
            rows = affect.predict(video, run=folder / "run", store=folder / "store", device="cpu")
            for number, target in enumerate(found.manifest.target_names):
                spread.append(rows[f"{target}_std"].to_numpy(np.float64))
                error.append(np.abs(rows[target].to_numpy(np.float64) - labels[videos == video, number]))
    deviations, errors = np.concatenate(spread), np.concatenate(error)
    return {
        "spearman": round(float(np.corrcoef(_rank(deviations), _rank(errors))[0, 1]), 3),
        "error_within_1.96_spreads": round(float((errors < 1.96 * deviations).mean()), 3),
    }


def _rank(values: Array) -> Array:
    ranks: Array = values.argsort().argsort().astype(np.float64)
    return ranks


def main() -> None:
    """Print and store the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=4)
    chosen = parser.parse_args()
    machine, result = hardware(), []
    for effect in EFFECTS:
        worlds = [
            (clips_of(PEOPLE, 100 + world, effect), clips_of(4, 900 + world, effect)) for world in range(chosen.worlds)
        ]
        result += [{"subject_effect": effect} | marked(count, chosen.draws, worlds) for count in VALIDATION]
    measured = {"marked": result, "spread": [spread_and_error(seed) for seed in range(3)]}
    write_result("out-of-range", measured, machine)


if __name__ == "__main__":
    main()
