"""Clips of two sides that have frames in common, in themselves or in their context."""

import numpy as np

from ...cache.records import Array
from .clips import ClipTable
from .splits import PAIRS, SIDES

Pair = tuple[str, str]


def overlapping_clips(clips: ClipTable, side: Array) -> dict[Pair, int]:
    """Two sides -> how many clips of one have, in themselves or their context, a frame that a clip of the other has.

    side: (C,) 0 train, 1 validation, 2 test, -1 unused. Context is counted as if nothing were masked; in a segment it
    is the span.
    """
    reach = clips.length * clips.context
    low, high, last = clips.first - reach, clips.first + clips.length + reach, clips.first + clips.length
    if clips.context_edges == "segment":
        low, high = clips.span_first, clips.span_end
    seen: dict[Pair, int] = {}
    videos_of = [np.unique(clips.video[side == number]) for number in range(len(SIDES))]
    videos, sides = np.unique(np.concatenate(videos_of), return_counts=True)
    for video in videos[sides > 1]:
        mine = np.flatnonzero((clips.video == video) & (side >= 0))
        for pair in PAIRS:
            first, second = (mine[side[mine] == SIDES.index(name)] for name in pair)
            count = _meeting(low[first], high[first], clips.first[second], last[second])
            count += _meeting(low[second], high[second], clips.first[first], last[first])
            if count:
                seen[pair] = seen.get(pair, 0) + count
    return seen


def _meeting(low: Array, high: Array, other_low: Array, other_high: Array) -> int:
    """How many of the intervals [low, high) meet one of the others."""
    begun = np.searchsorted(np.sort(other_low), high, side="left")
    ended = np.searchsorted(np.sort(other_high), low, side="right")
    return int((begun > ended).sum())
