"""The settings are their own manual."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from affect.configs import schema, stage_one
from affect.configs.schema import Config

TEXT = "\n".join(Path(str(module.__file__)).read_text("utf-8") for module in (schema, stage_one))
SECTIONS = sorted(
    (
        kind
        for kind in vars(schema).values()
        if isinstance(kind, type) and is_dataclass(kind) and kind.__name__.endswith("Config") and kind is not Config
    ),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_setting_says_what_it_means_beside_its_default(section: type) -> None:
    for item in fields(section):
        assert is_dataclass(item.type) or len(item.metadata["meaning"]) > 5, f"{section.__name__}.{item.name}"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_number_has_a_range_that_holds_its_default(section: type) -> None:
    for item in fields(section):
        span, words = item.metadata.get("range"), str(item.type).replace("bool", "")
        if span is None:
            assert not re.search(r"\b(int|float)\b", words) or item.name == "ranges", item.name
        else:
            assert item.default in span or item.default in (None, "auto", "source"), item.name


def test_results_of_experiments_are_kept_in_the_docs() -> None:
    numbers = re.findall(r"#.*[-+]\.\d{2,}", TEXT)
    assert numbers == []
