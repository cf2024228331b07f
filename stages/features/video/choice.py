"""The one place that opens a recording, and that says which of its streams is the picture."""

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import av
import av.container
import av.error
import av.logging
from av.video.stream import VideoStream as VideoTrack

from ....cache.foreign import PYTORCH as WEIGHTS
from ....cache.foreign import Foreign, foreign
from ....errors import VideoError, shown

Stream = int | Literal["auto"]  # number of a stream in its file, from 0

_STILL_BRANDS = ("avif", "heic", "heix", "mif1")
# A stream that shows something for less than this share of the time that another one does, or has less than this share
# of its frames, is a thumbnail or a few slides.
_LASTS = 0.5
_FRAMES = 0.1
_FEWEST_PICTURES = 3  # of a stream of pictures without a container; a photograph may hold a second one, of its depth
_MOST_STEP_S = 1.0  # no frame counts for longer: a thumbnail may be said to last as long as the film
_VIDEO_LINE = re.compile(r"^ *Stream #\S+: Video: ", re.ASCII | re.MULTILINE)  # of FFmpeg's description of a file
_DESCRIBING = Lock()  # the level of logs is that of the process

# Kinds whose one file holds all that is read of it. Others name further files, hosts or devices, which FFmpeg opens.
_SELF_CONTAINED = """
mov mp4 m4a 3gp 3g2 mj2 matroska webm avi asf flv live_flv kux mpeg mpegts mpegtsraw mpegvideo mxf gxf nut ogg rm wtv
ivf y4m yuv4mpegpipe dv dhav ty nsv nuv pmp pva mtv mv amv swf 4xm bink smk roq vivo lvf lxf r3d
h261 h263 h264 hevc vvc evc m4v av1 obu vc1 vc1test avs avs2 avs3 cavsvideo dirac mjpeg mjpeg_2000 smjpeg dnxhd
ingenient gif apng flic jpegxl_anim webp_anim image2 ico fits
aac ac3 eac3 aiff amr ape au caf dts flac mp3 wav w64 wv tta truehd voc srt webvtt ass
""".split()  # noqa: SIM905 - a hundred quotes would hide them; image2 is one picture, as patterns are switched off


@cache
def _formats() -> str:
    """FFmpeg's names of what may be opened; those that end in `_pipe` are single pictures."""
    return ",".join([*_SELF_CONTAINED, *sorted(name for name in av.formats_available if name.endswith("_pipe"))])


