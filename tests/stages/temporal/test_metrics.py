import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats

from affect.cache.metrics import Score
from affect.stages.temporal.intervals import FISHER_Z, jackknife
from affect.stages.temporal.metrics import (
    METRICS,
    Metric,
    estimate,
    estimate_subjects,
    evaluate,
    evaluate_subjects,
    mean_ccc,
    mean_over_subjects,
    mean_over_targets,
    paired_difference,
)


def test_metrics_agree_with_numbers_worked_by_hand() -> None:
    # Deviations: prediction -1.5 -0.5 0.5 1.5 around 2.5, label -2 0 0 2 around 3; cov 6/4, variances 1.25 and 2.
    prediction, label = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 3, 5])
    scores = evaluate(prediction, label, ["a"] * 4)
    assert scores["ccc"].value == pytest.approx(2 * 1.5 / (1.25 + 2 + 0.25))
    assert scores["pcc"].value == pytest.approx(1.5 / math.sqrt(2.5))
    assert scores["mae"].value == pytest.approx(0.5)
    assert scores["rmse"].value == pytest.approx(math.sqrt(0.5))
    assert scores["icc"].value == pytest.approx(3 / 3.25)


def test_metrics_agree_with_torchmetrics_scipy_and_an_analysis_of_variance() -> None:
    import torch
    import torchmetrics.functional.regression as reference

    rng = np.random.default_rng(0)
    label = rng.normal(50, 3, 4000)  # far from zero, where sums of squares lose digits
    prediction = 10 + 0.7 * label + rng.normal(0, 2, 4000)
    scores = evaluate(prediction, label, ["a"] * 4000)
    a, b = torch.from_numpy(prediction), torch.from_numpy(label)
    assert scores["pcc"].value == pytest.approx(float(scipy.stats.pearsonr(prediction, label)[0]), rel=1e-10)
    assert scores["ccc"].value == pytest.approx(float(reference.concordance_corrcoef(a, b)), rel=1e-3)  # n-1 there
    assert scores["mae"].value == pytest.approx(float(reference.mean_absolute_error(a, b)), rel=1e-10)
    assert scores["rmse"].value == pytest.approx(float(reference.mean_squared_error(a, b, squared=False)), rel=1e-10)

    ratings = np.stack([prediction, label], 1)
    rows, columns, grand = ratings.mean(1), ratings.mean(0), ratings.mean()
    between = 2 * ((rows - grand) ** 2).sum() / (len(ratings) - 1)
    residual = ((ratings - rows[:, None] - columns + grand) ** 2).sum() / (len(ratings) - 1)
    assert scores["icc"].value == pytest.approx((between - residual) / (between + residual), rel=1e-9)
    raters = len(ratings) * ((columns - grand) ** 2).sum()
    whole = between + residual + 2 * (raters - residual) / len(ratings)
    assert scores["icc21"].value == pytest.approx((between - residual) / whole, rel=1e-9)
    assert scores["icc21"].value < scores["icc"].value - 0.3  # the predictions are too low by half a spread


def test_icc_forgives_a_constant_error_and_icc21_does_not() -> None:
    label = np.random.default_rng(0).normal(size=50)
    scores = evaluate(label + 5, label, ["a"] * 50)
    assert scores["icc"].value == pytest.approx(1) and scores["icc21"].value < 0.1


def test_missing_labels_are_left_out_and_a_constant_prediction_has_a_defined_result() -> None:
    label = np.array([0.1, np.nan, 0.5, 0.9])
    whole = evaluate(np.array([0.2, 0.4, 0.7]), label[[0, 2, 3]], ["a"] * 3)
    assert evaluate(np.array([0.2, 9.0, 0.4, 0.7]), label, ["a"] * 4) == whole or all(
        evaluate(np.array([0.2, 9.0, 0.4, 0.7]), label, ["a"] * 4)[name].value == whole[name].value for name in METRICS
    )
    flat = evaluate(np.full(4, 0.3), label, ["a"] * 4)
    assert flat["ccc"].value == 0
    assert math.isnan(flat["pcc"].value) and flat["pcc"].reason == "predictions are constant"
    assert flat["pcc"].to_json()["value"] is None
    assert evaluate(np.ones(1), np.ones(1), ["a"])["ccc"].reason is not None
    assert math.isnan(evaluate(np.ones(2), np.full(2, np.nan), ["a"] * 2)["mae"].value)
    assert mean_ccc(np.full((4, 2), 0.3), np.stack([label, label], 1)) == 0


