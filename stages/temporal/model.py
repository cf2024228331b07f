"""The stage-two network: features of a clip and of the clips around it to scores."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...configs.load import config_from_dict
from ...configs.schema import ModelConfig
from ...errors import ConfigError
from .clips import ClipBatch
from .context import ContextAttention
from .encoder import ClipEncoder
from .head import Head
from .reference_distribution import ReferenceDistribution


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a file of weights needs beside them to become a model again."""

    feature_size: int  # D
    targets: tuple[str, ...]  # K
    clip_length: int  # T, frames
    context: int  # w, clips on each side; 0: no context attention
    config: ModelConfig

    @property
    def width(self) -> int:
        """W: of everything after the reduction."""
        return self.config.width or self.feature_size

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` makes the same spec of them."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ModelSpec":
        """Errors: ConfigError for what is not a spec."""
        try:
            return cls(
                feature_size=int(values["feature_size"]),
                targets=tuple(str(name) for name in values["targets"]),
                clip_length=int(values["clip_length"]),
                context=int(values["context"]),
                config=config_from_dict({"model": values["config"]}).model,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"this is no model specification: {error!r}") from error


@dataclass
class Scores:
    """What the model says of B clips."""

    prediction: Tensor  # (B, K), in the order of the targets
    embedding: Tensor  # (B, W), the clip's own vector, before the context
    attention: Tensor  # (B, 2w + 1), to the clip and its neighbours in time order; ones (B, 1) without context


class TemporalModel(nn.Module):
    """Reduction, clip encoder, context attention and head.

    Source: Foteinopoulou & Patras, "Learning from Label Relationships in Human Affect", ACM MM 2022.

    >>> spec = ModelSpec(1280, ("valence", "arousal"), clip_length=16, context=2, config=ModelConfig(width=64))
    >>> model = TemporalModel(spec).eval()
    >>> one, five = torch.zeros(1, dtype=torch.int64), torch.arange(5).unsqueeze(0)  # a clip and those around it
    >>> clips = ClipBatch(torch.rand(5, 16, 1280), torch.ones(5, 16).bool(), one, five, torch.ones(1, 5).bool(), 5)
    >>> model(clips).prediction.shape
    torch.Size([1, 2])
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        config, width = spec.config, spec.width
        self.register_buffer("feature_mean", torch.zeros(spec.feature_size))
        self.register_buffer("feature_scale", torch.ones(spec.feature_size))
        self.reference = ReferenceDistribution(spec.feature_size)
        self.reduction = nn.Linear(spec.feature_size, width)
        self.encoder = ClipEncoder(width, config)
        self.context = ContextAttention(width, config.dropout, config.attention_scale) if spec.context else None
        self.head = Head(
            width * (2 if spec.context else 1),
            spec.targets,
            config.total_target,
            config.head_inner_relu and spec.context > 0,  # the published head without context has none
            config.dropout,
        )

    def reduce(self, frames: Tensor, frame_mask: Tensor) -> Tensor:
        """(M, T, W): relu(W x + b) of the standardised features, zero features where a frame is missing."""
        # Frames are many times as large as the weights, so they are copied once, and the weights are divided.
        copied = frames.to(self.feature_mean.dtype, copy=True, memory_format=torch.contiguous_format)
        frames = _cleared(copied, ~frame_mask)
        weight = self.reduction.weight / self.feature_scale
        return torch.relu(functional.linear(frames.sub_(self.feature_mean), weight, self.reduction.bias))

    def encode(self, frames: Tensor, frame_mask: Tensor) -> Tensor:
        """(M, W), one vector per clip; zero for a clip without frames.

        frames: (M, T, D) features as cached, of any float type; frame_mask: (M, T) bool, True = present.
        """
        embedding: Tensor = self.encoder(self.reduce(frames, frame_mask), frame_mask)
        return embedding

    def score(self, query: Tensor, context: Tensor | None = None, context_mask: Tensor | None = None) -> Scores:
        """Scores of clips from their vectors and those of the clips around them.

        query: (B, W); context: (B, 2w + 1, W), the clip itself included; context_mask: (B, 2w + 1) bool, None = all.
        """
        if self.context is None:
            return Scores(self.head(query), query, query.new_ones(len(query), 1))
        assert context is not None, "this model was built with context"
        if context_mask is None:
            context_mask = torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)
        mixed, attention = self.context(query, context, context_mask)
        return Scores(self.head(torch.cat([query, mixed], 1)), query, attention)

    def forward(self, batch: ClipBatch) -> Scores:
        """Scores of the batch's B queries; each distinct clip is encoded once, context-only clips without a graph.

        While training with `context_pass: own`, the queries are encoded a second time, for the context.
        """
        queries = batch.queries if torch.is_grad_enabled() or self.context is None else len(batch.frames)
        encoded = self.encode(batch.frames[:queries], batch.frame_mask[:queries])
        if self.context is None:
            return self.score(encoded[batch.query])
        context = self._context(batch, encoded.detach())
        return self.score(encoded[batch.query], context[batch.neighbours], batch.neighbour_mask)

    @torch.no_grad()
    def _context(self, batch: ClipBatch, known: Tensor) -> Tensor:
        """(M, W): vectors of all clips of a batch, of which the first ones are known."""
        if self.training and self.spec.config.context_pass == "own":
            known = known[:0]
        if len(known) == len(batch.frames):
            return known
        return torch.cat([known, self.encode(batch.frames[len(known) :], batch.frame_mask[len(known) :])])


def _cleared(frames: Tensor, missing: Tensor) -> Tensor:
    """The frames themselves, zero where they are missing."""
    if frames.device.type != "cpu":  # a GPU fills them all sooner than it says how many are missing
        return frames.masked_fill_(missing.unsqueeze(-1), 0)
    frames.view(-1, frames.shape[-1]).index_fill_(0, missing.flatten().nonzero().squeeze(1), 0)
    return frames
