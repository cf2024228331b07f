"""How large the networks are: by the spans and people there are to learn from, where nobody said it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from affect.configs.load import config_to_dict, load_config
from affect.configs.schema import BY_SIZE, Config, LossConfig, ModelConfig, TrainingConfig
from affect.configs.sizes import SIZES, Size
from affect.errors import ConfigError
from affect.pipeline.train.sizes import sized

from .conftest import Data, split_of, trained

Settings = Callable[..., Config]


def settings_of(config: Config) -> dict[str, object]:
    """Those that a size chooses."""
    sections = config_to_dict(config)
    return {name: sections[name.partition(".")[0]][name.partition(".")[2]] for name in BY_SIZE}


@pytest.mark.parametrize(("spans", "people", "name"), [
    (1, 1, "small"), (1_999, 20, "small"), (2_000, 19, "small"), (1_000_000, 1, "small"), (10, 1_000, "small"),
    (2_000, 20, "medium"), (19_999, 50, "medium"), (20_000, 49, "medium"), (1_000_000, 20, "medium"),
    (20_000, 50, "full"), (1_000_000, 1_000, "full"),
])  # fmt: skip
def test_the_largest_size_that_has_both_its_spans_and_its_people_is_chosen(spans: int, people: int, name: str) -> None:
    size = next(size for size in SIZES if size.name == name)
    config, said = sized(load_config(), spans, people)
    assert settings_of(config) == dict(size.settings) and config.by_size == ()
    assert f" of size {name} (" in said
    with_defaults = replace(config, by_size=BY_SIZE, loss=LossConfig(), model=ModelConfig(), training=TrainingConfig())
    assert with_defaults == load_config(), "no other section is touched"


def test_each_size_is_one_that_can_be_trained_and_two_have_a_preset_of_their_name() -> None:
    assert all(set(size.settings) == set(BY_SIZE) for size in SIZES)
    assert [size.name for size in SIZES] == ["small", "medium", "full"]
    assert sized(load_config(), 100, 5)[0] == load_config("small")
    assert sized(load_config(), 100_000, 500)[0] == load_config("full")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
@pytest.mark.parametrize("word", [
    "loss.relational=expw", "model.width=null", "model.width=512", "model.layers=3", "model.heads=8",
    "model.feed_forward=99",
    "training.learning_rate=0.002", "training.weight_decay=0.5", "training.epochs=7", "training.keep=best",
    "training.keep=last", "training.refit=false", "training.seeds=1", "training.seeds=5",
])  # fmt: skip
def test_what_is_said_stays_and_the_rest_is_chosen(word: str, size: Size) -> None:
    name, _, value = word.partition("=")
    config, _ = sized(load_config(None, [word]), size.spans, size.people)
    expected = dict(size.settings) | {name: yaml.safe_load(value)}
    if word == "training.keep=best":
        expected["training.refit"] = False
    if word == "loss.relational=expw":
        expected["loss.relational_weight"] = 1.0
    assert settings_of(config) == expected


@pytest.mark.parametrize(("words", "spans", "people", "refit"), [
    ([], 100, 5, True),
    (["training.keep=best"], 100, 5, False),
    (["training.keep=last"], 100, 5, True),
    (["training.keep=last"], 5_000, 50, False),
    (["training.keep=last", "training.refit=true"], 5_000, 50, True),
    (["training.keep=last", "training.refit=false"], 100, 5, False),
])  # fmt: skip
def test_validation_spans_train_only_where_nothing_is_chosen_on_them(
    words: list[str], spans: int, people: int, refit: bool
) -> None:
    config, said = sized(load_config(None, words), spans, people)
    assert config.training.refit is refit
    assert (", and the validation spans train too" in said) is refit
    assert ("the last epoch is kept" in said) is (config.training.keep == "last")
    assert ("validation chooses the epoch" in said) is (config.training.keep == "best")


@pytest.mark.parametrize("preset", ["full", "small", "paper", "demo"])
def test_nothing_is_chosen_and_nothing_said_where_a_preset_says_it_all(preset: str) -> None:
    config = load_config(preset)
    assert sized(config, 10, 1) == (config, "") and sized(config, 100_000, 500) == (config, "")


def test_the_sentence_says_what_was_chosen_and_of_how_much() -> None:
    assert sized(load_config(), 116, 6)[1] == (
        "116 labelled spans of 6 people to learn from: 3 networks of size small (width 128, layers 1, weight decay 10, "
        "50 epochs), the last epoch is kept, and the validation spans train too; --config full is the large one"
    )
    assert sized(load_config(None, ["training.seeds=1", "training.refit=false"]), 12, 1)[1] == (
        "12 labelled spans of 1 person to learn from: 1 network of size small (width 128, layers 1, weight decay 10, "
        "50 epochs), the last epoch is kept; --config full is the large one"
    )
    assert sized(load_config(), 20_000, 50)[1] == (
        "20000 labelled spans of 50 people to learn from: 1 network of size full (width of the features, layers 2, "
        "weight decay 0.01, 50 epochs), validation chooses the epoch; --config full is the large one"
    )


@pytest.mark.parametrize(("words", "spans", "people", "refused"), [
    (["model.heads=3"], 100, 5, "model.heads is 3, which does not divide the width 128"),
    (["model.feed_forward=65536", "model.layers=64"], 5_000, 50, "million weights"),
])  # fmt: skip
def test_what_is_said_and_does_not_go_with_what_is_chosen_is_refused(
    words: list[str], spans: int, people: int, refused: str
) -> None:
    with pytest.raises(ConfigError, match=refused) as caught:
        sized(load_config(None, words), spans, people)
    assert caught.value.hint


def test_a_run_counts_what_can_teach_and_keeps_what_was_chosen(data: Data, settings: Settings, tmp_path: Path) -> None:
    subjects = np.array(data.manifest.subjects)
    first, last = np.flatnonzero(subjects == "s0000"), np.flatnonzero(subjects == "s0007")
    labels, start, end = data.manifest.labels.copy(), data.manifest.start_s.copy(), data.manifest.end_s.copy()
    labels[first[:3]] = np.nan  # three spans without a label, and one without a frame
    start[first[5]], end[first[5]] = 9000, 9005
    labels[last[:2]] = np.nan  # of whom it tests
    splits = split_of(data.manifest.subjects, train=5, validation=1)
    path = data.relabelled(tmp_path / "labels.csv", labels=labels, start_s=start, end_s=end, splits=splits)
    summary = trained(data.store, path, tmp_path / "run", settings("training.epochs=1"))
    assert summary.size.startswith("116 labelled spans of 6 people to learn from: 3 networks of size small (width 16,")
    assert summary.size in summary.text().lines
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text("utf-8"))
    assert kept["by_size"] == [] and kept["model"]["width"] == 16
    assert {key: kept["training"][key] for key in ("seeds", "keep", "refit", "weight_decay", "epochs")} == {
        "seeds": 3, "keep": "last", "refit": True, "weight_decay": 10.0, "epochs": 1
    }  # fmt: skip


def test_a_run_of_several_folds_counts_what_the_poorest_has(data: Data, settings: Settings, tmp_path: Path) -> None:
    subjects = np.array(data.manifest.subjects)
    labels = data.manifest.labels.copy()
    labels[np.flatnonzero(subjects == "s0001")[:11]] = np.nan  # 9 spans are left; every other person has 20
    path = data.relabelled(tmp_path / "labels.csv", labels=labels)
    config = settings("training.epochs=1", "training.seeds=1", "evaluation.protocol=leave-one-subject-out")
    size = trained(data.store, path, tmp_path / "run", config).size
    assert size.startswith("129 labelled spans of 7 people to learn from: 1 network of size small")


def test_a_run_of_a_whole_preset_says_nothing_of_its_size(data: Data, tmp_path: Path) -> None:
    words = ("model.width=16", "model.heads=2", "model.feed_forward=32", "training.epochs=1")
    splits = split_of(data.manifest.subjects, train=5, validation=1)
    labels = data.relabelled(tmp_path / "labels.csv", splits=splits)
    summary = trained(data.store, labels, tmp_path / "run", load_config("full", words))
    assert summary.size == "" and not any("of size" in line for line in summary.text().lines)
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text("utf-8"))
    assert kept["model"]["layers"] == 2 and kept["training"]["seeds"] == 1 and kept["training"]["keep"] == "best"
