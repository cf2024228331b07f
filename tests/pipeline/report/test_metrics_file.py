"""metrics.json as a value, and the one order in which metrics are shown."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from affect.cache.json_files import write_json
from affect.cache.metrics import METHODS, Metrics
from affect.cache.records import Target
from affect.pipeline.events import SweepOutcome
from affect.pipeline.report.report import compare_runs, write_report
from affect.pipeline.terminal.text import of_sweep
from affect.pipeline.train.sweep import SHOWN, SweepSummary
from affect.stages.temporal import metrics as computed
from affect.stages.temporal.intervals import METHOD
from affect.stages.views import rules
from affect.stages.views.text_table import metrics_table

from .conftest import held_out, write_run

SCORE = {"value", "low", "high", "reason", "no_interval"}


def read(path: Path) -> Metrics:
    return Metrics.from_json(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize("harm", [{}, {"valence": 0.25}, {"valence_label": math.nan}], ids=["whole", "flat", "empty"])
def test_the_file_read_and_written_again_is_the_same_bytes(tmp_path: Path, trained_run: Path, harm: object) -> None:
    clips = held_out(3, 8, 0.2).assign(**harm)  # type: ignore[arg-type]
    for path in (trained_run, write_run(tmp_path / "run", clips, ("valence",), ("a warning",), True)):
        write_json(tmp_path / "again.json", read(path / "metrics.json").to_json())
        assert (tmp_path / "again.json").read_bytes() == (path / "metrics.json").read_bytes()


def test_the_file_holds_what_it_always_held_in_the_same_order(trained_run: Path) -> None:
    values = json.loads((trained_run / "metrics.json").read_text("utf-8"))
    assert list(values) == [
        "warnings", "subject_independent", "protocol", "targets", "units", "ranges", "interval", "icc", "folds",
        "validation", "clips", "spans", "videos", "per_subject", "subject_means", "sha256",
    ]  # fmt: skip
    assert values["subject_independent"] is True and values["interval"] == f"95 %, {METHOD}"
    assert list(values["spans"]) == ["rows", "subjects", "blend", "model", "ridge", "mean", "ccc over ridge"]
    assert list(values["spans"]["model"]) == [*values["targets"], "all targets"]
    assert list(values["spans"]["model"]["valence"]) == ["ccc", "pcc", "mae", "rmse", "icc", "icc21"]
    assert values["spans"]["mean"]["valence"]["ccc"].keys() == SCORE
    assert values["spans"]["model"]["all targets"]["ccc"].keys() == SCORE | {"targets"}
    assert values["subject_means"]["spans"]["model"]["all targets"]["ccc"].keys() == SCORE | {"subjects"}
    assert (
        values["per_subject"]["videos"]["s0000"]["ridge"]["valence"].keys()
        == values["spans"]["model"]["valence"].keys()
    )
    assert values["spans"]["ccc over ridge"].keys() == {"blend", "model", "mean"}
    known = [score for score in values["validation"]["folds"].values() if score is not None]
    assert values["validation"]["ccc"] == (pytest.approx(sum(known) / len(known)) if known else None)


def test_a_range_that_is_not_known_is_null_in_the_file(trained_run: Path) -> None:
    metrics = replace(read(trained_run / "metrics.json"), targets=(Target("valence", low=0.0),))
    values = json.loads(json.dumps(metrics.to_json(), allow_nan=False))
    assert values["ranges"] == {"valence": [0.0, None]}
    assert Metrics.from_json(values).targets == (Target("valence", 0.0, math.inf, ""),)


def test_every_metric_and_method_that_is_computed_has_a_name_to_be_shown_by() -> None:
    assert set(computed.METRICS) == set(rules.METRICS) >= set(SHOWN)
    assert list(METHODS) == list(rules.METHODS)


def test_terminal_report_and_comparison_show_the_same_metrics_in_one_order(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, held_out(3, 8, error), ("valence",)) for name, error in (("a", 0.2), ("b", 0.3))]
    names = list(rules.METRICS.values())
    pages = [write_report(runs[0]), compare_runs(runs, tmp_path / "both.html")]
    for text in (page.read_text("utf-8") for page in pages):
        assert re.findall(r'<th scope="col">([A-Z]{3,4}[^<]*)</th>', text)[: len(names)] == names
    metrics = read(runs[0] / "metrics.json")
    _, head, _, row, *_ = metrics_table(metrics)
    assert re.split(r"  +", head) == ["target", names[0], "95 %", *names[1:], "subject's CCC", "95 %"]
    scores = metrics.spans.scores["model"]["valence"]
    low, high = f"{scores['ccc'].low:.3f}", f"{scores['ccc'].high:.3f}"
    values = [f"{scores[metric].value:.3f}" for metric in rules.METRICS]
    own = metrics.spans.subject_means["model"]["valence"]["ccc"].score
    cells = [f"{low} to {high}", *values[1:], f"{own.value:.3f}", f"{own.low:.3f} to {own.high:.3f}"]
    assert re.split(r"  +", row) == ["", "model", values[0], *cells]
    assert metrics_table(None) == []


def test_a_sweep_shows_its_metrics_in_that_order_and_a_dash_where_a_setting_failed(tmp_path: Path) -> None:
    done = SweepOutcome("000", ("a=1",), tmp_path, 0.5, {"rmse": 0.3, "ccc": 0.1, "pcc": math.nan})
    failed = SweepOutcome("001", ("a=2",), tmp_path, math.nan, {}, reason="the loss is nan")
    head, first, second, _ = of_sweep(SweepSummary(tmp_path, (done, failed))).lines
    assert re.split(r"  +", head) == ["setting", "validation CCC", "held-out CCC", "PCC", "RMSE"]
    assert first.split() == ["a=1", "0.500", "0.100", "-", "0.300", "<-", "chosen"]
    assert second.split() == ["a=2", "nan", "-", "-", "-"]
