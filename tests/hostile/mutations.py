"""What strangers, crashes and bad luck do to the inputs: one seeded change to a kit of sound ones.

    change = mutate(seed, folder, outside)  # folder: a copy of the kit
    change.commands, change.what, change.free  # who reads it, what was done, why numbers may differ (or "")

A change that goes past a seal recomputes it: the digests have no key, so a stranger can. Then it is another store or
run, whose numbers are its own; `free` says so.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affect.tests.hostile.changes import (
    Mutator,
    Work,
    crowded,
    damaged,
    misplaced,
    trapped,
)
from affect.tests.hostile.changes_files import (
    key_file,
    label_table,
    network,
    playlist,
    settings,
    sidecar,
    weights_file,
    yaml_bomb,
)
from affect.tests.hostile.changes_runs import (
    run_code,
    run_config,
    run_halved,
    run_header,
    run_json,
    run_model,
    run_pickle,
    run_table,
)
from affect.tests.hostile.changes_stores import (
    array_metadata,
    chunk,
    entry_attributes,
    hdf5_attributes,
    hdf5_elsewhere,
    journal,
    store_json,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of received file: the changes it can have, and the commands that read it."""

    mutators: Sequence[Mutator]
    commands: Sequence[str]


@dataclass(frozen=True, slots=True)
class Change:
    """One mutation, done."""

    seed: int
    kind: str
    commands: tuple[str, ...]
    what: str
    free: str


RUN_FILES = ("run/*.*", "run/folds/*/*.json*", "run/folds/*/model.safetensors", "run/folds/*/predictions.csv")
# Names under which commands write, now or once, besides the random ones.
PREDICTED = (
    "predictions.csv", "video.csv", "summary.json", "viewer.html", "predictions.parquet", "plots", "annotations",
    "plots/S4.mp4.png", "failures.csv", "annotations/S4.mp4.eaf", ".viewer.html.partial", "plots/S4.mp4.png.partial",
    "summary.json.partial", "predictions.csv.partial", ".predictions.parquet.partial", "video.csv.partial",
    "annotations/S4.mp4.eaf.partial", ".predictions.csv.partial",
)  # fmt: skip
TRAINED = (
    "report.html", "report.html.partial", "metrics.json", "metrics.json.partial", "predictions.csv",
    "predictions.csv.partial", "log.jsonl", "config.yaml.partial", "environment.json.partial", "folds/00",
    "failures.csv", "skipped.csv", "failures.csv.partial", "log.jsonl.partial",
)  # fmt: skip
STORED = (
    "failures.csv", "failures.csv.partial", ".journal", ".tmp", "S4.mp4.zarr", "S4.mp4.h5", "store.json.partial",
    ".journal/S5.mp4.journal", ".journal/S5.mp4.journal/claim", "S5.mp4.zarr/values", "S4.mp4.zarr/values/c",
)  # fmt: skip
SCORED = ("predict", "report", "predict-video", "compare", "resume")
READ = ("predict", "inspect", "train", "inspect-verify", "extract", "extract-verify", "export", "merge")


def typed(*names: str) -> list[Mutator]:
    """What can be wrong with any file that a user names."""
    # A recording is read to its end, and so is a file of weights: a hole of 40 GB honestly takes a minute.
    return [damaged(*names), misplaced(*names, links=False, sparse_bytes=1 << 30)]


def inside(*patterns: str) -> list[Mutator]:
    """What can be wrong with any file in a folder that affect made."""
    return [damaged(*patterns), misplaced(*patterns)]


def store5_json(work: Work) -> tuple[str, str]:
    """As `store_json`, of a store of HDF5 files."""
    return store_json(work, "store5")


RUN: list[Mutator] = [
    run_json,
    run_json,
    run_config,
    run_code,
    run_model,
    run_model,
    run_header,
    run_pickle,
    run_halved,
]
STORE: list[Mutator] = [store_json, entry_attributes, entry_attributes, array_metadata, array_metadata, chunk, journal]
KINDS: dict[str, Kind] = {
    "run": Kind(
        [*inside(*RUN_FILES), *RUN, run_table, yaml_bomb("run/config.yaml"), trapped(["run"], TRAINED),
         crowded(["run", "run/folds", "run/folds/00"])],
        SCORED,
    ),
    "run that names code": Kind([run_code], ("predict-video",)),
    "store": Kind(
        [*inside("store/**/*"), *STORE, trapped(["store"], STORED), crowded(["store", "store/S4.mp4.zarr"])], READ
    ),
    "store5": Kind(
        [*inside("store5/*.h5", "store5/store.json"), hdf5_attributes, hdf5_elsewhere, hdf5_elsewhere, store5_json,
         trapped(["store5"], STORED)],
        ("predict-hdf5", "inspect-hdf5", "extract-hdf5", "export-hdf5"),
    ),
    "labels": Kind(
        [*typed("labels.csv", "labels.yaml"), label_table, label_table, sidecar, yaml_bomb("labels.yaml")],
        ("train-labels",),
    ),
    "data set": Kind([*typed("omg/*.csv", "omg/v1/*"), label_table, crowded(["omg", "omg/v1"])], ("prepare",)),
    "config": Kind(
        [*typed("config.yaml"), settings, settings, settings, yaml_bomb("config.yaml")],
        ("check-config", "extract-config"),
    ),
    "weights": Kind([*typed("net.pth"), weights_file], ("extract-pickle",)),
    "safetensors": Kind([*typed("net.safetensors"), weights_file], ("extract-weights",)),
    "onnx": Kind([*typed("net.onnx"), network, network, network], ("extract-onnx",)),
    "checkpoint": Kind([*typed("pid_1.pth.tar"), weights_file], ("import",)),
    "videos": Kind([*typed("two/*"), playlist, playlist, crowded(["two"])], ("check", "extract-new")),
    "video": Kind([*typed("videos/S5.mp4"), playlist], ("predict-video",)),
    "key": Kind([*typed("key"), key_file, key_file], ("predict-hidden",)),
    "output": Kind(
        [*inside("output/*.*"), trapped(["output"], PREDICTED), trapped(["output"], PREDICTED),
         crowded(["output", "output/plots"])],
        ("predict-again",),
    ),
}  # fmt: skip
# The kinds with the most ways to go wrong come more often.
TURNS = (*KINDS, "run", "store", "run", "store", "run", "store", "store5", "output")


def planned(seed: int) -> tuple[str, tuple[str, ...], random.Random]:
    """The kind of a seed, the commands that read it, the one of its turn first, and what is left to draw."""
    name = TURNS[seed % len(TURNS)]
    draw = random.Random(f"affect {seed}")
    commands = list(KINDS[name].commands)
    turn = draw.randrange(len(commands))
    return name, (*commands[turn:], *commands[:turn]), draw


def mutate(seed: int, folder: Path, outside: Path) -> Change:
    """Change one thing in a copy of the kit that holds what the seed's commands need."""
    name, commands, draw = planned(seed)
    work = Work(folder, outside, draw)
    what, free = draw.choice(KINDS[name].mutators)(work)
    return Change(seed, name, commands, what, free)
