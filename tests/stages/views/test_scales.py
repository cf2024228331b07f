"""Scales of targets: what an axis shows, how values are written, and what lies beyond a scale."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from affect.cache.predictions import PersonPrediction
from affect.cache.records import Target
from affect.stages.temporal import metrics
from affect.stages.views.doubts import doubts
from affect.stages.views.rules import METRICS, value_ticks
from affect.stages.views.scales import beyond, beyond_words, shown_range, value_text

Person = Callable[..., PersonPrediction]
VALENCE, FREE = Target("valence", -1, 1), Target("movement", unit="eye distances/s")


def test_an_axis_shows_the_scale_and_what_lies_beyond_it_and_without_a_scale_what_the_values_need() -> None:
    values = np.array([0.5, np.nan, 1.3])
    assert shown_range(VALENCE, values) == (-1, 1.3) and shown_range(VALENCE) == (-1, 1)
    low, high = shown_range(FREE, values)
    assert 0.4 < low < 0.5 and 1.3 < high < 1.4
    assert shown_range(FREE, np.array([np.nan])) == (0, 1)
    assert shown_range(FREE, np.array([2.0])) == pytest.approx((1.8, 2.2))


def test_a_value_beyond_its_scale_is_said_where_a_number_shows_it() -> None:
    assert beyond(VALENCE, 1.13) == "above its scale" and beyond(VALENCE, -1.36) == "below its scale"
    assert [beyond(VALENCE, value) for value in (1.0, 1.004, -1.0, float("nan"))] == [""] * 4
    assert beyond(FREE, 1e9) == ""


def test_scores_beyond_a_scale_are_counted_once_for_all_people(person: Person) -> None:
    one, two = person(1), person(2)
    targets = (VALENCE, Target("PANSS N1", 1, 7))
    assert beyond_words(targets, (one, two)) == "" == beyond_words(targets, ())
    one.clips.mean[[0, 2], 0], two.clips.mean[1, 0] = 1.2, -1.4
    said = beyond_words(targets, (one, two))
    assert said == ("values lie beyond their scale: valence (3 of 20; the scale is \N{MINUS SIGN}1 to 1)")
    assert beyond_words((FREE, FREE), (one, two)) == ""
    assert doubts(targets, (one, two)) == [said] and doubts((FREE, FREE), (one,)) == []
    one.clips.out_of_range[:] = True
    assert [words.split(":")[0] for words in doubts(targets, (one,))] == ["person 1", "values lie beyond their scale"]


@pytest.mark.parametrize(
    ("target", "value", "words"),
    [
        (VALENCE, 0.314159, "0.31"), (Target("n", 1, 7), 4.25, "4.2"), (Target("turn", -60, 60), -12.34, "-12"),
        (Target("small", 0, 0.2), 0.0314, "0.031"), (FREE, -0.001, "0.00"),
    ],
)  # fmt: skip
def test_a_value_has_as_many_places_as_its_scale_is_fine(target: Target, value: float, words: str) -> None:
    assert value_text(target, value) == words


def test_an_axis_has_two_ticks_at_least() -> None:
    for low, high in ((-45.0, 45.0), (-1.0, 1.0), (0.0, 0.2), (-1.3, 1.4), (0.41, 0.43)):
        for count in (2, 3, 4, 5):
            ticks: list[Any] = value_ticks(low, high, count)
            assert len(ticks) >= 2 and low <= ticks[0] < ticks[-1] <= high


def test_every_metric_is_shown() -> None:
    assert set(METRICS) == set(metrics.METRICS)
