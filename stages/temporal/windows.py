"""An epoch's random windows: one clip of each labelled span with its context, from another place in every epoch."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...cache.records import Array
from .clips import ClipBatch, ClipTable

MOST_DRAWS = 100  # of a place for one window, until enough of its clip shows the person


@dataclass(frozen=True, slots=True, eq=False)
class SpanWindows:
    """Windows of `clips.context` clips, one clip and `clips.context` more, cut out of the rings of frames of spans.

    Source: the behaviour of the authors' code. A window begins at any frame of its span. Behind the span's last frame
    it goes on with the first, once; what is still missing then is the window backwards. So a clip may have a seam.
    """

    clips: ClipTable
    start: Array  # (C,) int64, where the window of each clip's span begins, frames from the span's first

    def batch(self, clips: Tensor) -> ClipBatch:
        """The windows of the spans of some clips (B,), given by number; each has its own copies of its clips."""
        context, length, count = self.clips.context, self.clips.clip_length, len(clips)
        frames = self.frames(clips.cpu().numpy()).reshape(count, 2 * context + 1, length)
        around = np.delete(frames, context, axis=1).reshape(-1, length)
        values, mask = self.clips.table.values(torch.from_numpy(np.concatenate([frames[:, context], around])))
        query = torch.arange(count, device=mask.device)
        beside = torch.arange(count, len(values), device=mask.device).view(count, -1)
        neighbours = torch.cat([beside[:, :context], query.unsqueeze(1), beside[:, context:]], 1)
        seen = mask.any(1)[neighbours]
        seen[:, context] = True
        return ClipBatch(values, mask, query, neighbours, seen, count)

    def frames(self, clips: Array) -> Array:
        """(n, (2w + 1) T) int64: numbers in the table of the frames of each window."""
        first, end, start = (column[clips, None] for column in (self.clips.span_first, self.clips.span_end, self.start))
        place = window_places(end - first, start, (2 * self.clips.context + 1) * self.clips.clip_length)
        frames: Array = self.clips.table.frames.first[self.clips.video[clips, None]] + first + place
        return frames

    def coverage_of(self, clips: Array) -> Array:
        """(n,) float64: share of the frames of each window's clip that show the person."""
        length, before = self.clips.clip_length, self.clips.context * self.clips.clip_length
        frames = self.frames(clips)[:, before : before + length]
        share: Array = self.clips.table.valid[frames].mean(1)
        return share


def window_places(size: Array, start: Array, length: int) -> Array:
    """(n, length) places in spans of `size` (n, 1) frames of windows that begin at `start` (n, 1)."""
    once = np.minimum(length, 2 * size - start)  # frames until the ring has been gone round
    period = np.maximum(1, 2 * (once - 1))
    step = np.arange(length) % period
    place: Array = (start + np.where(step < once, step, period - step)) % size
    return place


def draw_starts(clips: ClipTable, chosen: Array, generator: np.random.Generator) -> tuple[Array, Array]:
    """One of the chosen clips (n,) for each of their spans, and where the windows begin, (C,), for `windows_at`.

    A place is drawn again while less than `min_valid` of the window's clip shows the person; where that does not end,
    the clip keeps its own place.
    """
    kept = chosen[np.sort(np.unique(clips.span[chosen], return_index=True)[1])]
    size, own = clips.span_end - clips.span_first, clips.first - clips.span_first
    if clips.context_edges == "segment":
        room, own = size, (own - clips.context * clips.clip_length) % size
    else:
        room = size - clips.length + 1
    start, poor = own.copy(), kept
    for _ in range(MOST_DRAWS):
        start[poor] = (generator.random(len(poor)) * room[poor]).astype(np.int64)
        shown = windows_at(clips, start).coverage_of(poor)
        poor = poor[shown < max(clips.min_valid, np.finfo(float).tiny)]
        if not len(poor):
            break
    start[poor] = own[poor]
    return kept, start


def windows_at(clips: ClipTable, start: Array) -> "ClipTable | SpanWindows":
    """Batches of windows that begin at `start` (C,), frames from the first of each clip's span.

    In a segment they are those of `SpanWindows`; otherwise the clip begins there, and its neighbours lie beside it in
    the video.
    """
    if clips.context_edges == "segment":
        return SpanWindows(clips, start)
    return replace(clips, first=clips.span_first + start)
