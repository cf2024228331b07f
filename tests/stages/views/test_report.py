"""The page of a run from values alone: no folder, no training."""

import math
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from affect.cache.metrics import Average, LevelMetrics, Metrics, Score
from affect.cache.records import Target
from affect.stages.views.charts import Strip, over_time
from affect.stages.views.origin import Origin
from affect.stages.views.report import HeldOutVideo, Report, report_html
from affect.stages.views.rules import PEOPLE_SHARED, clock_text, clock_ticks


def level(value: float) -> LevelMetrics:
    scores = {"model": {"pain": {"ccc": Score(value, value - 0.1, value + 0.1), "rmse": Score(0.25)}}}
    return LevelMetrics(4, 1, scores, {"model": {"ccc": Average(Score(value), 1)}}, {"p1": scores})


METRICS = Metrics(
    warnings=(),
    shares_people=False,
    protocol="split",
    targets=(Target("pain", 0.0, 10.0, "points"),),
    interval="95 %",
    interval_method="leaving out one subject",
    icc="ICC(3,1)",
    folds_done=("00",),
    folds_failed={},
    validation_ccc=math.nan,
    validation_by_fold={"00": math.nan},
    clips=level(0.4),
    spans=level(0.5),
    videos=level(0.6),
)
VALUES = np.array([[1.0], [2.0], [4.0], [np.nan]])
REPORT = Report(
    name="first",
    metrics=METRICS,
    method="model",
    warnings=(),
    prediction=VALUES,
    label=VALUES + 1,
    over_ridge={},
    videos=(HeldOutVideo("p1", "p1/v", np.arange(4.0), np.arange(4.0) + 1, VALUES, VALUES + 1),),
    folds=(),
    failed_folds=0,
    origin=Origin({"backbone": "none"}, {}, {}, (), "training: {}"),
)


def shown(report: Report) -> str:
    body = report_html(report).partition("<body>")[2]
    return unescape(re.sub(r"<[^>]+>", " ", body))


@pytest.mark.parametrize("words", ["p1 is on both sides", "NOT subject-independent: p1 is on both sides"])
def test_whether_people_are_shared_is_a_fact_and_not_how_a_warning_begins(words: str) -> None:
    apart = shown(replace(REPORT, warnings=(words,)))
    assert "people it has never seen" in apart and PEOPLE_SHARED not in apart and words in apart
    shared = shown(replace(REPORT, metrics=replace(METRICS, shares_people=True), warnings=(words,)))
    assert "(people are shared)" in shared and "never seen" not in shared
    assert shared.index(PEOPLE_SHARED) < shared.index(words) < shared.index("Held out best")


def test_the_page_shows_the_values_that_it_was_given() -> None:
    text = shown(replace(REPORT, over_ridge={"pain": Score(-0.125, -0.25, 0.5)}))
    for words in ("pain (points)", "0.500", "0.400 to 0.600", "0.250", "model \N{MINUS SIGN} ridge, paired"):
        assert words in text
    assert "\N{MINUS SIGN}0.125 [\N{MINUS SIGN}0.250, 0.500]" in text
    assert "4 held-out labelled spans of 1 subject" in text


def test_a_metric_that_an_older_run_lacks_leaves_its_cell_open() -> None:
    head, _, rows = report_html(REPORT).partition("<tbody>")
    names = re.findall(r'<th scope="col">([^<]+)</th>', head)
    cells = re.findall(r"<td>([^<]*)", rows.partition("</tbody>")[0])
    assert dict(zip(names, cells, strict=True)) == {
        "CCC": "0.500", "PCC": "\N{EN DASH}", "RMSE": "0.250", "MAE": "\N{EN DASH}",
        "ICC(3,1)": "\N{EN DASH}", "ICC(2,1)": "\N{EN DASH}",
    }  # fmt: skip


@pytest.mark.parametrize("length_s", [50.0, 700.0, 3600.0, 30000.0])
def test_time_is_marked_on_the_clock_as_in_every_other_picture(length_s: float) -> None:
    start = np.linspace(0, length_s - 1, 20)
    picture = over_time("v", start, start + 1, [Strip("pain", start, start)])
    words = re.findall(r'<text class="tick"[^>]*text-anchor="middle">([^<]*)</text>', picture)
    assert words == [clock_text(tick) for tick in clock_ticks(0, length_s, count=5)]
    assert 2 <= len(words) <= 6


def test_a_time_that_is_no_number_has_no_ticks() -> None:
    assert clock_ticks(math.nan, 10.0) == clock_ticks(0.0, math.inf) == []
