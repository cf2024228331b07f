"""From how many labelled spans and people on does a larger network learn more? The sizes of the defaults, in one table.

    python benchmarks/sizes.py WORK [--seeds 3] [--people 5 20 50 100]
    python benchmarks/sizes.py WORK --people 50 100 --patience 10 5 3

With --patience, one network of size medium instead, with each patience of early stopping; gains are over the first.

The data (tests/generated.py): people who look and are rated differently, features half linear and half curved in
affect, half of a label from the clips around. Each seed is another world and other people; TEST of them are held out,
the same for every row of the seed. Trainings that are there already, in WORK, are only read: a stopped call goes on.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from affect.benchmarks.ablation import interval
from affect.benchmarks.hardware import hardware, write_result
from affect.benchmarks.trained import train_once
from affect.cache.manifest import read_manifest, write_manifest
from affect.configs.sizes import SIZES
from affect.tests.generated import GeneratedData, generated_features

TEST = 30  # people
SPANS = 40  # of a person


def make(folder: Path, people: int, seed: int) -> None:
    """A store and its labels: people train, TEST more are held out."""
    frames = SPANS // 2 * 16
    shape = GeneratedData(
        subjects=people + TEST, videos=2, video_frames=(frames, frames), feature_size=256, noise=2.0, clip_noise=1.0,
        label_noise=0.2, neighbours=0.5, subject_effect=0.7, subject_bias=0.15, curvature=0.5, seed=7000 + seed,
    )  # fmt: skip
    generated_features(folder / "store", folder / "all.csv", shape)
    manifest = read_manifest(folder / "all.csv")
    splits = ["train" if int(name[1:]) < people else "test" for name in manifest.subjects]
    write_manifest(replace(manifest, splits=splits), folder / "labels.csv")


def variants(patience: Sequence[int]) -> dict[str, Mapping[str, Any]]:
    """The settings of each row, by its name."""
    if not patience:
        return {size.name: size.settings for size in SIZES}
    medium = next(size for size in SIZES if size.name == "medium")
    return {
        f"patience-{epochs}": {**medium.settings, "training.seeds": 1, "training.patience": epochs}
        for epochs in patience
    }


def trained(folder: Path, settings: Mapping[str, Any], seed: int) -> dict[str, float]:
    """Mean CCC of each method on the people held out, the epochs of training and its seconds."""
    words = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    found = train_once(folder / "store", folder / "labels.csv", None, words, seed)
    scores = {"model": found.ccc, "ridge": found.ridge_ccc, "blend": found.blend_ccc}
    return scores | {"epochs": found.epochs, "seconds": found.seconds}


def row(people: int, found: Mapping[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Of so many people: each variant's means, and its gain in CCC over the first, paired by seed."""
    sizes: dict[str, dict[str, Any]] = {}
    first = next(iter(found.values()))
    for name, seeds in found.items():
        sizes[name] = {key: float(np.mean([one[key] for one in seeds])) for key in seeds[0]}
        for method, key in (("blend", "gain"), ("model", "gain_of_model")):
            gain = [one[method] - usual[method] for one, usual in zip(seeds, first, strict=True)]
            sizes[name][key] = interval(gain) if len(gain) > 1 else gain
    return {"people": people, "spans": people * SPANS, "sizes": sizes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--people", type=int, nargs="+", default=[5, 20, 50, 100])
    parser.add_argument("--patience", type=int, nargs="+", default=[], metavar="EPOCHS")
    args = parser.parse_args()
    machine, rows, of = hardware(), [], variants(args.patience)
    for people in args.people:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in of}
        for seed in range(args.seeds):
            folder = args.work / f"{people}-{seed}"
            if not (folder / "labels.csv").exists():
                make(folder, people, seed)
            for name, settings in of.items():
                kept = folder / f"{name}.json"
                if not kept.exists():
                    kept.write_text(json.dumps(trained(folder, settings, seed)))
                found[name].append(json.loads(kept.read_text()))
                print(people, seed, name, found[name][-1], flush=True)
        rows.append(row(people, found))
    write_result(
        "patience" if args.patience else "sizes",
        {"held_out_people": TEST, "spans_each": SPANS, "seeds": args.seeds, "rows": rows},
        machine,
    )


if __name__ == "__main__":
    main()
