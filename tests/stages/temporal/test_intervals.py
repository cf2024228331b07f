"""Intervals over people: what they are made of, and how often they hold the truth."""

from collections import Counter

import numpy as np
import pytest
import scipy.stats

from affect.stages.temporal.intervals import FISHER_Z, LOG, PLAIN, degrees_of_freedom, jackknife
from affect.tests.simulated_people import World, draw, truth

EXPERIMENTS = 250
# Of so many intervals that hold the truth nine times in ten, fewer do in one case of a thousand.
FEWEST = int(scipy.stats.binom.ppf(1e-3, EXPERIMENTS, 0.9))


@pytest.mark.parametrize("people", [2, 3, 4, 8, 20])
@pytest.mark.parametrize("spans", [(3, 6), (10, 40)], ids=["few spans", "unequal spans"])
def test_nine_of_ten_intervals_hold_the_truth(people: int, spans: tuple[int, int]) -> None:
    world = World(spans)
    true = truth(world, 3000)
    random = np.random.default_rng([people, *spans])
    held: Counter[tuple[str, str]] = Counter()
    for _ in range(EXPERIMENTS):
        for what, scores in draw(world, people, random).numbers().items():
            held.update(
                (what, metric) for metric, score in scores.items() if score.low <= true[what][metric] <= score.high
            )
    assert len(held) == 37
    assert {place: count for place, count in held.items() if count < FEWEST} == {}
    assert sum(held.values()) >= 0.92 * EXPERIMENTS * len(held)


@pytest.mark.parametrize("rows", [[5, 5, 5], [1, 200], [3, 40, 7, 7], list(range(5, 200, 10)), [1, 3, 2, 100_000]])
def test_degrees_of_freedom_are_those_of_the_jackknifes_variance_of_a_weighted_mean(rows: list[int]) -> None:
    share = np.array(rows) / sum(rows)
    # The variance is a sum of squares of x -> share / (1 - share) (x - mean): Satterthwaite from its covariance.
    left = (share / (1 - share))[:, None] * (np.eye(len(rows)) - share)
    spread = left @ left.T
    expected = np.trace(spread) ** 2 / np.sum(spread**2)
    assert degrees_of_freedom(np.array(rows, np.float64)) == pytest.approx(expected, rel=1e-3)


def test_people_with_equal_rows_leave_one_degree_of_freedom_fewer_than_there_are() -> None:
    for people in (2, 3, 20, 500):
        assert degrees_of_freedom(np.full(people, 7.0)) == pytest.approx(people - 1)


def test_a_mean_of_two_people_has_the_interval_of_students_t() -> None:
    values = np.array([1.0, 2.0])
    found = jackknife(1.5, values[::-1], np.ones(2), PLAIN)
    half = 12.7062047 * 0.5  # t(1), and the standard error of the mean
    assert [found.low, found.high] == pytest.approx([1.5 - half, 1.5 + half])


def test_the_side_to_which_people_pull_is_the_longer_one() -> None:
    values = np.array([0.1, 0.12, 0.11, 0.13, 0.9])
    without = (values.sum() - values) / 4
    found = jackknife(values.mean(), without, np.ones(5), PLAIN)
    even = scipy.stats.t.ppf(0.975, 4) * values.std(ddof=1) / np.sqrt(5)
    assert found.low == pytest.approx(values.mean() - even)
    assert found.high > values.mean() + 1.5 * even
    turned = jackknife(-values.mean(), -without, np.ones(5), PLAIN)
    assert [turned.low, turned.high] == pytest.approx([-found.high, -found.low])


def test_an_interval_stays_where_its_number_can_be() -> None:
    without = np.array([0.9, 0.2, 0.99])
    found = jackknife(0.8, without, np.ones(3), FISHER_Z)
    assert -1 <= found.low < 0.8 < found.high <= 1
    found = jackknife(0.8, without, np.ones(3), LOG)
    assert 0 < found.low < 0.8 < found.high
