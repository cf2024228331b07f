"""Scores of many clips by one or several models, block by block, each distinct clip encoded once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...cache.predictions import ClipScores, RangeCheck, ScoreReason
from ...cache.records import Array
from .clips import ClipTable
from .model import TemporalModel
from .reference_distribution import spread_clips
from .scaling import LabelScaling

BLOCK_CLIPS = 512  # clips scored between two yields: what is held does not grow with a video


def score_clips(
    models: Sequence[TemporalModel],
    clips: ClipTable,
    numbers: Array | None = None,
    batch_size: int = 64,
    *,
    min_valid: float = 0.0,
) -> ClipScores:
    """Scores of some clips (None: all), in the order given; see `score_blocks`."""
    return ClipScores.concatenate(list(score_blocks(models, clips, numbers, batch_size, min_valid=min_valid)))


def score_blocks(
    models: Sequence[TemporalModel],
    clips: ClipTable,
    numbers: Array | None = None,
    batch_size: int = 64,
    *,
    min_valid: float = 0.0,
) -> Iterator[ClipScores]:
    """Scores of some clips (None: all) in blocks, at least one, which may be empty.

    `batch_size` clips are encoded at once. Where the clips are in time order, at any even stride, each distinct clip
    is encoded once by each model. The models are in eval mode, on one device.
    """
    numbers = np.arange(len(clips)) if numbers is None else numbers
    assert not any(model.training for model in models), "models score in eval mode"
    encoder = _BlockEncoder(models, clips, batch_size)
    block = max(BLOCK_CLIPS, clips.clip_length)
    for start in range(0, max(1, len(numbers)), block):
        yield _score_block(models, encoder, numbers[start : start + block], min_valid)


def in_units(scores: ClipScores, scaling: LabelScaling) -> ClipScores:
    """The same scores in the targets' own units."""
    mean, std = scaling.to_units(scores.mean), scaling.spread_to_units(scores.std)
    return replace(scores, mean=mean.astype(np.float32), std=std.astype(np.float32))


def pool_scores(parts: Sequence[ClipScores], models: Sequence[int]) -> ClipScores:
    """What all models say of the same clips, from what each group of them says; models: how many are in each group.

    A clip is doubtful where it is for any group: the greatest distance and reason count.
    """
    if len(parts) == 1:
        return parts[0]
    mean, std = pooled([part.mean for part in parts], [part.std for part in parts], models)
    shares = np.array(models, np.float64) / sum(models)
    return replace(
        parts[0],
        mean=mean.astype(np.float32),
        std=std.astype(np.float32),
        out_of_range=np.any([part.out_of_range for part in parts], axis=0),
        reason=np.max([part.reason for part in parts], axis=0),
        attention=np.tensordot(shares, np.stack([part.attention for part in parts]), 1).astype(np.float32),
        distance=np.max([part.distance for part in parts], axis=0),
    )


def pooled(means: Sequence[Array], stds: Sequence[Array], counts: Sequence[int]) -> tuple[Array, Array]:
    """Mean and sample standard deviation of groups taken together; a NaN spread, of a single one, counts as none."""
    total = sum(counts)
    mean: Array = np.asarray(sum(count * part.astype(np.float64) for count, part in zip(counts, means, strict=True)))
    mean = mean / total
    within = sum((n - 1) * np.nan_to_num(std.astype(np.float64)) ** 2 for n, std in zip(counts, stds, strict=True))
    between = sum(n * (part.astype(np.float64) - mean) ** 2 for n, part in zip(counts, means, strict=True))
    return mean, np.sqrt((within + between) / max(1, total - 1))


def clip_means(clips: ClipTable, numbers: Array, batch_size: int = 256) -> Tensor:
    """(n, D) float32: the mean feature of each clip over the frames in which the person was seen, on the device."""
    pieces = [torch.zeros(0, clips.table.feature_size, device=clips.table.device)]
    middle = clips.keys(numbers)[0][:, clips.context]
    for start in range(0, len(middle), batch_size):
        pieces.append(_frame_mean(*clips.gather(middle[start : start + batch_size])))
    return torch.cat(pieces)


def fit_reference(model: TemporalModel, clips: ClipTable, train: Array, person: Array) -> RangeCheck:
    """Let the model know its training clips' features, and from where on a clip of somebody else is unlike them.

    train: (C,) clip numbers; person: (C,) int, whose each is.
    """
    chosen, whose = spread_clips(train, person)
    return model.reference.fit(clip_means(clips, chosen).to(model.feature_mean.device), whose)


