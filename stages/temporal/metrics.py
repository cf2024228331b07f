"""Agreement of predictions with labels: CCC, PCC, MAE, RMSE and ICC, with intervals over subjects.

All five follow from a few sums, so a resample of subjects costs a matrix product and not a pass over the data; the
value of a resample that draws every subject once is the reported value itself. torchmetrics has no ICC, and its CCC
takes sample variances where Lin's, and the paper's, takes the population's; tests hold these numbers against it, scipy
and an analysis of variance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array

METRICS = ("ccc", "pcc", "mae", "rmse", "icc")
HIGHER_IS_BETTER = {"ccc": True, "pcc": True, "mae": False, "rmse": False, "icc": True}
INTERVAL = (2.5, 97.5)  # percentiles of the resamples


@dataclass(frozen=True, slots=True)
class Score:
    """One number with its 95 % interval; NaN with `reason` where the data does not define it."""

    value: float
    low: float = float("nan")
    high: float = float("nan")
    reason: str | None = None

    def to_json(self) -> dict[str, float | str | None]:
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()} | {
            "reason": self.reason
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


def mean_ccc(prediction: Array, label: Array) -> float:
    """Mean CCC over the targets that have one; prediction, label (N, K). A target without a CCC counts as 0."""
    values = []
    for a, b in zip(prediction.T, label.T, strict=True):
        used = np.isfinite(a) & np.isfinite(b)
        group = np.zeros(int(used.sum()), np.int64)
        values.append(from_sums(_sums(a[used].astype(np.float64), b[used].astype(np.float64), group, 1))["ccc"][0])
    return float(np.mean(np.nan_to_num(values)))


def from_sums(sums: Array) -> dict[str, Array]:
    """METRICS -> (R,) from sums (R, 8) as `_sums` makes them.

    CCC: population variances (Lin 1989). PCC: Pearson. ICC: ICC(3,1), two-way mixed, consistency, single rater
    (Shrout & Fleiss 1979), with the labels and the predictions as the two raters; (MSR - MSE) / (MSR + MSE) of two
    raters is 2 cov / (var_a + var_b).
    """
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
        return {
            "ccc": 2 * cov / (var_a + var_b + (mean_a - mean_b) ** 2),
            "pcc": np.clip(cov / np.sqrt(var_a * var_b), -1.0, 1.0),
            "mae": absolute / n,
            "rmse": np.sqrt(squared / n),
            "icc": 2 * cov / (var_a + var_b),
        }


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
        return dict.fromkeys(("ccc", "pcc", "icc"), "only one row has both a prediction and a label")
    flat = [name for name, column in (("predictions", a), ("labels", b)) if np.ptp(column) == 0]
    return dict.fromkeys(("ccc", "pcc", "icc"), f"{' and '.join(flat)} are constant") if flat else {}
