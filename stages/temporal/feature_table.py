"""Features of many videos as one table: on the device, in memory, or left in the store and read block by block."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...cache.records import Array, FrameFeatures, VideoInfo
from ...cache.store import Store
from ...configs.subject import MAIN, Subject
from ...errors import EntryError, InputError
from .held import READ_FRAMES, FrameIndex, HeldRows, StoredRows, VideoFrames, free_bytes
from .pauses import Pauses

_DOUBTS_SAID = 5


class FeatureTable:
    """One person's features through each of V videos, F kept frames in all, gathered by frame number.

    `place` says where the values are: "device", "memory" or "store".
    """

    def __init__(
        self,
        frames: FrameIndex,
        values: HeldRows | StoredRows,
        device: torch.device,
        unread: Mapping[str, str] | None = None,
        doubts: Sequence[str] = (),
    ) -> None:
        """unread: videos that count as having no frame, since they could not be read, and why.

        doubts: what is to be said of videos with others who could be meant as well as the main person.
        """
        self.frames, self.unread, self.doubts = frames, dict(unread or {}), tuple(doubts)
        self.device = device
        self.valid = frames.row >= 0  # (F,) bool
        self.seen_before = values.seen_before if isinstance(values, HeldRows) else frames.seen_before()  # (F + 1,)
        self.pauses = Pauses.of(frames.time_s, frames.first)
        self._values = values
        self.is_centred = False
        self._means: Tensor | None = None  # (V, D) float32, on the device
        self._number = {name: number for number, name in enumerate(frames.ids)}

    @classmethod
    def from_store(
        cls,
        store: Store,
        ids: Sequence[str] | None = None,
        subject: Subject = MAIN,
        device: torch.device | str = "cpu",
        budget_bytes: int | None = None,
        *,
        feature_size: int | None = None,
        skip_unread: bool = False,
        centre: Literal["none", "person"] = "none",
    ) -> "FeatureTable":
        """The table of some entries (None: all); `subject` is one person; `feature_size` is D where it is known.

        skip_unread: an entry that is damaged or cannot be read has no frames, and `unread` says why.
        centre: as in `ClipsConfig`; person: the table is `centred`.
        Errors: EntryError for such an entry otherwise.

        Features go to the device when they fit both the budget and half of what is free there, else to memory by the
        same rule, else they stay in the store and are read in blocks, of which at most `budget_bytes` are kept
        (None: a quarter of the free memory).
        """
        names = tuple(dict.fromkeys(store.ids() if ids is None else ids))
        found = VideoFrames.stored_in(store, names, subject)
        unread = {name: video for name, video in found.items() if isinstance(video, EntryError)}
        videos = {name: video for name, video in found.items() if not isinstance(video, EntryError)}
        while skip_unread or not unread:
            every = {name: videos.get(name, VideoFrames.none()) for name in names}
            try:
                frames = FrameIndex.of(every, _size_of(store, every) if feature_size is None else feature_size)
                values = _place_values(store, frames, torch.device(device), budget_bytes)
            except EntryError:
                bad = _unread_values(store, videos) if skip_unread else {}
                if not bad:
                    raise
                unread |= bad
                videos = {name: video for name, video in videos.items() if name not in bad}
                continue
            told = {name: str(error) for name, error in unread.items()}
            table = cls(frames, values, torch.device(device), told, _doubts(videos))
            return table.centred() if centre == "person" else table
        raise next(iter(unread.values()))

    @classmethod
    def from_videos(
        cls,
        videos: Mapping[str, FrameFeatures],
        infos: Mapping[str, VideoInfo] | None = None,
        subject: Subject = MAIN,
        device: torch.device | str = "cpu",
    ) -> "FeatureTable":
        """The table of features that are in memory already."""
        chosen = {
            name: VideoFrames.of(video, infos[name].persons, subject, infos[name].tracks)
            if infos
            else VideoFrames.of(video, {}, subject)
            for name, video in videos.items()
        }
        frames = FrameIndex.of(chosen, max((video.size for video in videos.values()), default=0))
        rows = [video.values[chosen[name].row[chosen[name].row >= 0]] for name, video in videos.items()]
        values = torch.from_numpy(np.concatenate([np.zeros((0, frames.size), np.float16), *rows])).to(device)
        return cls(frames, HeldRows(values, frames.seen_before()), torch.device(device))

    def centred(self) -> "FeatureTable":
        """The same table with each video's mean feature taken away: that of the person over the whole recording.

        The values stay where they are.
        """
        table = FeatureTable(self.frames, self._values, self.device, self.unread, self.doubts)
        table._means, table.is_centred = self.means(), True
        return table

    def means(self) -> Tensor:
        """(V, D) float32, on the device: each video's mean feature, of a centred table too; 0 where nobody was seen.

        Read once, a few thousand frames at a time.
        """
        if self._means is None:
            means = torch.zeros(len(self.ids), self.feature_size, device=self.device)
            for video in range(len(self.ids)):
                begin, end = int(self.frames.first[video]), int(self.frames.first[video + 1])
                seen = begin + np.flatnonzero(self.valid[begin:end])
                total = torch.zeros(self.feature_size, dtype=torch.float64)  # on the CPU: not every device has float64
                for piece in np.split(seen, range(READ_FRAMES, len(seen), READ_FRAMES)):
                    total += self.values(torch.from_numpy(piece))[0].cpu().double().sum(0)
                means[video] = (total / max(1, len(seen))).float()
            self._means = means
        return self._means

    def __len__(self) -> int:
        return len(self.frames.row)

    @property
    def ids(self) -> tuple[str, ...]:
        """The videos, in the order of their numbers."""
        return self.frames.ids

    @property
    def feature_size(self) -> int:
        """D."""
        return self.frames.size

    @property
    def place(self) -> str:
        """Where the values are: device, memory or store."""
        return self._values.place

    def number(self, video_ids: Sequence[str]) -> Array:
        """(S,) int64 numbers of videos. Errors: InputError for one that is not in the table."""
        try:
            return np.array([self._number[name] for name in video_ids], np.int64)
        except KeyError as error:
            raise InputError(f"video {error.args[0]!r} is not among the {len(self.ids)} videos of this table") from None

    def values(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Features (..., D) float16, zero where the person was not seen, and the mask (...) bool, on the device.

        Of a centred table: what is left of them, rounded to float16 again.

        frames: (...) int64 numbers of frames in the table, best on the CPU; -1 = no frame.
        """
        flat = frames.reshape(-1).cpu().numpy()
        missing = (flat < 0) | ~self.valid[flat]
        values = self._values.gather(np.where(missing, -1, flat)).to(self.device, non_blocking=True)
        if self.is_centred:
            video = np.searchsorted(self.frames.first, np.where(missing, 0, flat), side="right") - 1
            values = (values.float() - self.means()[torch.from_numpy(video).to(self.device)]).half()
        absent = torch.from_numpy(missing).to(self.device, non_blocking=True)
        if missing.any():
            values = values.masked_fill_(absent.unsqueeze(1), 0)
        return values.view(*frames.shape, self.feature_size), ~absent.view(frames.shape)


