"""What would become of a video before ten hours are spent on it."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...cache.records import Array, VideoCheck
from ...configs.schema import FeaturesConfig
from ...errors import VideoError
from .backbones.load import Backbone, load_backbone
from .embed import Embedder
from .engines.openvino import resolve_engine
from .faces.detect import CenterFace, few_faces
from .faces.find import DETAIL_EVERY_S, USUAL_PX, advice, detail_width, look_closely, usual_width
from .faces.follow import LOOK_EVERY_S
from .one_thread import one_thread
from .video.decode import Recording, open_video
from .video.sampler import Sampler

_SAMPLES = 24  # frames in which faces are sought, spread through the video
_MOST_SAMPLES = 4 * _SAMPLES  # where it is longer than its container claims
_MORE_FACES = 0.2  # share of the frames searched by which another stream has to lead, to be recommended
_MORE = 1.25  # times as many faces: fewer are not worth a word
AUTO = "--set features.faces.input_width_px=auto"
_VARIABLE = 0.1  # of the mean step; steps that differ more make a variable rate
_RAM_BASE_BYTES = 700 << 20  # Python, torch, the detector and a backbone's activations, measured
_DETAIL_BYTES = 200 << 20  # of a look in detail at the largest size
_ROW_BYTES = 4 + 8 + 16 + 4 + 40  # everything of a row but its values
_POINTS_BYTES = 68 * 2 * 4
_FRAME_BYTES = 8 + 8 + 1


@dataclass(frozen=True, slots=True)
class Costs:
    """What one picture costs on this machine."""

    embed_s: float  # a row
    row_bytes: int  # on disk
    weights_bytes: int


class VideoChecker:
    """Checks videos against one configuration, on one device."""

    def __init__(self, config: FeaturesConfig, device: str = "cpu") -> None:
        self._config = config
        self._detector = None
        with one_thread():
            engine = resolve_engine(config.engine, device, config.precision)
            if config.faces.detector != "none":
                self._detector = CenterFace(usual_width(config.faces.input_width_px), device, engine=engine)
            backbone = load_backbone(config.backbone, config.weights, config.preprocessing, config.taps)
            self._costs = measure(backbone, Embedder(backbone, device, config.precision, engine))

    def check(self, path: Path, picture_fps: float | None = None) -> VideoCheck:
        """What is known of the video at `path` once every frame has been decoded; never raises for a bad video.

        picture_fps: of a recording that is given as pictures.
        """
        started = time.perf_counter()
        try:
            with one_thread(), contextlib.closing(open_video(path, self._config.stream, picture_fps)) as video:
                return self._examine(video, started)
        except VideoError as error:
            return VideoCheck(str(path), readable=False, problems=(error.message,))

    def _examine(self, video: Recording, started: float) -> VideoCheck:
        fps = self._config.sample_fps
        sampler = Sampler(fps)
        faces = _FaceSample(self._detector, self._config, video)
        times, kept = [], 0
        for frame in video.frames():
            times.append(frame.time_s)
            if sampler.keeps(frame.time_s):
                kept += 1
            if not frame.damaged:
                faces.offer(frame.time_s, frame.rgb)
        steps = np.diff(np.array(times))
        variable = len(steps) > 2 and bool(np.ptp(steps[:-1]) > _VARIABLE * steps.mean())
        width, height = video.shape.upright_px
        face_rate = faces.rate
        rows = kept if face_rate is None else round(kept * faces.per_frame)
        decode_s = time.perf_counter() - started - faces.spent_s
        stream_problems, stream_notes = self._other_streams(video, faces)
        looks = 0 if self._detector is None else min(kept, int(video.last_time_s / LOOK_EVERY_S) + 1)
        return VideoCheck(
            path=str(video.path),
            readable=True,
            problems=(*video.problems(), *faces.problems(), *stream_problems),
            notes=(*video.notes(), *faces.notes(), *stream_notes, *_rate_notes(variable, fps, video.average_fps)),
            codec=video.codec,
            pixel_format=video.pixel_format,
            width_px=width,
            height_px=height,
            rotation_deg=video.shape.rotation_deg,
            pixel_aspect=video.pixel_aspect,
            duration_s=video.duration_s,
            decoded_s=video.last_time_s,
            average_fps=video.average_fps,
            variable_rate=variable,
            header_frames=video.header_frames,
            decoded_frames=video.decoded_frames,
            kept_frames=kept,
            bad_packets=video.bad_packets,
            cut_short=video.cut_short,
            face_rate=face_rate,
            projected_s=decode_s + looks * faces.seconds_each + rows * self._costs.embed_s,
            projected_memory_bytes=self._memory_bytes(width, height),
            projected_disk_bytes=rows * self._costs.row_bytes + kept * _FRAME_BYTES,
        )

    def _other_streams(self, video: Recording, read: "_FaceSample") -> tuple[list[str], list[str]]:
        """Problems and notes on the faces that the file's other video streams show, where faces are sought."""
        problems, notes = [], []
        for other in video.others if self._detector is not None else ():
            try:
                faces = self._faces_in(video.path, other.index)
            except VideoError as error:
                notes.append(f"stream {other.index} cannot be read: {error.message}")
                continue
            words = f"stream {other.index} shows faces in {faces}, stream {video.stream}, which is read, in {read}"
            if (faces.rate or 0) > (read.rate or 0) + _MORE_FACES:
                problems.append(f"{words}; --set features.stream={other.index} reads it")
            else:
                notes.append(words)
        return problems, notes

    def _faces_in(self, path: Path, stream: int) -> "_FaceSample":
        with contextlib.closing(open_video(path, stream)) as video:
            faces = _FaceSample(self._detector, self._config, video)
            for frame in video.frames():
                if not frame.damaged:
                    faces.offer(frame.time_s, frame.rgb)
        return faces

    def _memory_bytes(self, width: int, height: int) -> int:
        detailed = self._config.faces.input_width_px == "auto" and detail_width(width, height) > 0
        fixed = _RAM_BASE_BYTES + self._costs.weights_bytes + (_DETAIL_BYTES if detailed else 0)
        return fixed + 32 * width * height * 3


