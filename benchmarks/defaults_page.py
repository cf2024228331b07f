"""The comparison of the defaults as docs/defaults.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affect.benchmarks.ablation_page import write_page


def write_docs(path: Path, measured: Mapping[str, Any], machine: Mapping[str, Any], source: str) -> None:
    """Write defaults.md; what is written by hand below the table is kept."""
    usual = measured["defaults"]
    lines = [
        "# What each default is worth",
        "",
        f"`benchmarks/defaults.py` trains the preset `{measured['preset']}` on the data of `affect demo`, one setting "
        f"replaced at a time: {measured['seeds']} seeds, each ten other subjects (six train, two choose the epoch, two "
        "test), other affect and another model; every row has the same seeds. Mean CCC of valence and arousal on the "
        "test subjects' spans; differences are paired by seed, with 95 % intervals (Student's t). Below zero, the "
        "default is better.",
        "",
        f"The defaults: held-out CCC {_range(usual['ccc'])}, validation {_range(usual['validation_ccc'])}, "
        f"{usual['epochs']:.0f} epochs in {usual['seconds']:.1f} s; ridge regression {measured['ridge_ccc']:.3f}.",
        "",
        "| default | instead | held-out CCC | difference | on validation | epochs |",
        "|---|---|---|---|---|---|",
    ]
    for row in measured["rows"]:
        lines.append(
            f"| {_code(row['default'])} | {_code(row['alternative'])} | {row['ccc']['mean']:.3f} | "
            f"{_difference(row['ccc'])} | {_difference(row['validation_ccc'])} | {row['epochs']:.0f} |"
        )
    best = measured["rows"][0]
    rates = ", ".join(f"{_rate(row)} {row['validation_ccc']['mean']:.3f}" for row in measured["sgd_rates"])
    lines += [
        "",
        f"SGD is shown at the learning rate that validation prefers, {_rate(best)} (validation CCC by rate: {rates}), "
        "with weight decay 5e-4.",
    ]
    where = f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
    lines += ["", f"Measured on {where}: `benchmarks/results/{source}`.", ""]
    write_page(path, lines)


def _range(value: Mapping[str, float]) -> str:
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _difference(value: Mapping[str, float]) -> str:
    return f"{value['difference']:+.3f} [{value['difference_low']:+.3f}, {value['difference_high']:+.3f}]"


def _code(words: str) -> str:
    return f"`{words}`" if "=" in words else words


def _rate(row: Mapping[str, Any]) -> str:
    words = dict(word.split("=", 1) for word in row["settings"])
    return str(words["training.learning_rate"])
