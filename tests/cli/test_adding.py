"""The examples of docs/adding.md work as they stand there."""

import importlib
import re
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from affect.cache.predictions import ClipScores, PersonPrediction, ScoreReason, VideoPrediction
from affect.cache.records import Target
from affect.errors import ConfigError
from affect.pipeline.events import ScoresPlanned
from affect.pipeline.predict.outputs import OUTPUTS, Outputs
from affect.pipeline.predict.predict import PredictOptions
from affect.pipeline.prepare_labels import prepare_labels
from affect.stages.features.backbones.load import NAMED, load_backbone
from affect.stages.features.embed import Embedder
from affect.stages.labels.registry import READERS
from affect.stages.temporal import metrics
from affect.stages.views import rules

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "adding.md").read_text("utf-8")
MOST_LINES = 30
Ffmpeg = Callable[..., None]


def blocks(heading: str) -> list[str]:
    """The code of one example: what is written first, then the lines of the registries."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
    assert section, heading
    return re.findall(r"```python\n(.*?)```", section[1], re.S)


def module_of(code: str, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the package made from `code`, as if it were its file."""
    spec = spec_from_loader(name, loader=None)
    assert spec is not None
    module = module_from_spec(spec)
    module.__package__ = name.rpartition(".")[0]
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(code, name, "exec"), module.__dict__)
    return module


def register(registry: dict[str, Any], line: str, names: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the line of the page into a registry, read with the names of a module."""
    (name, value), *others = eval(f"{{{line}}}", names.__dict__).items()
    assert not others and name not in registry
    monkeypatch.setitem(registry, name, value)


@pytest.mark.parametrize("heading", ["A data set", "A backbone", "An output", "A metric"])
def test_an_example_is_short(heading: str) -> None:
    lines = [line for block in blocks(heading) for line in block.splitlines() if line.strip()]
    assert 0 < len(lines) < MOST_LINES


def test_the_data_set_prepares_its_labels(tmp_path: Path, ffmpeg: Ffmpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    code, line = blocks("A data set")
    registry = importlib.import_module("affect.stages.labels.registry")
    module_of(code, "affect.stages.labels.diary", monkeypatch)
    register(READERS, line, registry, monkeypatch)
    ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x64:duration=1", tmp_path / "monday.mp4")
    rows = ["recording,person,from,to,mood", "monday,anna,0,0.5,7", "monday,anna,0.5,1,12", "lost,ben,0,1,3"]
    (tmp_path / "ratings.csv").write_text("\n".join(rows), "utf-8")
    prepare_labels("diary", tmp_path, tmp_path / "labels.csv")
    table = pd.read_csv(tmp_path / "labels.csv")
    assert table["video"].tolist() == ["monday.mp4", "monday.mp4"]
    assert table["mood"].tolist()[0] == 7 and np.isnan(table["mood"][1])
    problems = (tmp_path / "labels-problems.csv").read_text("utf-8")
    assert "mood is 12; 0 to 10" in problems and "lost" in problems


def test_the_backbone_gives_features(monkeypatch: pytest.MonkeyPatch) -> None:
    code, line = blocks("A backbone")
    module_of(code, "affect.stages.features.backbones.thumbnail", monkeypatch)
    register(NAMED, line, importlib.import_module("affect.stages.features.backbones.load"), monkeypatch)
    backbone = load_backbone("thumbnail")
    assert backbone.description()["feature_size"] == 192
    faces = torch.randint(0, 256, (3, 100, 100, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = Embedder(backbone).embed(faces.numpy())
    assert features.shape == (3, 192) and len(np.unique(features[:, 0])) == 3
    with pytest.raises(ConfigError, match="has no weights"):
        load_backbone("thumbnail", "random")


def test_the_output_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, line = blocks("An output")
    register(OUTPUTS, line, module_of(code, "affect.pipeline.predict.highest", monkeypatch), monkeypatch)
    prediction = made_prediction()
    planned = ScoresPlanned(("day.mp4",), "run", "0" * 64, 1, prediction.targets, (0.0,), "main", 16, 16)
    with Outputs(tmp_path, PredictOptions(exports=("highest",), with_video=False)) as outputs:
        for event in (planned, prediction):
            outputs.add(event)
    assert outputs.summary.complete and not outputs.summary.failed
    rows = pd.read_json(tmp_path / "highest" / "day.mp4.json")
    assert rows[["target", "score", "start_s"]].to_numpy().tolist() == [["mood", 7.0, 5.0]]


def made_prediction() -> VideoPrediction:
    """Three clips of one person, the last without a score."""
    mean = np.array([[3.0], [7.0], [np.nan]], np.float32)
    reason = np.array([ScoreReason.SCORED, ScoreReason.SCORED, ScoreReason.NO_FACE], np.uint8)
    none, near = np.full((3, 1), np.nan, np.float32), np.array([0.5, 0.6, np.nan], np.float32)
    seen = np.array([1, 1, 0], np.float32)
    clips = ClipScores(np.arange(3), mean, none, np.ones((3, 1), np.float32), seen, reason, near, near > 1)
    start_s, box = np.array([0.0, 5.0, 10.0]), np.array([0, 0, 9, 9], np.float32)
    person = PersonPrediction(0, start_s, start_s + 5, clips, start_s, np.tile(box, (3, 1)))
    return VideoPrediction("day.mp4", None, 15.0, 320, 240, (Target("mood", 0, 10),), (5.0,), (person,))


def test_the_metric_is_evaluated_with_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    code, line, shown = blocks("A metric")
    monkeypatch.setattr(metrics, "bias", None, raising=False)  # so that it is taken away again
    exec(compile(code, "metrics", "exec"), metrics.__dict__)
    register(metrics.METRICS, line, metrics, monkeypatch)
    register(rules.METRICS, shown, rules, monkeypatch)
    generator = np.random.default_rng(0)
    label = generator.normal(size=200)
    prediction = label + generator.normal(0.3, 0.1, size=200)
    subject = [f"S{number // 20}" for number in range(200)]
    score = metrics.evaluate(prediction, label, subject)["bias"]
    assert score.value == pytest.approx((prediction - label).mean())
    assert score.low < score.value < score.high
