"""Two people go together where they do, and not more often than chance where they do not."""

import numpy as np
import pytest

from affect.stages.description.synchrony import LEAST_TOGETHER_S, synchrony

STEP_S = 0.2


def slow_noise(random: np.random.Generator, count: int, memory: float = 0.9) -> np.ndarray:
    """As movements are: the next value is much like this one."""
    drive, values = random.normal(size=count), np.zeros(count)
    for place in range(1, count):
        values[place] = memory * values[place - 1] + drive[place]
    return values


@pytest.mark.parametrize("memory", [0.5, 0.9, 0.97])
def test_people_who_do_not_react_to_each_other_are_rarely_found_together(memory: float) -> None:
    random = np.random.default_rng(1)
    found = [synchrony(slow_noise(random, 900, memory), slow_noise(random, 900, memory), STEP_S).p for _ in range(120)]
    assert np.mean(np.array(found) <= 0.05) < 0.11  # .05, and twice its standard error
    assert 0.35 < np.mean(found) < 0.65


def test_the_shortest_time_that_is_compared_is_long_enough_to_tell_chance() -> None:
    random, count = np.random.default_rng(7), int(LEAST_TOGETHER_S / STEP_S)
    found = [synchrony(slow_noise(random, count), slow_noise(random, count), STEP_S).p for _ in range(80)]
    assert np.mean(np.array(found) <= 0.05) < 0.11, "half as long it is .18"


def test_who_follows_and_by_how_much() -> None:
    random = np.random.default_rng(2)
    lead = slow_noise(random, 1500)
    follow = np.roll(lead, 5) + slow_noise(random, 1500)
    found = synchrony(lead, follow, STEP_S)
    assert found.p <= 0.02 and found.synchrony > found.chance
    assert found.lag_s == pytest.approx(5 * STEP_S, abs=STEP_S)
    assert synchrony(follow, lead, STEP_S).lag_s == pytest.approx(-5 * STEP_S, abs=STEP_S)


def test_people_of_whom_one_moves_while_the_other_rests_follow_each_other_at_no_lag() -> None:
    random = np.random.default_rng(5)
    for _ in range(3):
        moves = slow_noise(random, 1500)
        found = synchrony(moves, 0.3 * slow_noise(random, 1500) - moves, STEP_S)
        assert found.p <= 0.02 and np.isnan(found.lag_s)


def test_gaps_are_no_agreement() -> None:
    """Two people who leave the picture at once, and have nothing else in common."""
    random = np.random.default_rng(3)
    p = []
    for _ in range(40):
        first, second = slow_noise(random, 1200), slow_noise(random, 1200)
        away = np.repeat(random.random(24) < 0.3, 50)
        first[away], second[away] = np.nan, np.nan
        p.append(synchrony(first, second, STEP_S).p)
    assert np.mean(np.array(p) <= 0.05) < 0.18


def test_too_short_or_without_change_says_nothing() -> None:
    random = np.random.default_rng(4)
    short = int(LEAST_TOGETHER_S / STEP_S) - 1
    for first, second in (
        (slow_noise(random, short), slow_noise(random, short)),
        (np.ones(900), np.ones(900)),
        (np.full(900, np.nan), slow_noise(random, 900)),
        (np.zeros(0), np.zeros(0)),
    ):
        found = synchrony(first, second, STEP_S)
        assert np.isnan(found.synchrony) and np.isnan(found.p) and np.isnan(found.lag_s)
