"""Is each default better than its alternative? The demo's training with one setting replaced at a time.

    python benchmarks/defaults.py FOLDER [--seeds 5] [--jobs 2] [--docs docs]

The data are those of `affect demo --seed S`, made and extracted once under FOLDER: each seed is ten other subjects
(six train, two choose the epoch, two test), other affect and another model. Every row is trained on the same seeds, so
that differences are paired. A learning rate that belongs to another optimiser is chosen on validation. FOLDER also
keeps every training that is done, so that a stopped comparison goes on: take a new one after a change of the code.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Memory, Parallel, delayed

from affect.benchmarks.ablation import interval
from affect.benchmarks.defaults_page import write_docs
from affect.benchmarks.hardware import hardware, write_result
from affect.benchmarks.trained import Trained, train_once
from affect.configs.load import load_config
from affect.pipeline.demo.film import make_demo_data
from affect.pipeline.events import summary_of
from affect.pipeline.extract.extract import ExtractionSummary, extract
from affect.pipeline.extract.videos import find_videos
from affect.pipeline.workers import Workers

PRESET = "demo"
DEFAULT = "the defaults"
SGD_RATES = (0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One alternative: what the table calls it, and the settings it replaces."""

    default: str
    alternative: str
    words: tuple[str, ...]


def row(default: str, alternative: str, *more: str) -> Row:
    """The row of one setting, `more` of which go with it."""
    key = default.partition("=")[0]
    return Row(default, f"{key}={alternative}", (f"{key}={alternative}", *more))


PUBLISHED = (
    "training.optimizer=sgd", "training.learning_rate=1.0e-5", "training.weight_decay=5.0e-4", "training.schedule=step",
    "training.warmup=0", "training.epochs=50", "training.patience=0", "training.clip_norm=0",
    "training.standardise=false",
)  # fmt: skip
SGD = [
    row("training.optimizer=adamw", "sgd", f"training.learning_rate={rate}", "training.weight_decay=5.0e-4")
    for rate in SGD_RATES
]
ROWS = (
    Row("optimiser and schedule of the preset `demo`", "those of the preset `paper`", PUBLISHED),
    row("training.learning_rate=1.0e-3", "3.0e-3"),
    row("training.learning_rate=1.0e-3", "3.0e-4"),
    row("training.weight_decay=1.0e-2", "0"),
    row("training.weight_decay=1.0e-2", "5.0e-4"),
    row("training.weight_decay=1.0e-2", "1.0e-1"),
    row("training.schedule=cosine", "step"),
    row("training.schedule=cosine", "constant"),
    row("training.warmup=0.05", "0"),
    row("training.patience=15", "0"),
    row("training.patience=15", "5"),
    row("training.keep=best", "last"),
    row("training.batch_size=32", "8"),
    row("training.batch_size=32", "128"),
    row("training.clip_norm=1", "0"),
    row("training.standardise=true", "false"),
    row("loss.regression=ccc", "rmse"),
    row("loss.relational_weight=1", "0"),
    row("loss.label_similarity=cosine", "distance"),
    row("model.layers=1", "2"),
    row("model.encoder_dropout=0.1", "0"),
    row("model.dropout=0.2", "0"),
    row("model.attention_scale=standard", "published"),
    row("model.context_edges=mask", "wrap"),
    row("clips.context=2", "0"),
)


def demo_features(folder: Path, seed: int, jobs: int) -> tuple[Path, Path]:
    """Store and label table of one demo, made where they are missing."""
    place = folder / f"seed-{seed}"
    labels, store = place / "labels.csv", place / "features"
    if not labels.exists():
        make_demo_data(place, seed)
    sources = find_videos([str(place / "videos")])
    events = extract(sources, str(store), load_config(PRESET).features, device="cpu", workers=Workers(jobs))
    summary_of(events, ExtractionSummary)
    return store, labels


def describe(name: Row, found: Sequence[Trained], usual: Sequence[Trained]) -> dict[str, Any]:
    """A record of the table: means, and differences to the defaults paired by seed with their 95 % intervals."""
    record: dict[str, Any] = {"default": name.default, "alternative": name.alternative, "settings": list(name.words)}
    for metric in ("ccc", "validation_ccc"):
        values = np.array([getattr(item, metric) for item in found])
        mean, low, high = interval(list(values))
        record[metric] = {"mean": mean, "low": low, "high": high}
        if found is not usual:
            gain, below, above = interval(list(values - [getattr(item, metric) for item in usual]))
            record[metric] |= {"difference": gain, "difference_low": below, "difference_high": above}
    record["epochs"] = float(np.mean([item.epochs for item in found]))
    record["seconds"] = float(np.mean([item.seconds for item in found]))
    record["by_seed"] = [asdict(item) for item in found]
    return record


def chosen(records: Sequence[Mapping[str, Any]]) -> int:
    """Number of the record with the highest mean validation CCC."""
    return int(np.argmax([record["validation_ccc"]["mean"] for record in records]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the demos' videos and features are kept")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--docs", type=Path, help="write defaults.md here")
    args = parser.parse_args()
    machine = hardware()
    demos = [demo_features(args.folder, seed, args.jobs) for seed in range(args.seeds)]
    rows = [Row(DEFAULT, "", ()), *SGD, *ROWS]
    tasks = [(name, seed) for name in rows for seed in range(args.seeds)]
    kept = Memory(args.folder / "trained", verbose=0).cache(train_once)
    done: list[Trained] = Parallel(n_jobs=args.jobs, verbose=5)(
        delayed(kept)(*demos[seed], PRESET, name.words, seed) for name, seed in tasks
    )
    found = [done[start : start + args.seeds] for start in range(0, len(done), args.seeds)]
    usual, *others = [describe(name, results, found[0]) for name, results in zip(rows, found, strict=True)]
    sgd, rest = others[: len(SGD)], others[len(SGD) :]
    best = sgd[chosen(sgd)]
    measured = {
        "preset": PRESET,
        "seeds": args.seeds,
        "defaults": usual,
        "ridge_ccc": float(np.mean([item.ridge_ccc for item in found[0]])),
        "rows": [best, *rest],
        "sgd_rates": sgd,
    }
    path = write_result("defaults", measured, machine)
    if args.docs:
        write_docs(args.docs / "defaults.md", measured, machine, path.name)


if __name__ == "__main__":
    main()
