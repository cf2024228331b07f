"""Report and comparison with axe-core: no rule is broken, folds shut or open."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from affect.pipeline.report.report import compare_runs, write_report
from affect.tests.axe import findings


@pytest.mark.parametrize("opened", ["", "details"], ids=["shut", "open"])
def test_a_report_breaks_no_rule(trained_run: Path, browser: Any, opened: str) -> None:
    assert findings(browser, write_report(trained_run), opened=opened) == []


def test_a_comparison_breaks_no_rule(trained_run: Path, browser: Any, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "another")
    page = compare_runs([trained_run, tmp_path / "another"], tmp_path / "compared.html")
    assert findings(browser, page, opened="details") == []
