"""Agreement of predictions with labels: CCC, PCC, MAE, RMSE and ICC, with intervals over subjects.

All of them follow from a few sums, so leaving a subject out costs a subtraction and not a pass over the data.
torchmetrics has no ICC, and its CCC takes sample variances where Lin's, and the paper's, takes the population's; tests
hold these numbers against it, scipy and an analysis of variance.

Rows without a prediction or a label (NaN) are left out. Infinite ones are not: then there are no metrics, and a reason.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...cache.metrics import Average, Score
from ...cache.records import Array
from .intervals import FISHER_Z, LOG, PLAIN, Scale, jackknife

ICC = "ICC(3,1)"  # what `icc` is


@dataclass(frozen=True, slots=True)
class Moments:
    """What every metric is made of: means over each of R groups of rows, all (R,).

    Predictions and labels are both taken less the labels' mean over all groups, so their levels mean something only
    beside each other. Variances and covariance are the population's; NaN covariance: fewer than two rows.
    """

    rows: Array
    prediction: Array
    label: Array
    prediction_variance: Array
    label_variance: Array
    covariance: Array
    absolute_error: Array
    squared_error: Array


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: (R,) from the moments of R groups, with everyone and without each person at once."""

    of: Callable[[Moments], Array]
    needs_spread: bool = False  # says nothing where predictions or labels are constant, or of a single row
    scale: Scale = PLAIN  # of its interval


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


def icc21(of: Moments) -> Array:
    """ICC(2,1), two-way random, absolute agreement, single rater: a constant error counts.

    (MSR - MSE) / (MSR + MSE + 2 (MSC - MSE) / n) of two raters and n rows; MSC is n / 2 times the squared distance of
    their means. Source: Shrout & Fleiss 1979.
    """
    spread = of.prediction_variance + of.label_variance
    distance = (of.prediction - of.label) ** 2 * (of.rows - 1) / of.rows
    agreement: Array = 2 * of.covariance / (spread + distance - (spread - 2 * of.covariance) / of.rows)
    return agreement


METRICS: dict[str, Metric] = {  # in the order of metrics.json; `stages.views.rules.METRICS` names them for readers
    "ccc": Metric(ccc, needs_spread=True, scale=FISHER_Z),
    "pcc": Metric(pcc, needs_spread=True, scale=FISHER_Z),
    "mae": Metric(lambda of: of.absolute_error, scale=LOG),
    "rmse": Metric(lambda of: np.sqrt(of.squared_error), scale=LOG),
    "icc": Metric(icc, needs_spread=True, scale=FISHER_Z),
    "icc21": Metric(icc21, needs_spread=True, scale=FISHER_Z),
}


@dataclass(frozen=True, slots=True)
class Estimates:
    """Numbers of one target, or means over several: with all of S people, and without each of them.

    Targets of the same people line up: a person without rows changes nothing when left out.
    """

    values: Mapping[str, Array]  # metric -> (1 + S,), all people first
    rows: Mapping[str, Array]  # metric -> (S,), of each person; 0: not part of it
    reasons: Mapping[str, str] = field(default_factory=dict)  # metric -> why it has no value, or one by definition
    targets: Mapping[str, int] = field(default_factory=dict)  # metric -> how many it is the mean of
    difference: bool = False  # of two methods, whose intervals need no scale of their own

    def scores(self) -> dict[str, Score]:
        """Every metric with its interval."""
        return {name: self._score(name) for name in self.values}

    def over_targets(self) -> dict[str, Average]:
        """The same of `mean_over_targets`, with how many targets have it."""
        return {name: Average(self._score(name), self.targets[name]) for name in self.values}

    def over_subjects(self) -> dict[str, Average]:
        """The same of `estimate_subjects`, with how many subjects have it."""
        return {name: Average(self._score(name), int((self.rows[name] > 0).sum())) for name in self.values}

    def _score(self, name: str) -> Score:
        value, part = float(self.values[name][0]), self.rows[name] > 0
        reason = self.reasons.get(name)
        if not math.isfinite(value):
            return Score(math.nan, reason=reason or "not defined by these numbers")
        if reason:
            return Score(value, reason=reason)
        scale = PLAIN if self.difference else METRICS[name].scale
        found = jackknife(value, self.values[name][1:][part], self.rows[name][part], scale)
        return Score(value, found.low, found.high, no_interval=found.reason)


def evaluate(prediction: Array, label: Array, subject: Sequence[str]) -> dict[str, Score]:
    """Every metric of one target over all rows, pooled, with its interval. prediction, label (N,): in its units."""
    return estimate(prediction, label, subject).scores()


