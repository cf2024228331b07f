"""Agreement of predictions with labels: CCC, PCC, MAE, RMSE and ICC, with intervals over subjects.

All of them follow from a few sums, so a resample of subjects costs a matrix product and not a pass over the data; the
value of a resample that draws every subject once is the reported value itself. torchmetrics has no ICC, and its CCC
takes sample variances where Lin's, and the paper's, takes the population's; tests hold these numbers against it, scipy
and an analysis of variance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.predictions import Score
from ...cache.records import Array

INTERVAL = (2.5, 97.5)  # percentiles of the resamples
INTERVAL_WORDS = f"{INTERVAL[1] - INTERVAL[0]:g} %", "bootstrap over subjects"
ICC = "ICC(3,1)"


@dataclass(frozen=True, slots=True)
class Moments:
    """What every metric is made of: means over each of R groups of rows, all (R,).

    Predictions and labels are both taken less the labels' mean over all groups, so their levels mean something only
    beside each other. Variances and covariance are the population's; NaN covariance: fewer than two rows.
    """

    prediction: Array
    label: Array
    prediction_variance: Array
    label_variance: Array
    covariance: Array
    absolute_error: Array
    squared_error: Array


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: (R,) from the moments of R groups, all resamples at once."""

    of: Callable[[Moments], Array]
    needs_spread: bool = False  # says nothing where predictions or labels are constant, or of a single row


def ccc(of: Moments) -> Array:
    """Concordance correlation. Source: Lin 1989, with population variances."""
    distance = (of.prediction - of.label) ** 2
    agreement: Array = 2 * of.covariance / (of.prediction_variance + of.label_variance + distance)
    return agreement


def pcc(of: Moments) -> Array:
    """Pearson's correlation."""
    correlation: Array = np.clip(of.covariance / np.sqrt(of.prediction_variance * of.label_variance), -1.0, 1.0)
    return correlation


def icc(of: Moments) -> Array:
    """ICC(3,1), two-way mixed, consistency, single rater, with labels and predictions as the two raters.

    (MSR - MSE) / (MSR + MSE) of two raters is 2 cov / (var_a + var_b). Source: Shrout & Fleiss 1979.
    """
    consistency: Array = 2 * of.covariance / (of.prediction_variance + of.label_variance)
    return consistency


METRICS: dict[str, Metric] = {  # in the order of metrics.json; `stages.views.rules.METRICS` names them for readers
    "ccc": Metric(ccc, needs_spread=True),
    "pcc": Metric(pcc, needs_spread=True),
    "mae": Metric(lambda of: of.absolute_error),
    "rmse": Metric(lambda of: np.sqrt(of.squared_error)),
    "icc": Metric(icc, needs_spread=True),
}


def evaluate(prediction: Array, label: Array, subject: Sequence[str], bootstrap: int, seed: int) -> dict[str, Score]:
    """Every metric of one target over all rows, pooled, with intervals from resampling whole subjects.

    prediction, label (N,): the target's own units; rows with NaN on either side are left out. bootstrap: resamples,
    0 for none. Source of the interval: percentile bootstrap over clusters (Davison & Hinkley 1997, section 3.8).
    """
    used = np.isfinite(prediction) & np.isfinite(label)
    a, b = prediction[used].astype(np.float64), label[used].astype(np.float64)
    names, group = np.unique(np.asarray(subject, dtype=str)[used], return_inverse=True)
    values = from_sums(_sums(a, b, np.zeros(len(a), np.int64), 1))
    reasons = _reasons(a, b)
    if bootstrap and len(names) > 1:
        draws = _draws(len(names), bootstrap, seed)
        resampled = from_sums(draws @ _sums(a, b, group, len(names)))
        bounds = {name: _interval(column) for name, column in resampled.items()}
    else:
        bounds = {name: (float("nan"), float("nan")) for name in METRICS}
    return {name: Score(float(values[name][0]), *bounds[name], reason=reasons.get(name)) for name in METRICS}


def evaluate_subjects(prediction: Array, label: Array, subject: Sequence[str]) -> dict[str, dict[str, Score]]:
    """Subject -> metrics of that subject's rows alone, without intervals."""
    names, group = np.unique(np.asarray(subject, dtype=str), return_inverse=True)
    used = np.isfinite(prediction) & np.isfinite(label)
    a, b = prediction[used].astype(np.float64), label[used].astype(np.float64)
    values = from_sums(_sums(a, b, group[used], len(names)))
    return {
        str(name): {metric: Score(float(values[metric][number])) for metric in METRICS}
        for number, name in enumerate(names)
    }


