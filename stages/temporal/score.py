"""Scores of many clips by one or several folds' models, block by block, each distinct clip encoded once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ...cache.predictions import ClipScores, RangeCheck, ScoreReason
from ...cache.records import Array
from ...configs.schema import Method
from ...errors import MemoryLimitError, first_line
from .clips import ClipTable
from .ensemble import Ensemble
from .model import Scores, TemporalModel
from .reference_distribution import spread_clips
from .scaling import LabelScaling

BLOCK_CLIPS = 512  # clips scored between two yields: what is held does not grow with a video


def score_clips(
    models: Sequence[Ensemble],
    clips: ClipTable,
    numbers: Array | None = None,
    batch_size: int = 64,
    *,
    min_valid: float = 0.0,
    method: Method = "model",
) -> ClipScores:
    """Scores of some clips (None: all), in the order given; see `score_blocks`."""
    blocks = score_blocks(models, clips, numbers, batch_size, min_valid=min_valid, method=method)
    return ClipScores.concatenate(list(blocks))


def score_blocks(
    models: Sequence[Ensemble],
    clips: ClipTable,
    numbers: Array | None = None,
    batch_size: int = 64,
    *,
    min_valid: float = 0.0,
    method: Method = "model",
) -> Iterator[ClipScores]:
    """Scores of some clips (None: all) in blocks, at least one, which may be empty.

    `batch_size` clips are encoded at once. Where the clips are in time order, at any even stride, each distinct clip
    is encoded once by each network. The models, one a fold, are in eval mode and on one device; `blend` and `ridge`
    need their ridge regression. Errors: MemoryLimitError where the device's memory has no room.
    """
    numbers = np.arange(len(clips)) if numbers is None else numbers
    assert not any(model.training for model in models), "models score in eval mode"
    encoder = _BlockEncoder(models, clips, batch_size, method)
    block = max(BLOCK_CLIPS, clips.clip_length)
    for start in range(0, max(1, len(numbers)), block):
        try:
            scores = _score_block(models, encoder, numbers[start : start + block], min_valid, method)
        except torch.OutOfMemoryError as error:
            raise MemoryLimitError(
                f"the memory of the device is exhausted ({first_line(error)})",
                hint="end what else uses it (`nvidia-smi` lists that), or --device cpu",
            ) from error
        yield scores


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

    def __init__(self, models: Sequence[Ensemble], clips: ClipTable, batch_size: int, method: Method) -> None:
        self.clips = clips
        self.device = models[0].device
        self.networks = [network for model in models for network in model.networks if method != "ridge"]
        self.encoders: list[Callable[[Tensor, Tensor], Tensor]] = [network.encode for network in self.networks]
        self.has_means = method != "model" or any(model.reference.fitted for model in models)
        if self.has_means:
            self.encoders.append(_frame_mean)
        self.alone = all(network.context is None for network in self.networks)
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
            part = keys[start : start + self.batch_size]
            frames, seen = (item.to(self.device) for item in self.clips.gather(part))
            filled = self.clips.filled(part, seen)
            for encode, vectors in zip(self.encoders, pieces, strict=True):
                vectors.append(encode(frames, seen if encode is _frame_mean else filled))
        return [torch.cat(vectors) for vectors in pieces]


@torch.no_grad()
def _score_block(
    models: Sequence[Ensemble], encoder: _BlockEncoder, numbers: Array, min_valid: float, method: Method
) -> ClipScores:
    vectors, places, mask = encoder.block(numbers)
    middle = places[:, places.shape[1] // 2]
    scores = [
        _network_scores(network, vector, places, mask)
        for network, vector in zip(encoder.networks, vectors[: len(encoder.networks)], strict=True)
    ]
    means = vectors[-1][middle] if encoder.has_means else None
    spoken = iter([score.prediction.float() for score in scores])
    by_model = [list(islice(spoken, len(model.members))) for model in models]
    predictions = torch.stack(
        [model.combine(method, said, means) for model, said in zip(models, by_model, strict=True)]
    )
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
        **_distances(models, means, silent),
    )


def _network_scores(network: TemporalModel, vectors: Tensor, places: Tensor, mask: Tensor) -> Scores:
    """Scores of clips whose own vectors lie in the middle of `places` (n, 2w + 1)."""
    middle = places[:, places.shape[1] // 2]
    return network.score(vectors[middle], vectors[places] if network.context is not None else None, mask)


def _distances(models: Sequence[Ensemble], means: Tensor | None, silent: Tensor) -> dict[str, Array]:
    known = [model.reference for model in models if model.reference.fitted]
    if not known or means is None:
        nothing = np.full(len(silent), np.nan, np.float32)
        return {"distance": nothing, "out_of_range": np.zeros(len(silent), bool)}
    distance = _spoken(torch.stack([reference(means) for reference in known]).mean(0), silent)
    return {"distance": distance, "out_of_range": distance > 1}


def _mean_attention(attentions: list[Tensor], mask: Tensor) -> Tensor:
    """(n, 2w + 1): the networks' mean, NaN at masked neighbours; (n, 1) ones without context, or without networks."""
    if not attentions:
        return torch.ones((len(mask), 1), device=mask.device)
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
