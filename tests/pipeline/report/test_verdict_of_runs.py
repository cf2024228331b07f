"""The first sentence about a run, from its held-out predictions to where it is read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affect.cache.metrics import Metrics
from affect.pipeline.report.report import write_report
from affect.pipeline.train.held_out import measure_level
from affect.pipeline.train.train import TrainingSummary
from affect.stages.views.verdict import verdict
from affect.tests.stages.views.test_report import METRICS

from .conftest import held_out, write_run

Change = Callable[[pd.DataFrame], pd.DataFrame]
GUESS = "That is not told from a guess: nothing here is shown to hold for new people."
UNKNOWN = "Whether that is more than a guess is not known: nothing here is shown to hold for new people."


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
     f"). There is no interval, as there is one person. {UNKNOWN}"),
    (2, 0.2, only_the_first_varies, "Held out best on 2 people never seen: model (mean CCC 0.",
     f"). There is no interval, as the labels do not vary without one of them. {UNKNOWN}"),
    (3, 0.2, only_the_first_varies, "Held out best on 3 people never seen: model (mean CCC 0.",
     f"). There is no interval, as the labels do not vary without one of them. {UNKNOWN}"),
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


def drawn(rows: Mapping[str, int], truth: float, draw: np.random.Generator, varying: int = 99) -> Metrics:
    """The metrics of a method over so many spans a person, of whom `varying` have labels that vary.

    truth: the share of a label in the predictions; 0: they are noise.
    """
    person = np.repeat(np.arange(len(rows)), list(rows.values()))
    label, noise = draw.standard_normal((2, len(person)))
    label[person >= varying] = 0.25
    names = [list(rows)[number] for number in person]
    table = pd.DataFrame({"subject": names, "valence": truth * label + (1 - truth) * noise, "valence_label": label})
    return replace(METRICS, shares_people=False, spans=measure_level(table, ["valence"], ["model"]))


CLINIC = {f"p{number}": 1 for number in range(7)} | {"p7": 2}  # a rating each, and one person with two


@pytest.mark.parametrize(("rows", "varying"), [
    (CLINIC, 99), (CLINIC | {"p7": 20}, 99), ({"p0": 12}, 99), (dict.fromkeys("abc", 6), 1),
    (dict.fromkeys("abc", 6), 99),
])  # fmt: skip
def test_noise_passes_as_more_than_a_guess_in_one_of_twenty_runs_at_most(rows: dict[str, int], varying: int) -> None:
    draw = np.random.default_rng(1)
    said = [verdict(drawn(rows, 0.0, draw, varying)) for _ in range(100)]
    assert sum("guess" not in words for words in said) <= 0.05 * len(said)


@pytest.mark.parametrize("rows", [CLINIC, dict.fromkeys("abc", 6)])
def test_predictions_that_follow_the_labels_are_told_from_a_guess(rows: dict[str, int]) -> None:
    draw = np.random.default_rng(2)
    said = [verdict(drawn(rows, 0.9, draw)) for _ in range(20)]
    assert sum("guess" not in words for words in said) >= 0.9 * len(said)
