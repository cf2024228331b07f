"""Losses and the statistics they are made of; NaN in the labels means missing, target by target.

Source of the formulas: Foteinopoulou & Patras 2022 and the behaviour of its published code (both 1e-5 are theirs).
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ...configs.schema import LossConfig
from .model import Scores
from .ranks import gather_rows
from .similarity import (
    centred_labels,
    centred_rows,
    label_cosine,
    label_distance,
    label_nearness,
    safe_sqrt,
    unit_rows,
    wide,
)

EPSILON = 1e-5


class SingleTargetWarning(UserWarning):
    """Cosine similarity of one-dimensional labels is their signs' product: magnitude is lost."""


@dataclass(frozen=True, slots=True)
class LossParts:
    """A batch's loss and what it is made of, all scalars."""

    regression: Tensor
    relational: Tensor  # before its weight; zero where the weight is zero
    total: Tensor


def ccc(prediction: Tensor, target: Tensor) -> Tensor:
    """Concordance per target (K,), -1 to 1, over the rows whose label is present; 0 where it has no variance.

    prediction, target: (N, K); target NaN = missing. Source: Lin 1989, population variance.

    >>> label = torch.tensor([[0.1], [0.4], [0.7]])
    >>> ccc(label + 0.3, label)  # as correlated as can be, but too high
    tensor([0.5714])
    """
    moments = _moments(prediction, target)
    spread = moments.variance_a + moments.variance_b + moments.mean_difference.square() + EPSILON
    deviations = safe_sqrt(moments.variance_a) * safe_sqrt(moments.variance_b)
    return 2 * moments.pcc * deviations / spread


def pcc(prediction: Tensor, target: Tensor) -> Tensor:
    """Pearson's correlation per target (K,), -1 to 1, over the rows whose label is present; 0 without variance.

    prediction, target: (N, K); target NaN = missing.

    >>> label = torch.tensor([[0.1], [0.4], [0.7]])
    >>> pcc(label + 0.3, label)  # a shift does not matter
    tensor([0.9999])
    """
    return _moments(prediction, target).pcc


def rmse(prediction: Tensor, target: Tensor) -> Tensor:
    """Root of the mean squared difference (scalar) over every element whose target is present; 0 where none is."""
    present = ~target.isnan()
    difference = torch.where(present, wide(prediction) - target.nan_to_num(), 0)
    return safe_sqrt(difference.square().sum() / present.sum().clamp(min=1))


def relational_loss(
    embedding: Tensor, labels: Tensor, similarity: Literal["cosine", "centred", "distance"] = "cosine"
) -> Tensor:
    """RMSE (scalar) between the clips' cosine similarities and their labels', over pairs of distinct clips.

    embedding: (N, W); labels: (N, K), NaN = missing: a pair is compared over the targets both clips have, and left
    out when there is none. `centred` takes the batch's mean from labels and embeddings before the cosines: labels of
    one sign, whose cosines all lie near 1, are told apart again; clips at the mean are left out. `distance` keeps the
    magnitude that `cosine` loses: 1 minus the root mean squared difference, which lies in [-1, 1] for targets scaled
    to [-1, 1].

    >>> labels = torch.tensor([[0.8, 0.6], [0.6, 0.8], [-0.8, -0.6]])
    >>> relational_loss(labels, labels)  # clips as alike as their labels
    tensor(0.)
    """
    if labels.shape[1] == 1 and similarity != "distance":
        warnings.warn(
            "the cosine similarity of one target is only its sign; use loss.label_similarity=distance",
            SingleTargetWarning,
            stacklevel=2,
        )
    rows = wide(embedding)
    if similarity == "centred":
        rows, labels = centred_rows(rows, (~labels.isnan()).any(1)), centred_labels(labels)
    rows = unit_rows(rows)
    likeness = label_nearness(labels) if similarity == "distance" else label_cosine(labels)
    likeness = likeness.to(rows.dtype).fill_diagonal_(float("nan"))
    return rmse(rows @ rows.T, likeness)


