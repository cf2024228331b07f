"""`predict` says first what its scores are worth on new people, whatever has become of the run's metrics.json."""

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect.cache.metrics import Metrics
from affect.cache.opening import create_store, open_store
from affect.pipeline.predict.predict import PredictOptions
from affect.pipeline.report.report import write_report
from affect.pipeline.runs.folder import RunFolder
from affect.pipeline.terminal.text import of_prediction
from affect.stages.views.verdict import verdict, worth
from affect.tests.pipeline.report.conftest import held_out, write_run
from affect.tests.predictions import write_predictions

from .conftest import made_features, store_features

CPU = PredictOptions(device="cpu")
UNKNOWN = "How good these scores are for new people is not known: "
DAMAGED = f"{UNKNOWN}the run's metrics.json is damaged or cannot be read; affect report RUN says more."


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    """A run that was evaluated on five people, p0 to p4."""
    return write_run(tmp_path / "evaluated", held_out(5, 12, 0.3), ("valence",))


@pytest.fixture
def told(run: Path, evaluated: Path, tmp_path: Path) -> Path:
    """A run with models, and with the metrics of the evaluated one."""
    copy = shutil.copytree(run, tmp_path / "told")
    shutil.copy(evaluated / "metrics.json", copy)
    return copy


def said(run: Path, store: Path, out: Path, options: PredictOptions = CPU) -> str:
    """The sentence: once on the terminal and in the summary, and first on the page."""
    summary = write_predictions(["alone.mp4"], run, out, store, options)
    lines = of_prediction(summary).lines
    assert lines.count(summary.worth) == 1 and lines[0] == summary.worth and "\n" not in summary.worth
    assert json.loads((out / "summary.json").read_text("utf-8"))["worth"] == summary.worth
    page = (out / "viewer.html").read_text("utf-8")
    first = re.search(r'</header>\s*<section [^>]*><p id="worth" role="note">(.*?)( <small>[^<]*</small>)?</p>', page)
    assert first and unescape(first[1]) == summary.worth
    return summary.worth


def test_the_page_the_terminal_and_the_summary_say_what_the_report_says(
    told: Path, evaluated: Path, store: Path, tmp_path: Path
) -> None:
    found = said(told, store, tmp_path / "out")
    lead = re.search(r'<p class="lead">(.*?)</p>', write_report(evaluated).read_text("utf-8"))
    assert lead and unescape(lead[1]).startswith("Held out best on 5 people never seen: ")
    assert found.startswith(unescape(lead[1])) and "These scores are by the model" in found


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"imported_from": {"pid_1.pth.tar": "0"}, "folds": ["0", "1"]}, "the run was imported"),
        ({"labels_sha256": "x", "folds": ["0", "1"]}, "the training of the run has not ended, or its metrics.json is"),
        ({}, "the run has no metrics.json"),
    ],
)
def test_a_run_without_metrics_says_why(
    run: Path, store: Path, tmp_path: Path, environment: dict[str, Any], words: str
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "environment.json").write_text(json.dumps(environment))
    assert said(copy, store, tmp_path / "out").startswith(UNKNOWN + words)


