"""Settings that nobody said are left to the number of labelled spans and people; what is said is said."""

from pathlib import Path

import pytest
import yaml

from affect.configs.load import config_from_dict, config_to_dict, load_config
from affect.configs.schema import BY_SIZE
from affect.errors import ConfigError

WHOLE = {  # a value of each that is not its default
    "loss.relational": "expw", "loss.relational_weight": "0.5",
    "model.width": "64", "model.layers": "3", "model.heads": "8", "model.feed_forward": "99",
    "training.learning_rate": "0.002", "training.weight_decay": "0.5", "training.epochs": "7",
    "training.patience": "3", "training.keep": "last", "training.refit": "false", "training.seeds": "2",
}  # fmt: skip


def test_without_a_word_all_of_them_are_left_open() -> None:
    assert load_config().by_size == BY_SIZE == tuple(WHOLE)


@pytest.mark.parametrize("name", BY_SIZE)
def test_one_that_is_said_is_no_longer_open_wherever_it_is_said(name: str, tmp_path: Path) -> None:
    together = name.startswith("loss.")  # half of a relational loss is not chosen
    others = tuple(other for other in BY_SIZE if other != name and not (together and other.startswith("loss.")))
    section, _, key = name.partition(".")
    (tmp_path / "mine.yaml").write_text(f"{section}: {{{key}: {WHOLE[name]}}}\n")
    typed, read = load_config(None, [f"{name}={WHOLE[name]}"]), load_config(str(tmp_path / "mine.yaml"))
    assert typed.by_size == read.by_size == others
    assert getattr(getattr(typed, section), key) == yaml.safe_load(WHOLE[name])


@pytest.mark.parametrize("word", ["loss.label_similarity=distance", "loss.kernel_width=0.3"])
def test_who_says_how_labels_are_compared_has_the_published_loss(word: str) -> None:
    config = load_config(None, [word])
    assert not [name for name in config.by_size if name.startswith("loss.")]
    assert (config.loss.relational, config.loss.relational_weight) == ("matrix", 1.0)


def test_the_default_is_said_too_where_it_is_typed() -> None:
    assert "model.width" not in load_config(None, ["model.width=null"]).by_size
    assert "training.keep" not in load_config(None, ["training.keep=best"]).by_size


@pytest.mark.parametrize("preset", ["full", "small", "paper", "demo"])
def test_presets_of_one_size_leave_nothing_open(preset: str) -> None:
    assert load_config(preset).by_size == ()


def test_a_preset_of_a_data_set_leaves_the_size_open() -> None:
    assert load_config("amigos").by_size == BY_SIZE


def test_the_configuration_of_a_run_leaves_nothing_open(tmp_path: Path) -> None:
    tree = config_to_dict(load_config("full"))
    assert tree["by_size"] == [] and config_from_dict(tree).by_size == ()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
    assert load_config(str(tmp_path / "config.yaml")) == load_config("full")


def test_a_setting_that_no_size_chooses_cannot_be_left_open() -> None:
    with pytest.raises(ConfigError, match=r"by_size is \['loss\.regression'\]; expected names among loss\."):
        load_config(None, ["by_size=[model.width, loss.regression]"])