def estimate(prediction: Array, label: Array, subject: Sequence[str]) -> Estimates:
    """Every metric of one target over all rows, and without each subject's. prediction, label (N,): in its units."""
    names, group = np.unique(np.asarray(subject, dtype=str), return_inverse=True)
    used, reasons = _used(prediction, label)
    a, b = prediction[used].astype(np.float64), label[used].astype(np.float64)
    sums = _sums(a, b, group[used], len(names))
    with np.errstate(over="ignore", invalid="ignore"):  # such numbers are silenced below
        values = from_sums(np.vstack([sums.sum(0), _without_each(sums)]))
    return Estimates(_silenced(values, reasons), dict.fromkeys(METRICS, sums[:, 0]), reasons)


def evaluate_subjects(prediction: Array, label: Array, subject: Sequence[str]) -> dict[str, dict[str, Score]]:
    """Subject -> metrics of that subject's rows alone, without intervals."""
    names, group = np.unique(np.asarray(subject, dtype=str), return_inverse=True)
    values = _alone(prediction, label, group, len(names))
    return {
        str(name): {metric: Score(float(column[number])) for metric, column in values.items()}
        for number, name in enumerate(names)
    }


def estimate_subjects(prediction: Array, label: Array, subject: Sequence[str]) -> Estimates:
    """The mean over subjects of each one's own metrics, all counting alike; who has none is left out."""
    names, group = np.unique(np.asarray(subject, dtype=str), return_inverse=True)
    own = _alone(prediction, label, group, len(names))
    known = {name: np.isfinite(column) for name, column in own.items()}
    _, reasons = _used(prediction, label)
    if not reasons:
        flat = _constant(prediction, label, group, len(names))
        reasons |= {name: "no subject has one of its own" for name, has in known.items() if not has.any()}
        if known["ccc"].any() and flat[known["ccc"]].all():
            reasons |= _of_spread("predictions are constant within each subject")
    return Estimates(
        values=_silenced({name: _mean_without_each(column) for name, column in own.items()}, reasons),
        rows={name: has.astype(np.float64) for name, has in known.items()},
        reasons=reasons,
    )


def paired_difference(first: Array, second: Array, label: Array, subject: Sequence[str]) -> Estimates:
    """Metrics of `first` minus those of `second` on the rows that both have, without the same subjects in both."""
    label = np.where(np.isnan(first) | np.isnan(second), np.nan, label)
    one, other = estimate(first, label, subject), estimate(second, label, subject)
    values = {name: one.values[name] - other.values[name] for name in METRICS}
    undefined = {name for name in METRICS if not math.isfinite(values[name][0])}
    reasons = {name: why for name, why in (dict(other.reasons) | dict(one.reasons)).items() if name in undefined}
    return Estimates(values, one.rows, reasons, difference=True)


def mean_over_targets(targets: Sequence[Estimates]) -> Estimates:
    """The mean of every metric over the targets that have it; all targets are of the same people."""
    values: dict[str, Array] = {}
    rows: dict[str, Array] = {}
    reasons: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name in METRICS:
        known = [one for one in targets if math.isfinite(one.values[name][0])]
        counts[name] = len(known)
        used = known or targets
        values[name] = np.mean([one.values[name] for one in used], axis=0)
        rows[name] = np.sum([one.rows[name] for one in used], axis=0)
        if all(name in one.reasons for one in targets):
            reasons[name] = "; ".join(dict.fromkeys(one.reasons[name] for one in targets))
    return Estimates(values, rows, reasons, counts, difference=targets[0].difference)


def mean_over_subjects(values: Array, scale: Scale = PLAIN) -> Score:
    """Mean of a number that each subject has, with its interval. values (S,): NaN for subjects that have none."""
    known = values[np.isfinite(values)].astype(np.float64)
    if len(known) == 0:
        return Score(math.nan, reason="no subject has a value")
    mean = _mean_without_each(known)
    found = jackknife(float(mean[0]), mean[1:], np.ones(len(known)), scale)
    return Score(float(mean[0]), found.low, found.high, no_interval=found.reason)


def mean_ccc(prediction: Array, label: Array) -> float:
    """Mean CCC over the targets; prediction, label (N, K). A target without a CCC counts as 0."""
    values = []
    for a, b in zip(prediction.T, label.T, strict=True):
        used, _ = _used(a, b)
        group = np.zeros(int(used.sum()), np.int64)
        values.append(from_sums(_sums(a[used].astype(np.float64), b[used].astype(np.float64), group, 1))["ccc"][0])
    return float(np.mean(np.nan_to_num(values)))


