"""The training without any --config on real recordings, and the same with some settings replaced.

    python benchmarks/instead.py STORE LABELS.csv --name NAME --folder FOLDER [--set KEY=VALUE ...]
        --instead "KEY=VALUE KEY=VALUE" [--instead ...] [--seeds 3]

Each row is `affect train-temporal` as a user runs it: networks, ridge regression and their blend. Every row has the
same seeds, so gains are paired. --set says how people are divided. FOLDER keeps each training: a stopped call goes on.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from affect.benchmarks.ablation import interval
from affect.benchmarks.hardware import hardware, write_result
from affect.benchmarks.trained import train_once
from affect.cache import open_store

METHODS = {"model": "ccc", "ridge": "ridge_ccc", "blend": "blend_ccc"}


def kept(path: Path, store: Path, labels: Path, words: tuple[str, ...], seed: int) -> dict[str, float]:
    """The scores of one training, made only where `path` is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(train_once(store, labels, None, words, seed))), "utf-8")
    found: dict[str, float] = json.loads(path.read_text("utf-8"))
    return found


def row(name: str, found: list[dict[str, float]], usual: list[dict[str, float]]) -> dict[str, Any]:
    """Means over seeds of each method's CCC, and its gain over the defaults, paired by seed."""
    values: dict[str, Any] = {"row": name, "seeds": len(found)}
    for method, key in METHODS.items():
        gain = [one[key] - other[key] for one, other in zip(found, usual, strict=True)]
        values[method] = {"ccc": float(np.mean([one[key] for one in found])), "by_seed": [one[key] for one in found],
                          "gain": list(interval(gain)) if len(gain) > 1 else gain}  # fmt: skip
    return values | {"model_pcc": float(np.mean([one["pcc"] for one in found])),
                     "seconds": float(np.mean([one["seconds"] for one in found]))}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--name", required=True, help="of the recordings, in the result's name")
    parser.add_argument("--folder", type=Path, required=True, help="keeps each training")
    parser.add_argument("--set", action="append", default=[], dest="words", help="a setting of every row")
    parser.add_argument("--instead", action="append", default=[], help="settings of one more row")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    machine, rows = hardware(), ["", *args.instead]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
    for seed in range(args.seeds):
        for number, name in enumerate(rows):
            path = args.folder / args.name / f"{number}-{seed}.json"
            found[name].append(kept(path, args.store, args.labels, (*args.words, *name.split()), seed))
            print(args.name, seed, name or "the defaults", found[name][-1], flush=True)
    recipe = open_store(str(args.store)).recipe.fields
    measured = {"recordings": args.name, "settings": args.words, "backbone": recipe["backbone"],
                "sample_fps": recipe["sample_fps"],
                "rows": [row(name or "the defaults", values, found[""]) for name, values in found.items()]}  # fmt: skip
    write_result(f"instead-{args.name}", measured, machine)


if __name__ == "__main__":
    main()
