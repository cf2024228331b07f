"""A run on one target says so where the relational loss would see nothing of it but its sign."""

from pathlib import Path

import pytest

from affect.configs.load import load_config
from affect.pipeline.train.training_set import build_training_set
from affect.tests.generated import GeneratedData, generated_features


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("one")
    data = GeneratedData(subjects=2, videos=1, targets=("valence",), rank=1)
    generated_features(folder / "features", folder / "labels.csv", data)
    return folder / "features", folder / "labels.csv"


@pytest.mark.parametrize(("words", "warns"), [
    ([], True), (["loss.label_similarity=centred"], True), (["loss.label_similarity=distance"], False),
    (["loss.relational=expw"], False), (["loss.relational_weight=0"], False),
])  # fmt: skip
def test_a_loss_that_sees_only_signs_is_named(made: tuple[Path, Path], words: list[str], warns: bool) -> None:
    data = build_training_set(str(made[0]), made[1], load_config(None, words), "cpu")
    assert any("only their sign" in warning for warning in data.warnings) == warns
