"""Clips of consecutive kept frames: an index over a feature table, and batches gathered from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...cache.records import Array
from ...configs.schema import ClipsConfig
from .feature_table import FeatureTable

__all__ = ["ClipBatch", "ClipTable", "FeatureTable", "dense_clips", "index_clips"]

TIME_TOLERANCE_S = 1e-6  # a frame this much before a span's start is on it: clocks are fractions, labels decimals


@dataclass
class ClipBatch:
    """B clips and the clips around them, M distinct ones in all; the first `queries` are the B clips, once each."""

    frames: Tensor  # (M, T, D) float16 as cached, zero where missing
    frame_mask: Tensor  # (M, T) bool, True = present
    query: Tensor  # (B,) int64, place of each clip among the first `queries` of M
    neighbours: Tensor  # (B, 2w + 1) int64, place among the M, the clip itself in the middle
    neighbour_mask: Tensor  # (B, 2w + 1) bool, True = inside the video and seen; the middle is always True
    queries: int

    def __post_init__(self) -> None:
        assert self.frames.shape[:2] == self.frame_mask.shape
        assert self.neighbours.shape == self.neighbour_mask.shape and len(self.query) == len(self.neighbours)

    def to(self, device: torch.device | str) -> "ClipBatch":
        """The same batch on a device."""
        names = ("frames", "frame_mask", "query", "neighbours", "neighbour_mask")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})


@dataclass(frozen=True, slots=True, eq=False)
class ClipTable:
    """C clips of a feature table, a column per property; sorted by span, and by time within a span."""

    table: FeatureTable
    clip_length: int  # T
    context: int  # w
    context_edges: Literal["mask", "wrap", "segment"]
    min_valid: float  # share of a clip's frames that must show the person, to train
    video: Array  # (C,) int64, number in the table
    first: Array  # (C,) int64, first kept frame within the video
    length: Array  # (C,) int64, frames, at most T; the rest of a shorter clip is masked
    span: Array  # (C,) int64, row of the spans the index was made from
    span_first: Array  # (C,) int64, the span's first kept frame within the video
    span_end: Array  # (C,) int64, the frame behind its last
    empty_spans: Array  # (E,) int64, spans without any frame
    unseen_spans: Array  # (U,) int64, spans with frames whose every clip shows too little of the person

    def __len__(self) -> int:
        return len(self.video)

    @property
    def start_s(self) -> Array:
        """(C,) float64: time of the first frame."""
        starts: Array = self.table.frames.time_s[self._frame(self.first)]
        return starts

    @property
    def end_s(self) -> Array:
        """(C,) float64: time of the frame that follows the last; before a pause and at a video's end one mean frame
        interval later."""
        frames, pauses = self.table.frames, self.table.pauses
        after = self._frame(self.first) + self.length
        follows = (after < frames.first[self.video + 1]) & ~pauses.follow(after)
        alone = frames.time_s[after - 1] + pauses.step_s[self.video]
        ends: Array = np.where(follows, frames.time_s[np.minimum(after, len(frames.time_s) - 1)], alone)
        return ends

    @property
    def coverage(self) -> Array:
        """(C,) float64: share of the clip's frames in which the person was seen."""
        return self.coverage_of(np.arange(len(self)))

    def coverage_of(self, clips: Array) -> Array:
        """(n,) float64: the coverage of some clips, by number."""
        frame, length = self.table.frames.first[self.video[clips]] + self.first[clips], self.length[clips]
        share: Array = self._seen(frame, length) / length
        return share

    def subset(self, clips: Array) -> "ClipTable":
        """The table of some clips, by number or by mask."""
        names = ("video", "first", "length", "span", "span_first", "span_end")
        columns = {name: getattr(self, name)[clips] for name in names}
        return replace(self, **columns)

    def keys(self, clips: Array) -> tuple[Array, Array]:
        """(n, 2w + 1) keys of the clips and their neighbours, and the mask (n, 2w + 1) of neighbours that exist.

        Equal clips have equal keys; see `pack`. A masked neighbour carries the key of the clip in the middle.
        """
        first, length = self.first[clips, None], self.length[clips, None]
        video = self.video[clips, None]
        begin = self.table.frames.first
        if self.context_edges == "segment":
            frame, lengths = self._around_in_span(clips)
            inside = np.ones(frame.shape, bool)
        else:
            grid = first % length  # a clip's neighbours lie on its own grid of whole clips
            whole = (begin[video + 1] - begin[video] - grid) // length
            place = (first - grid) // length + np.arange(-self.context, self.context + 1)
            inside = (place >= 0) & (place < whole)
            if self.context_edges == "wrap":
                place, inside = place % whole, np.ones_like(inside)
            frame, lengths = begin[video] + np.where(inside, grid + place * length, first), length
        inside &= (self._seen(frame, lengths) > 0) & (self.table.pauses.inside(frame, lengths) == 0)
        inside[:, self.context] = True
        middle = begin[video] + first
        return np.where(inside, self.pack(frame, lengths), self.pack(middle, length)), inside

    def _around_in_span(self, clips: Array) -> tuple[Array, Array]:
        """First frames (n, 2w + 1) in the table and lengths of the clips around some, in the ring of their span's."""
        low, size = self.span_first[clips, None], (self.span_end - self.span_first)[clips, None]
        steps = np.arange(-self.context, self.context + 1)
        place = ((self.first[clips, None] - low) // self.clip_length + steps) % -(-size // self.clip_length)
        frame = self.table.frames.first[self.video[clips, None]] + low + place * self.clip_length
        return frame, np.minimum(self.clip_length, size - place * self.clip_length)

    def pack(self, frame: Array, length: Array) -> Array:
        """Keys of clips, one number each: the first frame's number in the table, and how many frames there are."""
        return frame * (self.clip_length + 1) + length

    def unpack(self, keys: Array) -> tuple[Array, Array]:
        """First frames and lengths of the clips with these keys: what `pack` was given."""
        return np.divmod(keys, self.clip_length + 1)

    def gather(self, keys: Array) -> tuple[Tensor, Tensor]:
        """Features (n, T, D) float16 and their mask (n, T) of clips by their keys (n,), on the table's device."""
        frame, length = self.unpack(keys[:, None])
        step = np.arange(self.clip_length)
        return self.table.values(torch.from_numpy(np.where(step < length, frame + step, -1)))

    def filled(self, keys: Array, mask: Tensor) -> Tensor:
        """The mask (n, T) with which clips of these keys are encoded: in a segment, zeros behind a short one count."""
        if self.context_edges != "segment":
            return mask
        behind = np.arange(self.clip_length) >= self.unpack(keys[:, None])[1]
        return mask | torch.from_numpy(behind).to(mask.device, non_blocking=True)

    def batch(self, clips: Tensor) -> ClipBatch:
        """The batch of some clips (B,), given by number; no clip is gathered twice."""
        keys, mask = self.keys(clips.cpu().numpy())
        distinct, place = np.unique(keys, return_inverse=True)
        place = place.reshape(keys.shape)
        around = np.ones(len(distinct), bool)
        around[place[:, self.context]] = False
        order = np.argsort(around, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        frames, seen = self.gather(distinct[order])
        frame_mask = self.filled(distinct[order], seen)
        neighbours = torch.from_numpy(rank[place]).to(self.table.device, non_blocking=True)
        neighbour_mask = torch.from_numpy(mask).to(self.table.device, non_blocking=True)
        queries = int((~around).sum())
        return ClipBatch(frames, frame_mask, neighbours[:, self.context], neighbours, neighbour_mask, queries)

    def _frame(self, first: Array) -> Array:
        """Number in the table of a frame of each clip's video."""
        frame: Array = self.table.frames.first[self.video] + first
        return frame

    def _seen(self, frame: Array, length: Array) -> Array:
        """How many of the frames [frame, frame + length) show the person."""
        seen: Array = self.table.seen_before[frame + length] - self.table.seen_before[frame]
        return seen


def index_clips(
    table: FeatureTable,
    videos: Sequence[str],
    start_s: Array,
    end_s: Array,
    config: ClipsConfig,
) -> ClipTable:
    """The clips of S labelled spans: every `hop` frames from a span's start, and one that ends where the span ends.

    videos: (S,) ids; start_s, end_s: (S,) seconds, a NaN or infinite end means to the
    video's end. A kept frame belongs to [start, end) by its time. A span shorter than a clip becomes one short clip.
    A clip reaches across no pause (`Pauses`): what lies between pauses has clips of its own.
    Clips in which the person is seen in no frame, or in a smaller share than `min_valid`, are left out.
    """
    video = table.number(videos)
    low = first_frame_from(table, video, np.nan_to_num(start_s, nan=0.0))
    high = first_frame_from(table, video, np.where(np.isnan(end_s), np.inf, end_s))
    clips = _clips_of(table, video, low, np.maximum(low, high), config)
    kept = clips.coverage >= max(config.min_valid, np.finfo(float).tiny)
    had, has = np.zeros((2, len(video)), bool)
    had[clips.span], has[clips.span[kept]] = True, True
    return replace(clips.subset(kept), unseen_spans=np.flatnonzero(had & ~has))


def dense_clips(
    table: FeatureTable, config: ClipsConfig, stride: int, *, videos: Sequence[str] | None = None
) -> ClipTable:
    """Clips every `stride` kept frames over whole videos (None: all), seen or not; the last one ends with the video.

    `span` is the place of the video among `videos`.
    """
    video = np.arange(len(table.ids)) if videos is None else table.number(videos)
    low, high = np.zeros(len(video), np.int64), np.diff(table.frames.first)[video]
    edges = "wrap" if config.context_edges == "segment" else config.context_edges  # a whole video is one segment
    return _clips_of(table, video, low, high, replace(config, hop=stride, context_edges=edges))


def _clips_of(table: FeatureTable, video: Array, low: Array, high: Array, config: ClipsConfig) -> ClipTable:
    """Clips of spans of frames [low, high) of videos, all (S,); each piece of a span between pauses has its own."""
    length, hop = config.length, config.hop or config.length
    begin, spans = table.frames.first[video], len(video)
    piece, low, high = table.pauses.parts(begin + low, begin + high)
    low, high, video = low - begin[piece], high - begin[piece], video[piece]
    spare = np.maximum(high - low - length, 0)
    count = np.where(high > low, -(-spare // hop) + 1, 0)
    span = np.repeat(np.arange(len(video)), count)
    number = np.arange(len(span)) - np.repeat(np.cumsum(count) - count, count)
    # A span's last clip ends with it, or is a short one where the clips of a segment lie end to end.
    offset = number * hop if config.context_edges == "segment" else np.minimum(number * hop, spare[span])
    first = low[span] + offset
    return ClipTable(
        table=table,
        clip_length=length,
        context=config.context,
        context_edges=config.context_edges,
        min_valid=config.min_valid,
        video=video[span],
        first=first,
        length=np.minimum(length, high[span] - first),
        span=piece[span],
        span_first=low[span],
        span_end=high[span],
        empty_spans=np.flatnonzero(np.bincount(piece, count, spans) == 0),
        unseen_spans=np.zeros(0, np.int64),
    )


def first_frame_from(table: FeatureTable, video: Array, time_s: Array) -> Array:
    """(S,) int64: the first kept frame of each video at or after each time; a binary search of all spans at once."""
    begin, times = table.frames.first[video], table.frames.time_s
    low, high = begin, table.frames.first[video + 1]
    while np.any(low < high):
        middle = (low + high) // 2
        before = times[np.minimum(middle, len(times) - 1)] < time_s - TIME_TOLERANCE_S
        low, high = np.where(before & (low < high), middle + 1, low), np.where(before | (low >= high), high, middle)
    return low - begin
