"""What every method is held against: the training labels' mean; and what ridge regression looks at."""

import numpy as np
import torch

from ...cache.records import Array
from .clips import ClipTable


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