def label_contrast(
    embedding: Tensor, labels: Tensor, kind: Literal["y-aware", "expw"], width: float, temperature: float
) -> Tensor:
    """Contrastive loss (scalar) in which a clip is drawn to the others the more, the nearer their labels are.

    embedding: (N, W); labels: (N, K), NaN = missing: clips that share no target do not meet. With cosines s over the
    temperature and weights w = exp(-(label distance)^2 / (2 width^2)), a clip's loss is the mean over the others,
    weighted by w, of log(sum of exp(s)) - s for `y-aware`; for `expw` the sum is that of exp(s (1 - w)), so that near
    clips are not pushed apart. Mean over the clips that meet another; 0 where none does. `expw` can be below zero.

    Source: Barbano, Dufumier, Duchesnay, Grangetto & Gori, Contrastive learning for regression, ISBI 2023; a clip
    itself is in no sum.
    """
    rows = unit_rows(wide(embedding))
    distance = label_distance(wide(labels)).to(rows.dtype).fill_diagonal_(float("nan"))
    meets = ~distance.isnan()
    anchors = meets.any(1)
    if not anchors.any():
        return rows.sum() * 0
    logits, meets = (rows @ rows.T / temperature)[anchors], meets[anchors]
    log_kernel = -(distance[anchors] / width).square() / 2
    weight = log_kernel.masked_fill(~meets, float("-inf")).softmax(1)  # their sum may be too small for a float
    pushed = logits if kind == "y-aware" else logits * (1 - log_kernel.nan_to_num().exp())
    total = pushed.masked_fill(~meets, float("-inf")).logsumexp(1, keepdim=True)
    return (weight * (total - logits)).sum(1).mean()


def contrastive(first: Tensor, second: Tensor, temperature: float = 0.07, *, gather: bool = True) -> Tensor:
    """NT-Xent loss (scalar) of two views: each row's other view against every other row of both; 0 for one clip.

    first, second: (N, W), row i of both is the same clip. Source: Chen et al., SimCLR, ICML 2020.
    """
    assert first.shape == second.shape, (first.shape, second.shape)
    if gather:
        first, second = gather_rows(first), gather_rows(second)
    rows = unit_rows(wide(torch.cat([first, second])))
    if len(rows) == 0:
        return rows.sum()
    logits = (rows @ rows.T / temperature).masked_fill(torch.eye(len(rows), device=rows.device).bool(), float("-inf"))
    partner = torch.arange(len(rows), device=rows.device).roll(len(first))
    return functional.cross_entropy(logits, partner)


def loss_parts(scores: Scores, labels: Tensor, config: LossConfig, *, gather: bool = True) -> LossParts:
    """The loss of a batch, and its parts.

    labels: (B, K), NaN = missing; a target without any label in the batch does not count.
    gather: take the statistics over the batches of all ranks of torch.distributed, when there are several; every
    rank then has to call this. The gradient is right for DDP, which averages over ranks.
    """
    prediction, embedding = scores.prediction, scores.embedding
    if gather:
        prediction, labels = gather_rows(prediction), gather_rows(labels)
    if config.regression == "ccc":
        labelled = (~labels.isnan()).any(0).to(labels.dtype)
        regression = ((1 - ccc(prediction, labels)) * labelled).sum() / labelled.sum().clamp(min=1)
    else:
        regression = rmse(prediction, labels)
    relational = torch.zeros_like(regression)
    if config.relational_weight:
        embedding = gather_rows(embedding) if gather else embedding
        relational = _relational(embedding, labels, config)
    return LossParts(regression, relational, regression + config.relational_weight * relational)


def total_loss(scores: Scores, labels: Tensor, config: LossConfig, *, gather: bool = True) -> Tensor:
    """The scalar to minimise: `loss_parts(...).total`."""
    return loss_parts(scores, labels, config, gather=gather).total


def _relational(embedding: Tensor, labels: Tensor, config: LossConfig) -> Tensor:
    if config.relational == "matrix":
        return relational_loss(embedding, labels, config.label_similarity)
    return label_contrast(embedding, labels, config.relational, config.kernel_width, config.contrastive_temperature)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Statistics per target, (K,) each, over the rows whose label is present."""

    mean_difference: Tensor
    variance_a: Tensor
    variance_b: Tensor
    pcc: Tensor


def _moments(prediction: Tensor, target: Tensor) -> _Moments:
    assert prediction.shape == target.shape, (prediction.shape, target.shape)
    present = ~target.isnan()
    count = present.sum(0).clamp(min=1)
    a = torch.where(present, wide(prediction), 0)
    b = torch.where(present, target, 0).to(a.dtype)
    mean_a, mean_b = a.sum(0) / count, b.sum(0) / count
    a, b = torch.where(present, a - mean_a, 0), torch.where(present, b - mean_b, 0)
    squares_a, squares_b = a.square().sum(0), b.square().sum(0)
    correlation = (a * b).sum(0) / (safe_sqrt(squares_a) * safe_sqrt(squares_b) + EPSILON)
    return _Moments(mean_a - mean_b, squares_a / count, squares_b / count, correlation)
