"""A video file as frames in order: exact times, upright square-pixel RGB, and what was damaged on the way.

Frames are decoded from the start, one thread, never by seeking: the only way that is exact on every container, and
that gives the same pixels twice. Interlaced frames stay woven, as the decoder gives them.
"""

from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
from av.codec.context import ThreadType
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from ....cache.pictures import are_pictures, is_animated_webp
from ....errors import VideoError
from .announced import announced_s, file_s
from .choice import Choice, Stream, choose_track, count_videos, open_container
from .clock import USUAL, WITHOUT_PRESENTATION_TIMES, Clock
from .colour import colour_note
from .damage import Damage, Swallowed
from .frame import Frame, PixelAspect, Shape
from .pictures import Pictures

_CUT_SHORT = 0.98  # share of the container's duration that must come out
_MAX_READ_ERRORS = 32  # in a row, before a file is given up at that place


class Video:
    """An open video file. `frames()` may be read once; the counts are final when it has ended."""

    def __init__(self, path: Path, container: av.container.InputContainer, choice: Choice) -> None:
        self.path = path
        self.stream = choice.track.index
        self.others = choice.others  # video streams of the file that are not read
        self._choice_note, track = choice.note, choice.track
        self._container = container
        self._track = track
        self._context = track.codec_context
        self._context.thread_type = ThreadType.NONE
        self._context.thread_count = 1
        self._context.copy_opaque = True  # pictures bear what was attached to their packets
        self._reformatter = VideoReformatter()
        self._clock = Clock(track, container.format.name)
        self._damage, self._swallowed = Damage(), Swallowed()
        self._sizes: set[tuple[int, int]] = set()
        self._colours: set[tuple[int, int]] = set()
        self._others_end_s = 0.0  # of the file's other streams, its sound for one, on the container's clock
        self._encrypted = False
        self._started = False  # whether a picture has come
        self._videos, self._late_videos = count_videos(container), 0
        self.decoded_frames = 0
        self.damaged_frames = 0
        self.bad_packets = 0
        self.finished = False
        self.last_time_s = 0.0
        self.codec = self._context.name
        self.pixel_format = self._context.pix_fmt or "unknown"
        self.header_frames: int | None = track.frames or None
        self._aspect = PixelAspect(track)
        self._pictures = self._read_pictures()
        self._bad: list[Fraction | None] = []  # times of the bad packets since the last picture that was decoded
        # Decoded and not handed out yet, each with its pixels' aspect and the times of the bad packets before it
        self._upcoming: deque[tuple[VideoFrame, float, list[Fraction | None]]] = deque()
        first = self._ahead(1)
        if first is None:
            why = "is encrypted" if self._encrypted else f"gave no frame ({self.bad_packets} packets refused)"
            raise VideoError(
                f"{path}: its {self.codec} stream {why}; expected a video that plays",
                hint="open it in a player; if it plays, convert it: ffmpeg -i IN -c:v libx264 OUT.mp4",
            )
        self._note_damage()
        self.pixel_aspect = self._upcoming[0][1]  # of the first frame
        self.shape = Shape.of(first, self.pixel_aspect)
        self._missing_s = self._missing_in_front_s(first)
        self._clock.begin(first, lambda count: self._ahead(count + 1))
        self.clock_offset_s = self._starts_late_s()
        self._announced_s = announced_s(container, track, self._clock.origin_s, self._missing_s)
        if self._announced_s is not None:
            self._announced_s /= self._clock.faults.slip
        self._file_s = file_s(container, track)  # where nothing is announced of the picture itself
        rated = track.average_rate or track.guessed_rate
        self.average_fps = float(1 / self._clock.step) if rated else None

    @property
    def duration_s(self) -> float | None:
        """As the container claims, but for the jumps of its clock that were closed; None where it claims nothing."""
        return None if self._announced_s is None else max(0.0, self._announced_s - self._clock.closed_s)

    def frames(self) -> Iterator[Frame]:
        """Every frame that can be decoded, damaged ones too, with non-decreasing times."""
        while self._ahead(1) is not None:
            picture, aspect, _ = self._upcoming.popleft()
            self._ahead(1)
            self._note_damage()
            yield self._frame(picture, aspect)
        self._late_videos = count_videos(self._container) - self._videos
        self.finished = True

    def close(self) -> None:
        """Close the file; call it from the thread that reads."""
        self._pictures.close()
        self._container.close()

    @property
    def cut_short(self) -> bool:
        """Whether decoding ended before the container said it would."""
        end, announced = self.last_time_s + float(self._clock.step), self.duration_s
        if not self.finished or announced is None or end >= _CUT_SHORT * announced:
            return False
        if self._file_s is not None and self._others_end_s >= _CUT_SHORT * self._file_s:
            return False  # the file is whole: it is its sound that lasts so long
        return not self._clock.explains(announced, end)

    def problems(self) -> list[str]:
        """What is lost, in sentences; complete once `frames()` has ended."""
        found = []
        if self._missing_s:
            found.append(
                f"the first {self._missing_s:.2f} s cannot be decoded: no whole key frame there; time 0 is the first "
                "picture behind them"
            )
        if self.cut_short and self.duration_s is not None:
            end = self.last_time_s + float(self._clock.step)
            found.append(
                f"cut short: decoding ended at {end:.2f} s of the {self.duration_s:.2f} s the container announces"
            )
        if self._late_videos > 0:
            found.append(
                "another video stream begins within the file, as where recordings are joined, and is not read; the one "
                f"that is read ends at {self.last_time_s + float(self._clock.step):.2f} s"
            )
        if self._swallowed.packets:
            found.append(
                f"lost: {self._swallowed.packets} packets behind about {self._swallowed.from_s:.2f} s gave neither a "
                "picture nor an error, as where the codec changes; what they show is not read"
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
        if self._choice_note:
            found.append(self._choice_note)
        found += self._clock.notes()
        found += [note for colour in sorted(self._colours) if (note := colour_note(*colour))]
        if len(self._sizes) > 1:
            found.append(f"the picture size changes within the file: {sorted(self._sizes)}")
        return found

    def _missing_in_front_s(self, first: VideoFrame) -> float:
        """How long the stream goes on before its first picture, where that is more than a frame; else 0."""
        stamp, start = self._clock.stamp(first), self._track.start_time
        if stamp is None or start is None or self._container.format.name in WITHOUT_PRESENTATION_TIMES:
            return 0.0
        missing = stamp - start * (self._track.time_base or 0)
        return float(missing) if missing > USUAL * self._clock.step else 0.0

    def _starts_late_s(self) -> float:
        """What a player's clock shows at time zero: how much later the first picture comes than the file begins."""
        begins, start = self._container.start_time, self._track.start_time
        if begins is None or start is None:
            return 0.0
        # A decoder hands out a picture some packets late, which shows in its decoding time.
        decoding = self._container.format.name in WITHOUT_PRESENTATION_TIMES
        origin_s = float(start * (self._track.time_base or 0)) if decoding else self._clock.origin_s
        return max(0.0, origin_s - begins / av.time_base)

    def _frame(self, picture: VideoFrame, aspect: float) -> Frame:
        shape = Shape.of(picture, aspect)
        self._sizes.add(shape.upright_px)
        self._colours.add((picture.color_trc, picture.color_primaries))
        time_s = self._clock.read(picture, self._ahead)
        corrupt = bool(picture.is_corrupt)
        whole = bool(picture.key_frame) and not corrupt
        damaged = self._damage.reaches(self._clock.stamp(picture), time_s, key_frame=whole) or corrupt
        frame = Frame(picture, shape, self._reformatter, index=self.decoded_frames, time_s=time_s, damaged=damaged)
        self.decoded_frames += 1
        if damaged:
            self.damaged_frames += 1
        self.last_time_s = time_s
        return frame

    def _ahead(self, count: int) -> VideoFrame | None:
        """The first, second ... picture that is not handed out yet, decoded by now; None behind the last one."""
        while len(self._upcoming) < count:
            picture = next(self._pictures, None)
            if picture is None:
                return None
            self._upcoming.append((picture, self._aspect.of(self._told(picture)), self._bad))
            self._bad = []
        return self._upcoming[count - 1][0]

    def _told(self, picture: VideoFrame) -> Fraction | None:
        """The pixel aspect that the codec told when the picture's packet was decoded: a picture may come out later."""
        told = picture.opaque
        return told[0] if isinstance(told, list) else self._context.sample_aspect_ratio

    def _note_damage(self) -> None:
        """Take into account what was bad in front of the next picture, or behind the last one."""
        bad = self._upcoming[0][2] if self._upcoming else self._bad
        for stamp in bad:
            self._damage.note(stamp, self.last_time_s)
        bad.clear()

    def _read_pictures(self) -> Generator[VideoFrame, None, None]:
        for packet in self._packets():
            if packet is not None and packet.has_sidedata("encryption_info"):
                self._note_bad(packet)  # decoding it would show noise, now and then without an error
                self._encrypted = True
                continue
            told = [self._context.sample_aspect_ratio]
            if packet is not None:
                packet.opaque = told
            try:
                pictures = self._context.decode(packet)
                told[0] = self._context.sample_aspect_ratio
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self._note_bad(packet)
                continue
            if packet is not None and packet.is_corrupt:
                self._note_bad(packet)
            if packet is not None and not packet.is_discard and (self._started or pictures):
                self._started = True
                self._swallowed.note(packet.size, len(pictures), self.last_time_s)
            yield from pictures

    def _packets(self) -> "Iterator[Packet[Any] | None]":
        """Packets of the video stream, then None, which flushes the decoder; goes on behind unreadable places."""
        errors = 0
        while errors < _MAX_READ_ERRORS:
            try:
                for packet in self._container.demux():
                    if packet.size and packet.stream_index == self._track.index:
                        errors = 0
                        yield packet
                    elif packet.size and packet.pts is not None:
                        self._others_end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
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

    def _note_bad(self, packet: "Packet[Any] | None") -> None:
        self.bad_packets += 1
        self._bad.append(None if packet is None else self._clock.stamp(packet))


Recording = Video | Pictures  # what `open_video` gives


def open_video(path: Path, stream: Stream = "auto", picture_fps: float | None = None) -> Recording:
    """The recording at `path`, its first frame already decoded. stream: which one to read, where there are several.

    path: a video file, or pictures (`cache.pictures`), of which there are `picture_fps` a second.
    Errors: VideoError for a file that is missing, empty, no video, a still picture, or has no decodable frame.
    """
    if are_pictures(path) or is_animated_webp(path):
        return Pictures(path, picture_fps)
    container = open_container(path, picture_fps)
    try:
        return Video(path, container, choose_track(path, container, stream))
    except VideoError:
        container.close()
        raise
    except av.error.FFmpegError as error:
        container.close()
        raise VideoError(f"{path}: cannot be decoded ({error.strerror})", hint="open it in a player") from error
