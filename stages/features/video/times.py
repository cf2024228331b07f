"""When each frame of a video is shown, out of its packets alone: for labels that are given frame by frame."""

from pathlib import Path

import av.error
import numpy as np

from ....cache.records import Array
from ....errors import VideoError
from .choice import choose_track, open_container


def frame_times_s(path: Path) -> Array:
    """Presentation time of every frame, (F,) float64 from the first, sorted; nothing is decoded.

    The stream is the one that features are made of. Errors: VideoError for a file without video, or without times.
    """
    try:
        with open_container(path) as container:
            track = choose_track(path, container)
            unit_s = float(track.time_base or 0)
            stamps = [
                packet.pts * unit_s
                for packet in container.demux(track)
                if packet.size and packet.pts is not None and not packet.is_discard
            ]
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path} cannot be read: {error}") from error
    if not stamps:
        raise VideoError(f"{path} says no times of its frames")
    time_s = np.sort(np.array(stamps, np.float64))
    return np.asarray(time_s - time_s[0])
