"""Ridge regression: held against refits by hand, one for each person that is left out and each penalty."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from affect.cache.records import Array
from affect.stages.temporal import ridge
from affect.stages.temporal.metrics import mean_ccc
from affect.stages.temporal.ridge import ALPHAS, fit_ridge
from affect.stages.temporal.scaling import floored_spread

LeftOut = Callable[[Array, Array, Sequence[str]], tuple[Array, Array]]


@pytest.fixture
def left_out(monkeypatch: pytest.MonkeyPatch) -> LeftOut:
    """A function that gives what the choice of a penalty looks at: scores (A, n, K) and the labels (n, K) of them."""

    def scores_of(features: Array, labels: Array, people: Sequence[str]) -> tuple[Array, Array]:
        seen: list[tuple[Array, Array]] = []

        def noted(scores: Array, truth: Array) -> float:
            seen.append((scores, truth))
            return mean_ccc(scores, truth)

        with monkeypatch.context() as patch:
            patch.setattr(ridge, "mean_ccc", noted)
            fit_ridge(features, labels, people)
        return np.stack([scores for scores, _ in seen]), seen[0][1]

    return scores_of


def world(people: int, rows: int, size: int, seed: int = 0) -> tuple[Array, Array, list[str]]:
    """Features (n, size) float32, labels (n, 4) and people (n,).

    Features differ in level and spread, one never varies and one is the double of another; two targets have all
    labels, one lacks a third of them, and one is known where the third is not.
    """
    draw = np.random.default_rng(seed)
    n = people * rows
    features = draw.normal(size=(n, size)) * np.geomspace(0.1, 10, size) + np.linspace(-3, 5, size)
    features[:, 1], features[:, 2] = 4.0, 2 * features[:, 0]
    towards = draw.normal(size=(size, 4)) / np.geomspace(0.1, 10, size)[:, None]
    labels = features @ towards + draw.normal(size=(n, 4)) * 2
    labels[::3, 2] = np.nan
    labels[np.arange(n) % 3 != 0, 3] = np.nan
    return features.astype(np.float32), labels, [f"p{person}" for person in range(people) for _ in range(rows)]


def standardised(features: Array) -> Array:
    x = features.astype(np.float64)
    return np.asarray((x - x.mean(0)) / floored_spread(x.mean(0), (x**2).mean(0)))


def solved(x: Array, y: Array, alpha: float) -> tuple[Array, float]:
    """Weights (X'X + alpha I)^-1 X'y of rows less their mean, and the bias, which has no penalty."""
    middle = x - x.mean(0)
    weight = np.linalg.solve(middle.T @ middle + alpha * np.eye(x.shape[1]), middle.T @ (y - y.mean()))
    return weight, float(y.mean() - x.mean(0) @ weight)


def refitted(features: Array, labels: Array, groups: Array, alpha: float) -> Array:
    """(n, K): each row by a regression on the rows of the other groups, fitted anew; NaN without any."""
    x, scores = standardised(features), np.full(labels.shape, np.nan)
    for target in range(labels.shape[1]):
        known = np.isfinite(labels[:, target])
        for group in np.unique(groups):
            mine, others = known & (groups == group), known & (groups != group)
            if others.any():
                weight, bias = solved(x[others], labels[others, target], alpha)
                scores[mine, target] = x[mine] @ weight + bias
    return scores


@pytest.mark.parametrize("size", [12, 60], ids=["more rows than features", "more features than rows"])
@pytest.mark.parametrize("people", [5, 2, 1])
def test_left_out_scores_are_those_of_regressions_that_never_saw_the_person_or_the_fifth(
    left_out: LeftOut, people: int, size: int
) -> None:
    features, labels, names = world(people, 45 // people, size)
    fifths = np.arange(len(labels)) * 5 // len(labels)
    groups = np.array(names) if people >= 3 else fifths
    found, _ = left_out(features, labels, names)
    assert len(found) == len(ALPHAS)
    for scores, alpha in zip(found, ALPHAS, strict=True):
        np.testing.assert_allclose(scores, refitted(features, labels, groups, alpha), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [12, 60])
def test_the_penalty_is_the_one_whose_left_out_scores_agree_best(size: int, seed: int) -> None:
    features, labels, people = world(5, 9, size, seed)
    ccc = [mean_ccc(refitted(features, labels, np.array(people), alpha), labels) for alpha in ALPHAS]
    best = int(np.argmax(ccc))
    assert 0 < best < len(ALPHAS) - 1 and sorted(ccc)[-2] < ccc[best] - 1e-6, "so that there is one best"
    found = fit_ridge(features, labels, people)
    assert found.alpha == ALPHAS[best]
    assert found.left_out_ccc == pytest.approx(ccc[best], abs=1e-8)


def test_the_grid_goes_from_a_thousandth_to_a_million_in_half_decades() -> None:
    assert ALPHAS[0] == pytest.approx(1e-3) and ALPHAS[-1] == pytest.approx(1e6)
    np.testing.assert_allclose(np.diff(np.log10(ALPHAS)), 0.5)
    features = np.random.default_rng(0).normal(size=(60, 5))
    people = [f"p{row // 10}" for row in range(60)]
    exact = fit_ridge(features, features[:, :1] * 2 + 1, people)
    assert exact.alpha == ALPHAS[0], "without noise, the least penalty is best"
    noise = fit_ridge(features, np.random.default_rng(1).normal(size=(60, 1)), people)
    assert noise.alpha > 1, "and it is none where there is nothing to learn"


@pytest.mark.parametrize("size", [12, 60])
def test_weights_are_those_of_the_closed_form_on_the_rows_that_have_the_target(size: int) -> None:
    features, labels, people = world(5, 9, size)
    x = standardised(features)
    for alpha in (1e-3, 1.0, 1e3):
        found = fit_ridge(features, labels, people, [alpha])
        assert found.alpha == alpha
        for target in range(4):
            known = np.isfinite(labels[:, target])
            weight, bias = solved(x[known], labels[known, target], alpha)
            np.testing.assert_allclose(found.weight[:, target], weight, rtol=1e-8, atol=1e-8)
            assert found.bias[target] == pytest.approx(bias, abs=1e-8)
            np.testing.assert_allclose(found.predict(features)[:, target], x @ weight + bias, rtol=1e-7, atol=1e-7)


def test_a_person_who_alone_has_a_target_still_teaches_it_but_has_no_say_in_the_penalty(left_out: LeftOut) -> None:
    features, labels, people = world(5, 9, 12)
    others = np.array(people) != "p3"
    alone = labels[:, :2].copy()
    alone[others, 1] = np.nan
    scores, _ = left_out(features, alone, people)
    assert np.isnan(scores[:, :, 1]).all() and np.isfinite(scores[:, :, 0]).all()
    found, first = fit_ridge(features, alone, people), fit_ridge(features, alone[:, :1], people)
    assert found.alpha == first.alpha
    assert found.left_out_ccc == pytest.approx(first.left_out_ccc / 2), "a target without a CCC counts as 0"
    weight, bias = solved(standardised(features)[~others], alone[~others, 1], found.alpha)
    np.testing.assert_allclose(found.weight[:, 1], weight, atol=1e-8)
    assert found.bias[1] == pytest.approx(bias)


def test_a_target_that_nobody_has_gets_no_score_and_takes_nothing_from_the_others() -> None:
    features, labels, people = world(5, 9, 12)
    labels[:, 1] = np.nan
    found, without = fit_ridge(features, labels, people, [1.0]), fit_ridge(features, labels[:, [0, 2, 3]], people, [1])
    scores = found.predict(features)
    assert np.isnan(scores[:, 1]).all()
    np.testing.assert_allclose(scores[:, [0, 2, 3]], without.predict(features))


def test_of_more_rows_than_a_regression_is_fitted_on_some_are_drawn_with_their_people(
    left_out: LeftOut, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, labels, people = world(6, 50, 12)
    whole = fit_ridge(features, labels, people)
    monkeypatch.setattr(ridge, "MOST_SPANS", len(labels))
    np.testing.assert_array_equal(fit_ridge(features, labels, people).weight, whole.weight)
    monkeypatch.setattr(ridge, "MOST_SPANS", 120)
    scores, truth = left_out(features, labels, people)
    kept = np.flatnonzero(np.isin(labels[:, 0], truth[:, 0]))
    assert len(kept) == len(truth) == 120 and len({people[row] for row in kept}) == 6
    groups = np.array(people)[kept]
    np.testing.assert_allclose(scores[6], refitted(features[kept], labels[kept], groups, ALPHAS[6]), atol=1e-8)
    np.testing.assert_array_equal(fit_ridge(features, labels, people).weight, fit_ridge(
        features[kept], labels[kept], groups.tolist()).weight)  # fmt: skip


def test_thinning_leaves_every_target_its_rows_where_two_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    # A table in which each span has a line for each of two instruments.
    features, labels, people = world(6, 50, 12)
    labels = labels[:, :2]
    labels[0::2, 0], labels[1::2, 1] = np.nan, np.nan
    monkeypatch.setattr(ridge, "MOST_SPANS", 150)
    found = fit_ridge(features, labels, people)
    assert np.isfinite(found.bias).all() and found.left_out_ccc > 0.7