class _FaceSample:
    """The detector on a few frames, spread through the video by time: as it is set, and as `auto` would have it."""

    def __init__(self, detector: CenterFace | None, config: FeaturesConfig, video: Recording) -> None:
        self._detector = detector
        self._setting = config.faces.input_width_px
        self._score = config.faces.start_score
        self._video = video
        self._last_s = -math.inf
        self._found: list[int] = []  # faces in each frame searched
        self._usual: list[int] = []  # at the width of the usual look
        self._auto: list[int] = []  # with the look in detail as well
        self._size_px = (0, 0)
        self.spent_s = 0.0
        self._usual_s = self._detail_s = 0.0  # of them

    def __str__(self) -> str:
        return f"{_with_face(self._found)} of {len(self._found)} sampled frames"

    def offer(self, time_s: float, image: Callable[[], Array]) -> None:
        """A frame, which is searched if its time has come."""
        step_s = max((self._video.duration_s or 60.0) / _SAMPLES, 0.04)
        if self._detector is None or time_s < self._last_s + step_s or len(self._found) >= _MOST_SAMPLES:
            return
        self._last_s = time_s
        picture = image()
        start = time.perf_counter()
        self._size_px = picture.shape[1], picture.shape[0]
        usual = found = self._detector.detect([picture], usual_width(self._setting))[0]
        between = time.perf_counter()
        if self._setting not in ("auto", USUAL_PX):
            usual = self._detector.detect([picture], USUAL_PX)[0]
        both = look_closely(self._detector, picture, usual)
        end = time.perf_counter()
        for counts, faces in ((self._found, found), (self._usual, usual), (self._auto, both)):
            counts.append(int((faces.score >= self._score).sum()))
        if self._setting == "auto":
            self._found[-1] = self._auto[-1]
        self.spent_s += end - start
        self._usual_s += between - start
        self._detail_s += end - between

    @property
    def rate(self) -> float | None:
        """Share of the frames searched that show a face; None where none is sought."""
        return None if self._detector is None else _with_face(self._found) / max(1, len(self._found))

    @property
    def per_frame(self) -> float:
        return float(np.mean(self._found)) if self._found else 0.0

    @property
    def seconds_each(self) -> float:
        """Of a look during extraction: in detail now and then, or always where that finds more."""
        share = 0.0 if self._setting != "auto" else 1.0 if self._more else LOOK_EVERY_S / DETAIL_EVERY_S
        return (self._usual_s + share * self._detail_s) / max(1, len(self._found))

    @property
    def _more(self) -> bool:
        """Whether small faces show that only the look in detail finds."""
        return sum(self._auto) >= _MORE * sum(self._usual) and _with_face(self._auto) > 0

    def problems(self) -> list[str]:
        if self._detector is None:
            return []
        frames, words = len(self._found), advice(self._setting, *self._size_px) if self._found else ""
        gained = self._setting != "auto" and sum(self._auto) >= _MORE * max(1, sum(self._found))
        if gained:
            words = f"{AUTO} finds one in {_with_face(self._auto)} of them"
        few = few_faces(_with_face(self._found), frames, "sampled", words)
        if few or not gained:
            return few
        return [f"small faces: {sum(self._found)} are found in {frames} sampled frames; {AUTO} finds {sum(self._auto)}"]

    def notes(self) -> list[str]:
        if self._setting != "auto" or not self._more:
            return []
        extra_ms = 1000 * self._detail_s / len(self._found)
        return [
            f"small faces: in {len(self._found)} sampled frames {sum(self._auto)} are found, {sum(self._usual)} at "
            f"{USUAL_PX} pixels; every look will be in detail, which takes {extra_ms:.0f} ms more"
        ]


def _with_face(counts: Sequence[int]) -> int:
    """Frames that show a face."""
    return sum(count > 0 for count in counts)


def measure(backbone: Backbone, embedder: Embedder) -> Costs:
    """The backbone's cost where it is computed, from one small batch."""
    crops: Array = np.full((8, embedder.size_px, embedder.size_px, 3), 128, np.uint8)
    embedder.embed(crops)
    start = time.perf_counter()
    embedder.embed(crops)
    weights = sum(weight.numel() * 4 for weight in backbone.parameters())
    row_bytes = 2 * embedder.feature_size + _ROW_BYTES + (0 if backbone.points is None else _POINTS_BYTES)
    return Costs((time.perf_counter() - start) / len(crops), row_bytes, weights)


def _rate_notes(variable: bool, fps: object, average: float | None) -> list[str]:
    if not variable and isinstance(fps, float) and average is not None and fps > average * 1.01:
        return [f"{fps:g} frames a second are wanted, the video has {average:g}; every frame is kept"]
    return []
