"""When each frame of a video is shown, and where a player's clock stands then: for labels, captions and sound."""

from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av.container
import av.error
import numpy as np
from av.video.stream import VideoStream as VideoTrack

from ....cache.pictures import are_pictures, is_animated_webp
from ....cache.records import Array
from ....errors import VideoError
from .announced import announced_s
from .choice import Stream, choose_track, open_container
from .clock import MOST_FPS, SLIPPED_STEP_S, WITHOUT_PRESENTATION_TIMES
from .decode import Video, open_video
from .picture_list import picture_list

_EVEN = (0.6, 1.4)  # of the middle step; a frame that stands elsewhere leaves a double step behind


def frame_times_s(path: Path, stream: Stream = "auto", picture_fps: float | None = None) -> Array:
    """Presentation time of every frame, (F,) float64 from the first, on the clock that features have too.

    stream: which one is meant; picture_fps: of a recording that is given as pictures.

    Packets of an even clock say them, in a small part of the time that decoding takes, and also those of frames that
    turn out to be damaged; else every frame is decoded. Errors: VideoError for a file without video.
    """
    if are_pictures(path):
        return picture_list(path, picture_fps).time_s
    if is_animated_webp(path):
        return _decoded_times(path, stream, picture_fps)
    with open_container(path, picture_fps) as container:
        track = choose_track(path, container, stream).track
        time_s = _times_of_packets(container, track)
    if time_s is not None:
        return time_s
    return _decoded_times(path, stream, picture_fps)


def clock_offset_s(path: Path, stream: Stream = "auto") -> float:
    """What a player's clock shows at time 0, which is the first picture that can be decoded.

    Pictures have no such clock. Errors: VideoError where the file cannot be read, shows nothing, or has no such stream.
    """
    if are_pictures(path) or is_animated_webp(path):
        return 0.0
    with closing(open_video(path, stream)) as video:
        return video.clock_offset_s if isinstance(video, Video) else 0.0


def claimed_s(path: Path, picture_fps: float | None = None) -> float | None:
    """How long a recording is by its header, without decoding; None where it does not say, or cannot be read."""
    try:
        if are_pictures(path):
            return float(picture_list(path, picture_fps).time_s[-1])
        with open_container(path, picture_fps) as container:
            claims = [announced_s(container, track, 0.0) for track in container.streams.video]
    except (VideoError, OSError, av.error.FFmpegError, LookupError, ValueError):
        return None
    return max((claim for claim in claims if claim), default=None)


def _decoded_times(path: Path, stream: Stream, picture_fps: float | None) -> Array:
    with closing(open_video(path, stream, picture_fps)) as video:
        return np.array([frame.time_s for frame in video.frames()])


def _times_of_packets(container: av.container.InputContainer, track: VideoTrack) -> Array | None:
    """The times, sorted, where no frame can be missing, early or late; None where decoding has to tell."""
    if container.format.name in WITHOUT_PRESENTATION_TIMES:
        return None
    unit = Fraction(track.time_base or 1)
    stamps: list[int] = []
    first = None
    try:
        for packet in container.demux(track):
            if not packet.size:
                continue
            if packet.pts is None or packet.is_corrupt or not (first is not None or packet.is_keyframe):
                return None
            first = packet.pts if first is None else first
            if packet.pts < first:  # shown before the first key frame: a decoder may leave it out
                return None
            if not packet.is_discard:
                stamps.append(packet.pts)
    except (av.error.FFmpegError, IndexError):
        return None
    stamps.sort()
    if not _even(stamps, float(unit)):
        return None
    return np.array([(stamp - stamps[0]) * unit.numerator / unit.denominator for stamp in stamps])


def _even(stamps: Sequence[int], unit_s: float) -> bool:
    steps = np.diff(stamps)
    if len(steps) == 0:
        return False
    middle = np.median(steps)
    usual = 1 / MOST_FPS <= middle * unit_s < SLIPPED_STEP_S
    return bool(usual and steps.min() >= _EVEN[0] * middle and steps.max() <= _EVEN[1] * middle)
