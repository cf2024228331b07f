import math

import numpy as np
import pytest

from affect.stages.temporal.metrics import (
    METRICS,
    Metric,
    evaluate,
    evaluate_subjects,
    mean_ccc,
    mean_over_subjects,
    paired_difference,
)


def test_metrics_agree_with_numbers_worked_by_hand() -> None:
    # Deviations: prediction -1.5 -0.5 0.5 1.5 around 2.5, label -2 0 0 2 around 3; cov 6/4, variances 1.25 and 2.
    prediction, label = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 3, 5])
    scores = evaluate(prediction, label, ["a"] * 4, 0, 0)
    assert scores["ccc"].value == pytest.approx(2 * 1.5 / (1.25 + 2 + 0.25))
    assert scores["pcc"].value == pytest.approx(1.5 / math.sqrt(2.5))
    assert scores["mae"].value == pytest.approx(0.5)
    assert scores["rmse"].value == pytest.approx(math.sqrt(0.5))
    assert scores["icc"].value == pytest.approx(3 / 3.25)
    assert math.isnan(scores["ccc"].low)  # one subject has no spread over subjects


def test_metrics_agree_with_torchmetrics_scipy_and_an_analysis_of_variance() -> None:
    import scipy.stats
    import torch
    import torchmetrics.functional.regression as reference

    rng = np.random.default_rng(0)
    label = rng.normal(50, 3, 4000)  # far from zero, where sums of squares lose digits
    prediction = 10 + 0.7 * label + rng.normal(0, 2, 4000)
    scores = evaluate(prediction, label, ["a"] * 4000, 0, 0)
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


def test_missing_labels_are_left_out_and_a_constant_prediction_has_a_defined_result() -> None:
    label = np.array([0.1, np.nan, 0.5, 0.9])
    whole = evaluate(np.array([0.2, 0.4, 0.7]), label[[0, 2, 3]], ["a"] * 3, 0, 0)
    assert evaluate(np.array([0.2, 9.0, 0.4, 0.7]), label, ["a"] * 4, 0, 0) == whole or all(
        evaluate(np.array([0.2, 9.0, 0.4, 0.7]), label, ["a"] * 4, 0, 0)[name].value == whole[name].value
        for name in METRICS
    )
    flat = evaluate(np.full(4, 0.3), label, ["a"] * 4, 0, 0)
    assert flat["ccc"].value == 0
    assert math.isnan(flat["pcc"].value) and flat["pcc"].reason == "predictions are constant"
    assert flat["pcc"].to_json()["value"] is None
    assert evaluate(np.ones(1), np.ones(1), ["a"], 0, 0)["ccc"].reason is not None
    assert math.isnan(evaluate(np.ones(2), np.full(2, np.nan), ["a"] * 2, 9, 0)["mae"].value)
    assert mean_ccc(np.full((4, 2), 0.3), np.stack([label, label], 1)) == 0


def test_the_interval_is_that_of_drawing_whole_subjects_again() -> None:
    rng = np.random.default_rng(1)
    subject = np.repeat([f"s{number}" for number in range(12)], 9)
    label = rng.normal(size=108)
    prediction = 0.6 * label + np.repeat(rng.normal(0, 0.4, 12), 9) + rng.normal(0, 0.3, 108)
    scores = evaluate(prediction, label, subject.tolist(), 4000, 5)
    slow = []
    for _ in range(1500):
        drawn = rng.integers(0, 12, 12)
        rows = np.concatenate([np.flatnonzero(subject == f"s{number}") for number in drawn])
        slow.append(evaluate(prediction[rows], label[rows], ["a"] * len(rows), 0, 0)["ccc"].value)
    assert scores["ccc"].low == pytest.approx(np.percentile(slow, 2.5), abs=0.02)
    assert scores["ccc"].high == pytest.approx(np.percentile(slow, 97.5), abs=0.02)
    assert evaluate(prediction, label, subject.tolist(), 4000, 5) == scores
    alone = evaluate_subjects(prediction, label, subject.tolist())
    assert set(alone) == set(subject.tolist())
    one = subject == "s3"
    expected = evaluate(prediction[one], label[one], ["s3"] * 9, 0, 0)
    assert all(alone["s3"][name].value == pytest.approx(expected[name].value) for name in METRICS)

    better = paired_difference(label, prediction, label, subject.tolist(), bootstrap=500, seed=0)
    assert better["ccc"].value == pytest.approx(1 - scores["ccc"].value)
    assert better["ccc"].low > 0 and better["rmse"].high < 0


