"""The one place that opens a recording, and that says which of its streams is the picture."""

import errno
from functools import cache
from pathlib import Path

import av
import av.container
import av.error
from av.video.stream import VideoStream as VideoTrack

from ....errors import VideoError

_STILL_BRANDS = ("avif", "heic", "heix", "mif1")


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


def open_container(path: Path) -> av.container.InputContainer:
    """The recording at `path`, opened for reading; nothing is decoded. Close it, or use it as a context manager.

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
    # "file:" keeps names such as `a:b.mp4` from being read as a protocol. The lists keep to this file, whatever it says
    # and is called: no playlist, no session description, no pattern for many pictures.
    try:
        container = av.open(
            f"file:{path.absolute()}",
            options={"protocol_whitelist": "file", "format_whitelist": _formats(), "pattern_type": "none"},
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
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


def choose_track(path: Path, container: av.container.InputContainer) -> VideoTrack:
    """The video stream to read: the default one, among equals the largest; never album art.

    Errors: VideoError for a still picture, and where no stream is a video that can be decoded.
    """
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


def clock_offset_s(path: Path) -> float:
    """What a player's clock shows at the first video frame: how much later the picture begins than the file does.

    Errors: VideoError where the file cannot be read, or holds no video.
    """
    with open_container(path) as container:
        track = choose_track(path, container)
        if track.start_time is None or track.time_base is None or container.start_time is None:
            return 0.0
        return max(0.0, float(track.start_time * track.time_base) - container.start_time / av.time_base)