def test_runs_that_score_together_were_not_measured_together(
    made_run: Callable[..., Path], evaluated: Path, store: Path, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        made_run(tmp_path / "runs" / name, open_store(store).recipe, 12, folds=1)
        shutil.copy(evaluated / "metrics.json", tmp_path / "runs" / name)
    assert said(tmp_path / "runs", store, tmp_path / "out").startswith(f"{UNKNOWN}they are the mean of 2 runs, each")


def link(path: Path) -> None:
    path.rename(path.parent.parent / "moved.json")
    path.symlink_to(path.parent.parent / "moved.json")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


TEXTS = ["", "{", "[]", "{}", '{"warnings": 3}', "[" * 100_000, '{"a":' * 100_000, '{"spans": "x"}', "\udcff", "NaN"]


@pytest.mark.parametrize("harm", [link, pipe, folder, *TEXTS], ids=lambda harm: str(harm)[:12])
def test_metrics_that_are_damaged_cost_one_sentence_and_no_score(
    told: Path, store: Path, tmp_path: Path, harm: str | Callable[[Path], None]
) -> None:
    said(told, store, tmp_path / "sound")
    if isinstance(harm, str):
        (told / "metrics.json").write_bytes(harm.encode("utf-8", "surrogateescape"))
    else:
        harm(told / "metrics.json")
    assert said(told, store, tmp_path / "out").startswith(DAMAGED)
    for name in ("predictions.csv", "video.csv"):
        assert (tmp_path / "sound" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_a_number_that_was_changed_later_is_not_said(told: Path, store: Path, tmp_path: Path) -> None:
    path, changed = told / "metrics.json", "the run's metrics.json was changed or damaged after it was written"
    text = path.read_text("utf-8")
    values = json.loads(text)
    path.write_text(json.dumps(values, indent=4), "utf-8")
    assert "people never seen" in said(told, store, tmp_path / "laid out otherwise")
    number = f"{values['spans']['model']['all targets']['ccc']['value']!r}"
    for place in (match.start() for match in re.finditer(re.escape(number), text)):
        harmed = f"{text[: place + 2]}{(int(text[place + 2]) + 1) % 10}{text[place + 3 :]}"  # the first digit behind 0.
        path.write_text(harmed, "utf-8")
        assert str(RunFolder(told).measured()).startswith(changed)
    assert said(told, store, tmp_path / "changed").startswith(UNKNOWN + changed)
    del values["sha256"]
    path.write_text(json.dumps(values), "utf-8")
    assert "people never seen" in said(told, store, tmp_path / "of an earlier version")


CCC = ("spans", "model", "all targets", "ccc")
WRONG: dict[tuple[str, ...], list[Any]] = {
    (*CCC, "value"): ["<b>", True, [0.5], {}, 7.5, -1e300, 10**400, float("nan"), float("inf")],
    (*CCC, "reason"): [3, ["predictions are constant"], {"a": 1}, "x" * 100_000],
    ("spans", "subjects"): [-1, 2.5, "5", None, 10**30, float("inf")],
    ("subject_independent",): [None, "false", 0, []],
    ("interval",): [["95 %"], None],
    ("spans", "mine"): [{"all targets": {}}],
    ("spans", "model", "all targets"): [{}],
    ("spans", "ccc over ridge", "model"): [{"value": 2.5}],
    ("subject_means", "spans", "model", "all targets", "ccc", "value"): ["0.9"],
    ("per_subject", "spans"): [[1]],
    ("folds", "failed"): [{"0": 3}],
}


def put(tree: Any, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value


def test_a_value_that_metrics_cannot_have_is_refused_wherever_it_stands(told: Path) -> None:
    text = (told / "metrics.json").read_text("utf-8")
    text = re.sub(r',\s*"sha256": "\w+"', "", text)  # or that alone would refuse them
    assert not isinstance(RunFolder(told).measured(), str)
    for path, value in ((path, value) for path, values in WRONG.items() for value in values):
        values = json.loads(text)
        put(values, path, value)
        (told / "metrics.json").write_text(json.dumps(values), "utf-8")
        assert "damaged" in str(RunFolder(told).measured()), (path, value)


def test_whatever_stands_in_metrics_makes_a_sentence_or_is_refused(told: Path) -> None:
    """A thousand changes at random places: our errors alone, and never a sentence that cannot be written."""
    draw = random.Random(0)
    text = (told / "metrics.json").read_text("utf-8")
    odd: list[Any] = [
        None,
        True,
        -1,
        0.5,
        1e308,
        10**400,
        float("inf"),
        "x" * 70_000,
        "\x1b[2J",
        "\ud800",
        [],
        {},
        [1],
        {"a": {}},
    ]
    refused = 0
    for _ in range(1000):
        values = json.loads(text)
        path: list[str] = []
        tree = values
        while isinstance(tree, dict) and tree and (not path or draw.random() < 0.8):
            path.append(draw.choice([*tree] if path else [name for name in tree if name not in ("clips", "videos")]))
            tree = tree[path[-1]]
        put(values, tuple(path), draw.choice(odd))
        try:
            metrics = Metrics.from_json(values)
        except (KeyError, ValueError):
            refused += 1
            continue
        for method in ("blend", "model", "ridge"):
            worth(metrics, method).encode("utf-8")
    assert 300 < refused < 1000


def test_a_sentence_names_no_person_and_no_place(told: Path, store: Path, tmp_path: Path) -> None:
    """The metrics of a run name the people it was tested on; a stranger's may hold paths in what they say."""
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef")
    key.chmod(0o600)
    options = PredictOptions(device="cpu", key_file=key)
    text = re.sub(
        r',\s*"sha256": "\w+"', "", (told / "metrics.json").read_text("utf-8")
    )  # who changes it can do so too
    nothing = dict.fromkeys(("value", "low", "high"))
    silent = json.loads(text)
    for method in ("blend", "model", "ridge"):
        silent["spans"][method]["all targets"]["ccc"] |= {
            **nothing,
            "reason": "see /home/annabelle/p0.csv",
            "targets": 1,
        }
    broken = json.loads(text)
    broken["per_subject"]["spans"]["p0"]["model"]["valence"]["ccc"] = "p0"
    for number, values in enumerate((json.loads(text), silent, broken)):
        (told / "metrics.json").write_text(json.dumps(values), "utf-8")
        found = said(told, store, tmp_path / f"out{number}", options)
        assert not re.search(rf"\bp\d\b|annabelle|told|alone|{re.escape(str(tmp_path))}", found), found
        assert ("people never seen" in found) == (number < 2)


def test_scores_out_of_range_of_one_clip_are_said_in_words(
    made_run: Callable[..., Path], store: Path, tmp_path: Path
) -> None:
    recipe = open_store(store).recipe
    run = made_run(tmp_path / "run", recipe, 12)
    strange = made_features(np.ones((1, 4), bool), 12)
    strange.values[:] += 30
    store_features(create_store(tmp_path / "store", recipe), "short.mp4", strange)
    summary = write_predictions(["short.mp4"], run, tmp_path / "out", tmp_path / "store", CPU)
    words = "person 0: the only scored clip is unlike the training recordings; the scores may mean nothing"
    assert f"warning: short.mp4: {words}" in of_prediction(summary).lines


def test_a_constant_prediction_is_no_zero(run: Path, store: Path, tmp_path: Path) -> None:
    clips = held_out(5, 12, 0.3).assign(valence=0.25, valence_ridge=0.5, valence_blend=0.375)
    made = write_run(tmp_path / "flat", clips, ("valence",))
    copy = shutil.copytree(run, tmp_path / "run")
    shutil.copy(made / "metrics.json", copy)
    found = said(copy, store, tmp_path / "out")
    assert "Nothing can be said about 5 people never seen: predictions are constant." in found and "0.0" not in found
    metrics = RunFolder(made).metrics()
    assert verdict(metrics) in unescape(write_report(made).read_text("utf-8"))
