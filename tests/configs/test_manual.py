"""What the manual says of the settings is what they do."""

import json
import re
from operator import attrgetter
from pathlib import Path

import pytest
import yaml

from affect.configs.load import load_config, preset_names
from affect.configs.manual import Setting, find, lines, manual, page, to_json, typed
from affect.configs.schema import BY_SIZE, Config
from affect.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = {item.key: item for item in manual()}
each = pytest.mark.parametrize("item", SETTINGS.values(), ids=SETTINGS)
GOES_WITH = {  # settings that are refused alone -> what they go with
    "training.first_layer_divisor": ["training.schedule=step"],
    "training.refit": ["training.keep=last"],
    "features.faces.continue_score": ["features.faces.start_score=0.99"],
}


def test_the_page_of_the_docs_is_what_the_program_writes() -> None:
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == page(), "affect settings --markdown > docs/settings.md"


@each
def test_a_default_is_the_schemas_and_can_be_typed_as_it_is_shown(item: Setting) -> None:
    assert attrgetter(item.key)(Config()) == item.default
    said = load_config(None, [*GOES_WITH.get(item.key, []), f"{item.key}={typed(item.default)}"])
    assert attrgetter(item.key)(said) == item.default


@pytest.mark.parametrize("name", preset_names())
def test_what_a_preset_says_is_shown_with_each_setting_and_nothing_else(name: str) -> None:
    config = load_config(name)
    raw = yaml.safe_load((ROOT / "configs" / "presets" / f"{name}.yaml").read_text("utf-8"))
    said = {f"{section}.{key}" for section, values in raw.items() for key in values}
    assert {key for key, item in SETTINGS.items() if name in item.presets} == said
    for key in said:
        assert SETTINGS[key].presets[name] == attrgetter(key)(config)


@each
def test_a_number_outside_the_range_that_is_shown_is_refused(item: Setting) -> None:
    if item.range is None:
        return
    for outside in (item.range.low - 1, item.range.high * 2 + 1):
        with pytest.raises(ConfigError, match=re.escape(item.key.rpartition(".")[2])):
            load_config(None, [f"{item.key}={typed(int(outside) if item.range.whole else outside)}"])


@each
def test_a_word_that_is_listed_is_taken_and_another_is_not(item: Setting) -> None:
    for choice in item.choices:
        others = {"loss.relational": ["loss.label_similarity=cosine"]}.get(item.key, [])
        said = load_config(None, [*others, f"{item.key}={choice}"])
        assert attrgetter(item.key)(said) == choice
    if item.choices:
        with pytest.raises(ConfigError, match="expected"):
            load_config(None, [f"{item.key}=no-such-word"])


def test_what_is_chosen_by_size_is_said_for_each_size() -> None:
    assert {key for key, item in SETTINGS.items() if item.by_size} == set(BY_SIZE)
    for key in BY_SIZE:
        assert set(SETTINGS[key].by_size) == {"small", "medium", "full"}
        assert SETTINGS[key].default_words.startswith("by size: small=")


def test_a_key_is_found_alone_a_section_whole_and_a_word_in_the_meaning() -> None:
    assert [item.key for item in find("training.epochs")] == ["training.epochs"]
    assert {item.key.rpartition(".")[0] for item in find("features.faces")} == {"features.faces"}
    assert {"model.dropout", "model.encoder_dropout"} <= {item.key for item in find("Dropout")}
    assert {item.key for item in find("no-context")} == {"clips.context"}, "what a preset sets"
    assert find(None) == manual()


def test_a_word_that_nothing_has_is_refused_with_the_nearest_key() -> None:
    with pytest.raises(ConfigError) as refused:
        find("training.epoch_s")
    assert refused.value.hint == "did you mean training.epochs?"
    with pytest.raises(ConfigError, match="no setting has"):
        find("\x1b[31m" + "x" * 10_000)


def test_the_page_has_a_row_of_five_cells_for_each_setting() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(SETTINGS) > 50
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}


def test_lines_fit_a_terminal() -> None:
    assert max(map(len, lines(manual()))) <= 110


def test_the_json_says_the_same_and_can_be_written() -> None:
    found = json.loads(json.dumps(to_json(find("features.sample_fps"))))["settings"]
    assert found[0]["range"] == {"low": 0, "high": 1000, "above": True, "below": False, "whole": False}
    assert found[0]["choices"] == ["source"] and found[0]["unit"] == "1/s" and found[0]["default"] == 5.0
