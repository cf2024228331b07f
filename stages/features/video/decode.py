"""A video file as frames in order: exact times, upright square-pixel RGB, and what was damaged on the way.

Frames are decoded from the start, one thread, never by seeking: the only way that is exact on every container, and
that gives the same pixels twice. Interlaced frames stay woven, as the decoder gives them.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import numpy as np
from av.codec.context import ThreadType
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream as VideoTrack

from ....cache.records import Array
from ....errors import VideoError
from .clock import Clock, Damage

THUMBNAIL_PX = (32, 24)  # width, height
_CUT_SHORT = 0.98  # share of the container's duration that must come out
_MAX_READ_ERRORS = 32  # in a row, before a file is given up at that place
_WITHOUT_PRESENTATION_TIMES = ("avi",)
_DURATION_TAG = re.compile(r"([0-9]+):([0-9]+):([0-9]+(?:\.[0-9]+)?)", re.ASCII)  # of a Matroska stream
_STILL_BRANDS = ("avif", "heic", "heix", "mif1")
_SCALING = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_COLOUR = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@dataclass(frozen=True, slots=True)
class Shape:
    """How a decoded picture is brought upright: pixels made square, mirrored, then turned."""

    width_px: int  # as decoded, with square pixels
    height_px: int
    rotation_deg: int  # counter-clockwise, 0, 90, 180 or 270
    mirrored: bool

    @property
    def upright_px(self) -> tuple[int, int]:
        """Width and height after turning."""
        turned = self.rotation_deg % 180 == 90
        return (self.height_px, self.width_px) if turned else (self.width_px, self.height_px)


class Frame:
    """One decoded frame. Pixels are converted only when asked for, and by the thread that asks."""

    __slots__ = ("_picture", "_reformatter", "damaged", "index", "shape", "time_s")

    def __init__(
        self,
        picture: VideoFrame,
        shape: Shape,
        reformatter: VideoReformatter,
        *,
        index: int,
        time_s: float,
        damaged: bool,
    ) -> None:
        self.index = index  # number among the decoded frames, from 0
        self.time_s = time_s  # presentation time from the first frame
        self.damaged = damaged
        self.shape = shape
        self._picture = picture
        self._reformatter = reformatter

    def rgb(self) -> Array:
        """(H, W, 3) uint8, upright, square pixels."""
        return self._upright(self._convert(self.shape.width_px, self.shape.height_px, "rgb24"))

    def square(self, size_px: int) -> Array:
        """(S, S, 3) uint8: the upright frame, its short side scaled to S and its long side cut at the centre."""
        width, height = self.shape.width_px, self.shape.height_px
        ratio = size_px / min(width, height)
        width, height = max(size_px, round(width * ratio)), max(size_px, round(height * ratio))
        left, top = (width - size_px) // 2, (height - size_px) // 2
        image = self._convert(width, height, "rgb24")[top : top + size_px, left : left + size_px]
        return self._upright(image)

    def thumbnail(self) -> Array:
        """(24, 32) uint8 grey, as decoded (not turned): for finding cuts."""
        return self._convert(*THUMBNAIL_PX, "gray")

    def _convert(self, width: int, height: int, pixel_format: str) -> Array:
        picture = self._picture
        same = (width, height) == (picture.width, picture.height)
        try:
            out = self._reformatter.reformat(
                picture, width, height, pixel_format, interpolation=_COLOUR if same else _SCALING, threads=1
            )
        except av.error.FFmpegError as error:
            raise VideoError(
                f"frame {self.index}, {picture.width}x{picture.height} {picture.format.name}, cannot be scaled to "
                f"{width}x{height} ({error.strerror}); expected a picture of usual proportions"
            ) from error
        return out.to_ndarray()

    def _upright(self, image: Array) -> Array:
        if self.shape.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(np.rot90(image, self.shape.rotation_deg // 90))


class Video:
    """An open video file. `frames()` may be read once; the counts are final when it has ended."""

    def __init__(self, path: Path, container: av.container.InputContainer, track: VideoTrack) -> None:
        self.path = path
        self._container = container
        self._track = track
        self._context = track.codec_context
        self._context.thread_type = ThreadType.NONE
        self._context.thread_count = 1
        self._reformatter = VideoReformatter()
        self._clock = Clock(track, decoding_times=container.format.name in _WITHOUT_PRESENTATION_TIMES)
        self._damage: Damage | None = None
        self._sizes: set[tuple[int, int]] = set()
        self._encrypted = False
        self.decoded_frames = 0
        self.damaged_frames = 0
        self.bad_packets = 0
        self.finished = False
        self.last_time_s = 0.0
        self.codec = self._context.name
        self.pixel_format = self._context.pix_fmt or "unknown"
        self.header_frames: int | None = track.frames or None
        rate = track.average_rate or track.guessed_rate
        self.average_fps = float(rate) if rate else None
        self.pixel_aspect = _pixel_aspect(track)
        self._pictures = self._read_pictures()
        first = next(self._pictures, None)
        if first is None:
            why = "is encrypted" if self._encrypted else f"gave no frame ({self.bad_packets} packets refused)"
            raise VideoError(
                f"{path}: its {self.codec} stream {why}; expected a video that plays",
                hint="open it in a player; if it plays, convert it: ffmpeg -i IN -c:v libx264 OUT.mp4",
            )
        self._first: VideoFrame | None = first
        self.shape = self._shape_of(first)
        self.duration_s = _duration_s(container, track, float(self._clock.stamp(first) or 0))
        self._clock.start(first)

    def frames(self) -> Iterator[Frame]:
        """Every frame that can be decoded, damaged ones too, with non-decreasing times."""
        while self._first is not None:
            picture, self._first = self._first, next(self._pictures, None)
            yield self._frame(picture)
        self.finished = True

    def close(self) -> None:
        """Close the file; call it from the thread that reads."""
        self._pictures.close()
        self._container.close()

    def centre_px(self) -> Array:
        """(4,) float64: the part that `Frame.square` shows, as a box in upright pixels."""
        size = np.array(self.shape.upright_px, float)
        low = (size - size.min()) / 2
        return np.concatenate([low, size - low])

    @property
    def cut_short(self) -> bool:
        """Whether decoding ended before the container said it would."""
        end = self.last_time_s + float(self._clock.step)
        return self.finished and self.duration_s is not None and end < _CUT_SHORT * self.duration_s

    def problems(self) -> list[str]:
        """What is lost, in sentences; complete once `frames()` has ended."""
        found = []
        if self.cut_short and self.duration_s is not None:
            end = self.last_time_s + float(self._clock.step)
            found.append(
                f"cut short: decoding ended at {end:.2f} s of the {self.duration_s:.2f} s the container announces"
            )
        if self.bad_packets:
            found.append(
                f"damaged: {self.bad_packets} packets could not be read or decoded; what came after them was read, "
                f"{self.damaged_frames} frames are marked as decode errors"
            )
        elif self.damaged_frames:
            found.append(f"damaged: {self.damaged_frames} frames are marked as decode errors")
        return found

    def notes(self) -> list[str]:
        """What is unusual but does no harm, in sentences; complete once `frames()` has ended."""
        found = []
        if self.finished and self.header_frames not in (None, self.decoded_frames):
            found.append(f"the container lists {self.header_frames} frames, {self.decoded_frames} were decoded")
        if self._clock.restarts:
            found.append(f"the clock restarts {self._clock.restarts} times; times go on from the frame before")
        if self._clock.invented:
            found.append(f"{self._clock.invented} frames carry no time of their own; theirs is counted from the rate")
        if len(self._sizes) > 1:
            found.append(f"the picture size changes within the file: {sorted(self._sizes)}")
        return found

    def _frame(self, picture: VideoFrame) -> Frame:
        shape = self._shape_of(picture)
        self._sizes.add(shape.upright_px)
        time = self._clock.read(picture)
        damaged = self._is_damaged(picture, float(time))
        frame = Frame(picture, shape, self._reformatter, index=self.decoded_frames, time_s=float(time), damaged=damaged)
        self.decoded_frames += 1
        self.damaged_frames += damaged
        self.last_time_s = frame.time_s
        return frame

    def _shape_of(self, picture: VideoFrame) -> Shape:
        width = max(1, round(picture.width * self.pixel_aspect))
        rotation, mirrored = _orientation(picture)
        return Shape(width, picture.height, rotation, mirrored)

    def _read_pictures(self) -> Generator[VideoFrame, None, None]:
        for packet in self._packets():
            if packet is not None and packet.has_sidedata("encryption_info"):
                self._note_damage(packet)  # decoding it would show noise, now and then without an error
                self._encrypted = True
                continue
            try:
                pictures = self._context.decode(packet)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self._note_damage(packet)
                continue
            if packet is not None and packet.is_corrupt:
                self._note_damage(packet)
            yield from pictures

    def _packets(self) -> "Iterator[Packet[Any] | None]":
        """Packets of the video stream, then None, which flushes the decoder; goes on behind unreadable places."""
        errors = 0
        while errors < _MAX_READ_ERRORS:
            try:
                for packet in self._container.demux(self._track):
                    if packet.size:
                        errors = 0
                        yield packet
                break
            except av.error.EOFError:
                break
            except av.error.FFmpegError:
                errors += 1
                self.bad_packets += errors == 1
            except IndexError:
                # PyAV's answer to a packet of a stream that appeared after opening; the packet is spent.
                continue
        yield None

    def _note_damage(self, packet: "Packet[Any] | None") -> None:
        self.bad_packets += 1
        stamp = None if packet is None else self._clock.stamp(packet)
        first = stamp if self._damage is None else self._damage.first
        self._damage = Damage(first, stamp, self.last_time_s)

    def _is_damaged(self, picture: VideoFrame, time_s: float) -> bool:
        """From a bad packet to the next key frame, pictures are built on what is missing."""
        if self._damage is not None:
            stamp = self._clock.stamp(picture)
            if self._damage.heals(stamp, time_s, key_frame=bool(picture.key_frame) and not picture.is_corrupt):
                self._damage = None
            elif stamp is None or self._damage.first is None or stamp >= self._damage.first:
                return True
        return bool(picture.is_corrupt)


def open_video(path: Path) -> Video:
    """The video at `path`, its first frame already decoded.

    Errors: VideoError for a file that is missing, empty, no video, a still picture, or has no decodable frame.
    """
    if not path.exists():
        raise VideoError(f"{path}: no such file; expected a video", hint="check the path")
    if path.is_dir():
        raise VideoError(f"{path} is a folder; expected a video file")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes); expected a video", hint="copy it again from its source")
    container = _open_container(path)
    try:
        return Video(path, container, _choose_track(path, container))
    except (VideoError, av.error.FFmpegError) as error:
        container.close()
        if isinstance(error, VideoError):
            raise
        raise VideoError(f"{path}: cannot be decoded ({error.strerror})", hint="open it in a player") from error


def _open_container(path: Path) -> av.container.InputContainer:
    # "file:" keeps names such as `a:b.mp4` from being read as a protocol; the white list keeps playlists off the net.
    try:
        container = av.open(
            f"file:{path.absolute()}", options={"protocol_whitelist": "file"}, metadata_errors="replace"
        )
    except av.error.FFmpegError as error:
        raise VideoError(
            f"{path}: cannot be read as a video ({error.strerror}); expected a container such as mp4, mkv, mov or avi",
            hint="open it in a player; a file that was still being written when copied often ends like this",
        ) from error
    assert isinstance(container, av.container.InputContainer)
    return container


def _choose_track(path: Path, container: av.container.InputContainer) -> VideoTrack:
    """The video stream to read: the default one, among equals the largest; never album art."""
    brand = container.metadata.get("major_brand", "").strip()
    if container.format.name.endswith("_pipe") or container.format.name == "image2" or brand in _STILL_BRANDS:
        raise VideoError(f"{path} is a still picture ({container.format.name}); expected a video")
    disposition = type(container.streams[0].disposition) if container.streams else None
    tracks = [
        stream
        for stream in container.streams.video
        if disposition is not None and not stream.disposition & disposition.attached_pic
    ]
    if not tracks:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
        raise VideoError(
            f"{path} has no video stream (streams: {kinds}); expected one", hint="is it a sound recording?"
        )
    readable = [stream for stream in tracks if stream.codec_context is not None]
    if not readable:
        raise VideoError(
            f"{path}: its video stream is of a codec this FFmpeg does not know; expected one it can decode",
            hint="convert it where it plays: ffmpeg -i IN -c:v libx264 OUT.mp4",
        )
    assert disposition is not None
    default = disposition.default
    return max(
        readable,
        key=lambda s: (bool(s.disposition & default), s.codec_context.width * s.codec_context.height, -s.index),
    )


def _pixel_aspect(track: VideoTrack) -> float:
    """Width of a pixel over its height; 1 where unknown or absurd."""
    aspect = track.sample_aspect_ratio or track.codec_context.sample_aspect_ratio
    value = float(aspect) if aspect else 1.0
    return value if 0.25 <= value <= 4 else 1.0


def _orientation(picture: VideoFrame) -> tuple[int, bool]:
    """Counter-clockwise degrees to turn, a multiple of 90, and whether to mirror left and right first."""
    rotation = round(picture.rotation / 90) * 90
    data = picture.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return rotation % 360, False
    matrix = np.frombuffer(bytes(data), np.int32).astype(float)
    mirrored = bool(matrix[0] * matrix[4] - matrix[1] * matrix[3] < 0)
    # The matrix is (turn) x (mirror left and right); without the mirror its first column changes sign: half a turn.
    return (rotation + 180 * mirrored) % 360, mirrored


def _duration_s(container: av.container.InputContainer, track: VideoTrack, start_s: float) -> float | None:
    """Length of the video stream as the container announces it, from its first frame; None where it does not."""
    if track.duration and track.time_base:
        return float(track.duration * track.time_base)
    start = start_s if "matroska" in container.format.name else 0.0  # whose durations count from its clock's zero
    tag = _DURATION_TAG.fullmatch(track.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) - start
    return container.duration / av.time_base - start if container.duration else None
