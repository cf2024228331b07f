"""Sound inputs of every kind, small and made here, and the commands that read them."""

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import onnx
import pandas as pd
import timm
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from affect.tests.hostile.harness import MB, Adversary, Ended, Place

# Whole frames through a small network, every frame kept.
SMALL = ("--faces", "none", "--backbone", "efficientnet-lite0", "--sample-fps", "source")
TIMM = ("--faces", "none", "--backbone", "timm:test_convnext")
SETTINGS = {
    "clips.length": 4, "clips.context": 1, "model.width": 16, "model.heads": 2, "model.layers": 1,
    "model.feed_forward": 16, "training.epochs": 2, "evaluation.protocol": "k-fold",
    "evaluation.folds": 3,
}  # fmt: skip
TRAINING = tuple(word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}"))
IDS = ("S4.mp4", "S5.mp4")  # scored from the store
SPANS_S = 0.5
ROOM = 300 * MB  # that a command may take beyond what it takes for sound input
TIMES = 16  # the same, times the size of the input
SECRET = "RAW-SECRET-OF-THE-VICTIM"
# How a line begins, or what it says, that allows numbers to be others than those of sound input.
WORDS = re.compile(r"^\s*(warning|error|failed|problem|note|not used|damaged)\b|is damaged|disagree|differ", re.I)

Words = Callable[[Path], Sequence[object]]


@dataclass(frozen=True, slots=True)
class Command:
    """A call, in a folder that holds the kit: what it reads, where it may write, and the numbers it comes to."""

    words: Words
    reads: tuple[str, ...]  # received, too
    writes: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()  # of `reads`, those that may themselves be links
    workers: bool = False  # other processes
    numbers: Callable[[Path, Ended], Mapping[str, Any]] = field(default=lambda folder, ended: {})

    def place(self, folder: Path) -> Place:
        """What the call may touch there."""
        return Place(
            folder,
            reads=[Path(os.path.realpath(folder / name)) for name in self.typed],
            writes=[*(folder / name for name in self.writes), *([Path("/dev/shm")] if self.workers else [])],
            received=[folder / name for name in self.reads],
            workers=self.workers,
        )


def scores(folder: Path, ended: Ended) -> Mapping[str, Any]:
    """The lines of predictions.csv, video by video."""
    path = folder / "output" / "predictions.csv"
    if not path.is_file() or not path.stat().st_size:
        return {}
    found: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines()[1:]:
        found.setdefault(line.split(",")[0], []).append(line)
    return found


def evaluated(folder: Path, ended: Ended) -> Mapping[str, Any]:
    """The held-out metrics that training prints."""
    try:
        metrics = json.loads(ended.out)["metrics"]
    except (ValueError, KeyError):
        return {}
    return {level: metrics.get(level) for level in ("spans", "clips", "videos")}


def shown(path: str) -> Callable[[Path, Ended], Mapping[str, Any]]:
    """The numbers of a report's tables of metrics."""

    def numbers(folder: Path, ended: Ended) -> Mapping[str, Any]:
        page = folder / path
        if not page.is_file():
            return {}
        found = re.search(r'<section aria-labelledby="(?:metrics|scores)".*?</section>', page.read_text("utf-8"), re.S)
        text = re.sub(r"<p.*?</p>|<svg.*?</svg>|<[^>]*>", " ", found[0], flags=re.S) if found else ""
        return {"metrics": re.findall(r"-?\d+\.\d+", text)}

    return numbers


def printed(folder: Path, ended: Ended) -> Mapping[str, Any]:
    """Lines of the tables that were printed, by their first word."""
    lines = [line.split() for line in ended.out.splitlines()]
    return {f"{words[0]} {index}": words for index, words in enumerate(lines) if words and words[0].startswith("S")}


def train(run: str, *more: str) -> Words:
    return lambda at: [
        "train-temporal", "--store", at / "store", "--labels", at / "labels.csv", "--run", at / run, *TRAINING, *more,
    ]  # fmt: skip


