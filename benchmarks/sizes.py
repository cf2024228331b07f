"""From how many labelled spans and people on does a larger network learn more? The sizes of the defaults, in one table.

    python benchmarks/sizes.py WORK [--seeds 3] [--people 5 20 50 100]

The data (tests/generated.py): people who look and are rated differently, features half linear and half curved in
affect, half of a label from the clips around. Each seed is another world and other people; TEST of them are held out,
the same for every row of the seed. Trainings that are there already, in WORK, are only read: a stopped call goes on.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from affect.benchmarks.ablation import interval
from affect.benchmarks.hardware import hardware, write_result
from affect.benchmarks.trained import train_once
from affect.cache.manifest import read_manifest, write_manifest
from affect.configs.sizes import SIZES, Size
from affect.tests.generated import GeneratedData, generated_features

TEST = 30  # people
SPANS = 40  # of a person
METHODS = ("model", "ridge", "blend")


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


def trained(folder: Path, size: Size, seed: int) -> dict[str, float]:
    """Mean CCC of each method on the people held out, and the seconds that training took."""
    words = [f"{name}={json.dumps(value)}" for name, value in size.settings.items()]
    found = train_once(folder / "store", folder / "labels.csv", None, words, seed)
    return {"model": found.ccc, "ridge": found.ridge_ccc, "blend": found.blend_ccc, "seconds": found.seconds}


def row(people: int, found: Mapping[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Of so many people: each size's means, and its gain in blended CCC over the smallest, paired by seed."""
    sizes: dict[str, dict[str, Any]] = {}
    for name, seeds in found.items():
        gain = [one["blend"] - first["blend"] for one, first in zip(seeds, found[SIZES[0].name], strict=True)]
        sizes[name] = {key: float(np.mean([one[key] for one in seeds])) for key in (*METHODS, "seconds")}
        sizes[name] |= {"gain": interval(gain) if len(gain) > 1 else gain}
    return {"people": people, "spans": people * SPANS, "sizes": sizes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--people", type=int, nargs="+", default=[5, 20, 50, 100])
    args = parser.parse_args()
    machine, rows = hardware(), []
    for people in args.people:
        found: dict[str, list[dict[str, float]]] = {size.name: [] for size in SIZES}
        for seed in range(args.seeds):
            folder = args.work / f"{people}-{seed}"
            if not (folder / "labels.csv").exists():
                make(folder, people, seed)
            for size in SIZES:
                kept = folder / f"{size.name}.json"
                if not kept.exists():
                    kept.write_text(json.dumps(trained(folder, size, seed)))
                found[size.name].append(json.loads(kept.read_text()))
                print(people, seed, size.name, found[size.name][-1], flush=True)
        rows.append(row(people, found))
    write_result("sizes", {"held_out_people": TEST, "spans_each": SPANS, "seeds": args.seeds, "rows": rows}, machine)


if __name__ == "__main__":
    main()