class _BlockEncoder:
    """Vectors of a block's distinct clips, keeping those of the block before."""

    def __init__(self, models: Sequence[TemporalModel], clips: ClipTable, batch_size: int) -> None:
        self.clips = clips
        self.device = models[0].feature_mean.device
        self.encoders: list[Callable[[Tensor, Tensor], Tensor]] = [model.encode for model in models]
        if any(model.reference.fitted for model in models):
            self.encoders.append(_frame_mean)
        self.alone = all(model.context is None for model in models)
        self.batch_size = batch_size
        self.keys: Array = np.zeros(0, np.int64)
        self.vectors: list[Tensor] = []

    def block(self, numbers: Array) -> tuple[list[Tensor], Tensor, Tensor]:
        """Vectors (U, W) per encoder; places (n, 2w + 1) in them; the mask of real neighbours (n, 2w + 1)."""
        keys, mask = self.clips.keys(numbers)
        if self.alone:
            middle = slice(self.clips.context, self.clips.context + 1)
            keys, mask = keys[:, middle], mask[:, middle]
        wanted, place = np.unique(keys, return_inverse=True)
        kept = np.isin(self.keys, wanted, assume_unique=True)
        held = self.keys[kept]
        fresh = np.setdiff1d(wanted, held, assume_unique=True)
        order = torch.from_numpy(np.argsort(np.concatenate([held, fresh]))).to(self.device)
        old = torch.from_numpy(np.flatnonzero(kept)).to(self.device)
        new = self._encode(fresh)
        self.vectors = [
            torch.cat([before[old], after])[order] for before, after in zip(self.vectors or new, new, strict=True)
        ]
        self.keys = wanted
        places = torch.from_numpy(place.reshape(keys.shape)).to(self.device)
        return self.vectors, places, torch.from_numpy(mask).to(self.device)

    def _encode(self, keys: Array) -> list[Tensor]:
        """(len(keys), W) of each encoder."""
        pieces: list[list[Tensor]] = [[] for _ in self.encoders]
        for start in range(0, max(1, len(keys)), self.batch_size):
            frames, mask = (part.to(self.device) for part in self.clips.gather(keys[start : start + self.batch_size]))
            for encode, vectors in zip(self.encoders, pieces, strict=True):
                vectors.append(encode(frames, mask))
        return [torch.cat(vectors) for vectors in pieces]


@torch.no_grad()
def _score_block(
    models: Sequence[TemporalModel], encoder: _BlockEncoder, numbers: Array, min_valid: float
) -> ClipScores:
    vectors, places, mask = encoder.block(numbers)
    middle = places[:, places.shape[1] // 2]
    scores = [
        model.score(vector[middle], vector[places] if model.context is not None else None, mask)
        for model, vector in zip(models, vectors[: len(models)], strict=True)
    ]
    predictions = torch.stack([score.prediction.float() for score in scores])
    coverage = encoder.clips.coverage_of(numbers)
    finite = predictions.isfinite().all(2).all(0).cpu().numpy()
    reason = np.select(
        [coverage == 0, coverage < min_valid, ~finite],
        [ScoreReason.NO_FACE, ScoreReason.TOO_FEW_FRAMES, ScoreReason.NO_NUMBER],
        ScoreReason.SCORED,
    ).astype(np.uint8)
    silent = torch.from_numpy(reason != ScoreReason.SCORED).to(predictions.device)
    return ClipScores(
        numbers=numbers,
        mean=_spoken(predictions.mean(0), silent),
        std=_spoken(_deviation(predictions), silent),
        attention=_spoken(_mean_attention([score.attention for score in scores], mask), silent),
        coverage=coverage.astype(np.float32),
        reason=reason,
        **_distances(models, vectors, middle, silent),
    )


def _distances(
    models: Sequence[TemporalModel], vectors: list[Tensor], middle: Tensor, silent: Tensor
) -> dict[str, Array]:
    known = [model.reference for model in models if model.reference.fitted]
    if not known:
        nothing = np.full(len(middle), np.nan, np.float32)
        return {"distance": nothing, "out_of_range": np.zeros(len(middle), bool)}
    distance = _spoken(torch.stack([reference(vectors[-1][middle]) for reference in known]).mean(0), silent)
    return {"distance": distance, "out_of_range": distance > 1}


def _mean_attention(attentions: list[Tensor], mask: Tensor) -> Tensor:
    """(n, 2w + 1): the models' mean, NaN at masked neighbours; (n, 1) ones without context."""
    mean = torch.stack([attention.float() for attention in attentions]).mean(0)
    return mean.masked_fill(~mask, float("nan")) if mean.shape == mask.shape else mean


def _deviation(predictions: Tensor) -> Tensor:
    """(n, K): sample standard deviation over the models (M, n, K); NaN where M is one."""
    models = len(predictions)
    if models < 2:
        return torch.full_like(predictions[0], float("nan"))
    return ((predictions - predictions.mean(0)).square().sum(0) / (models - 1)).sqrt()


def _spoken(values: Tensor, silent: Tensor) -> Array:
    """The values in memory, NaN for clips without a score."""
    hidden = silent.view(-1, *[1] * (values.dim() - 1))
    array: Array = values.masked_fill(hidden, float("nan")).cpu().numpy()
    return array


def _frame_mean(frames: Tensor, frame_mask: Tensor) -> Tensor:
    """(M, D) float32: mean over present frames, zero without any."""
    present = frame_mask.unsqueeze(-1)
    return frames.float().masked_fill(~present, 0).sum(1) / present.sum(1).clamp(min=1)
