"""The file of the settings is their manual."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from affect.configs import schema
from affect.configs.schema import Config

LINES = Path(schema.__file__).read_text("utf-8").splitlines()
SECTIONS = sorted(
    (
        kind
        for kind in vars(schema).values()
        if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == schema.__name__ and kind is not Config
    ),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_setting_has_a_comment(section: type) -> None:
    begin = LINES.index(f"class {section.__name__}:")
    for item in fields(section):
        line = next(number for number in range(begin, len(LINES)) if LINES[number].startswith(f"    {item.name}: "))
        own, above = LINES[line].partition("  # ")[2], LINES[line - 1]
        assert own or above.startswith("    # ") or is_dataclass(item.type), f"{section.__name__}.{item.name}"


def test_results_of_experiments_are_kept_in_the_docs() -> None:
    numbers = re.findall(r"#.*[-+]\.\d{2,}", "\n".join(LINES))
    assert numbers == []
