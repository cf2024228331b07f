"""How alike clips are: their labels, and the directions of their vectors; NaN in the labels means missing."""

import torch
from torch import Tensor

NO_DIRECTION = 1e-6  # of a label's range, and of a vector's length: what centring leaves of rows that are equal


def label_cosine(labels: Tensor) -> Tensor:
    """(N, N) cosines of label vectors over the targets both rows have; NaN where they share none."""
    present = (~labels.isnan()).to(labels.dtype)
    values = labels.nan_to_num()
    shared_norm = safe_sqrt(values.square() @ present.T)  # of row i over the targets row j has
    norms = shared_norm * shared_norm.T
    cosine = values @ values.T / torch.where(norms > 0, norms, 1)
    return cosine.masked_fill(present @ present.T == 0, float("nan"))


def label_distance(labels: Tensor) -> Tensor:
    """(N, N) root mean squared difference over the targets both rows have; NaN where they share none."""
    difference = labels.unsqueeze(1) - labels.unsqueeze(0)
    return difference.square().nanmean(2).sqrt()


def label_nearness(labels: Tensor) -> Tensor:
    """(N, N) one minus `label_distance`."""
    return 1 - label_distance(labels)


def centred_labels(labels: Tensor) -> Tensor:
    """Labels (N, K) minus each target's mean; NaN, as if missing, in rows that lie at the mean of all they have."""
    away = wide(labels) - wide(labels).nanmean(0)
    away = torch.where(away.abs() <= NO_DIRECTION, 0, away)
    return away.masked_fill((away.nan_to_num() == 0).all(1, keepdim=True), float("nan"))


def centred_rows(rows: Tensor, counted: Tensor) -> Tensor:
    """Rows (N, W) minus the mean of those that are counted (N,) bool; a row that hardly differs from it is zero."""
    weight = counted.to(rows.dtype).unsqueeze(1)
    away = rows - (rows * weight).sum(0) / weight.sum().clamp(min=1)
    length, whole = (values.detach().norm(dim=1, keepdim=True) for values in (away, rows))
    return away.masked_fill(length <= NO_DIRECTION * whole, 0)


def unit_rows(rows: Tensor) -> Tensor:
    """Rows divided by their norm; a zero row stays zero, and its gradient finite."""
    norm = safe_sqrt(rows.square().sum(1, keepdim=True))
    return rows / torch.where(norm > 0, norm, 1)


def safe_sqrt(values: Tensor) -> Tensor:
    """Square root whose gradient at zero is zero, not infinite."""
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1).sqrt(), 0)


def wide(values: Tensor) -> Tensor:
    """At least float32: sums over a batch do not fit the half types."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
