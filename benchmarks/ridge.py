"""Is the network as good as ridge regression on real recordings with few labels? Several settings, in one table.

    python benchmarks/ridge.py STORE LABELS.csv [--seeds 5] [--jobs 2] [--folder FOLDER]

STORE has every frame of two recordings of one person (`affect extract-features VIDEOS --sample-fps source`), LABELS.csv
their half-second spans: most of one recording trains, the rest of it chooses the epoch, the other recording tests. All
rows are trained on the same seeds; the setting is chosen by its mean CCC on validation, and the table shows what each
would have given.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Memory, Parallel, delayed

from affect.benchmarks.ablation import interval
from affect.benchmarks.hardware import hardware, write_result
from affect.benchmarks.trained import Trained, train_once


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate: a preset and what it replaces."""

    name: str
    preset: str | None
    words: tuple[str, ...] = ()


ROWS = (
    Row("small", "small"),
    Row("small, weight decay 0.01", "small", ("training.weight_decay=1.0e-2",)),
    Row("small, best epoch on validation", "small", ("training.keep=best", "training.patience=0")),
    Row("the defaults at width 128", None, ("model.width=128",)),
)


def describe(name: Row, found: Sequence[Trained]) -> dict[str, Any]:
    """A record of the table: means over seeds, and the difference to ridge regression with its 95 % interval."""
    pcc = [item.pcc for item in found]
    mean, low, high = interval([item.pcc - item.ridge_pcc for item in found])
    return {
        "row": name.name,
        "preset": name.preset,
        "settings": list(name.words),
        "validation_ccc": float(np.mean([item.validation_ccc for item in found])),
        "pcc": float(np.mean(pcc)),
        "pcc_lowest": min(pcc),
        "pcc_highest": max(pcc),
        "ccc": float(np.mean([item.ccc for item in found])),
        "over_ridge": {"mean": mean, "low": low, "high": high},
        "by_seed": [asdict(item) for item in found],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--folder", type=Path, help="keep finished trainings here; a new one after a change of the code"
    )
    args = parser.parse_args()
    machine = hardware()
    kept = Memory(args.folder, verbose=0).cache(train_once)
    shared = ("evaluation.allow_shared_subjects=true",)
    done: list[Trained] = Parallel(n_jobs=args.jobs, verbose=5)(
        delayed(kept)(args.store, args.labels, row.preset, (*row.words, *shared), seed)
        for row in ROWS
        for seed in range(args.seeds)
    )
    found = [done[start : start + args.seeds] for start in range(0, len(done), args.seeds)]
    rows = [describe(name, results) for name, results in zip(ROWS, found, strict=True)]
    chosen = max(rows, key=lambda item: item["validation_ccc"])["row"]
    ridge = {"ccc": done[0].ridge_ccc, "pcc": done[0].ridge_pcc}
    write_result("ridge", {"seeds": args.seeds, "ridge": ridge, "chosen": chosen, "rows": rows}, machine)


if __name__ == "__main__":
    main()
