"""What a network must beat: the training labels' mean, and ridge regression on each span's mean feature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...cache.records import Array
from .clips import ClipTable
from .metrics import mean_ccc
from .scaling import floored_spread

MOST_SPANS = 20_000  # that a ridge regression is fitted on
ALPHAS = tuple(10.0**power for power in range(-2, 7))  # of the penalty, per standardised feature


def predict_mean(train: Array, rows: int) -> Array:
    """(rows, K): the mean of each target's training labels (n, K), NaN where a target has none."""
    known = np.isfinite(train)
    total = np.where(known, train, 0).sum(0)
    mean = np.divide(total, known.sum(0), out=np.full(train.shape[1], np.nan), where=known.any(0))
    return np.tile(mean, (rows, 1))


def span_features(clips: ClipTable, numbers: Array) -> tuple[Array, Array]:
    """Spans (S,), ascending, and the mean feature (S, D) float32 of each over the frames of its clips.

    A frame that two clips of a span share counts twice.
    """
    spans, place = np.unique(clips.span[numbers], return_inverse=True)
    size, device = clips.table.feature_size, clips.table.device
    total = torch.zeros(len(spans), size, device=device)
    count = torch.zeros(len(spans), device=device)
    own = clips.keys(numbers)[0][:, clips.context]
    for start in range(0, len(numbers), 256):
        frames, mask = clips.gather(own[start : start + 256])
        rows = torch.from_numpy(place[start : start + 256]).to(device)
        total.index_add_(0, rows, frames.float().sum(1))
        count.index_add_(0, rows, mask.sum(1).float())
    return spans, (total / count.clamp(min=1).unsqueeze(1)).cpu().numpy()


@dataclass(frozen=True, slots=True)
class Ridge:
    """Linear scores of D features, K targets; one penalty for all targets."""

    mean: Array  # (D,)
    spread: Array  # (D,)
    weight: Array  # (D, K)
    bias: Array  # (K,)
    alpha: float

    def predict(self, features: Array) -> Array:
        """(n, K) from (n, D)."""
        scores: Array = ((features - self.mean) / self.spread) @ self.weight + self.bias
        return scores


def fit_ridge(
    features: Array,
    labels: Array,
    validation_features: Array,
    validation_labels: Array,
    alphas: Sequence[float] = ALPHAS,
) -> Ridge:
    """The ridge regression whose penalty has the highest mean CCC on the validation rows.

    features (n, D), labels (n, K) with NaN where missing. Source: Hastie, Tibshirani & Friedman, section 3.4.1; the
    penalties share one eigendecomposition of the smaller of the two Gram matrices.
    """
    step = max(1, -(-len(features) // MOST_SPANS))
    x, labels = features[::step].astype(np.float64), labels[::step]
    mean = x.mean(0)
    spread = floored_spread(mean, (x**2).mean(0))
    x = (x - mean) / spread
    paths = [_path(x, labels[:, target], alphas) for target in range(labels.shape[1])]
    candidates = [
        Ridge(
            mean,
            spread,
            np.stack([weights[step] for weights, _ in paths], 1),
            np.array([bias for _, bias in paths]),
            alpha,
        )
        for step, alpha in enumerate(alphas)
    ]
    scores = [mean_ccc(candidate.predict(validation_features), validation_labels) for candidate in candidates]
    return candidates[int(np.argmax(scores))]


def _path(x: Array, label: Array, alphas: Sequence[float]) -> tuple[list[Array], float]:
    """Weights (D,) for each penalty, and the bias, of one target on the rows that have it."""
    used = np.isfinite(label)
    if not used.any():
        return [np.zeros(x.shape[1]) for _ in alphas], float("nan")
    rows, bias = x[used], float(label[used].mean())
    target = label[used] - bias
    if len(rows) <= rows.shape[1]:
        values, vectors = np.linalg.eigh(rows @ rows.T)
        projected = vectors.T @ target
        weights = [rows.T @ (vectors @ (projected / (values + alpha))) for alpha in alphas]
    else:
        values, vectors = np.linalg.eigh(rows.T @ rows)
        projected = vectors.T @ (rows.T @ target)
        weights = [vectors @ (projected / (values + alpha)) for alpha in alphas]
    return weights, bias