def paired_difference(
    first: Array, second: Array, label: Array, subject: Sequence[str], *, bootstrap: int, seed: int
) -> dict[str, Score]:
    """Metrics of `first` minus those of `second` on the same rows, each resample drawing the same subjects for both."""
    used = np.isfinite(first) & np.isfinite(second) & np.isfinite(label)
    if not used.any():
        return dict.fromkeys(METRICS, Score(float("nan"), reason="no row has a label and both predictions"))
    b = label[used].astype(np.float64)
    names, group = np.unique(np.asarray(subject, dtype=str)[used], return_inverse=True)
    draws = np.vstack([np.ones((1, len(names))), _draws(len(names), bootstrap, seed)])
    sides = [from_sums(draws @ _sums(side[used].astype(np.float64), b, group, len(names))) for side in (first, second)]
    scores = {}
    for name in METRICS:
        difference = sides[0][name] - sides[1][name]
        bounds = _interval(difference[1:]) if len(names) > 1 and bootstrap else (float("nan"), float("nan"))
        scores[name] = Score(float(difference[0]), *bounds)
    return scores


def mean_over_subjects(values: Array, *, bootstrap: int, seed: int) -> Score:
    """Mean of a number that each subject has, with its interval from resampling subjects.

    values (S,): NaN for subjects that have none; they are left out.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    if len(known) == 0:
        return Score(float("nan"), reason="no subject has a value")
    if len(known) == 1 or not bootstrap:
        return Score(float(known.mean()))
    return Score(float(known.mean()), *_interval(_draws(len(known), bootstrap, seed) @ known / len(known)))


def mean_ccc(prediction: Array, label: Array) -> float:
    """Mean CCC over the targets that have one; prediction, label (N, K). A target without a CCC counts as 0."""
    values = []
    for a, b in zip(prediction.T, label.T, strict=True):
        used = np.isfinite(a) & np.isfinite(b)
        group = np.zeros(int(used.sum()), np.int64)
        values.append(from_sums(_sums(a[used].astype(np.float64), b[used].astype(np.float64), group, 1))["ccc"][0])
    return float(np.mean(np.nan_to_num(values)))


def from_sums(sums: Array) -> dict[str, Array]:
    """Metric -> (R,) from sums (R, 8) as `_sums` makes them."""
    n, a, b, aa, bb, ab, absolute, squared = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_a, mean_b = a / n, b / n
        var_a = np.maximum(aa / n - mean_a**2, 0.0)
        var_b = np.maximum(bb / n - mean_b**2, 0.0)
        cov = ab / n - mean_a * mean_b
        # Rounding leaves a constant column a variance of some 1e-16 of its square.
        flat_a, flat_b = var_a <= 1e-14 * aa / n, var_b <= 1e-14 * bb / n
        var_a, var_b = np.where(flat_a, 0.0, var_a), np.where(flat_b, 0.0, var_b)
        cov = np.where(n < 2, np.nan, np.where(flat_a | flat_b, 0.0, cov))
        moments = Moments(mean_a, mean_b, var_a, var_b, cov, absolute / n, squared / n)
        return {name: metric.of(moments) for name, metric in METRICS.items()}


def _sums(a: Array, b: Array, group: Array, groups: int) -> Array:
    """(groups, 8): count, sums of a, b, a^2, b^2, ab, |a - b|, (a - b)^2; both sides shifted by the labels' mean."""
    shift = b.mean() if len(b) else 0.0
    x, y = a - shift, b - shift
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y, np.abs(x - y), (x - y) ** 2)
    return np.stack([np.bincount(group, column, groups) for column in columns], axis=1)


def _draws(subjects: int, resamples: int, seed: int) -> Array:
    """(resamples, subjects): how often each subject is drawn."""
    return np.random.default_rng(seed).multinomial(subjects, np.full(subjects, 1 / subjects), resamples).astype(float)


def _interval(values: Array) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(finite, INTERVAL)
    return float(low), float(high)


def _reasons(a: Array, b: Array) -> dict[str, str]:
    """Metric -> why it is NaN or 0 by definition."""
    if len(a) == 0:
        return dict.fromkeys(METRICS, "no row has both a prediction and a label")
    if len(a) == 1:
        reason = "only one row has both a prediction and a label"
    else:
        flat = [name for name, column in (("predictions", a), ("labels", b)) if np.ptp(column) == 0]
        reason = f"{' and '.join(flat)} are constant" if flat else ""
    return {name: reason for name, metric in METRICS.items() if metric.needs_spread} if reason else {}
