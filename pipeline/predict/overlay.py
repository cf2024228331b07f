"""The recording again, with each person's face box, scores and running curves drawn on it, its sound kept."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import numpy as np

from ...cache.files import NewFile, sweep
from ...cache.predictions import VideoPrediction
from ...errors import InputError, VideoError, named
from ...stages.features.video.choice import open_container
from ...stages.features.video.sound import all_packets, joined_sound
from ...stages.views.overlay_picture import OverlayPicture
from ..workers import cores

MARK = "made by affect predict --overlay"  # in the file's own metadata: what bears it may be replaced
OLD_PARTIAL_S = 3600.0  # what is left of a killed process, not of one that is writing now
CLOCK = Fraction(1, 90000)  # of the frames written


def overlay_path(asked: Path, video: str, videos: int) -> Path:
    """Where a video's overlay goes: to the file that was asked for, or with several videos into that folder."""
    return asked / f"{video}.mp4" if videos > 1 else asked


def check_overlay(path: Path, recordings: Sequence[Path]) -> None:
    """Errors: InputError where `path` is taken by anything but an older overlay, or is one of the recordings given."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_file():
        raise InputError(f"--overlay {path} is a link or a folder; expected a new file", hint="name another file")
    if any(recording.exists() and path.samefile(recording) for recording in recordings):
        raise InputError(f"--overlay {path} is the recording itself, or another one given", hint="name another file")
    if not _made_here(path):
        raise InputError(
            f"--overlay {path} exists, and is no overlay that affect has made; nothing was written",
            hint="name another file; only an older overlay is replaced",
        )


def _made_here(path: Path) -> bool:
    try:
        with open_container(path) as container:
            return any(key.lower() == "comment" and words == MARK for key, words in container.metadata.items())
    except VideoError:
        return False


def write_overlay(
    prediction: VideoPrediction, path: Path, root: Path | None = None, recordings: Sequence[Path] = ()
) -> None:
    """Write the recording with its scores drawn on it; frames keep their times, sound is copied as it is.

    root: the folder below which no link is followed; recordings: all that were given, none of which is replaced.
    Errors: InputError where the recording is unknown, or the file's kind cannot be written, or it may not be replaced;
    VideoError where the recording cannot be read; DiskError.
    """
    from ...stages.features.video.decode import Video, open_video

    if prediction.source is None:
        raise InputError(f"--overlay needs the recording of {prediction.video}; only its features were given")
    check_overlay(path, (prediction.source, *recordings))
    sweep(path.parent, silent_s=OLD_PARTIAL_S)
    with ExitStack() as stack:
        new = NewFile(path, root, suffix=path.suffix)
        stack.callback(new.discard)
        stack.enter_context(_disk_errors(path))
        try:
            out = stack.enter_context(av.open(f"file:{new.partial.absolute()}", "w"))
        except (av.error.FFmpegError, ValueError) as error:
            raise InputError(f"--overlay {path} cannot be written ({error})", hint="--overlay scores.mp4") from error
        out.metadata["comment"] = MARK
        video = open_video(prediction.source, prediction.stream, prediction.picture_fps)
        stack.callback(video.close)
        drawing = OverlayPicture(prediction, *video.shape.upright_px)
        track = _video_track(out, drawing, video.average_fps)
        sound = _Sound(prediction.source, out, stack) if isinstance(video, Video) else None
        for frame in video.frames():
            picture = av.VideoFrame.from_ndarray(drawing.draw(frame.rgb(), frame.time_s), "rgb24")
            time_s = frame.time_s + prediction.clock_offset_s
            picture.pts, picture.time_base = round(time_s / CLOCK), CLOCK
            if sound is not None:
                sound.write_until(time_s)
            out.mux(track.encode(picture))
        out.mux(track.encode(None))
        if sound is not None:
            sound.write_until(np.inf)
        out.close()
        check_overlay(path, (prediction.source, *recordings))  # hours may have gone by
        new.place()


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """What FFmpeg says of a disk, as an error of ours."""
    try:
        yield
    except OSError as error:  # FFmpegError is one
        raise named(error, path) from error


def _video_track(out: av.container.OutputContainer, drawing: OverlayPicture, fps: float | None) -> Any:
    codec = "libvpx" if out.format.name == "webm" else "libx264"
    options = {} if codec == "libvpx" else {"crf": "21", "preset": "veryfast"}
    rate = Fraction(fps or 25).limit_denominator(1001)
    try:
        track: Any = out.add_stream(codec, rate=rate, options=options)
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(f"--overlay: {out.format.name} files cannot hold {codec} ({error})", hint="OUT.mp4") from error
    track.width, track.height, track.pix_fmt = drawing.width_px, drawing.height_px, "yuv420p"
    track.time_base = track.codec_context.time_base = CLOCK
    track.thread_count = cores()
    return track


class _Sound:
    """The recording's sound, packet by packet, written before the pictures it belongs to."""

    def __init__(self, source: Path, out: av.container.OutputContainer, stack: ExitStack) -> None:
        self._out = out
        file = stack.enter_context(open_container(source))
        self._start_s = (file.start_time or 0) / av.time_base
        track: Any = next(iter(file.streams.audio), None)
        copied = track is not None and track.codec_context is not None and track.codec.name in _codecs(out)
        self._to: Any = out.add_stream_from_template(track) if copied else None
        if track is not None and not copied:  # raw sound in an mp4: coded anew, or it would be lost
            self._to = out.add_stream("libopus" if out.format.name == "webm" else "aac", rate=track.rate)
        self._packets = self._read(file, track, copied) if track is not None else iter(())
        self._next = next(self._packets, None)

    def _read(self, file: Any, track: Any, copied: bool) -> Iterator[Any]:
        try:
            for packet in joined_sound(all_packets(file, track)):
                if copied and packet.dts is not None:
                    shift = round(self._start_s / packet.time_base)
                    packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                    packet.stream = self._to
                    yield packet
                elif not copied:
                    for frame in packet.decode():
                        frame.pts -= round(self._start_s / frame.time_base)
                        yield from self._to.encode(frame)
            if not copied:
                yield from self._to.encode(None)
        except av.error.FFmpegError:
            return  # damaged sound ends; the pictures go on

    def write_until(self, time_s: float) -> None:
        while self._next is not None and float(self._next.pts * self._next.time_base) <= time_s:
            self._out.mux(self._next)
            self._next = next(self._packets, None)


def _codecs(out: av.container.OutputContainer) -> set[str]:
    names = set(out.supported_codecs)
    return names - {"pcm_s16le", "pcm_u8"} if out.format.name == "mp4" else names
