"""When taking each person's mean away is offered, and in which words."""

import pytest

from affect.stages.views.offer import LEAST_GAIN, centring_offer


def fold(none: float, person: float) -> dict[str, float]:
    return {"none": none, "person": person}


def test_what_would_do_better_in_the_mean_over_the_folds_is_offered_with_its_price() -> None:
    assert centring_offer("none", [fold(0.3, 0.5), fold(0.5, 0.4)]) == (
        "Each person's mean taken away (--set clips.centre=person) would do better among the training people: "
        "CCC 0.450 instead of 0.400 (ridge regression, each person left out). It gives up the difference of levels "
        "between people."
    )


def test_a_run_without_means_is_told_where_they_would_have_helped() -> None:
    said = centring_offer("person", [fold(0.5, -0.25)])
    assert "mean left in (--set clips.centre=none)" in said and "CCC 0.500 instead of \N{MINUS SIGN}0.250" in said


@pytest.mark.parametrize("centre", ["none", "person"])
def test_what_is_better_already_or_by_little_is_not_offered(centre: str) -> None:
    other = "none" if centre == "person" else "person"
    for gain in (-0.5, 0.0, LEAST_GAIN - 1e-6):
        assert centring_offer(centre, [{centre: 0.25, other: 0.25 + gain}]) == ""
    assert centring_offer(centre, [{centre: 0.25, other: 0.25 + LEAST_GAIN + 1e-6}]) != ""


@pytest.mark.parametrize("folds", [[], [{}], [{"person": 0.9}], [{"none": 0.1}]])
def test_folds_that_do_not_know_it_both_ways_say_nothing(folds: list[dict[str, float]]) -> None:
    assert centring_offer("none", folds) == ""
    assert centring_offer("none", [*folds, fold(0.1, 0.2)]) == centring_offer("none", [fold(0.1, 0.2)]) != ""
