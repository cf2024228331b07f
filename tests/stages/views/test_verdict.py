"""The first sentence about a run, for every way in which a run may end."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from affect.cache.metrics import ALL_TARGETS, Average, LevelMetrics, Metrics, Score
from affect.cache.records import Target
from affect.stages.views.verdict import verdict

ONE, HANGS = "one subject: no interval", "none: hangs on one subject"  # as the metrics say it
GOOD = {"blend": Score(0.6, 0.4, 0.7), "model": Score(0.55, 0.3, 0.7), "ridge": Score(0.5, 0.3, 0.65)}
RIDGE_BEST = GOOD | {"ridge": Score(0.65, 0.45, 0.75)}
BLEND = "Held out best on 4 people never seen: blend (mean CCC 0.600, 95 % 0.400 to 0.700). "
RIDGE = "Held out best on 4 people never seen: ridge regression (mean CCC 0.650, 95 % 0.450 to 0.750). "
GUESS = "That is not told from a guess: nothing here is shown to hold for new people."
AS_GOOD = "a straight line is as good here: more people would help more than a larger network."


def told(
    ccc: Mapping[str, Score],
    over: Mapping[str, Score] | None = None,
    *,
    own: Mapping[str, Score] | None = None,
    people: int = 4,
    shared: bool = False,
) -> str:
    """The verdict on a run. ccc, own: of each method, over all rows, and in the mean of what people have alone."""
    spans = LevelMetrics(
        rows=40,
        subjects=people,
        scores={},
        averages={name: {"ccc": Average(score, 1)} for name, score in ccc.items()},
        per_subject={},
        subject_means={name: {ALL_TARGETS: {"ccc": Average(score, people)}} for name, score in (own or {}).items()},
        over_ridge=over or {},
    )
    metrics = Metrics(
        (), shared, "split", (Target("pain", 0.0, 10.0),), "95 %", "jackknife", "ICC(3,1)", ("00",), {}, math.nan, {},
        clips=replace(spans, averages={}), spans=spans, videos=replace(spans, averages={}),
    )  # fmt: skip
    return verdict(metrics)


@pytest.mark.parametrize(("over", "meaning"), [
    (Score(0.1, 0.02, 0.18), "+0.100 (95 % 0.020 to 0.180): the networks add to a straight line."),
    (Score(0.1, -0.02, 0.22), f"+0.100 (95 % \N{MINUS SIGN}0.020 to 0.220): {AS_GOOD}"),
    (Score(0.1, 0.0, 0.2), f"+0.100 (95 % 0.000 to 0.200): {AS_GOOD}"),
])  # fmt: skip
def test_where_the_blend_is_best_its_difference_to_ridge_says_what_the_networks_add(over: Score, meaning: str) -> None:
    assert told(GOOD, {"blend": over, "model": Score(0.05, 0.01, 0.09)}) == (
        f"{BLEND}Blend minus ridge regression {meaning}"
    )


def test_where_the_networks_alone_are_best_it_is_their_difference() -> None:
    ccc = GOOD | {"model": Score(0.7, 0.5, 0.8)}
    over = {"blend": Score(0.1, -0.02, 0.18), "model": Score(0.2, 0.1, 0.3)}
    assert told(ccc, over) == (
        "Held out best on 4 people never seen: model (mean CCC 0.700, 95 % 0.500 to 0.800). "
        "Model minus ridge regression +0.200 (95 % 0.100 to 0.300): the networks add to a straight line."
    )


@pytest.mark.parametrize(("over", "meaning"), [
    (
        Score(-0.05, -0.08, -0.02),
        "(95 % \N{MINUS SIGN}0.080 to \N{MINUS SIGN}0.020): a straight line is better here: more people would help "
        "more than a larger network.",
    ),
    (Score(-0.05, -0.13, 0.03), f"(95 % \N{MINUS SIGN}0.130 to 0.030): {AS_GOOD}"),
    (Score(-0.05, -0.1, 0.0), f"(95 % \N{MINUS SIGN}0.100 to 0.000): {AS_GOOD}"),
])  # fmt: skip
def test_where_ridge_is_best_the_better_of_the_others_is_held_against_it(over: Score, meaning: str) -> None:
    others = {"model": Score(-0.1, -0.2, -0.01), "blend": over, "mean": Score(-0.01, -0.02, 0.02)}
    assert told(RIDGE_BEST, others) == f"{RIDGE}Blend minus ridge regression \N{MINUS SIGN}0.050 {meaning}"


@pytest.mark.parametrize("score", [Score(0.6, -0.1, 0.9), Score(0.6, 0.0, 0.9), Score(-0.2, -0.5, 0.1)])
def test_what_may_be_nothing_is_called_a_guess_however_far_it_is_above_ridge(score: Score) -> None:
    ccc = {"blend": score, "model": Score(-0.5, -0.9, 0.1), "ridge": Score(-0.6, -0.9, 0.2)}
    said = told(ccc, {"blend": Score(1.2, 0.9, 1.5)}, own={"blend": Score(0.1, -0.2, 0.4)})
    assert said.endswith(f". {GUESS}") and "Held out best on 4 people never seen: blend (mean CCC " in said


def test_people_who_are_each_followed_well_tell_it_from_a_guess() -> None:
    ccc = {"blend": Score(0.2, -0.5, 0.8), "ridge": Score(0.1, -0.4, 0.6)}
    over, within = {"blend": Score(0.1, 0.05, 0.15)}, {"blend": Score(0.4, 0.1, 0.6)}
    assert told(ccc, over).endswith(GUESS)
    assert told(ccc, over, own=within).endswith("(95 % 0.050 to 0.150): the networks add to a straight line.")
    assert told(ccc, over, own={"ridge": Score(0.4, 0.1, 0.6)}).endswith(GUESS), "of the best method, and of no other"


@pytest.mark.parametrize(("people", "reason", "why"), [
    (1, ONE, "There is no interval, as there is one person."),
    (3, ONE, "There is no interval, as the labels do not vary without one of them."),
    (3, HANGS, "There is no interval, as the labels do not vary without one of them."),
    (3, None, "No interval is known."),
])  # fmt: skip
@pytest.mark.parametrize("own", [None, Score(0.9, no_interval=ONE)])
def test_without_an_interval_it_is_not_known_whether_it_is_a_guess(
    people: int, reason: str | None, why: str, own: Score | None
) -> None:
    """However high the number, and however far above ridge regression."""
    ccc = {name: Score(score.value, no_interval=reason) for name, score in GOOD.items()}
    said = told(ccc, {"blend": Score(0.1, 0.05, 0.15)}, own={"blend": own} if own else None, people=people)
    who = "1 person" if people == 1 else f"{people} people"
    assert said == (
        f"Held out best on {who} never seen: blend (mean CCC 0.600). {why} Whether that is more than a guess is not "
        "known: nothing here is shown to hold for new people."
    )


def test_one_person_alone_does_not_overrule_an_interval_over_all_that_contains_0() -> None:
    ccc = {"blend": Score(0.2, -0.5, 0.8), "ridge": Score(0.1, -0.4, 0.6)}
    assert told(ccc, {"blend": Score(0.1, 0.05, 0.15)}, own={"blend": Score(0.9, no_interval=ONE)}).endswith(GUESS)


def test_half_an_interval_is_none() -> None:
    assert "more than a guess is not known" in told({"blend": Score(0.6, 0.4), "ridge": Score(0.5, 0.3, 0.6)})


def test_a_difference_without_an_interval_tells_no_method_from_another() -> None:
    assert told(GOOD, {"blend": Score(0.1, no_interval=HANGS)}) == (
        f"{BLEND}Blend minus ridge regression +0.100, without an interval: that tells no method from another."
    )


def test_truths_that_never_change_leave_nothing_to_say() -> None:
    constant = Score(math.nan, reason="labels are constant")
    ccc = {"blend": constant, "model": constant, "ridge": constant, "mean": Score(math.nan, reason="of the mean")}
    assert told(ccc) == "Nothing can be said about 4 people never seen: labels are constant."
    assert told(ccc, people=1) == "Nothing can be said about 1 person never seen: labels are constant."
    two = ccc | {"ridge": Score(math.nan, reason="3 of 9 predictions are infinite")}
    assert told(two, shared=True) == (
        "Nothing can be said about people who are on other sides too: labels are constant; "
        "3 of 9 predictions are infinite."
    )
    assert told({}) == "Nothing can be said about 4 people never seen: no method has a CCC."


def test_a_method_without_a_number_is_passed_over() -> None:
    ccc = GOOD | {"blend": Score(math.nan, reason="no row has both a prediction and a label")}
    assert "never seen: model (mean CCC 0.550," in told(ccc)


def test_the_training_mean_is_never_the_best() -> None:
    assert told(GOOD | {"mean": Score(0.9, 0.8, 1.0)}).startswith(BLEND)


@pytest.mark.parametrize("ccc", [GOOD, RIDGE_BEST, {"model": Score(0.5, -0.9, 0.9)}])
def test_shared_people_say_nothing_about_new_ones(ccc: dict[str, Score]) -> None:
    said = told(ccc, {"blend": Score(0.1, 0.02, 0.18)}, shared=True)
    assert said.startswith("Held out best on people who are on other sides too: ")
    assert said.endswith("). That says nothing about new people.") and "never seen" not in said


def test_without_ridge_regression_there_is_nothing_to_hold_it_against() -> None:
    assert told({"model": Score(0.5, 0.3, 0.6)}) == (
        "Held out best on 4 people never seen: model (mean CCC 0.500, 95 % 0.300 to 0.600). "
        "There is no ridge regression to hold it against."
    )


@pytest.mark.parametrize("over", [{}, {"blend": Score(math.nan, reason="labels are constant")}])
def test_without_a_difference_it_cannot_be_held_against_ridge(over: dict[str, Score]) -> None:
    assert told(GOOD, over) == f"{BLEND}It cannot be held against ridge regression."
    assert told(RIDGE_BEST, over) == f"{RIDGE}It cannot be held against ridge regression."


def test_as_good_as_ridge_to_the_last_digit_is_a_tie() -> None:
    ccc = dict.fromkeys(("blend", "model", "ridge"), GOOD["blend"])
    assert told(ccc, {"blend": Score(0.0, 0.0, 0.0)}) == (
        f"{BLEND}Blend minus ridge regression +0.000 (95 % 0.000 to 0.000): {AS_GOOD}"
    )