def predict(*more: str, store: str | None = "store", videos: Sequence[str] = IDS) -> Words:
    return lambda at: [
        "predict", *videos, "--run", at / "run", "--output", at / "output", *more,
        *(["--store", at / store] if store else []),
    ]  # fmt: skip


def extract(store: str, *more: str, videos: str = "videos") -> Words:
    return lambda at: ["extract-features", at / videos, "--store", at / store, *more]


COMMANDS: dict[str, Command] = {
    "predict": Command(predict(), ("run", "store"), ("output",), numbers=scores),
    "predict-again": Command(
        predict("--export", "eaf", "--export", "vtt"), ("run", "store"), ("output",), numbers=scores
    ),
    "predict-hdf5": Command(predict(store="store5"), ("run", "store5"), ("output",), numbers=scores),
    "predict-video": Command(
        predict(store=None, videos=["videos/S5.mp4"]), ("run", "videos"), ("output",), numbers=scores
    ),
    "predict-hidden": Command(
        predict("--pseudonymise", "key", "--no-video"), ("run", "store", "key"), ("output",), typed=("key",)
    ),
    "inspect": Command(lambda at: ["inspect-cache", at / "store", "--tracks"], ("store",), numbers=printed),
    "inspect-verify": Command(lambda at: ["inspect-cache", at / "store", "--verify"], ("store",), numbers=printed),
    "inspect-hdf5": Command(
        lambda at: ["inspect-cache", at / "store5", "--tracks", "--verify"], ("store5",), numbers=printed
    ),
    "export": Command(
        lambda at: ["export-features", at / "store", "--output", at / "output", "--format", "csv"],
        ("store",), ("output",),
    ),
    "export-hdf5": Command(
        lambda at: ["export-features", at / "store5", "--output", at / "output", "--format", "npz"],
        ("store5",), ("output",),
    ),
    "merge": Command(lambda at: ["edit-cache", at / "store5", "merge", at / "store"], ("store",), ("store5",)),
    "extract": Command(extract("store", *SMALL), ("videos",), ("store",)),
    "extract-verify": Command(extract("store", *SMALL, "--verify"), ("videos",), ("store",)),
    "extract-hdf5": Command(extract("store5", *SMALL, "--verify"), ("videos",), ("store5",)),
    "extract-new": Command(extract("new", *SMALL, videos="two"), ("two",), ("new",)),
    "extract-jobs": Command(extract("new", *SMALL, "--jobs", "2", videos="two"), ("two",), ("new",), workers=True),
    "extract-config": Command(
        lambda at: ["extract-features", at / "videos/S5.mp4", "--store", at / "new", "--config", at / "config.yaml"],
        ("videos", "config.yaml"), ("new",), typed=("config.yaml",),
    ),
    "extract-weights": Command(
        extract("new", *TIMM, "--weights", "net.safetensors", videos="videos/S5.mp4"),
        ("videos", "net.safetensors"), ("new",), typed=("net.safetensors",),
    ),
    "extract-pickle": Command(
        extract("new", *TIMM, "--weights", "net.pth", videos="videos/S5.mp4"),
        ("videos", "net.pth"), ("new",), typed=("net.pth",),
    ),
    "extract-onnx": Command(
        lambda at: ["extract-features", at / "videos/S5.mp4", "--store", at / "new", "--faces", "none",
                    "--backbone", f"onnx:{at / 'net.onnx'}"],
        ("videos", "net.onnx", "net.onnx.json"), ("new",), typed=("net.onnx",),
    ),
    "check": Command(lambda at: ["check-videos", at / "two", "--set", "features.faces.detector=none"], ("two",)),
    "check-config": Command(
        lambda at: ["check-videos", at / "videos/S5.mp4", "--config", at / "config.yaml"],
        ("videos", "config.yaml"), typed=("config.yaml",),
    ),
    "train": Command(train("new", "--json"), ("store", "labels.csv", "labels.yaml"), ("new",), numbers=evaluated),
    "train-labels": Command(
        train("new", "--json"), ("store", "labels.csv", "labels.yaml"), ("new",), typed=("labels.csv", "labels.yaml")
    ),
    "resume": Command(train("run", "--resume", "--json"), ("run", "store", "labels.csv", "labels.yaml"), ("run",),
        numbers=evaluated,
    ),
    "report": Command(lambda at: ["report", at / "run"], ("run",), ("run",), numbers=shown("run/report.html")),
    "compare": Command(
        lambda at: ["report", at / "run", at / "run2", "--output", at / "page" / "both.html"],
        ("run", "run2"), ("page",), numbers=shown("page/both.html"),
    ),
    "import": Command(
        lambda at: ["import-checkpoint", at / "pid_1.pth.tar", "--run", at / "new"], ("pid_1.pth.tar",), ("new",),
        typed=("pid_1.pth.tar",),
    ),
    "prepare": Command(
        lambda at: ["prepare-labels", "omg", at / "omg", "--output", at / "page" / "labels.csv"], ("omg",), ("page",)
    ),
}  # fmt: skip
MADE = ("page",)  # folders that are there before a command, as a user would have them


