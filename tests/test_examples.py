"""What the docstrings of the promised names show is what happens."""

import doctest
import importlib
from pathlib import Path

import pytest

from affect.tests.generated import GeneratedData, generated_features

PROMISED = {
    "affect.cache.opening": "open_store",
    "affect.stages.features.backbones.load": "load_backbone",
    "affect.stages.temporal.losses": "relational_loss",
    "affect.stages.temporal.model": "TemporalModel",
}


@pytest.mark.parametrize("module", PROMISED)
def test_the_examples_give_what_they_say(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generated_features(tmp_path / "features", tmp_path / "labels.csv", GeneratedData(subjects=1, videos=1))
    found = importlib.import_module(module)
    assert ">>> " in getattr(found, PROMISED[module]).__doc__
    result = doctest.testmod(found)
    assert result.attempted and not result.failed
