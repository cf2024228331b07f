"""The first sentence about a run, from its held-out predictions to where it is read."""

import json
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affect.cache.metrics import Metrics
from affect.pipeline.report.report import write_report
from affect.pipeline.train.train import TrainingSummary
from affect.stages.views.verdict import verdict

from .conftest import held_out, write_run

Change = Callable[[pd.DataFrame], pd.DataFrame]
GUESS = "That is not told from a guess: nothing here is shown to hold for new people."


def metrics_of(run: Path) -> Metrics:
    return Metrics.from_json(json.loads((run / "metrics.json").read_text("utf-8")))


def only_the_first_varies(clips: pd.DataFrame) -> pd.DataFrame:
    return clips.assign(valence_label=np.where(clips["subject"] == "p0", clips["valence_label"], 0.25))


def unlike(clips: pd.DataFrame, *methods: str) -> pd.DataFrame:
    """Predictions of these methods that have nothing to do with the labels."""
    draw = np.random.default_rng(5)
    return clips.assign(**{f"valence{name}": draw.uniform(-1, 1, len(clips)) for name in methods})


@pytest.mark.parametrize(("subjects", "error", "change", "start", "end"), [
    (6, 0.2, lambda clips: clips, "Held out best on 6 people never seen: model (mean CCC 0.",
     "): the networks add to a straight line."),
    (6, 1.0, lambda clips: clips, "Held out best on 6 people never seen: ridge regression (mean CCC 0.",
     "): a straight line is better here: more people would help more than a larger network."),
    (6, 0.2, lambda clips: unlike(clips, "", "_blend", "_ridge"), "Held out best on 6 people never seen: ", GUESS),
    (1, 0.2, lambda clips: clips, "Held out best on 1 person never seen: model (mean CCC 0.",
     ", without an interval (one person): one person tells no method from another."),
    (2, 0.2, only_the_first_varies, "Held out best on 2 people never seen: model (mean CCC 0.",
     ", without an interval (none: hangs on one subject): one person tells no method from another."),
    (3, 0.2, lambda clips: clips.assign(valence_label=0.25), "Nothing can be said about 3 people never seen: ",
     "never seen: labels are constant."),
    (3, 0.2, lambda clips: clips.assign(valence=0.1, valence_blend=0.2, valence_ridge=0.3),
     "Nothing can be said about 3 people never seen: ", "never seen: predictions are constant."),
])  # fmt: skip
def test_held_out_predictions_say_which_method_was_best_and_what_it_means(
    tmp_path: Path, subjects: int, error: float, change: Change, start: str, end: str
) -> None:
    run = write_run(tmp_path / "run", change(held_out(subjects, 12, error)), ("valence",))
    said = verdict(metrics_of(run))
    assert said.startswith(start) and said.endswith(end), said


@pytest.mark.parametrize("shared", [False, True])
def test_it_is_the_first_line_after_training_and_stands_in_the_report(tmp_path: Path, shared: bool) -> None:
    run = write_run(tmp_path / "run", held_out(6, 12, 0.2), ("valence",), shares_people=shared)
    metrics = metrics_of(run)
    said = verdict(metrics)
    assert ("That says nothing about new people." in said) is shared
    first, *others = TrainingSummary(run, ("a warning",), (), (), (), metrics, 1.0, "the size").text().lines
    assert first == said and others[:2] == ["warning: a warning", "the size"]
    assert said in unescape(write_report(run).read_text("utf-8"))