def words_of(ended: Ended, folder: Path) -> set[str]:
    """Warnings and failures that a command printed, or wrote at the head of a page."""
    lines = (ended.out + ended.err).splitlines()
    if ended.out.startswith("{"):
        said = json.loads(ended.out)
        lines = [f"warning {item}" for item in [*said.get("metrics", {}).get("warnings", []), *said.get("failed", {})]]
    for page in (folder / "run/report.html", folder / "page/both.html"):
        if page.is_file():
            lines += [
                f"warning {text}" for text in re.findall(r'class="warning".*?</div>', page.read_text("utf-8"), re.S)
            ]
    return {line for line in lines if WORDS.search(line)}


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a command comes to on sound input."""

    ended: Ended
    numbers: Mapping[str, Any]
    words: set[str]


class Kit:
    """The inputs in a folder, and what each command comes to on them."""

    def __init__(self, folder: Path, adversary: Adversary) -> None:
        self.folder, self.adversary = folder, adversary
        self.outside = folder / "outside"
        self.sound = folder / "sound"
        self._baselines: dict[str, Baseline] = {}
        self._make()

    def fresh(self, where: Path, names: Sequence[str]) -> Path:
        """A folder with copies of some of the inputs."""
        where.mkdir(parents=True)
        for name in MADE:
            (where / name).mkdir()
        for name in names:
            source = self.sound / name
            if source.is_dir():
                shutil.copytree(source, where / name, copy_function=shutil.copyfile)
            elif source.exists():
                shutil.copy2(source, where / name)
        return where

    def baseline(self, name: str) -> Baseline:
        """Made when it is first asked for."""
        if name not in self._baselines:
            command = COMMANDS[name]
            where = self.fresh(self.folder / "baseline" / name, needed(name))
            ended = self.adversary.run(command.words(where), command.place(where), limit_s=120)
            self._baselines[name] = Baseline(ended, command.numbers(where, ended), words_of(ended, where))
            shutil.rmtree(where)
        return self._baselines[name]

    def _make(self) -> None:
        self.sound.mkdir()
        for name in ("videos", "two", "omg/v1"):
            (self.sound / name).mkdir(parents=True)
        for number in range(6):
            film(self.sound / "videos" / f"S{number}.mp4", 1.5 + number / 8, hue=40 * number)
        film(self.sound / "omg" / "v1" / "u1.mp4", 1, hue=0)
        for name in IDS:
            shutil.copyfile(self.sound / "videos" / name, self.sound / "two" / name)
        write_labels(self.sound / "labels.csv")
        (self.sound / "omg" / "omg_TrainVideos.csv").write_text(
            "link,start,end,video,utterance,arousal,valence,EmotionMaxVote\nx,0,1,v1,u1.mp4,0.4,0.1,3\n"
        )
        (self.sound / "config.yaml").write_text(
            "features:\n  backbone: timm:test_convnext\n  weights: random\n  sample_fps: source\n"
            "  faces:\n    detector: none\n"
        )
        (self.sound / "key").write_text("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n")
        (self.sound / "key").chmod(0o600)
        write_weights(self.sound)
        write_victim(self.outside)
        for words, writes in (
            (extract("store", *SMALL), "store"),
            (extract("store5", *SMALL, "--format", "hdf5"), "store5"),
            (train("run", "--json"), "run"),
            (train("run2", "--json", "--set", "training.seed=1"), "run2"),
            (predict(), "output"),
        ):
            place = Place(self.sound, received=[self.sound], writes=[self.sound / writes])
            ended = self.adversary.run(words(self.sound), place, limit_s=120)
            assert (ended.code, ended.faults()) == (0, []), ended
        shutil.rmtree(self.sound / "tmp")


def needed(name: str) -> list[str]:
    """The parts of the kit that a command reads, or finds where it writes."""
    command = COMMANDS[name]
    found = {*command.reads, *command.writes} - {"output"}
    return sorted(found | ({"output"} if name == "predict-again" else set()))


def film(path: Path, seconds: float, hue: int) -> None:
    """A small moving pattern, eight frames a second."""
    source = f"testsrc2=size=96x72:rate=8:duration={seconds},hue=h={hue}"
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-nostdin", "-f", "lavfi", "-i", source]
    words += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(words, check=True, timeout=60)


def write_labels(path: Path) -> None:
    """Six subjects with a video each, three spans a video."""
    draw = random.Random(0)
    rows = [
        (
            f"S{video}.mp4",
            f"s{video}",
            span * SPANS_S,
            (span + 1) * SPANS_S,
            *(round(draw.uniform(-1, 1), 3) for _ in "va"),
        )
        for video in range(6)
        for span in range(3)
    ]
    columns = ["video", "subject", "start_s", "end_s", "valence", "arousal"]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    path.with_suffix(".yaml").write_text("targets:\n  valence: {range: [-1, 1]}\n  arousal: {range: [-1, 1]}\n")


def write_weights(folder: Path) -> None:
    """The same network's weights in each kind of file, a small ONNX network, and what a checkpoint looks like."""
    torch.manual_seed(0)
    state = timm.create_model("test_convnext", num_classes=0).state_dict()
    save_file(state, folder / "net.safetensors")
    torch.save(state, folder / "net.pth")
    section = {f"module.layer{number}.weight": torch.ones(8, 8) for number in range(3)}
    content = {"epoch": 3, "backbone": {"module.backbone.conv1_7x7_s2.weight": torch.ones(4), **section}}
    torch.save({**content, "neck": section, "head": section}, folder / "pid_1.pth.tar")
    kernel = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["picture", "kernel"], ["maps"], strides=[2, 2], kernel_shape=[3, 3]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ("n", 3, 32, 32))],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ("n", 8))],
        [numpy_helper.from_array(kernel, "kernel")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "net.onnx")


def write_victim(folder: Path) -> None:
    """What belongs to somebody else and lies beside everything: text, a recording, folders that look like ours."""
    for name in (".journal/mine", "empty", ".tmp-mine", "plots"):
        (folder / name).mkdir(parents=True)
    (folder / "secret.txt").write_text(f"{SECRET}\n" * 50)
    (folder / "secret.json").write_text(json.dumps({SECRET: 1}))
    (folder / "block-00000").write_bytes(b"mine")
    (folder / ".journal" / "mine" / "claim").write_text("mine")
    film(folder / "secret.mp4", 1, hue=100)
