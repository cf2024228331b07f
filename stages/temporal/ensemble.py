"""What one fold learnt: networks of several seeds, and beside them ridge regression on the same people."""

from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from ...cache.records import Array
from ...configs.schema import Method
from .model import ModelSpec, TemporalModel
from .reference_distribution import ReferenceDistribution
from .ridge import Ridge
from .scaling import LabelScaling

Scored = TypeVar("Scored", Tensor, Array)
RIDGE_SHARE = 0.5  # of a blended score; the rest is the networks' mean


def blended(ridge: Scored, networks: Scored) -> Scored:
    """(n, K) of the two, scores of the same clips."""
    return RIDGE_SHARE * ridge + (1 - RIDGE_SHARE) * networks


class LinearScores(nn.Module):
    """Ridge regression on a clip's mean feature, in training units: (n, D) -> (n, K)."""

    mean: Tensor  # (D,)
    spread: Tensor  # (D,)
    weight: Tensor  # (D, K)
    bias: Tensor  # (K,)

    def __init__(self, feature_size: int, targets: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_size))
        self.register_buffer("spread", torch.ones(feature_size))
        self.register_buffer("weight", torch.zeros(feature_size, targets))
        self.register_buffer("bias", torch.zeros(targets))

    def forward(self, features: Tensor) -> Tensor:
        """(n, K) float32 of clips' mean features (n, D)."""
        return ((features.float() - self.mean) / self.spread) @ self.weight + self.bias

    @classmethod
    def of(cls, ridge: Ridge, scaling: LabelScaling) -> "LinearScores":
        """A regression that was fitted in the targets' own units."""
        scores = cls(*ridge.weight.shape)
        scale = np.array(scaling.scale)
        scores.mean.copy_(torch.from_numpy(ridge.mean))
        scores.spread.copy_(torch.from_numpy(ridge.spread))
        scores.weight.copy_(torch.from_numpy(ridge.weight / scale))
        scores.bias.copy_(torch.from_numpy((ridge.bias - np.array(scaling.offset)) / scale))
        return scores


class Ensemble(nn.Module):
    """One or more networks of the same specification, whose scores are averaged; with or without ridge regression."""

    def __init__(self, members: Sequence[TemporalModel], ridge: LinearScores | None = None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.ridge = ridge

    @property
    def networks(self) -> list[TemporalModel]:
        """The members."""
        return [cast(TemporalModel, member) for member in self.members]

    @property
    def spec(self) -> ModelSpec:
        """That of every member."""
        return self.networks[0].spec

    @property
    def reference(self) -> ReferenceDistribution:
        """The training clips' features, which the first member knows."""
        return self.networks[0].reference

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.networks[0].feature_mean.device

    def combine(self, method: Method, networks: Sequence[Tensor], features: Tensor | None) -> Tensor:
        """(n, K) scores by a method, from those of each network (n, K) and the clips' mean features (n, D).

        What the method does not look at may be empty or None.
        """
        if method == "model":
            return torch.stack(list(networks)).mean(0)
        assert self.ridge is not None and features is not None, "only a fold with ridge regression can use it"
        ridge: Tensor = self.ridge(features)
        if method == "ridge":
            return ridge
        return blended(ridge, torch.stack(list(networks)).mean(0))