def open_container(path: Path, picture_fps: float | None = None) -> av.container.InputContainer:
    """The recording at `path`, opened for reading; nothing is decoded. Close it, or use it as a context manager.

    picture_fps: the rate of pictures that follow each other without times, as of raw motion JPEG; 25 unless said.
    Errors: VideoError for a file that is missing, empty, a folder, or no container that FFmpeg can read.
    """
    if not path.exists():
        raise VideoError(f"{path}: no such file; expected a video", hint="check the path")
    if path.is_dir():
        raise VideoError(f"{path} is a folder; expected a video file")
    if not path.is_file():
        raise VideoError(f"{path} is a pipe or a device; expected a video file")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes); expected a video", hint="copy it again from its source")
    rate = {} if picture_fps is None else {"framerate": f"{picture_fps:.6f}"}
    # "file:" keeps names such as `a:b.mp4` from being read as a protocol. The lists keep to this file, whatever it says
    # and is called: no playlist, no session description, no pattern for many pictures.
    try:
        container = av.open(
            f"file:{path.absolute()}",
            options={"protocol_whitelist": "file", "format_whitelist": _formats(), "pattern_type": "none", **rate},
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        if strange := _foreign(path):
            hint = None if strange.hint == WEIGHTS else strange.hint  # which is of a model's file
            raise VideoError(f"{path} is {strange.what}; expected a video", hint=hint) from error
        if error.errno == errno.EINVAL:
            raise VideoError(
                f"{path}: cannot be read as a video: it is no recording by itself, but a list or description of others "
                "which was not followed, or of a kind that is not known",
                hint="give the recordings themselves, as mp4, mkv, mov or avi",
            ) from error
        raise VideoError(
            f"{path}: cannot be read as a video ({error.strerror}); expected a container such as mp4, mkv, mov or avi",
            hint="open it in a player; a file that was still being written when copied often ends like this",
        ) from error
    assert isinstance(container, av.container.InputContainer)
    return container


def _foreign(path: Path) -> Foreign | None:
    """What a file is that no player opens, where its first bytes tell."""
    try:
        return foreign(path)
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A video stream that can be read; not counted where it is the only one."""

    index: int  # its number in the file
    codec: str
    width_px: int
    height_px: int
    default: bool  # as the file calls it
    frames: int = 0
    lasts_s: float = 0.0  # no frame counts for longer than _MOST_STEP_S

    @classmethod
    def of(cls, track: VideoTrack, frames: int = 0, lasts_s: float = 0.0) -> "Candidate":
        """What is known of a stream; it may be kept when the file is closed, where the stream itself may not."""
        context, disposition = track.codec_context, track.disposition
        default = bool(disposition & type(disposition).default)
        return cls(track.index, context.name, context.width, context.height, default, frames, lasts_s)

    def __str__(self) -> str:
        frames = f"{self.frames} frame{'s' if self.frames != 1 else ''}"
        return f"{self.index} ({self.codec} {self.width_px}x{self.height_px}, {frames})"


@dataclass(frozen=True, slots=True)
class Choice:
    """The video stream that is read, among those that could be."""

    track: VideoTrack  # of the open file
    others: tuple[Candidate, ...] = ()  # recordings that are not read
    note: str = ""  # what is to be said where there are several


def choose_track(path: Path, container: av.container.InputContainer, stream: Stream = "auto") -> Choice:
    """The video stream to read: the one with that number, or with `auto` the one that is the recording.

    Never an attached picture or thumbnails of the file. Streams that last for less than half as long as another one, or
    have less than a tenth of its frames, are none; among the others it is the one called the default, then the one of
    most frames, then the first.
    Errors: VideoError for a still picture, where no stream is a video that can be decoded, or none has that number.
    """
    tracks = _readable(path, container)
    every = _counted(path, tracks) if len(tracks) > 1 else [Candidate.of(track) for track in tracks]
    films = _recordings(every)
    if stream == "auto":
        read = max(films, key=lambda item: (item.default, item.frames, -item.index))
    else:
        named = [item for item in every if item.index == stream]
        if not named:
            raise VideoError(
                f"{path} has no video stream {shown(stream)}; expected one of {', '.join(map(str, every))}",
                hint="--set features.stream=auto",
            )
        read = named[0]
    unread = [item for item in every if item is not read]
    note = ""
    if unread:
        why = "" if stream == "auto" else " as features.stream says"
        note = f"{len(every)} video streams; read{why}: {read}; not read: {', '.join(map(str, unread))}"
    track = next(track for track in tracks if track.index == read.index)
    if _is_bare(container):
        rate = float(track.average_rate or 25)
        note = f"its pictures follow each other without times; read as {rate:g} a second (--picture-fps)"
    return Choice(track, tuple(item for item in films if item is not read), note)


def _recordings(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that are no thumbnails and no few slides beside the others."""
    longest_s = max(item.lasts_s for item in candidates)
    lasting = [item for item in candidates if item.lasts_s >= _LASTS * longest_s]
    most = max(item.frames for item in lasting)
    return [item for item in lasting if item.frames >= _FRAMES * most]


def _counted(path: Path, tracks: Sequence[VideoTrack]) -> list[Candidate]:
    """The streams with their frames and time, out of all packets: headers hold neither in half of all containers."""
    stamps: dict[int, list[int]] = {track.index: [] for track in tracks}
    frames = dict.fromkeys(stamps, 0)
    with open_container(path) as container:
        try:
            for packet in container.demux([container.streams[index] for index in stamps]):
                if packet.size:
                    frames[packet.stream_index] += 1
                    if packet.pts is not None:
                        stamps[packet.stream_index].append(packet.pts)
        except (av.error.FFmpegError, IndexError):
            pass  # what was counted up to a damaged place tells them apart
    return [Candidate.of(track, frames[track.index], _lasts_s(stamps[track.index], track)) for track in tracks]


def _lasts_s(stamps: list[int], track: VideoTrack) -> float:
    unit_s = float(track.time_base or 0)
    stamps.sort()
    return sum(min((after - before) * unit_s, _MOST_STEP_S) for before, after in pairwise(stamps))


def _readable(path: Path, container: av.container.InputContainer) -> list[VideoTrack]:
    """Every stream that is a video and can be decoded. Errors: VideoError for none."""
    brand = container.metadata.get("major_brand", "").strip()
    if container.format.name == "image2" or brand in _STILL_BRANDS or _is_single(path, container):
        raise VideoError(
            f"{path} is a still picture ({container.format.name}); expected a video",
            hint="a folder of numbered pictures, or a CSV of pictures and their times, is a recording",
        )
    tracks = [stream for stream in container.streams.video if not _is_art(stream)]
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
    return readable


def _is_bare(container: av.container.InputContainer) -> bool:
    """Whether pictures follow each other without anything that holds times."""
    return container.format.name == "mjpeg" or container.format.name.endswith("_pipe")


def _is_single(path: Path, container: av.container.InputContainer) -> bool:
    """Whether a stream of bare pictures, such as raw motion JPEG is, has too few of them for a recording."""
    if not _is_bare(container):
        return False
    with open_container(path) as again:
        try:
            pictures = sum(1 for packet in islice(again.demux(again.streams.video), _FEWEST_PICTURES) if packet.size)
        except (av.error.FFmpegError, IndexError):
            return True
    return pictures < _FEWEST_PICTURES


def _is_art(track: VideoTrack) -> bool:
    kind = type(track.disposition)
    return bool(track.disposition & (kind.attached_pic | kind.timed_thumbnails))


def count_videos(container: Any) -> int:
    """How many video streams are known by now: one that begins within the file is not in `container.streams`.

    container: an open one; PyAV's types leave `dumps_format` out.
    """
    with _DESCRIBING:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)  # a description is a log, of this level
        try:
            return len(_VIDEO_LINE.findall(container.dumps_format()))
        finally:
            av.logging.set_level(level)
