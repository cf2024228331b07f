"""One video as blocks of features: decoding, finding faces and embedding at once, resumable at every block."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...cache.records import FrameFeatures, FrameStatus, VideoInfo
from ...configs.schema import FeaturesConfig
from ...errors import VideoError
from .backbones.load import load_backbone
from .background import Background
from .blocks import ELSEWHERE, ON_CPU, REMOVE_JOURNAL, Progress, blocks, kept_frames, segments
from .device.rounding import hardware
from .embed import Embedder
from .engines.openvino import resolve_engine
from .faces.cuts import CutFinder, NoCuts
from .faces.detect import CenterFace
from .faces.find import usual_width
from .faces.follow import Follower
from .faces.points import PointsOf
from .faces.whole import WholeFrame
from .fingerprint import stamp
from .heap import return_free_memory
from .one_thread import compute_alone, one_thread
from .recipe import make_recipe
from .video.decode import open_video
from .video.frame import Shape
from .video.sampler import Sampler

_BLOCKS_TO_TRIM = 16  # between two times that free memory is given back: more often costs a fifth of the time
_QUEUE_BYTES = 64 << 20  # of decoded pictures waiting, at most
_PACKAGES = ("affect", "av", "numpy", "onnx2torch", "opencv-python", "torch", "torchvision")


class FeatureExtractor:
    """The detector and the backbone on one device, for one video after another, or for several in threads.

    >>> extractor = FeatureExtractor(FeaturesConfig())
    >>> with extractor.stream(Path("interview.mp4")) as stream:
    ...     pieces = [block for block, state in stream]
    """

    def __init__(self, config: FeaturesConfig, device: str = "cpu", threads: int = 1) -> None:
        """`threads` of a stream seek faces and embed blocks, and each of them computes alone.

        Elsewhere than on a CPU two are enough: one prepares pictures while the device computes for the other.
        """
        self.threads = threads if torch.device(device).type == "cpu" else min(threads, 2)
        self.config = config
        self.device, self.hardware = device, hardware(device)
        with one_thread():
            backbone = load_backbone(config.backbone, config.weights, config.preprocessing, config.taps)
            engine = resolve_engine(config.engine, device, config.precision)
            self.embedder = Embedder(backbone, device, config.precision, engine)
            self.detector = None
            if config.faces.detector != "none":
                self.detector = CenterFace(usual_width(config.faces.input_width_px), device, engine=engine)
        self.points = None
        if backbone.points is not None:
            self.points = PointsOf(backbone.points, config.faces.crop, mirrored=config.view == "hflip")
        self.feature_size = self.embedder.feature_size
        detector_sha256 = self.detector.sha256 if self.detector else None
        self.recipe = make_recipe(config, backbone.description(), self.embedder.precision, detector_sha256, engine)
        self.versions = {name: metadata.version(name) for name in _PACKAGES}

    def notes(self) -> list[str]:
        """What is to be said of the features besides."""
        return [note for part in (self.embedder, self.detector) if part is not None for note in part.notes()]

    def stream(self, path: Path, state: bytes = b"", frames: int = 0, *how: str) -> "VideoStream":
        """The features of the video at `path`, from its start or from behind the block that came with `state`.

        how: of numbered pictures, so many a second.
        Errors: VideoError for a file that cannot be read as a video, or a state of another number of frames.
        """
        return VideoStream(self, path, Progress.from_bytes(state), frames, float(how[0]) if how else None)


class VideoStream:
    """Blocks of one video's features with the state behind each: iterate once, then ask for `info`, then `close`.

    Three threads, each a few items ahead of the next: kept frames, segments of them with their crops, blocks. What
    costs most, the networks, these have done by one pool, which so is busy whatever there is to do.
    """

    def __init__(
        self, extractor: FeatureExtractor, path: Path, start: Progress, stored: int, picture_fps: float | None
    ) -> None:
        if start.frames != stored:
            raise VideoError(
                f"{path}: the journal holds {stored} frames, its state stands at {start.frames}", hint="--overwrite"
            )
        config = extractor.config
        self._extractor = extractor
        self._video = open_video(path, config.stream, picture_fps)
        self._bytes, self._mtime_ns = stamp(path)
        self._frames, self._with_face = start.frames, start.with_face  # of the blocks handed out
        self.duration_s = self._video.duration_s  # as the container claims
        self.position_s = 0.0  # of the last frame handed out

        portions = ON_CPU if torch.device(extractor.device).type == "cpu" else ELSEWHERE
        room = _QUEUE_BYTES // (3 * np.prod(self._video.shape.upright_px))
        ahead = int(np.clip(room, 2, portions.frames_ahead))
        cuts, follower = _cuts_and_follower(extractor, self._video.shape, start)
        sampler, mirrored, name = Sampler(config.sample_fps), config.view == "hflip", path.name

        self._pool = ThreadPoolExecutor(extractor.threads, f"compute {name}", initializer=compute_alone)
        frames = Background(kept_frames(self._video, sampler, cuts, follower, start.frames), ahead, f"decode {name}")
        parts = Background(
            segments(frames, follower, self._pool, portions, start, mirrored=mirrored), 1, f"faces {name}"
        )
        self._blocks = Background(
            blocks(parts, extractor.embedder, self._pool, extractor.threads, extractor.points), 1, f"embed {name}"
        )
        self._threads: tuple[Background[Any], ...] = (self._blocks, parts, frames)
        self._follower = follower

    def __iter__(self) -> Iterator[tuple[FrameFeatures, bytes]]:
        for number, (block, state) in enumerate(self._blocks):
            if number % _BLOCKS_TO_TRIM == 0:
                return_free_memory()
            self.position_s = float(block.time_s[-1])
            self._frames += len(block.status)
            self._with_face += int((block.status == FrameStatus.OK).sum())
            yield block, state

    def __enter__(self) -> "VideoStream":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads, whatever they are at."""
        for thread in self._threads:
            thread.stop()
        self._pool.shutdown(cancel_futures=True)
        for thread in self._threads:
            thread.join()
        return_free_memory()

    def info(self, fingerprint: str) -> VideoInfo:
        """What became known of the video; call it when the last block has been read."""
        video = self._video
        assert video.finished, "the stream was not read to its end"
        width, height = video.shape.upright_px
        return VideoInfo(
            recipe_digest=self._extractor.recipe.digest,
            fingerprint=fingerprint,
            file_bytes=self._bytes,
            file_mtime_ns=self._mtime_ns,
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
            persons=self._follower.persons(),
            tracks=self._follower.facts(),
            warnings=(
                *video.problems(),
                *self._follower.problems(self._with_face, self._frames),
                *video.notes(),
                *self._extractor.notes(),
            ),
            versions=self._extractor.versions,
            device=self._extractor.device,
        )


def _cuts_and_follower(
    extractor: FeatureExtractor, shape: Shape, start: Progress
) -> tuple[CutFinder, Follower] | tuple[NoCuts, WholeFrame]:
    """Who finds the cuts and who follows, going on from `start`: faces, or whole frames where no face is sought."""
    config, detector, size_px = extractor.config.faces, extractor.detector, extractor.embedder.size_px
    if detector is None:
        return NoCuts(), WholeFrame(shape, size_px)
    if start.follower is None:
        return CutFinder(config.cut_threshold), Follower(config, detector, size_px)
    try:
        follower = Follower.from_state(config, detector, size_px, start.follower)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise VideoError("the journal's state is none of ours", hint=REMOVE_JOURNAL) from error
    return CutFinder(config.cut_threshold), follower
