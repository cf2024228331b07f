import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affect.cache.metrics import OVER_RIDGE
from affect.errors import RunError
from affect.pipeline.report.compare import compare
from affect.pipeline.report.data import read_evaluated_run
from affect.pipeline.report.report import compare_runs
from affect.stages.temporal.metrics import evaluate
from affect.stages.views.comparison import comparison_html
from affect.stages.views.rules import PEOPLE_SHARED
from affect.stages.views.verdict import IN_WORDS

from .conftest import held_out, write_run

VALENCE = ("valence",)


def test_a_run_does_not_differ_from_its_copy(tmp_path: Path) -> None:
    clips = held_out(6, 20, 0.4)
    runs = [write_run(tmp_path / name, clips, VALENCE) for name in "ab"]
    found = compare(runs)
    score = found.runs[1].differences["valence"]["ccc"]
    assert (score.value, score.low, score.high) == (0, 0, 0)
    assert found.runs[1].better == 0 and found.settings == {}


def test_the_difference_is_that_of_the_scores_and_its_interval_is_the_pairs(tmp_path: Path) -> None:
    noisy, calm = held_out(8, 40, 0.5), held_out(8, 40, 0.3)
    runs = [write_run(tmp_path / "noisy", noisy, VALENCE), write_run(tmp_path / "calm", calm, VALENCE)]
    found = compare(runs)
    scores = [run.scores["valence"]["ccc"] for run in found.runs]
    gain = found.runs[1].differences["valence"]["ccc"]
    assert gain.value == pytest.approx(scores[1].value - scores[0].value)
    assert 0 < gain.low < gain.value < gain.high
    # Both runs err on the same spans: paired, the interval is narrower than those of the two scores apart.
    assert gain.high - gain.low < np.hypot(scores[0].high - scores[0].low, scores[1].high - scores[1].low)
    by_hand = [
        evaluate(rows["valence_blend"].to_numpy(), rows["valence_label"].to_numpy(), rows["subject"].tolist())["ccc"]
        for rows in (calm[calm["subject"] == "p3"], noisy[noisy["subject"] == "p3"])
    ]
    gained = found.runs[1].subject_ccc["p3"] - found.runs[0].subject_ccc["p3"]
    assert gained == pytest.approx(by_hand[0].value - by_hand[1].value)
    assert found.runs[1].better == 8


def by(method: str) -> tuple[str, ...]:
    return (f"evaluation.method={method}",)


@pytest.mark.parametrize("method", ["blend", "model", "ridge"])
def test_each_run_is_compared_by_its_own_method_which_is_named(tmp_path: Path, method: str) -> None:
    """As its report and its metrics have it, down to each subject."""
    noisy, calm = held_out(4, 20, 0.9), held_out(4, 20, 0.3)
    runs = [write_run(tmp_path / "a", noisy, VALENCE, settings=by(method)),
            write_run(tmp_path / "b", calm, VALENCE, settings=by(method))]  # fmt: skip
    page = compare_runs(runs, tmp_path / "both.html").read_text("utf-8")
    values, first = json.loads((tmp_path / "both.json").read_text("utf-8")), read_evaluated_run(runs[0]).metrics
    assert [run["method"] for run in values["runs"]] == [method] * 2 and not values["warnings"]
    assert f"All scores are by {IN_WORDS[method]}." in page
    a, b = (run["scores"]["valence"]["ccc"]["value"] for run in values["runs"])
    assert a == first.spans.scores[method]["valence"]["ccc"].value
    assert values["runs"][1]["differences"]["valence"]["ccc"]["value"] == pytest.approx(b - a)
    assert values["runs"][0]["subject_ccc"]["p3"] == first.spans.per_subject["p3"][method]["valence"]["ccc"].value
    assert values["runs"][1]["better"] == (0 if method == "ridge" else 4), "ridge regression says the same in both"


def test_runs_of_different_methods_are_compared_and_this_is_said(tmp_path: Path) -> None:
    clips = held_out(4, 20, 0.3)
    runs = [write_run(tmp_path / name, clips, VALENCE, settings=by(name)) for name in ("model", "ridge")]
    found = compare(runs)
    assert found.runs[1].differences["valence"]["ccc"].value < 0, "ridge regression is off by half the noise, not .3"
    assert "by different methods" in found.warnings[-1]
    page = comparison_html(found)
    assert f"Scores are by {IN_WORDS['model']} for model; {IN_WORDS['ridge']} for ridge." in page
    assert found.warnings[-1] in page


