"""The pages show the numbers that were measured, and no others."""

from pathlib import Path

import pytest

from affect.benchmarks.worth_page import backbone_table, worth_table

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("page", "lines"),
    [("README.md", worth_table), ("docs/trust.md", worth_table), ("docs/backbones.md", backbone_table)],
)
def test_a_page_s_table_is_the_one_that_was_measured(page: str, lines: object) -> None:
    assert callable(lines)
    table = "\n".join(lines())
    assert table in (ROOT / page).read_text("utf-8"), f"python benchmarks/worth_page.py\n{table}"
