"""One video as blocks of features: decoding, finding faces and embedding at once, resumable at every block.

Three threads, each a few items ahead of the next: frames, then segments of frames with their crops, then blocks.
Every batch holds frames that depend on their numbers alone, so a run resumed behind any block makes the same blocks.
"""

import ctypes
import json
import platform
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...cache.records import Array, FrameFeatures, FrameStatus, VideoInfo
from ...configs.schema import FeaturesConfig
from ...errors import VideoError
from .backbones.load import load_backbone
from .background import Background
from .embed import Embedder
from .faces.crop import crop_matrix, cut_out
from .faces.detect import CenterFace
from .faces.follow import Face, FollowedFrame, Follower, KeptFrame
from .faces.track import CutFinder
from .recipe import ALGORITHM, make_recipe
from .video.clock import Sampler
from .video.decode import Frame, open_video

_M_ARENA_MAX = -8  # of glibc's malloc.h
_QUEUE_BYTES = 64 << 20  # of decoded pictures waiting, at most
_LEAST_FACE_RATE = 0.2
_PACKAGES = ("affect", "av", "numpy", "onnx2torch", "opencv-python", "torch", "torchvision")


class FeatureExtractor:
    """The detector and the backbone on one device, for one video after another."""

    def __init__(self, config: FeaturesConfig, device: str = "cpu", threads: int = 1) -> None:
        """`threads` embed that many blocks at once. Each computes alone: two OpenMP threads on one convolution round
        its sums differently than one, and features must not depend on how many cores there were."""
        torch.set_num_threads(1)
        _share_one_heap()
        self.threads = threads
        self.config = config
        self.device = device
        backbone = load_backbone(config.backbone, config.weights, config.preprocessing)
        self.embedder = Embedder(backbone, device, config.precision)
        self.detector = None
        if config.faces.detector != "none":
            self.detector = CenterFace(config.faces.input_width_px, device)
        self.feature_size = self.embedder.feature_size
        detector_sha256 = self.detector.sha256 if self.detector else None
        self.recipe = make_recipe(config, backbone.description(), self.embedder.precision, detector_sha256)
        self.versions = {name: metadata.version(name) for name in _PACKAGES}

    def stream(self, path: Path, state: bytes = b"", frames: int = 0) -> "VideoStream":
        """The features of the video at `path`, from its start or from behind the block that came with `state`.

        Errors: VideoError for a file that cannot be read as a video, or a state of another number of frames.
        """
        return VideoStream(self, path, _Progress.from_bytes(state), frames)


def _share_one_heap() -> None:
    """Let the threads allocate from one heap: with one each, glibc holds 240 MB more (ResNet-50, measured)."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _return_free_memory() -> None:
    """Give the system what the heap holds free: threads leave pieces that fit nothing, 50 MB in minutes and more in an
    hour, and 240 MB behind a video, which scoring would come on top of."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True, slots=True)
class _Portions:
    """How much is done at once on a kind of device."""

    chunk_frames: int  # kept frames that detection sees as one batch
    segment_frames: int  # kept frames that make a block...
    segment_rows: int  # ...or rows, where many faces make that many sooner
    frames_ahead: int  # kept frames that may be decoded before they are asked for: a chunk and a half


_ON_CPU = _Portions(chunk_frames=8, segment_frames=32, segment_rows=256, frames_ahead=12)
_ELSEWHERE = _Portions(chunk_frames=16, segment_frames=256, segment_rows=384, frames_ahead=24)


@dataclass(slots=True)
class _Progress:
    """Where a stream stands between two blocks."""

    frames: int = 0  # kept frames handed out
    with_face: int = 0
    faces: dict[str, Any] | None = None  # the follower's state

    def to_bytes(self) -> bytes:
        return json.dumps([ALGORITHM, self.frames, self.with_face, self.faces], separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, state: bytes) -> "_Progress":
        if not state:
            return cls()
        algorithm, frames, with_face, faces = json.loads(state)
        if algorithm != ALGORITHM:
            raise VideoError(
                f"the journal was written by algorithm {algorithm}; expected {ALGORITHM}", hint="--overwrite"
            )
        return cls(frames, with_face, faces)


@dataclass(slots=True)
class _Segment:
    """A block that lacks its features."""

    frames: list[FollowedFrame] = field(default_factory=list)
    crops: list[Array] = field(default_factory=list)  # one a face, in order
    state: bytes = b""