def from_sums(sums: Array) -> dict[str, Array]:
    """Metric -> (R,) from sums (R, 8) as `_sums` makes them; NaN where it is not defined."""
    n, a, b, aa, bb, ab, absolute, squared = sums.T
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean_a, mean_b = a / n, b / n
        var_a = np.maximum(aa / n - mean_a**2, 0.0)
        var_b = np.maximum(bb / n - mean_b**2, 0.0)
        cov = ab / n - mean_a * mean_b
        # Rounding leaves a constant column a variance of some 1e-16 of its square.
        flat_a, flat_b = var_a <= 1e-14 * aa / n, var_b <= 1e-14 * bb / n
        var_a, var_b = np.where(flat_a, 0.0, var_a), np.where(flat_b, 0.0, var_b)
        cov = np.where(n < 2, np.nan, np.where(flat_a, 0.0, cov))
        moments = Moments(n, mean_a, mean_b, var_a, var_b, cov, absolute / n, squared / n)
        values = {name: metric.of(moments) for name, metric in METRICS.items()}
    known = {name: np.isfinite(column) & ~(METRICS[name].needs_spread & flat_b) for name, column in values.items()}
    return {name: np.where(known[name], column, np.nan) for name, column in values.items()}


def _sums(a: Array, b: Array, group: Array, groups: int) -> Array:
    """(groups, 8): count, sums of a, b, a^2, b^2, ab, |a - b|, (a - b)^2; both sides shifted by the labels' mean."""
    shift = b.mean() if len(b) else 0.0
    x, y = a - shift, b - shift
    with np.errstate(over="ignore", invalid="ignore"):
        columns = (np.ones_like(x), x, y, x * x, y * y, x * y, np.abs(x - y), (x - y) ** 2)
        return np.stack([np.bincount(group, column, groups) for column in columns], axis=1)


def _without_each(sums: Array) -> Array:
    """(S, 8): the sums over all others. Added up from both ends: a difference to the whole would leave rounding."""
    nothing = np.zeros((1, sums.shape[1]))
    before = np.vstack([nothing, sums[:-1].cumsum(0)])
    after = np.vstack([sums[:0:-1].cumsum(0)[::-1], nothing])
    others: Array = before + after
    return others[: len(sums)]


def _alone(prediction: Array, label: Array, group: Array, groups: int) -> dict[str, Array]:
    """Metric -> (groups,), of the rows of each subject alone; NaN where it is not defined."""
    used, _ = _used(prediction, label)
    a, b = prediction[used].astype(np.float64), label[used].astype(np.float64)
    return from_sums(_sums(a, b, group[used], groups))


def _constant(prediction: Array, label: Array, group: Array, groups: int) -> Array:
    """(groups,) bool: whose predictions are all the same."""
    used, _ = _used(prediction, label)
    low, high = np.full(groups, np.inf), np.full(groups, -np.inf)
    np.minimum.at(low, group[used], prediction[used])
    np.maximum.at(high, group[used], prediction[used])
    return np.asarray(low >= high)


def _silenced(values: dict[str, Array], reasons: Mapping[str, str]) -> dict[str, Array]:
    """No numbers at all where there is a reason against every one."""
    return {k: np.full_like(v, np.nan) for k, v in values.items()} if reasons.keys() == values.keys() else values


def _mean_without_each(values: Array) -> Array:
    """(1 + S,): the mean of (S,) numbers, and that without each of them; NaN ones change nothing."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(), known.sum()
    sums = np.append(total, total - np.where(known, values, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: Array = sums / np.append(count, count - known)
    return mean


def _used(prediction: Array, label: Array) -> tuple[Array, dict[str, str]]:
    """Which rows have both, and metric -> why it has no value, or one by definition."""
    used = ~np.isnan(prediction) & ~np.isnan(label)
    a, b = prediction[used], label[used]
    for what, column in (("predictions", a), ("labels", b)):
        if infinite := int(np.isinf(column).sum()):
            return used, dict.fromkeys(METRICS, f"{infinite} of {len(column)} {what} are infinite")
    if len(a) == 0:
        return used, dict.fromkeys(METRICS, "no row has both a prediction and a label")
    if len(a) == 1:
        return used, _of_spread("only one row has a prediction and a label")
    flat = [name for name, column in (("predictions", a), ("labels", b)) if np.ptp(column) == 0]
    return used, _of_spread(f"{' and '.join(flat)} are constant") if flat else {}


def _of_spread(reason: str) -> dict[str, str]:
    """Metric -> the reason, for those that say nothing of what is constant."""
    return {name: reason for name, metric in METRICS.items() if metric.needs_spread}
