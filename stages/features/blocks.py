"""Kept frames, segments, blocks: three generators, each of which takes what the one before it gives.

Every batch holds frames that depend on their numbers alone, so a run resumed behind any block makes the same blocks.
"""

import json
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...cache.records import Array, FrameFeatures, FrameStatus
from ...errors import VideoError
from .embed import Embedder
from .faces.cuts import CutFinder, NoCuts
from .faces.follow import FollowedFrame, Follower, KeptFrame
from .faces.points import PointsOf
from .faces.whole import WholeFrame
from .recipe import ALGORITHM
from .video.decode import Recording
from .video.sampler import Sampler


@dataclass(frozen=True, slots=True)
class Portions:
    """How much is done at once on a kind of device."""

    chunk_frames: int  # kept frames that detection sees as one batch
    segment_frames: int  # kept frames that make a block...
    segment_rows: int  # ...or rows, where many faces make that many sooner
    frames_ahead: int  # kept frames that may be decoded before they are asked for: a chunk and a half


ON_CPU = Portions(chunk_frames=8, segment_frames=32, segment_rows=256, frames_ahead=12)
ELSEWHERE = Portions(chunk_frames=16, segment_frames=256, segment_rows=384, frames_ahead=24)


REMOVE_JOURNAL = "remove the video's folder in STORE/.journal, then run the same command again"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a stream stands between two blocks: what the journal holds beside each."""

    frames: int = 0  # kept frames handed out
    with_face: int = 0
    follower: dict[str, Any] | None = None  # its state

    def after(self, frames: Iterable[FollowedFrame], follower: dict[str, Any] | None) -> "Progress":
        """The progress behind these frames too, with the follower in that state."""
        statuses = [frame.status for frame in frames]
        return Progress(self.frames + len(statuses), self.with_face + statuses.count(FrameStatus.OK), follower)

    def to_bytes(self) -> bytes:
        """The progress as JSON, with the algorithm that made it."""
        return json.dumps([ALGORITHM, self.frames, self.with_face, self.follower], separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, state: bytes) -> "Progress":
        """What `to_bytes` gave; the start of a video for no bytes. Errors: VideoError for another algorithm's."""
        if not state:
            return cls()
        try:
            algorithm, frames, with_face, follower = json.loads(state)
            known = type(frames) is int and type(with_face) is int and isinstance(follower, (dict, type(None)))
        except (ValueError, TypeError, RecursionError):
            known = False
        if not known:
            raise VideoError("the journal's state is none of ours", hint=REMOVE_JOURNAL)
        if algorithm != ALGORITHM:
            raise VideoError(
                f"the journal was written by algorithm {algorithm}; expected {ALGORITHM}", hint="--overwrite"
            )
        return cls(frames, with_face, follower)


@dataclass(slots=True)
class Segment:
    """A block that lacks its features."""

    frames: list[FollowedFrame] = field(default_factory=list)
    crops: list[Array] = field(default_factory=list)  # (S, S, 3) uint8, one a face, in order
    state: bytes = b""  # the progress behind it

    def __repr__(self) -> str:
        return f"Segment({len(self.frames)} frames, {len(self.crops)} crops, a state of {len(self.state)} bytes)"

    def fills(self, portions: Portions) -> bool:
        """Whether it is as large as a block becomes."""
        return len(self.frames) >= portions.segment_frames or len(self.crops) >= portions.segment_rows


def kept_frames(
    video: Recording, sampler: Sampler, cuts: CutFinder | NoCuts, follower: Follower | WholeFrame, start: int
) -> Generator[KeptFrame, None, None]:
    """Kept frames from number `start` on, each with the picture that the follower needs; then the video is closed.

    Decoding begins at the video's first frame all the same.
    """
    number = 0
    try:
        for frame in video.frames():
            if not frame.damaged:
                cuts.see(frame.thumbnail)
            if not sampler.keeps(frame.time_s):
                continue
            cut = not frame.damaged and cuts.keep()
            if number >= start:
                image = None if frame.damaged else follower.picture(frame)
                yield KeptFrame(number, frame.index, frame.time_s, image, frame.damaged, cut)
            number += 1
    finally:
        video.close()


