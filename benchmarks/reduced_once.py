"""A model that reduces each frame of a batch once, where clips overlap: the same to rounding, in less time."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from affect.cache.records import Array
from affect.stages.temporal.clips import ClipTable
from affect.stages.temporal.feature_table import FeatureTable
from affect.stages.temporal.fit import standardise
from affect.stages.temporal.model import TemporalModel


class FrameNumbers(FeatureTable):
    """A table whose frames are given by their numbers, not by their features."""

    def __init__(self, table: FeatureTable) -> None:
        self.__dict__.update(table.__dict__)

    def values(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers (..., 1) int64, -1 where the person was not seen, and the mask (...) bool."""
        seen = (frames >= 0) & torch.from_numpy(self.valid)[frames.clamp(min=0)]
        return frames.masked_fill(~seen, -1).unsqueeze(-1), seen


class ReducedOnce(TemporalModel):
    """The same network, which knows the features of all frames (F, D) and is given their numbers (M, T, 1)."""

    def __init__(self, model: TemporalModel, features: Tensor) -> None:
        super().__init__(model.spec)
        self.load_state_dict(model.state_dict())
        self.features = features

    def reduce(self, frames: Tensor, frame_mask: Tensor) -> Tensor:
        """(M, T, W): what the network makes of each distinct frame, laid out."""
        distinct, place = torch.unique(frames.squeeze(-1).masked_fill(~frame_mask, -1), return_inverse=True)
        return functional.embedding(place, super().reduce(self.features[distinct.clamp(min=0)], distinct >= 0))


def reduced_once(model: TemporalModel, clips: ClipTable, train: Array) -> tuple[ReducedOnce, ClipTable]:
    """The model, standardised on the clips that train, and the clips for it; `training.standardise` must be off."""
    standardise(model, clips, train)
    features = clips.table.values(torch.arange(len(clips.table)))[0]
    return ReducedOnce(model, features), replace(clips, table=FrameNumbers(clips.table))