def plain_ccc(prediction: np.ndarray, label: np.ndarray) -> float:
    cov = np.mean((prediction - prediction.mean()) * (label - label.mean()))
    return float(2 * cov / (prediction.var() + label.var() + (prediction.mean() - label.mean()) ** 2))


def drawn_again(subjects: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, subjects): how often each subject is drawn."""
    return np.random.default_rng(seed).multinomial(subjects, [1 / subjects] * subjects, size=resamples)


def test_the_interval_leaves_two_and_a_half_percent_of_the_resamples_on_either_side() -> None:
    rng = np.random.default_rng(2)
    subject = np.repeat(np.arange(8), 5)
    label, other = rng.normal(size=40), rng.normal(size=40)
    prediction, worse = 0.7 * label + 0.4 * rng.normal(size=40), 0.3 * label + 0.6 * other
    rows = [np.repeat(np.arange(40), np.repeat(counts, 5)) for counts in drawn_again(8, 400, 7)]
    ccc = [plain_ccc(prediction[row], label[row]) for row in rows]
    rmse = [np.sqrt(np.mean((prediction[row] - label[row]) ** 2)) for row in rows]
    gain = [plain_ccc(prediction[row], label[row]) - plain_ccc(worse[row], label[row]) for row in rows]

    scores = evaluate(prediction, label, subject.astype(str).tolist(), 400, 7)
    assert [scores["ccc"].low, scores["ccc"].high] == pytest.approx(np.percentile(ccc, [2.5, 97.5]).tolist(), abs=1e-9)
    assert [scores["rmse"].low, scores["rmse"].high] == pytest.approx(
        np.percentile(rmse, [2.5, 97.5]).tolist(), abs=1e-9
    )
    difference = paired_difference(prediction, worse, label, subject.astype(str).tolist(), bootstrap=400, seed=7)["ccc"]
    assert [difference.low, difference.high] == pytest.approx(np.percentile(gain, [2.5, 97.5]).tolist(), abs=1e-9)


def test_a_mean_over_subjects_has_the_interval_of_drawing_subjects_again() -> None:
    values = np.array([0.1, np.nan, 0.4, -0.2, 0.3])
    known = values[[0, 2, 3, 4]]
    means = [float(np.repeat(known, counts).mean()) for counts in drawn_again(4, 300, 3)]
    score = mean_over_subjects(values, bootstrap=300, seed=3)
    assert score.value == pytest.approx(0.15)
    assert [score.low, score.high] == pytest.approx(np.percentile(means, [2.5, 97.5]).tolist(), abs=1e-12)
    for few, bootstrap in ((values[:2], 300), (values, 0)):
        assert not mean_over_subjects(few, bootstrap=bootstrap, seed=3).bounded
    nothing = mean_over_subjects(np.full(3, np.nan), bootstrap=300, seed=3)
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
    scores = evaluate(2 * label + 1, label, subjects, 100, 0)
    assert scores["bias"].value == pytest.approx(label.mean() + 1)
    assert scores["bias"].low < scores["bias"].value < scores["bias"].high
    assert scores["spread"].value == pytest.approx(4)
    flat = evaluate(np.ones(30), label, subjects, 0, 0)
    assert flat["spread"].reason == "predictions are constant" and flat["bias"].reason is None
