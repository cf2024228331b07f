"""Which frames there are, and the two ways their features are held: packed in one tensor, or left in a store."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ...cache.people import TrackFacts, frames_of, people, rivals
from ...cache.records import Array, FrameFeatures, arrays_for, subject_rows
from ...cache.store import Store
from ...cache.system import free_memory_bytes
from ...configs.subject import Subject
from ...errors import EntryError

BLOCK_ROWS = 256  # rows read from a store at once: 1 MB at D = 2048, about a chunk of a store
READ_FRAMES = 4096  # of one person, read at once into a table


def free_bytes(device: torch.device) -> float:
    """Bytes a device can still give, as it reports them now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory_bytes()


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """The part of one video's features that the index of a table keeps."""

    time_s: Array  # (N,) float64
    row: Array  # (N,) int32, -1 = not seen
    stored: int  # rows of everybody
    fingerprint: str = ""  # of the video's file; empty for features that never were in a store
    doubts: tuple[str, ...] = ()  # whether others could be meant as well as its main person

    @classmethod
    def of(
        cls,
        video: FrameFeatures,
        persons: Mapping[int, int],
        subject: Subject,
        facts: Mapping[int, TrackFacts] | None = None,
    ) -> "VideoFrames":
        """The frames of one person, in features that are in memory."""
        row = subject_rows(video.arrays(), len(video.time_s), persons, subject, facts)
        return cls(video.time_s, row.astype(np.int32), len(video.frame))

    @classmethod
    def stored_in(cls, store: Store, ids: Sequence[str], subject: Subject) -> dict[str, "VideoFrames | EntryError"]:
        """Id -> the frames of one person, read without any features, or why they cannot be read."""
        videos: dict[str, VideoFrames | EntryError] = {}
        for name, entry in zip(ids, store.entries(ids, ("time_s", *arrays_for(subject))), strict=True):
            if isinstance(entry, EntryError):
                videos[name] = entry
                continue
            persons, facts, track = entry.info.persons, entry.info.tracks, entry.arrays["track"]
            row = subject_rows(entry.arrays, entry.frames, persons, subject, facts).astype(np.int32)
            doubts = rivals(people(frames_of(track), persons, facts)) if subject.kind == "main" else ()
            videos[name] = cls(entry.arrays["time_s"], row, len(track), entry.info.fingerprint, tuple(doubts))
        return videos

    @classmethod
    def none(cls) -> "VideoFrames":
        """Of a video that cannot be read."""
        return cls(np.zeros(0), np.zeros(0, np.int32), 0)


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The kept frames of V videos, one after another (F frames in all); no features yet."""

    ids: tuple[str, ...]  # of the store's entries, (V,)
    first: Array  # (V + 1,) int64: video v has frames [first[v], first[v + 1])
    time_s: Array  # (F,) float64, non-decreasing within a video
    row: Array  # (F,) int32: row of the chosen person in the video's stored features, -1 = not seen
    stored: Array  # (V,) int64: rows each video has in the store, everybody's
    fingerprints: tuple[str, ...]  # of the videos' files (V,)
    size: int  # D

    @classmethod
    def of(cls, videos: Mapping[str, VideoFrames], size: int) -> "FrameIndex":
        """The index of some videos, one after another."""
        counts = [len(video.time_s) for video in videos.values()]
        return cls(
            ids=tuple(videos),
            first=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64),
            time_s=np.concatenate([np.zeros(0), *(video.time_s for video in videos.values())]),
            row=np.concatenate([np.zeros(0, np.int32), *(video.row for video in videos.values())]),
            stored=np.array([video.stored for video in videos.values()], np.int64),
            fingerprints=tuple(video.fingerprint for video in videos.values()),
            size=size,
        )

    def seen_before(self) -> Array:
        """(F + 1,) int64: in how many of the frames before each the person was seen."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.row >= 0, dtype=np.int64)])


class HeldRows:
    """The rows that are used, packed in one tensor."""

    def __init__(self, values: Tensor, seen_before: Array) -> None:
        """values: (R, D) float16, a row per seen frame, in frame order; seen_before: (F + 1,), of `FrameIndex`."""
        assert len(values) == seen_before[-1]
        self._values, self.seen_before = values, seen_before

    @classmethod
    def from_store(cls, store: Store, frames: FrameIndex, device: torch.device) -> "HeldRows":
        """Read what is used, a few thousand rows at a time."""
        values = torch.empty(int((frames.row >= 0).sum()), frames.size, dtype=torch.float16, device=device)
        start = 0
        for number, name in enumerate(frames.ids):
            used = frames.row[frames.first[number] : frames.first[number + 1]]
            used = used[used >= 0]
            for piece in np.split(used, range(READ_FRAMES, len(used), READ_FRAMES)) if len(used) else ():
                low, high = int(piece[0]), int(piece[-1]) + 1
                block = store.read_values(name, low, high)[piece - low]
                values[start : start + len(piece)] = torch.from_numpy(block).to(device)
                start += len(piece)
        return cls(values, frames.seen_before())

    @property
    def place(self) -> str:
        """device, or memory when the rows lie in the host's."""
        return "memory" if self._values.device.type == "cpu" else "device"

    def gather(self, frames: Array) -> Tensor:
        """(n, D) float16, where the rows lie; frames: (n,) numbers of seen frames, -1 = anything."""
        if len(self._values) == 0:
            return self._values.new_zeros(len(frames), self._values.shape[1])
        rows = torch.from_numpy(np.where(frames < 0, 0, self.seen_before[frames]))
        return self._values.index_select(0, rows.to(self._values.device, non_blocking=True))


class StoredRows:
    """Rows left in the store: blocks of them are read when asked for, and the last used ones kept."""

    place = "store"

    def __init__(self, store: Store, frames: FrameIndex, budget_bytes: int) -> None:
        """budget_bytes: of blocks kept; two are kept however small it is."""
        self._store, self._frames = store, frames
        self._slots = max(2, budget_bytes // max(1, BLOCK_ROWS * frames.size * 2))
        self._blocks: OrderedDict[tuple[int, int], Array] = OrderedDict()

    def gather(self, frames: Array) -> Tensor:
        """(n, D) float16 in memory; frames: (n,) numbers of seen frames, -1 = anything (zero)."""
        values = np.zeros((len(frames), self._frames.size), np.float16)
        wanted = np.flatnonzero(frames >= 0)
        video = np.searchsorted(self._frames.first, frames[wanted], side="right") - 1
        row = self._frames.row[frames[wanted]]
        order = np.lexsort((row, video))
        wanted, video, row = wanted[order], video[order], row[order]
        block = row // BLOCK_ROWS
        starts = np.flatnonzero(np.diff(video, prepend=-1) | np.diff(block, prepend=-1))
        for start, stop in pairwise([*starts.tolist(), len(wanted)]):
            held = self._block(int(video[start]), int(block[start]))
            values[wanted[start:stop]] = held[row[start:stop] - block[start] * BLOCK_ROWS]
        return torch.from_numpy(values)

    def _block(self, video: int, block: int) -> Array:
        """(up to BLOCK_ROWS, D) rows of a video; the least recently used block makes room."""
        held = self._blocks.pop((video, block), None)
        if held is None:
            while len(self._blocks) >= self._slots:
                self._blocks.popitem(last=False)
            start, stop = block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS
            held = self._store.read_values(self._frames.ids[video], start, min(stop, int(self._frames.stored[video])))
        self._blocks[video, block] = held
        return held