def segments(
    frames: Iterable[KeptFrame],
    follower: Follower | WholeFrame,
    pool: Executor,
    portions: Portions,
    start: Progress,
    *,
    mirrored: bool,
) -> Generator[Segment, None, None]:
    """Segments of those frames with the faces cut out of them, and the state behind each.

    pool: where faces are sought; mirrored: of each crop.
    """
    progress, segment = start, Segment()
    for followed in _followed(frames, follower, pool, portions.chunk_frames):
        for frame in followed:
            for face in frame.faces:
                assert frame.kept.image is not None
                crop = follower.crop(frame.kept.image, face)
                segment.crops.append(crop[:, ::-1] if mirrored else crop)
            frame.kept.image = None  # the picture need not wait for its features
            segment.frames.append(frame)
        if segment.fills(portions):
            progress = progress.after(segment.frames, follower.state())
            segment.state = progress.to_bytes()
            yield segment
            segment = Segment()
    if segment.frames:
        segment.state = progress.after(segment.frames, follower.state()).to_bytes()
        yield segment


def _followed(
    frames: Iterable[KeptFrame], follower: Follower | WholeFrame, pool: Executor, chunk_frames: int
) -> Iterator[list[FollowedFrame]]:
    """What the follower gives for each chunk of frames, while faces are sought in the next one already."""
    begun: deque[Any] = deque()
    for chunk in _chunks(frames, chunk_frames):
        begun.append(follower.begin(chunk, pool))
        if len(begun) > 1:
            yield follower.follow(begun.popleft())
    while begun:
        yield follower.follow(begun.popleft())
    yield follower.finish()


def _chunks(frames: Iterable[KeptFrame], chunk_frames: int) -> Iterator[list[KeptFrame]]:
    """Frames in chunks that end at multiples of their size, wherever the first begins."""
    chunk: list[KeptFrame] = []
    for frame in frames:
        chunk.append(frame)
        if (frame.number + 1) % chunk_frames == 0:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def blocks(
    segments: Iterable[Segment], embedder: Embedder, pool: Executor, at_once: int, points: PointsOf | None = None
) -> Generator[tuple[FrameFeatures, bytes], None, None]:
    """Each segment with its features, and the state behind it.

    pool: where so many are embedded at once; points: where the features have points of the face.
    """
    pending: deque[tuple[Future[FrameFeatures], bytes]] = deque()
    for segment in segments:
        pending.append((pool.submit(_block, segment, embedder, points), segment.state))
        if len(pending) > at_once:
            block, state = pending.popleft()
            yield block.result(), state
    for block, state in pending:
        yield block.result(), state


def _block(segment: Segment, embedder: Embedder, points: PointsOf | None) -> FrameFeatures:
    size = embedder.size_px
    crops = np.stack(segment.crops) if segment.crops else np.zeros((0, size, size, 3), np.uint8)
    faces = [(frame.kept.number, face) for frame in segment.frames for face in frame.faces]
    values = embedder.embed(crops)
    box_px = np.array([face.box_px for _, face in faces], np.float32).reshape(-1, 4)
    landmarks_px = np.array([face.landmarks_px for _, face in faces], np.float32).reshape(-1, 5, 2)
    return FrameFeatures(
        time_s=np.array([frame.kept.time_s for frame in segment.frames], np.float64),
        index=np.array([frame.kept.index for frame in segment.frames], np.int64),
        status=np.array([frame.status for frame in segment.frames], np.uint8),
        values=values,
        frame=np.array([number for number, _ in faces], np.int64),
        track=np.array([face.track for _, face in faces], np.int32),
        box_px=box_px,
        score=np.array([face.score for _, face in faces], np.float32),
        landmarks_px=landmarks_px,
        **({} if points is None else {"points_px": points(values, box_px, landmarks_px)}),
    )
