"""How long a recording is, by its container's own word."""

import re
from pathlib import Path

import av
import av.container
from av.video.stream import VideoStream as VideoTrack

from .clock import WITHOUT_PRESENTATION_TIMES

_DURATION_TAG = re.compile(r"([0-9]+):([0-9]+):([0-9]+(?:\.[0-9]+)?)", re.ASCII)  # of a Matroska stream
# ASF's "file properties": its name, and where in it what is asked for lies
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_LENGTH, _ASF_PREROLL, _ASF_FLAGS, _ASF_END = 64, 80, 88, 92
_ASF_LIVE = 1  # flag: written while it was sent, so the length is not known
_ASF_HEADER_BYTES = 65_536  # within which the properties lie


def announced_s(
    container: av.container.InputContainer, track: VideoTrack, start_s: float, missing_s: float = 0.0
) -> float | None:
    """Length of the video stream as the container announces it, from its first frame; None where it does not.

    start_s: what the container's clock shows at that frame; missing_s: how long the stream goes on before it.
    """
    if track.duration and track.time_base:
        # Of an AVI file that is cut, FFmpeg's duration is what is there; its header counts the frames that were.
        whole = track.frames if container.format.name in WITHOUT_PRESENTATION_TIMES else 0
        return float(max(track.duration, whole) * track.time_base) - missing_s
    start = start_s if "matroska" in container.format.name else missing_s  # its durations count from its clock's zero
    length_s = _tagged_s(track) or _whole_s(container)
    return length_s - start if length_s else None


def file_s(container: av.container.InputContainer, track: VideoTrack) -> float | None:
    """Length of the whole file, sound and all, where the container announces none of the video stream; else None."""
    return None if track.duration or _tagged_s(track) else _whole_s(container)


def _tagged_s(track: VideoTrack) -> float | None:
    tag = _DURATION_TAG.fullmatch(track.metadata.get("DURATION", ""))
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) if tag else None


def _whole_s(container: av.container.InputContainer) -> float | None:
    if container.duration:
        return container.duration / av.time_base
    return _asf_s(Path(container.name.removeprefix("file:"))) if container.format.name == "asf" else None


def _asf_s(path: Path) -> float | None:
    """Length by the header of an ASF file (WMV); FFmpeg keeps it to itself where the file is shorter than that says."""
    with path.open("rb") as file:
        header = file.read(_ASF_HEADER_BYTES)
    found = header.find(_ASF_PROPERTIES)
    said = header[found : found + _ASF_END]
    if found < 0 or len(said) < _ASF_END or said[_ASF_FLAGS] & _ASF_LIVE:
        return None
    length, preroll = (int.from_bytes(said[place : place + 8], "little") for place in (_ASF_LENGTH, _ASF_PREROLL))
    return max(0.0, length / 1e7 - preroll / 1e3)
