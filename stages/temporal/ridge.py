"""Ridge regression on each span's mean feature, its penalty chosen among the training people themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array
from .metrics import mean_ccc
from .scaling import floored_spread

MOST_SPANS = 20_000  # that a ridge regression is fitted on
ALPHAS = tuple(10.0 ** (half / 2) for half in range(-6, 13))  # of the penalty, per standardised feature
BLOCKS = 5  # in time, left out in turn where there are fewer than three people
SMALLEST = 1e-10  # of the largest eigenvalue: what lies below is rounding


@dataclass(frozen=True, slots=True)
class Ridge:
    """Linear scores of D features, K targets; one penalty for all targets."""

    mean: Array  # (D,)
    spread: Array  # (D,)
    weight: Array  # (D, K)
    bias: Array  # (K,)
    alpha: float
    left_out_ccc: float  # mean CCC of the training spans, each scored by a regression without its person (or block)

    def predict(self, features: Array) -> Array:
        """(n, K) from (n, D)."""
        scores: Array = ((features - self.mean) / self.spread) @ self.weight + self.bias
        return scores


def fit_ridge(features: Array, labels: Array, people: Sequence[str], alphas: Sequence[float] = ALPHAS) -> Ridge:
    """The ridge regression whose penalty is best for training people that are left out, one at a time.

    features (n, D), rows of one video in time order; labels (n, K) with NaN where missing; people (n,). With fewer
    than three people, fifths of the rows are left out instead. Best: the highest mean CCC of all left-out scores.
    Source: Hastie, Tibshirani & Friedman, sections 3.4.1 and 7.10; a left-out group's residuals are (I - H_gg)^-1 times
    its residuals in the whole fit, H the smoother (Allen's PRESS for groups), so all penalties and all people share
    one decomposition of the smaller of the two Gram matrices.
    """
    # Drawn, as every second row may be all there is of a target.
    kept = np.sort(np.random.default_rng(0).permutation(len(features))[:MOST_SPANS])
    x, labels = features[kept].astype(np.float64), labels[kept].astype(np.float64)
    groups = _groups([people[row] for row in kept.tolist()])
    mean = x.mean(0)
    spread = floored_spread(mean, (x**2).mean(0))
    x = (x - mean) / spread
    parts = list(_parts(labels))
    fits = [_Smoother(x[rows]) for rows, _ in parts]
    left_out = np.full((len(alphas), *labels.shape), np.nan)
    for smoother, (rows, targets) in zip(fits, parts, strict=True):
        for number, alpha in enumerate(alphas):
            left_out[number][np.ix_(rows, targets)] = smoother.left_out(
                labels[np.ix_(rows, targets)], groups[rows], alpha
            )
    ccc = [mean_ccc(scores, labels) for scores in left_out]
    best = int(np.argmax(ccc))
    weight, bias = np.zeros((x.shape[1], labels.shape[1])), np.full(labels.shape[1], np.nan)
    for smoother, (rows, targets) in zip(fits, parts, strict=True):
        weight[:, targets], bias[targets] = smoother.weights(labels[np.ix_(rows, targets)], alphas[best])
    return Ridge(mean, spread, weight, bias, alphas[best], ccc[best])


def _groups(people: Sequence[str]) -> Array:
    """(n,) numbers of what is left out together: a person, or a fifth of the rows."""
    names, person = np.unique(np.array(people, dtype=str), return_inverse=True)
    return person if len(names) >= 3 else np.arange(len(people)) * BLOCKS // max(1, len(people))


def _parts(labels: Array) -> Iterator[tuple[Array, Array]]:
    """Rows and targets that belong together: targets that are known in the same rows, if in any."""
    known = np.isfinite(labels)
    for pattern in np.unique(known, axis=1).T:
        if pattern.any():
            yield np.flatnonzero(pattern), np.flatnonzero((known == pattern[:, None]).all(0))


class _Smoother:
    """The decomposition of n rows x = U S V' less their mean, of which every penalised fit is made."""

    def __init__(self, x: Array) -> None:
        self.mean = x.mean(0)
        self.x = x - self.mean
        wide = len(x) <= x.shape[1]
        gram = self.x @ self.x.T if wide else self.x.T @ self.x
        values, vectors = np.linalg.eigh(gram)
        kept = values > SMALLEST * max(float(values[-1]), np.finfo(float).tiny)
        self.energy, vectors = values[kept], vectors[:, kept]
        size = np.sqrt(self.energy)
        self.left = vectors if wide else self.x @ vectors / size  # (n, r)
        self.right = self.x.T @ vectors / size if wide else vectors  # (D, r)

    def weights(self, labels: Array, alpha: float) -> tuple[Array, Array]:
        """(D, K) and the bias (K,)."""
        level = labels.mean(0)
        shrunk = np.sqrt(self.energy) / (self.energy + alpha)
        weight = self.right @ (shrunk[:, None] * (self.left.T @ (labels - level)))
        return weight, level - self.mean @ weight

    def left_out(self, labels: Array, groups: Array, alpha: float) -> Array:
        """(n, K): each row's score by the fit without its group; NaN where nothing else is left."""
        level = labels.mean(0)
        kept = self.energy / (self.energy + alpha)
        fitted = level + self.left @ (kept[:, None] * (self.left.T @ (labels - level)))
        scores = np.full_like(labels, np.nan)
        for group in np.unique(groups):
            mine = np.flatnonzero(groups == group)
            if len(mine) == len(labels):
                continue
            smoother = (self.left[mine] * kept) @ self.left[mine].T + 1 / len(labels)
            residual = np.linalg.solve(np.eye(len(mine)) - smoother, labels[mine] - fitted[mine])
            scores[mine] = labels[mine] - residual
        return scores
