"""One vector per clip: learned positions, a small Transformer over the clip's frames, and their mean."""

import torch
from torch import Tensor, nn

from ...configs.schema import ModelConfig
from .dropout import Dropout, quick_dropout

POSITIONS = 1000  # rows of the position table, as in the authors' checkpoints; the first T are used


class ClipEncoder(nn.Module):
    """Frames of a clip to one vector: positions, `layers` pre-norm Transformer layers, a residual, the mean.

    Source: Foteinopoulou & Patras, "Learning from Label Relationships in Human Affect", ACM MM 2022.
    """

    def __init__(self, width: int, config: ModelConfig) -> None:
        super().__init__()
        config.check_width(width)
        self.positions = nn.Embedding(POSITIONS, width)
        nn.init.normal_(self.positions.weight, std=config.position_std)  # small ones let the content lead at first
        self.dropout = Dropout(config.dropout)
        layer = nn.TransformerEncoderLayer(
            width, config.heads, config.feed_forward, config.encoder_dropout, "relu", batch_first=True, norm_first=True
        )
        quick_dropout(layer)
        self.transformer = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)

    def forward(self, frames: Tensor, frame_mask: Tensor) -> Tensor:
        """(M, W): the mean over present frames; zero for a clip without any.

        frames: (M, T, W) after the reduction; frame_mask: (M, T) bool, True = present.
        """
        assert frames.shape[:2] == frame_mask.shape, (frames.shape, frame_mask.shape)
        # A softmax over nothing is NaN: a clip without frames attends everywhere, and its mean below is zero.
        seen = frame_mask | ~frame_mask.any(1, keepdim=True)
        placed = self.dropout(frames + self.positions.weight[: frames.shape[1]])
        padding = torch.zeros_like(seen, dtype=placed.dtype).masked_fill_(~seen, float("-inf"))
        out: Tensor = self.transformer(placed, src_key_padding_mask=padding) + frames
        present = frame_mask.unsqueeze(-1).to(out.dtype)
        return (out * present).sum(1) / present.sum(1).clamp(min=1)
