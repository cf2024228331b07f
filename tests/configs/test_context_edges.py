"""`context_edges` belongs to the clips; files of format 1 and older command lines have it in the section `model`."""

import json
from pathlib import Path

import pytest
import yaml

from affect.cache.records import Recipe, Target
from affect.configs.load import config_from_dict, config_to_dict, load_config
from affect.configs.schema import ClipsConfig, Config, ModelConfig
from affect.errors import ConfigError
from affect.pipeline.runs.folder import RunFolder
from affect.pipeline.runs.model_file import ModelCard
from affect.stages.temporal.model import ModelSpec
from affect.stages.temporal.scaling import LabelScaling


@pytest.mark.parametrize(
    "word", ["clips.context_edges=wrap", "model.context_edges=wrap", "model={context_edges: wrap}"]
)
def test_it_is_set_under_either_name(word: str) -> None:
    assert load_config(None, [word]).clips.context_edges == "wrap"


@pytest.mark.parametrize("text", ["clips: {context_edges: wrap}", "model: {width: 64, context_edges: wrap}"])
def test_it_is_read_under_either_name_and_the_command_line_comes_last(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert load_config(str(path)).clips.context_edges == "wrap"
    for section in ("model", "clips"):
        assert load_config(str(path), [f"{section}.context_edges=mask"]).clips.context_edges == "mask"


def test_a_run_s_config_has_it_where_format_1_has_it(tmp_path: Path) -> None:
    config = Config(clips=ClipsConfig(context_edges="wrap"))
    folder = RunFolder.create(tmp_path / "run", config, {}, resume=False)
    tree = yaml.safe_load(folder.config_file.read_text())
    assert "context_edges" not in tree["clips"]
    names = list(tree["model"])
    assert names[names.index("attention_scale") : names.index("head_inner_relu") + 1] == [
        "attention_scale", "context_edges", "head_inner_relu"
    ]  # fmt: skip
    assert folder.config() == config == config_from_dict(config_to_dict(config))


def test_a_model_file_has_it_in_its_specification() -> None:
    clips, target = ClipsConfig(length=4, context_edges="wrap"), Target("valence", -1.0, 1.0, "points")
    spec = ModelSpec(8, ("valence",), 4, 2, ModelConfig(heads=2))
    card = ModelCard(spec, Recipe({}), clips, LabelScaling.from_ranges([target]), (target,))
    values = json.loads(json.dumps(card.to_json()))
    assert values["spec"]["config"]["context_edges"] == "wrap" and "context_edges" not in values["clips"]
    assert values["ranges"] == {"valence": [-1.0, 1.0]} and values["units"] == {"valence": "points"}
    assert ModelCard.from_json(values) == card


def test_two_different_ones_in_a_file_and_a_wrong_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of them"):
        config_from_dict({"clips": {"context_edges": "mask"}, "model": {"context_edges": "wrap"}})
    with pytest.raises(ConfigError, match=r"clips\.context_edges is 'ring'; expected 'mask' or 'wrap'"):
        load_config(None, ["model.context_edges=ring"])
