"""Where in a backbone features are best taken: every person scored by models that never saw them, in one table.

    python benchmarks/taps.py VIDEOS LABELS.csv WORK [--face-api FOLDER_OR_TGZ] [--sample-fps 5]

A row is a backbone and its taps: `extract-features` into WORK/st/ROW, then `train-temporal --config small`, one subject
left out at a time, into WORK/runs/ROW. Runs that are there already are only read, so a stopped call goes on.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affect.benchmarks.hardware import hardware, write_result
from affect.configs.load import load_config
from affect.pipeline.events import summary_of
from affect.pipeline.extract.extract import ExtractionSummary, extract
from affect.pipeline.extract.videos import find_videos
from affect.pipeline.train.train import TrainingSummary, train

PROTOCOL = ("evaluation.protocol=leave-one-subject-out",)


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate."""

    name: str  # of its folders
    backbone: str
    taps: str


ROWS = (
    Row("pooled", "efficientnet-lite0", "pooled"),
    Row("s5", "efficientnet-lite0", "blocks.5:2"),
    Row("s4", "efficientnet-lite0", "blocks.4:4"),
    Row("both", "efficientnet-lite0", "blocks.4:4,blocks.5:2"),
    Row("three", "efficientnet-lite0", "blocks.4:4,blocks.5:2,pooled"),
    Row("pixels", "pixels", "pooled"),
    Row("face", "face-api", "auto"),
)


def make(row: Row, args: argparse.Namespace) -> None:
    """Features and a run of one row."""
    words = [f"features.backbone={row.backbone}", f"features.taps={json.dumps(row.taps)}"]
    words += [f"features.sample_fps={args.sample_fps}", *PROTOCOL]
    if row.backbone == "face-api":
        words.append(f"features.weights={args.face_api}")
    config = load_config("small", words)
    store = str(args.work / "st" / row.name)
    summary_of(extract(find_videos([str(args.videos)]), store, config.features, device="cpu"), ExtractionSummary)
    summary_of(train(store, args.labels, args.work / "runs" / row.name, config, device="cpu"), TrainingSummary)


def scores(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Mean CCC and PCC over the targets, and of each of them, on the spans of people left out."""
    for method in ("model", "ridge"):
        for metric in ("ccc", "pcc"):
            found = {target: metrics["spans"][method][target][metric]["value"] for target in metrics["targets"]}
            yield f"{method} {metric}", float(np.mean(list(found.values())))
            for target, value in found.items():
                yield f"{method} {metric} {target}", value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--face-api", help="the weights of that row, which is left out without them")
    parser.add_argument("--sample-fps", type=float, default=5.0)
    args = parser.parse_args()
    machine, rows = hardware(), []
    for row in ROWS:
        file = args.work / "runs" / row.name / "metrics.json"
        if not file.exists() and (row.backbone != "face-api" or args.face_api):
            make(row, args)
        if file.exists():
            metrics = json.loads(file.read_text("utf-8"))
            found = {name: round(value, 4) for name, value in scores(metrics)}
            rows.append({"row": row.name, "backbone": row.backbone, "taps": row.taps, **found})
    write_result("taps", {"sample_fps": args.sample_fps, "protocol": list(PROTOCOL), "rows": rows}, machine)


if __name__ == "__main__":
    main()