def test_an_older_run_without_ridge_regression_is_compared_by_its_networks_and_this_is_said(tmp_path: Path) -> None:
    clips = held_out(4, 20, 0.3)
    old = write_run(tmp_path / "old", clips, VALENCE)
    values = json.loads((old / "metrics.json").read_text("utf-8"))
    for level in ("clips", "spans", "videos"):
        values[level] = {name: of for name, of in values[level].items() if name not in ("blend", "ridge", OVER_RIDGE)}
    (old / "metrics.json").write_text(json.dumps(values), "utf-8")
    table = pd.read_csv(old / "predictions.csv").drop(columns=["valence_blend", "valence_ridge"])
    table.to_csv(old / "predictions.csv", index=False)
    found = compare([old, write_run(tmp_path / "new", clips, VALENCE)])
    assert [run.method for run in found.runs] == ["model", "blend"]
    assert "old holds nothing by its method, blend: it is compared by the networks" in found.warnings


def test_rows_are_paired_by_what_they_are_and_not_by_their_order(tmp_path: Path) -> None:
    clips = held_out(5, 20, 0.4)
    shuffled = clips.sample(frac=1, random_state=1)
    found = compare([write_run(tmp_path / "a", clips, VALENCE), write_run(tmp_path / "b", shuffled, VALENCE)])
    assert found.runs[1].differences["valence"]["ccc"].value == pytest.approx(0, abs=1e-12)


def test_only_what_all_runs_held_out_is_compared_and_this_is_said(tmp_path: Path) -> None:
    clips = held_out(6, 20, 0.4)
    fewer = clips[clips["subject"] != "p5"]
    runs = [write_run(tmp_path / "a", clips, VALENCE), write_run(tmp_path / "b", fewer, VALENCE)]
    found = compare(runs)
    assert (found.spans, found.subjects) == (100, 5)
    assert "a 120, b 100" in found.warnings[-1]


def test_shared_subjects_of_any_run_come_first(tmp_path: Path) -> None:
    clips = held_out(4, 20, 0.4)
    shared = "NOT subject-independent: train and test share 'p1'"
    runs = [
        write_run(tmp_path / "a", clips, VALENCE, ("no range is given for valence",)),
        write_run(tmp_path / "b", clips, VALENCE, (shared,), shares_people=True),
    ]
    found = compare(runs)
    assert found.warnings[0] == f"b: {shared}"
    body = comparison_html(found).partition("<body>")[2]
    assert not re.search(r"\d\.\d{3}", body[: body.index("NOT subject-independent")])
    first = body.partition('role="alert">')[2]
    assert first.startswith(f"<p>b: {PEOPLE_SHARED}</p>") and f"a: {PEOPLE_SHARED}" not in body


def test_runs_that_cannot_be_paired_are_refused(tmp_path: Path) -> None:
    clips = held_out(4, 20, 0.4)
    run = write_run(tmp_path / "run", clips, VALENCE)
    relabelled = write_run(tmp_path / "relabelled", clips.assign(valence_label=clips["valence_label"] * 0.9), VALENCE)
    others = write_run(tmp_path / "others", clips.assign(subject="q" + clips["subject"]), VALENCE)
    renamed = clips.rename(columns={name: name.replace("valence", "arousal") for name in clips.columns})
    arousal = write_run(tmp_path / "arousal", renamed, ("arousal",))
    for other, why in (
        (relabelled, "other labels"),
        (others, "no span in common"),
        (arousal, "no target"),
        (run, "once"),
    ):
        with pytest.raises(RunError, match=why):
            compare([run, other])
    with pytest.raises(RunError, match="at least two"):
        compare([run])


def test_the_comparison_is_written_as_a_page_and_as_json(tmp_path: Path, trained_run: Path) -> None:
    copy = tmp_path / "deeper" / "trained"
    copy.parent.mkdir()
    copy.symlink_to(trained_run)
    with pytest.raises(RunError, match="more than once"):
        compare_runs([trained_run, copy], tmp_path / "same.html")
    page = compare_runs(
        [write_run(tmp_path / name, held_out(5, 20, error), VALENCE) for name, error in (("a", 0.5), ("b", 0.2))],
        tmp_path / "both.html",
    )
    values = json.loads((tmp_path / "both.json").read_text())
    assert values["runs"][1]["differences"]["valence"]["ccc"]["value"] > 0
    assert "better in 5 of 5" in page.read_text("utf-8")