class VideoStream:
    """Blocks of one video's features with the state behind each: iterate once, then ask for `info`, then `close`."""

    def __init__(self, extractor: FeatureExtractor, path: Path, progress: _Progress, frames: int) -> None:
        if progress.frames != frames:
            raise VideoError(
                f"{path}: the journal holds {frames} frames, its state stands at {progress.frames}", hint="--overwrite"
            )
        self.path = path
        self._extractor = extractor
        self._config = extractor.config
        self._start = progress
        self._progress = progress  # behind the last block made
        self._stat = path.stat() if path.exists() else None
        self._video = open_video(path)
        self._whole = Face(0, self._video.centre_px(), np.full((5, 2), np.nan), 1.0)
        self._persons: dict[int, int] = {}
        self._portions = _ON_CPU if torch.device(extractor.device).type == "cpu" else _ELSEWHERE
        self.duration_s = self._video.duration_s
        self.position_s = 0.0  # of the last frame handed out
        self.kept = frames
        room = _QUEUE_BYTES // (3 * np.prod(self._video.shape.upright_px))
        ahead = int(np.clip(room, 2, self._portions.frames_ahead))
        self._kept_frames = Background(self._decode, ahead, f"decode {path.name}")
        make = self._follow_faces if extractor.detector is not None else self._take_whole
        self._segments = Background(make, 1, f"faces {path.name}")
        self._blocks = Background(self._embed, 1, f"embed {path.name}")

    @property
    def decoded(self) -> int:
        """Frames decoded so far."""
        return self._video.decoded_frames

    def __iter__(self) -> Iterator[tuple[FrameFeatures, bytes]]:
        for block, state in self._blocks:
            _return_free_memory()
            self.position_s = float(block.time_s[-1])
            self.kept += len(block.time_s)
            yield block, state

    def __enter__(self) -> "VideoStream":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads, whatever they are at."""
        stages: tuple[Background[Any], ...] = (self._blocks, self._segments, self._kept_frames)
        for stage in stages:
            stage.stop()
        for stage in stages:
            stage.join()
        _return_free_memory()

    def info(self, fingerprint: str) -> VideoInfo:
        """What became known of the video; call it when the last block has been read."""
        video = self._video
        assert video.finished, "the stream was not read to its end"
        width, height = video.shape.upright_px
        return VideoInfo(
            recipe_digest=self._extractor.recipe.digest,
            fingerprint=fingerprint,
            file_bytes=self._stat.st_size if self._stat else 0,
            file_mtime_ns=self._stat.st_mtime_ns if self._stat else 0,
            header_frames=video.header_frames,
            decoded_frames=video.decoded_frames,
            duration_s=video.duration_s,
            average_fps=video.average_fps,
            width_px=width,
            height_px=height,
            rotation_deg=video.shape.rotation_deg,
            codec=video.codec,
            bad_packets=video.bad_packets,
            cut_short=video.cut_short,
            persons=self._persons,
            warnings=(*video.problems(), *self._face_warnings(), *video.notes()),
            versions=self._extractor.versions,
            device=self._extractor.device,
        )

    def _face_warnings(self) -> list[str]:
        share = self._progress.with_face / max(1, self._progress.frames)
        if self._extractor.detector is None or share >= _LEAST_FACE_RATE:
            return []
        return [
            f"few faces: {self._progress.with_face} of {self._progress.frames} kept frames ({share:.0%}) show one; "
            f"expected at least {_LEAST_FACE_RATE:.0%}"
        ]

    def _decode(self) -> Generator[KeptFrame, None, None]:
        """Kept frames from the first that is not stored yet. Decoding starts at the beginning all the same."""
        fps = self._config.sample_fps
        sampler = Sampler(None if fps == "source" else float(fps))
        cuts = CutFinder(self._config.faces.cut_threshold)
        whole = self._extractor.detector is None
        number = 0
        try:
            for frame in self._video.frames():
                if not whole and not frame.damaged:
                    cuts.see(frame.thumbnail())
                if not sampler.keeps(frame.time_s):
                    continue
                cut = not whole and not frame.damaged and cuts.keep()
                if number >= self._start.frames:
                    yield self._kept_frame(frame, number, cut)
                number += 1
        finally:
            self._video.close()

    def _kept_frame(self, frame: Frame, number: int, cut: bool) -> KeptFrame:
        kept = KeptFrame(number, frame.index, frame.time_s, None, frame.damaged, cut)
        if not frame.damaged:
            whole = self._extractor.detector is None
            kept.image = frame.square(self._extractor.embedder.size_px) if whole else frame.rgb()
        return kept

    def _chunks(self) -> Iterator[list[KeptFrame]]:
        """Kept frames in groups that end at multiples of the chunk's size, wherever the first begins."""
        chunk: list[KeptFrame] = []
        for frame in self._kept_frames:
            chunk.append(frame)
            if (frame.number + 1) % self._portions.chunk_frames == 0:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _follow_faces(self) -> Generator[_Segment, None, None]:
        config, detector = self._config.faces, self._extractor.detector
        assert detector is not None
        state = self._start.faces
        follower = Follower(config, detector) if state is None else Follower.from_state(config, detector, state)
        progress = _Progress(self._start.frames, self._start.with_face)
        segment = _Segment()
        for chunk in self._chunks():
            self._extend(segment, follower.follow(chunk))
            if self._full(segment):
                yield self._close_segment(segment, progress, follower.state())
                segment = _Segment()
        rest, self._persons = follower.finish()
        self._extend(segment, rest)
        if segment.frames:
            yield self._close_segment(segment, progress, follower.state())

    def _take_whole(self) -> Generator[_Segment, None, None]:
        progress = _Progress(self._start.frames, self._start.with_face)
        segment = _Segment()
        for chunk in self._chunks():
            for kept in chunk:
                if kept.damaged:
                    segment.frames.append(FollowedFrame(kept, FrameStatus.DECODE_ERROR))
                    continue
                assert kept.image is not None
                segment.crops.append(self._view(kept.image))
                segment.frames.append(FollowedFrame(kept, FrameStatus.OK, [self._whole]))
            if self._full(segment):
                yield self._close_segment(segment, progress, None)
                segment = _Segment()
        if segment.frames:
            yield self._close_segment(segment, progress, None)

    def _extend(self, segment: _Segment, frames: list[FollowedFrame]) -> None:
        """Cut the faces out now, so that the pictures need not wait."""
        size = self._extractor.embedder.size_px
        for frame in frames:
            for face in frame.faces:
                assert frame.kept.image is not None
                matrix = crop_matrix(self._config.faces.crop, face.box_px, face.landmarks_px, size)
                segment.crops.append(self._view(cut_out(frame.kept.image, matrix, size)))
            segment.frames.append(frame)
            frame.kept.image = None

    def _full(self, segment: _Segment) -> bool:
        portions = self._portions
        return len(segment.frames) >= portions.segment_frames or len(segment.crops) >= portions.segment_rows

    def _view(self, crop: Array) -> Array:
        return crop[:, ::-1] if self._config.view == "hflip" else crop

    def _close_segment(self, segment: _Segment, progress: _Progress, faces: dict[str, Any] | None) -> _Segment:
        progress.frames += len(segment.frames)
        progress.with_face += sum(frame.status == FrameStatus.OK for frame in segment.frames)
        progress.faces = faces
        segment.state = progress.to_bytes()
        return segment

    def _embed(self) -> Generator[tuple[FrameFeatures, bytes], None, None]:
        if self._extractor.threads == 1:
            for segment in self._segments:
                yield self._finished(segment, self._embed_segment(segment))
            return
        pool = ThreadPoolExecutor(self._extractor.threads)
        pending: deque[tuple[_Segment, Future[FrameFeatures]]] = deque()
        try:
            for segment in self._segments:
                pending.append((segment, pool.submit(self._embed_segment, segment)))
                if len(pending) > self._extractor.threads:
                    first, block = pending.popleft()
                    yield self._finished(first, block.result())
            for first, block in pending:
                yield self._finished(first, block.result())
        finally:
            pool.shutdown(cancel_futures=True)

    def _embed_segment(self, segment: _Segment) -> FrameFeatures:
        size = self._extractor.embedder.size_px
        crops = np.stack(segment.crops) if segment.crops else np.zeros((0, size, size, 3), np.uint8)
        return _block(segment.frames, self._extractor.embedder.embed(crops))

    def _finished(self, segment: _Segment, block: FrameFeatures) -> tuple[FrameFeatures, bytes]:
        self._progress = _Progress.from_bytes(segment.state)
        return block, segment.state


def _block(frames: Sequence[FollowedFrame], values: Array) -> FrameFeatures:
    faces = [(frame.kept.number, face) for frame in frames for face in frame.faces]
    return FrameFeatures(
        time_s=np.array([frame.kept.time_s for frame in frames], np.float64),
        index=np.array([frame.kept.index for frame in frames], np.int64),
        status=np.array([frame.status for frame in frames], np.uint8),
        values=values,
        frame=np.array([number for number, _ in faces], np.int64),
        track=np.array([face.track for _, face in faces], np.int32),
        box_px=np.array([face.box_px for _, face in faces], np.float32).reshape(-1, 4),
        score=np.array([face.score for _, face in faces], np.float32),
        landmarks_px=np.array([face.landmarks_px for _, face in faces], np.float32).reshape(-1, 5, 2),
    )