def test_each_subject_has_the_metrics_of_its_own_rows() -> None:
    label, prediction, subject = people(12, 9)
    alone = evaluate_subjects(prediction, label, subject.tolist())
    assert set(alone) == set(subject.tolist())
    one = subject == "3"
    expected = evaluate(prediction[one], label[one], ["3"] * 9)
    assert all(alone["3"][name].value == pytest.approx(expected[name].value) for name in METRICS)
    means = estimate_subjects(prediction, label, subject.tolist()).over_subjects()
    for name in METRICS:
        values = [scores[name].value for scores in alone.values()]
        assert means[name].value == pytest.approx(np.mean(values)) and means[name].parts == 12
        assert means[name].score.low < means[name].value < means[name].score.high


def people(count: int, rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(labels, predictions, subjects): each person's predictions have a bias."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(count), rows).astype(str)
    label = rng.normal(size=count * rows)
    bias, noise = np.repeat(rng.normal(0, 0.4, count), rows), rng.normal(0, 0.3, count * rows)
    return label, 0.6 * label + bias + noise, subject


def plain_ccc(prediction: np.ndarray, label: np.ndarray) -> float:
    cov = np.mean((prediction - prediction.mean()) * (label - label.mean()))
    return float(2 * cov / (prediction.var() + label.var() + (prediction.mean() - label.mean()) ** 2))


def by_hand(value: float, without: np.ndarray, there: Callable[..., Any], back: Callable[..., Any]) -> list[float]:
    """The interval of a number over n people with as many rows each, and without each of them."""
    n, middle, moved = len(without), there(value), there(without)
    error = math.sqrt((n - 1) / n * sum((one - middle) ** 2 for one in moved))
    influence = -(moved - moved.mean())
    skewness = sum(influence**3) / n / (sum(influence**2) / n) ** 1.5
    reach = scipy.stats.t.ppf(0.975, n - 1)
    more = skewness / (6 * math.sqrt(n)) * (1 + 2 * reach**2)  # Johnson 1978
    return [
        float(back(middle - (reach + max(0, -more)) * error)),
        float(back(middle + (reach + max(0, more)) * error)),
    ]


def identity(value: Any) -> Any:
    return value


def test_the_interval_comes_from_leaving_out_one_person_at_a_time_on_the_metrics_own_scale() -> None:
    label, prediction, subject = people(8, 5)
    worse = prediction + np.random.default_rng(3).normal(0, 0.4, 40)
    rows = [subject != str(number) for number in range(8)]
    ccc = np.array([plain_ccc(prediction[row], label[row]) for row in rows])
    rmse = np.array([np.sqrt(np.mean((prediction[row] - label[row]) ** 2)) for row in rows])
    gain = ccc - [plain_ccc(worse[row], label[row]) for row in rows]
    own = np.array([plain_ccc(prediction[~row], label[~row]) for row in rows])

    scores = evaluate(prediction, label, subject.tolist())
    assert ends(scores["ccc"]) == pytest.approx(by_hand(scores["ccc"].value, ccc, np.arctanh, np.tanh), abs=1e-9)
    assert ends(scores["rmse"]) == pytest.approx(by_hand(scores["rmse"].value, rmse, np.log, np.exp), abs=1e-9)
    found = paired_difference(prediction, worse, label, subject.tolist()).scores()["ccc"]
    assert found.value == pytest.approx(plain_ccc(prediction, label) - plain_ccc(worse, label))
    assert ends(found) == pytest.approx(by_hand(found.value, gain, identity, identity), abs=1e-9)
    mean = estimate_subjects(prediction, label, subject.tolist()).scores()["ccc"]
    without = np.array([np.delete(own, number).mean() for number in range(8)])
    assert ends(mean) == pytest.approx(by_hand(own.mean(), without, np.arctanh, np.tanh), abs=1e-9)
    assert ends(mean_over_subjects(own)) == pytest.approx(by_hand(own.mean(), without, identity, identity), abs=1e-9)


def ends(score: Score) -> list[float]:
    return [score.low, score.high]


def test_the_mean_over_targets_leaves_the_same_person_out_of_all_of_them() -> None:
    label, prediction, subject = people(6, 7)
    other, guess, _ = people(6, 7, seed=2)
    guess[subject == "4"] = np.nan  # whom the second target does not know
    targets = [estimate(*pair, subject.tolist()) for pair in ((prediction, label), (guess, other))]
    mean = mean_over_targets(targets).over_targets()["ccc"]
    assert mean.parts == 2
    known = subject != "4"
    whole = [plain_ccc(prediction, label), plain_ccc(guess[known], other[known])]
    assert mean.value == pytest.approx(np.mean(whole))
    without = np.array(
        [
            (plain_ccc(prediction[row], label[row]) + plain_ccc(guess[row & known], other[row & known])) / 2
            for row in (subject != str(number) for number in range(6))
        ]
    )
    # One person has half of the others' rows, which the degrees of freedom count.
    found = jackknife(mean.value, without, np.array([14.0, 14, 14, 14, 7, 14]), FISHER_Z)
    assert ends(mean.score) == pytest.approx([found.low, found.high], abs=1e-9)


def test_metrics_without_a_meaning_are_said_in_words_and_have_no_interval() -> None:
    label, prediction, subject = people(5, 6)
    names = subject.tolist()
    flat = evaluate(np.full(30, 0.2), label, names)
    assert flat["ccc"].value == 0 and not flat["ccc"].told and not flat["ccc"].bounded
    assert flat["icc21"].reason == "predictions are constant" and flat["mae"].bounded
    known = evaluate(prediction, np.full(30, 0.2), names)
    assert math.isnan(known["ccc"].value) and known["ccc"].reason == "labels are constant"
    assert math.isnan(known["icc"].value) and known["rmse"].bounded
    alone = evaluate(prediction, label, ["a"] * 30)
    assert alone["ccc"].told and not alone["ccc"].bounded and alone["ccc"].no_interval == "one subject: no interval"
    single = paired_difference(prediction, label, label, ["a"] * 30).scores()["mae"]
    assert single.no_interval == "one subject: no interval"
    within = estimate_subjects(np.repeat(np.arange(5.0), 6), label, names).scores()
    assert within["ccc"].reason == within["pcc"].reason == "predictions are constant within each subject"
    assert within["mae"].bounded
    once = estimate_subjects(prediction[:5], label[:5], list("abcde")).scores()
    assert once["ccc"].reason == "no subject has one of its own" and once["mae"].bounded
    together = mean_over_targets([estimate(np.full(30, 0.2), label, names)] * 2).over_targets()
    assert together["ccc"].score.reason == "predictions are constant"


def test_a_number_that_hangs_on_one_person_has_no_interval() -> None:
    label, prediction, subject = people(4, 6)
    labels = np.where(subject == "2", label, 0.5)  # without this person the labels are constant
    hangs = evaluate(prediction, labels, subject.tolist())
    assert hangs["ccc"].told and hangs["ccc"].no_interval == "none: hangs on one subject"
    assert hangs["mae"].bounded
    wrong = np.where(subject == "2", prediction, label)  # and without this one there is no error
    hangs = evaluate(wrong, label, subject.tolist())
    assert hangs["rmse"].no_interval == "none: hangs on one subject" and hangs["ccc"].bounded
    pair = evaluate(prediction[[0, 6]], label[[0, 6]], ["a", "b"])
    assert pair["pcc"].value == pytest.approx(1) or pair["pcc"].value == pytest.approx(-1)
    assert pair["pcc"].no_interval == "none: hangs on one subject" and pair["mae"].bounded


def test_perfect_predictions_have_an_interval_without_a_length_and_nearly_perfect_ones_stay_within_one() -> None:
    label, prediction, subject = people(4, 6)
    perfect = evaluate(label, label, subject.tolist())
    assert ends(perfect["ccc"]) == pytest.approx([1, 1], abs=1e-8) and ends(perfect["mae"]) == [0, 0]
    three = evaluate(prediction[:3], label[:3], list("abc"))  # two rows always correlate by 1 or -1
    assert -1 <= three["pcc"].low < three["pcc"].high <= 1 and three["pcc"].high - three["pcc"].low > 1.9
    nearly = evaluate(np.where(subject == "1", prediction, label), label, subject.tolist())["ccc"]
    assert -1 <= nearly.low < nearly.value < nearly.high <= 1
    same = paired_difference(prediction, prediction, label, subject.tolist()).scores()
    assert [same["ccc"].value, *ends(same["ccc"])] == [0, 0, 0]


def test_an_infinite_prediction_is_counted_and_not_left_out() -> None:
    label, prediction, subject = people(4, 6)
    prediction[3], prediction[4], names = np.inf, np.nan, subject.tolist()
    for scores in (
        evaluate(prediction, label, names),
        estimate_subjects(prediction, label, names).scores(),
        paired_difference(label, prediction, label, names).scores(),
        mean_over_targets([estimate(prediction, label, names)]).scores(),
    ):
        assert all(math.isnan(score.value) and not score.bounded for score in scores.values())
        assert {score.reason for score in scores.values()} == {"1 of 23 predictions are infinite"}
    assert math.isnan(evaluate_subjects(prediction, label, names)["0"]["mae"].value)
    assert mean_ccc(prediction[:, None], label[:, None]) == 0
    huge = evaluate(np.where(np.isnan(prediction), 0.0, 1e200), label, names)["rmse"]
    assert math.isnan(huge.value) and huge.reason == "not defined by these numbers"


def test_a_difference_is_on_the_rows_that_both_methods_have() -> None:
    label, prediction, subject = people(4, 6)
    other = prediction + 0.1
    other[:3] = np.nan
    found = paired_difference(prediction, other, label, subject.tolist()).scores()["mae"]
    error = np.abs(prediction[3:] - label[3:]).mean() - np.abs(other[3:] - label[3:]).mean()
    assert found.value == pytest.approx(error)
    nothing = paired_difference(prediction, np.full(24, np.nan), label, subject.tolist()).scores()["ccc"]
    assert math.isnan(nothing.value) and nothing.reason == "no row has both a prediction and a label"


def test_a_mean_over_subjects_leaves_out_who_has_none() -> None:
    values = np.array([0.1, np.nan, 0.4, -0.2, 0.3])
    score = mean_over_subjects(values)
    assert score.value == pytest.approx(0.15) and ends(score) == ends(mean_over_subjects(values[[0, 2, 3, 4]]))
    assert mean_over_subjects(values[:2]).no_interval == "one subject: no interval"
    nothing = mean_over_subjects(np.full(3, np.nan))
    assert math.isnan(nothing.value) and nothing.reason


def test_a_target_without_a_ccc_counts_as_zero_in_the_mean() -> None:
    label = np.array([0.1, 0.4, 0.9])
    never, once = np.full(3, np.nan), np.array([np.nan, 0.4, np.nan])
    assert mean_ccc(np.stack([label, label], 1), np.stack([label, never], 1)) == pytest.approx(0.5)
    assert mean_ccc(np.stack([label, label, label, label], 1), np.stack([label, never, once, label], 1)) == 0.5
    assert mean_ccc(never[:, None], label[:, None]) == 0


def test_another_metric_is_one_entry_and_has_intervals_and_reasons_as_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METRICS, "bias", Metric(lambda of: of.prediction - of.label))
    monkeypatch.setitem(
        METRICS, "spread", Metric(lambda of: of.prediction_variance / of.label_variance, needs_spread=True)
    )
    rng = np.random.default_rng(4)
    label = rng.normal(3, 1, 30)
    subjects = np.repeat(list("abcde"), 6).tolist()
    scores = evaluate(2 * label + 1, label, subjects)
    assert scores["bias"].value == pytest.approx(label.mean() + 1)
    assert scores["bias"].low < scores["bias"].value < scores["bias"].high
    assert scores["spread"].value == pytest.approx(4)
    flat = evaluate(np.ones(30), label, subjects)
    assert flat["spread"].reason == "predictions are constant" and flat["bias"].reason is None
