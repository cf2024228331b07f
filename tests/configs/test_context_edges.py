"""`context_edges` belongs to the clips; files of format 1 and older command lines have it in the section `model`."""

from pathlib import Path

import pytest
import yaml

from affect.configs.load import config_from_dict, config_to_dict, load_config
from affect.configs.schema import ClipsConfig, Config
from affect.errors import ConfigError
from affect.pipeline.runs.folder import RunFolder


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


def test_two_different_ones_in_a_file_and_a_wrong_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of them"):
        config_from_dict({"clips": {"context_edges": "mask"}, "model": {"context_edges": "wrap"}})
    with pytest.raises(ConfigError, match=r"clips\.context_edges is 'ring'; expected 'mask' or 'wrap'"):
        load_config(None, ["model.context_edges=ring"])
