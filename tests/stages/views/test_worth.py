"""What scores are worth on new people, in words: the verdict, the method that scored, and what is not known."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest

from affect.cache.metrics import Average, LevelMetrics, Metrics, Score
from affect.stages.views.verdict import MOST_WORTH, verdict, worth

from .test_report import METRICS


def level(**ccc: Score) -> LevelMetrics:
    averages = {method: {"ccc": Average(score, 2)} for method, score in ccc.items()}
    over = {method: Score(0.125, 0.0625, 0.25) for method in ccc if method != "ridge"}
    return LevelMetrics(40, 5, {}, averages, {}, {}, over if "ridge" in ccc else {})


def measured(**ccc: Score) -> Metrics:
    return replace(METRICS, spans=level(**ccc))


BEST = measured(blend=Score(0.5, 0.25, 0.75), model=Score(0.375, -0.125, 0.625), ridge=Score(0.25))
FLAT = Score(0.0, reason="predictions are constant")


def test_the_method_that_held_out_best_is_said_to_have_scored() -> None:
    said = worth(BEST, "blend")
    assert said == f"{verdict(BEST)} These scores are by the blend (the mean of the networks and ridge regression)."
    assert said.startswith(
        "Held out best on 5 people never seen: blend (mean CCC 0.500, 95 % 0.250 to 0.750). Blend minus"
    )


def test_another_method_that_scored_is_said_with_what_it_was_worth_itself() -> None:
    own = "These scores are by the model (the mean of the networks): mean CCC 0.375, 95 % \N{MINUS SIGN}0.125 to 0.625."
    assert worth(BEST, "model") == f"{verdict(BEST)} {own}"
    assert worth(BEST, "ridge").endswith("These scores are by ridge regression: mean CCC 0.250.")
    assert worth(measured(model=Score(0.5)), "blend").endswith("ridge regression), which was not measured.")
    flat = worth(replace(BEST, spans=level(blend=Score(0.5, 0.25, 0.75), model=FLAT)), "model")
    assert flat.endswith("whose mean CCC says nothing: predictions are constant.")


@pytest.mark.parametrize(
    "score", [FLAT, Score(math.nan, reason="labels are constant"), Score(math.nan)], ids=["flat", "constant", "none"]
)
def test_what_says_nothing_is_said_in_words_and_not_as_a_number(score: Score) -> None:
    said = worth(measured(blend=score, model=score, ridge=score), "model")
    assert said.startswith(f"Nothing can be said about 5 people never seen: {score.reason or 'no method has a CCC'}.")
    assert not re.search(r"\d\.\d|nan", said) and said.endswith("by the model (the mean of the networks).")


def test_one_person_has_no_interval_and_that_is_said() -> None:
    alone = Score(0.5, no_interval="one subject: no interval")
    said = worth(replace(METRICS, spans=replace(level(blend=alone, ridge=alone), subjects=1)), "blend")
    assert "1 person never seen: blend (mean CCC 0.500). There is no interval, as there is one person." in said


def test_people_who_are_shared_are_not_called_new() -> None:
    said = worth(replace(BEST, shares_people=True), "blend")
    assert "people who are on other sides too" in said and "That says nothing about new people." in said


def test_what_is_not_known_is_said_with_its_reason() -> None:
    assert worth("the run was imported", "model") == (
        "How good these scores are for new people is not known: the run was imported. "
        "They are by the model (the mean of the networks)."
    )


@pytest.mark.parametrize("words", ["x" * 60_000, "a\nb\x1b[2J", "\u202egnp", "\ud800"])
def test_words_that_came_with_a_run_are_bounded_and_spelled_out(words: str) -> None:
    changes: list[Any] = [
        measured(model=Score(math.nan, reason=words)),
        replace(BEST, interval=words),
        replace(BEST, spans=level(blend=Score(0.5), model=Score(math.nan, reason=words))),
    ]
    for metrics in changes:
        said = worth(metrics, "model")
        assert len(said) <= MOST_WORTH and said.isprintable() and "\u202e" not in said
        said.encode("utf-8")