def _doubts(videos: Mapping[str, VideoFrames]) -> list[str]:
    """What is to be said of who is meant, video by video, for the first few."""
    said = [f"{name}: {words}" for name, video in videos.items() for words in video.doubts]
    more = len(said) - _DOUBTS_SAID
    last = [f"{more} more videos show others who could be meant as well as the main person"] if more > 0 else []
    return said[:_DOUBTS_SAID] + last


def _size_of(store: Store, videos: Mapping[str, VideoFrames]) -> int:
    """D of the first video that has a row; 0 where none has."""
    with_rows = next((name for name, video in videos.items() if video.stored), None)
    return int(store.read_values(with_rows, 0, 1).shape[1]) if with_rows is not None else 0


def _unread_values(store: Store, videos: Mapping[str, VideoFrames]) -> dict[str, EntryError]:
    """Which videos have features that cannot be read, and why."""
    found: dict[str, EntryError] = {}
    for name, video in videos.items():
        try:
            for start in range(0, video.stored, READ_FRAMES):
                store.read_values(name, start, min(video.stored, start + READ_FRAMES))
        except EntryError as error:
            found[name] = error
    return found


def _place_values(
    store: Store, frames: FrameIndex, device: torch.device, budget_bytes: int | None
) -> HeldRows | StoredRows:
    wanted = int((frames.row >= 0).sum()) * frames.size * 2
    for place in dict.fromkeys((device, torch.device("cpu"))):
        limit = free_bytes(place) / 2
        if wanted <= (limit if budget_bytes is None else min(limit, budget_bytes)):
            return HeldRows.from_store(store, frames, place)
    budget = budget_bytes if budget_bytes is not None else int(free_bytes(torch.device("cpu")) / 4)
    return StoredRows(store, frames, budget)
