"""The measurements of `relational.py` as sections of docs/ablation.md."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TITLES = {
    "terms": "## The relational loss on real recordings",
    "clips": "## Longer clips on real recordings",
    "smoothing": "## Smoothed scores on real recordings",
}
WORDS = {
    "terms": "The preset `{preset}` without the relational loss, and with each form of it.",
    "clips": "The preset `{preset}` on clips of other lengths around each labelled span (a span longer than a clip is "
    "cut into several).",
    "smoothing": "The preset `{preset}`, and its scores averaged over neighbouring spans of a recording afterwards.",
}
METRICS = {"pcc": "PCC", "ccc": "CCC"}
RIDGE = "ridge regression"


def newest(results: Path, name: str) -> dict[str, Path]:
    """What stands behind the date and `name` in the names of results -> the newest file of it."""
    found = {path.stem[len("2026-01-01-") + len(name) :]: path for path in sorted(results.glob(f"*-{name}*.json"))}
    return {key: path for key, path in found.items() if path.stem[len("2026-01-01-") :].startswith(name)}


def sections(results: Path) -> list[str]:
    """Lines of the page: for each kind of table its newest measurement on each set of recordings."""
    lines: list[str] = []
    for kind, title in TITLES.items():
        files = newest(results, f"relational-{kind}-")
        if not files:
            continue
        contents = {path: json.loads(path.read_text("utf-8")) for path in files.values()}
        presets = {content["measured"]["preset"] for content in contents.values()}
        lines += [
            title, "",
            f"{WORDS[kind].format(preset=', '.join(sorted(presets)))} Means over the targets, of held-out spans; gains "
            "are paired by seed, with intervals of 95 % over seeds (Student's t): they say what training by chance "
            "would change, not what other people would.", "",
        ]  # fmt: skip
        for path, content in contents.items():
            lines += recordings(content["measured"], content["hardware"], path.name)
    return lines


def recordings(measured: Mapping[str, Any], machine: Mapping[str, Any], source: str) -> list[str]:
    """The table of one set of recordings, and what in it helped and what did not."""
    first, *others = measured["rows"]
    lines = [
        f"### {measured['recordings']}", "",
        f"{measured['about'] or 'Recordings that are not part of this repository.'} {measured['held_out']} held-out "
        f"spans, {first['seeds']} seeds; features of `{measured['backbone']}`, {measured['sample_fps']:g} frames a "
        "second.", "",
        f"| | PCC | over `{first['row']}` | better in | CCC | over `{first['row']}` | better in |",
        "|---|---|---|---|---|---|---|",
        f"| {first['row']} | {first['pcc']['mean']:.3f} | | | {first['ccc']['mean']:.3f} | | |",
    ]  # fmt: skip
    for row in others:
        cells = [
            f"{row[key]['mean']:.3f} | {gain(row[key])} | {row[key]['better']} of {row['seeds']}" for key in METRICS
        ]
        lines.append(f"| {row['row']} | {' | '.join(cells)} |")
    where = f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}"
    return [*lines, "", *verdict(measured), "", f"Measured on {where}: `benchmarks/results/{source}`.", ""]


def gain(values: Mapping[str, float]) -> str:
    """A gain with its interval, which one seed does not give."""
    if math.isnan(values["low"]):
        return f"{values['gain']:+.3f}"
    return f"{values['gain']:+.3f} [{values['low']:+.3f}, {values['high']:+.3f}]"


def verdict(measured: Mapping[str, Any]) -> list[str]:
    """One line each: rows whose gain is sure, whose loss is sure, neither, and those that could not be measured."""
    rows = [row for row in measured["rows"][1:] if row["row"] != RIDGE]
    lines = []
    for key, metric in METRICS.items():
        groups = {
            "more": [row["row"] for row in rows if row[key]["low"] > 0],
            "less": [row["row"] for row in rows if row[key]["high"] < 0],
            "not told apart": [row["row"] for row in rows if not (row[key]["low"] > 0 or row[key]["high"] < 0)],
        }
        said = "; ".join(f"**{word}**: {', '.join(names)}" for word, names in groups.items() if names)
        lines.append(f"- {metric}, compared with `{measured['rows'][0]['row']}`: {said}.")
    if measured["left_out"]:
        lines.append(f"- Left out, since clips would reach across the sides: {', '.join(measured['left_out'])}.")
    return lines
