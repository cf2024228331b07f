"""The ablation's tables and picture, as docs/ablation.md and docs/ablation.svg; real recordings come first."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affect.benchmarks.hardware import RESULTS
from affect.benchmarks.relational_page import sections
from affect.cache.metrics import Score
from affect.stages.views.forest import IntervalRow, intervals
from affect.stages.views.html import STYLE
from affect.stages.views.svg import WIDTH, Axes, curve, legend, line, padded, points, svg, text

READING = "## How to read this\n"  # what stands below it in a page is written by hand and kept
REFERENCES = ("ridge regression", "the answer itself")
KINDS = {"+ relational": "model", "+ context": "other", "+ contrastive": "plain", "relational upon context": "true"}


def write_docs(
    folder: Path, measured: Mapping[str, Any], settings: Mapping[str, str], machine: Mapping[str, Any], source: str
) -> None:
    """Write ablation.md with the tables of real recordings, if there are any, and those of generated data; the svg."""
    people, rows = measured["people"], measured["rows"]
    lines = [
        "# What each term of the method adds",
        "",
        *sections(RESULTS),
        "## Generated data",
        "",
        "Data whose answer is known (`benchmarks/ablation.py`): "
        f"{people['train']} people train, {people['validation']} choose the epoch, {people['test']} test; four targets "
        "from two numbers; half of a label belongs to the clips around; noise in frames, clips and labels; people who "
        "look and are rated differently; features half linear, half curved in affect. "
        f"{len(measured['by_seed'])} seeds, each another world, other people and "
        "another model. Mean CCC over the targets on the test people's clips; intervals of 95 % over seeds "
        "(Student's t); gains are paired by seed.",
        "",
        "![CCC of the five rows, and what the gains depend on](ablation.svg)",
        "",
        "| | held-out CCC | gain over regression | better in |",
        "|---|---|---|---|",
    ]
    for row in rows:
        gain = f"{row['gain']:+.3f} [{row['gain_low']:+.3f}, {row['gain_high']:+.3f}]"
        better = f"{row['better_seeds']} of {len(measured['by_seed'])} seeds"
        plain = row["row"] == "regression"
        lines.append(
            f"| {row['row']} | {row['ccc']:.3f} [{row['low']:.3f}, {row['high']:.3f}] | "
            f"{'' if plain else gain} | {'' if plain else better} |"
        )
    lines += ["", "`the answer itself` scores the labels as they are before their noise: nothing can do better.", ""]
    if "axes" in measured:
        lines += [
            "### When a term helps on generated data",
            "",
            "| setting | value | term | CCC without it | gain |",
            "|---|---|---|---|---|",
        ]
        for field, records in measured["axes"].items():
            for item in records:
                gain = f"{item['gain']:+.3f} [{item['low']:+.3f}, {item['high']:+.3f}]"
                lines.append(
                    f"| {settings[field]} | {item['value']:g} | {item['term']} | {item['without']:.3f} | {gain} |"
                )
    where = f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
    lines += ["", f"Measured on {where}: `benchmarks/results/{source}`.", ""]
    write_page(folder / "ablation.md", lines)
    (folder / "ablation.svg").write_text(drawn(measured, settings), "utf-8")


def write_page(path: Path, lines: Sequence[str]) -> None:
    """Write a page, and under it what its older version has from READING on."""
    kept = path.read_text("utf-8").partition(READING)[2] if path.exists() else ""
    path.write_text("\n".join(lines) + (f"\n{READING}{kept}" if kept else ""), "utf-8")


def drawn(measured: Mapping[str, Any], settings: Mapping[str, str]) -> str:
    """All panels as one picture."""
    rows = [
        IntervalRow(
            row["row"],
            Score(row["ccc"], row["low"], row["high"]),
            "plain" if row["row"] in REFERENCES else "model",
        )
        for row in measured["rows"]
    ]
    gains = [
        IntervalRow(row["row"], Score(row["gain"], row["gain_low"], row["gain_high"]), "model")
        for row in measured["rows"][1:5]
    ]
    low = min(row.score.low for row in rows)
    panels = [
        ("Held-out CCC", intervals("Held-out CCC", rows, label="mean CCC over targets", span=(low - 0.02, 1.0))),
        ("Gain over regression, paired", intervals("Gain over regression", gains, label="difference in CCC")),
    ]
    for field, records in measured.get("axes", {}).items():
        panels.append((f"Gain by {settings[field]}", gain_panel(settings[field], records)))
    return sheet(panels, columns=2)


def gain_panel(setting: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Gain against a setting, a line per term, with intervals."""
    terms = list(dict.fromkeys(str(item["term"]) for item in records))
    numbers = np.array([[item["low"], item["high"], 0.0] for item in records])
    axes = Axes(padded(np.array([item["value"] for item in records]), share=0.08), padded(numbers), height=210, left=50)
    zero = float(axes.py(0.0))
    parts = [axes.grid(setting, "gain in CCC"), line(axes.left, zero, 350, zero, "zero")]
    for number, term in enumerate(terms):
        mine = [item for item in records if item["term"] == term]
        x, y = (
            axes.px(np.array([item["value"] for item in mine])) + 5 * number,
            axes.py(np.array([item["gain"] for item in mine])),
        )
        parts.append(curve(x, y, KINDS[term]))
        parts.append(points(x, y, f"{KINDS[term]} large"))
        for place, item in zip(x, mine, strict=True):
            low, high = (float(axes.py(item[name])) for name in ("low", "high"))
            parts.append(line(float(place), low, float(place), high, KINDS[term]))
    for number in range(0, len(terms), 2):
        marks = [(KINDS[term], term) for term in terms[number : number + 2]]
        parts.append(legend(226 + 8 * number, marks, axes.left))
    return svg(252, f"Gain by {setting}", "", parts)


def sheet(panels: Sequence[tuple[str, str]], columns: int) -> str:
    """Panels in a grid, with the report's colours, as a file that stands alone."""
    heights = [float(re.search(r'viewBox="0 0 \d+ ([\d.]+)"', picture)[1]) for _, picture in panels]  # type: ignore[index]
    parts, top = [], 16.0
    for start in range(0, len(panels), columns):
        for column, (title, picture) in enumerate(panels[start : start + columns]):
            x = 16 + column * (WIDTH + 32)
            parts.append(text(x, top + 12, title, "strip"))
            size = f'x="{x}" y="{top + 20}" width="{WIDTH}" height="{heights[start + column]}"'
            parts.append(picture.replace("<svg ", f"<svg {size} ", 1))
        top += max(heights[start : start + columns]) + 48
    width = 16 + columns * (WIDTH + 32)
    rules = (
        STYLE[STYLE.index("svg text {") : STYLE.index("@media (max-width")].replace("svg .", ".").replace("svg ", "")
    )
    colours = STYLE[: STYLE.index("* {")].replace(":root {", "svg {", 1).replace(":root {", "svg {")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top:g}" width="{width}" height="{top:g}" '
        f'font-family="system-ui, sans-serif"><style>{colours}{rules}</style>'
        f'<rect width="{width}" height="{top:g}" fill="var(--page)"/>{"".join(parts)}</svg>\n'
    )
