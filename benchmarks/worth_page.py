"""Tables of README.md and docs/backbones.md, out of what was measured: how well people never seen are scored.

python benchmarks/worth_page.py     # prints both; tests/benchmarks/test_worth_page.py holds the pages against them
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affect.benchmarks.ablation import interval

RESULTS = Path(__file__).resolve().parent / "results"
DATA = {  # recordings -> what is held out, who is learnt from, how many spans are held out
    "people": ("ten people, each in turn", "the 9 others", 188),
    "talking-face": ("one person, later in time", "the same person", 61),
    "two-people": ("one person", "1 other", 19),
}
GEOMETRY = ("mouth_open", "mouth_width", "corner_lift", "brow_raise", "eye_open")
OPINIONS = ("smile", "expressive")  # of another network, so no test of one that gives them


def worth_table(results: Path = RESULTS) -> list[str]:
    """CCC of `affect train-temporal` without a preset, and of ridge regression, on each set of recordings."""
    lines = [
        "| held out | spans | learnt from | CCC (lowest, highest seed) | ridge regression | more than ridge, 95 % |",
        "|---|---|---|---|---|---|",
    ]
    for name, (held_out, learnt_from, spans) in DATA.items():
        rows = json.loads((results / f"2026-11-27-instead-{name}.json").read_text("utf-8"))["measured"]["rows"]
        (row,) = (row for row in rows if row["row"] == "the defaults")
        blend, ridge = (np.array(row[method]["by_seed"]) for method in ("blend", "ridge"))
        gain, low, high = interval(list(blend - ridge))
        lines.append(
            f"| {held_out} | {spans} | {learnt_from} | **{blend.mean():.3f}** ({blend.min():.3f}, {blend.max():.3f}) | "
            f"{ridge.mean():.3f} | {gain:+.3f} [{low:+.3f}, {high:+.3f}] |"
        )
    return lines


def backbone_table(results: Path = RESULTS) -> list[str]:
    """Each backbone and its taps, best first: CCC / PCC of people that neither networks nor ridge regression saw."""
    rows = json.loads((results / "2026-11-26-taps.json").read_text("utf-8"))["measured"]["rows"]
    lines = [
        "| `--backbone` | `features.taps` | the networks | ... on geometry | ... on opinions | ridge regression |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: -float(row["model ccc"])):
        cells = [_mean(row, "model", ()), _mean(row, "model", GEOMETRY), _mean(row, "model", OPINIONS),
                 _mean(row, "ridge", ())]  # fmt: skip
        lines.append(f"| `{row['backbone']}` | `{row['taps']}` | " + " | ".join(cells) + " |")
    return lines


def _mean(row: Mapping[str, Any], method: str, targets: Sequence[str]) -> str:
    """CCC / PCC of a method, the mean over all targets or over these."""
    values = [
        np.mean([row[f"{method} {metric} {target}"] for target in targets]) if targets else row[f"{method} {metric}"]
        for metric in ("ccc", "pcc")
    ]
    return " / ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    print("\n".join([*worth_table(), "", *backbone_table()]))
