"""A video file as frames in order: exact times, upright square-pixel RGB, and what was damaged on the way.

Frames are decoded from the start, one thread, never by seeking: the only way that is exact on every container, and
that gives the same pixels twice. Interlaced frames stay woven, as the decoder gives them.
"""

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
from av.codec.context import ThreadType
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream as VideoTrack

from ....errors import VideoError
from .choice import choose_track, open_container
from .clock import Clock, Damage
from .frame import Frame, Shape

_CUT_SHORT = 0.98  # share of the container's duration that must come out
_MAX_READ_ERRORS = 32  # in a row, before a file is given up at that place
_WITHOUT_PRESENTATION_TIMES = ("avi",)
_DURATION_TAG = re.compile(r"([0-9]+):([0-9]+):([0-9]+(?:\.[0-9]+)?)", re.ASCII)  # of a Matroska stream


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
        self._damage = Damage()
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
        self._ahead: VideoFrame | None = first  # decoded, not handed out yet
        self.shape = Shape.of(first, self.pixel_aspect)
        self.duration_s = _duration_s(container, track, float(self._clock.stamp(first) or 0))
        self._clock.start(first)

    def frames(self) -> Iterator[Frame]:
        """Every frame that can be decoded, damaged ones too, with non-decreasing times."""
        while self._ahead is not None:
            picture, self._ahead = self._ahead, next(self._pictures, None)
            yield self._frame(picture)
        self.finished = True

    def close(self) -> None:
        """Close the file; call it from the thread that reads."""
        self._pictures.close()
        self._container.close()

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
        shape = Shape.of(picture, self.pixel_aspect)
        self._sizes.add(shape.upright_px)
        time_s = float(self._clock.read(picture))
        corrupt = bool(picture.is_corrupt)
        whole = bool(picture.key_frame) and not corrupt
        damaged = self._damage.reaches(self._clock.stamp(picture), time_s, key_frame=whole) or corrupt
        frame = Frame(picture, shape, self._reformatter, index=self.decoded_frames, time_s=time_s, damaged=damaged)
        self.decoded_frames += 1
        if damaged:
            self.damaged_frames += 1
        self.last_time_s = time_s
        return frame

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
                if errors == 0:  # the first of several in a row: they are one unreadable place
                    self.bad_packets += 1
                errors += 1
            except IndexError:
                # PyAV's answer to a packet of a stream that appeared after opening; the packet is spent.
                continue
        yield None

    def _note_damage(self, packet: "Packet[Any] | None") -> None:
        self.bad_packets += 1
        self._damage.note(None if packet is None else self._clock.stamp(packet), self.last_time_s)


def open_video(path: Path) -> Video:
    """The video at `path`, its first frame already decoded.

    Errors: VideoError for a file that is missing, empty, no video, a still picture, or has no decodable frame.
    """
    container = open_container(path)
    try:
        return Video(path, container, choose_track(path, container))
    except VideoError:
        container.close()
        raise
    except av.error.FFmpegError as error:
        container.close()
        raise VideoError(f"{path}: cannot be decoded ({error.strerror})", hint="open it in a player") from error


def _pixel_aspect(track: VideoTrack) -> float:
    """Width of a pixel over its height; 1 where unknown or absurd."""
    aspect = track.sample_aspect_ratio or track.codec_context.sample_aspect_ratio
    value = float(aspect) if aspect else 1.0
    return value if 0.25 <= value <= 4 else 1.0


def _duration_s(container: av.container.InputContainer, track: VideoTrack, start_s: float) -> float | None:
    """Length of the video stream as the container announces it, from its first frame; None where it does not."""
    if track.duration and track.time_base:
        return float(track.duration * track.time_base)
    start = start_s if "matroska" in container.format.name else 0.0  # whose durations count from its clock's zero
    tag = _DURATION_TAG.fullmatch(track.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) - start
    return container.duration / av.time_base - start if container.duration else None
