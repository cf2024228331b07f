"""Attention of a clip to the clips around it."""

from typing import Literal

import torch
from torch import Tensor, nn

from .dropout import Dropout


class ContextAttention(nn.Module):
    """One attention head from a clip to its neighbours, with a residual; positions play no part.

    `published` multiplies the logits by sqrt(W), as the authors' code does; `standard` divides by it.
    Source: Foteinopoulou & Patras 2022, equations of the relational context block.
    """

    def __init__(self, width: int, dropout: float, scale: Literal["standard", "published"]) -> None:
        super().__init__()
        self.theta = nn.Linear(width, width)
        self.phi = nn.Linear(width, width)
        self.g = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        self.scale = width**0.5 if scale == "published" else width**-0.5

    def forward(self, query: Tensor, context: Tensor, context_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The query with its context added (B, W), and the attention (B, C), which sums to one.

        query: (B, W); context: (B, C, W); context_mask: (B, C) bool, True = present, at least one a row.
        """
        assert context.shape[:2] == context_mask.shape, (context.shape, context_mask.shape)
        # phi and g are linear, so they are applied to the B queries and sums instead of the B * C neighbours:
        # theta(q) . phi(k) = (theta(q) Wphi) . k + theta(q) . bphi, and sum a g(v) = g(sum a v) as sum a = 1.
        theta = self.theta(query)
        logits = torch.einsum("bw,bcw->bc", theta @ self.phi.weight, context) + (theta @ self.phi.bias).unsqueeze(1)
        logits = (self.scale * logits).float().masked_fill(~context_mask, float("-inf"))
        attention = logits.softmax(1).to(context.dtype)
        mixed = self.g(torch.einsum("bc,bcw->bw", attention, context))
        return self.dropout(self.out(torch.relu(self.norm(mixed)))) + query, attention
