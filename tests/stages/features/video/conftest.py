"""Recordings with other times than they were made with, and with several video streams."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from affect.cache.records import Array

FRAMES, FPS = 150, 25
ORIGIN_S = 10.0  # so that times may lie far before the others and above zero all the same
Edit = Callable[[Array], Array]  # times of the frames, in the order they are shown -> other ones
Restamp = Callable[..., Path]


def record(path: Path, codec: str = "libx264", between: int = 0, rate: int = FPS, seconds: float = 6) -> Path:
    """Noise that moves; `between`: B-frames between two others."""
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    with av.open(str(path), "w") as out:
        options = {"preset": "ultrafast", "bf": str(between), "g": "50"} if codec == "libx264" else {}
        track: Any = out.add_stream(codec, rate=rate, options=options)
        track.width, track.height = 80, 60
        track.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, number, 1), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            out.mux(track.encode(frame))
        out.mux(track.encode())
    return path


def restamp(source: Path, target: Path, edit: Edit, *, decoding: bool) -> Path:
    """A copy whose frames are shown at the times that `edit` makes of theirs. decoding: decoding times follow them."""
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        track = given.streams.video[0]
        copy = out.add_stream_from_template(track)
        packets = [packet for packet in given.demux(track) if packet.size]
        before = np.array([float((packet.pts or 0) * packet.time_base) for packet in packets])
        after = edit(np.sort(before))[np.argsort(np.argsort(before))] + ORIGIN_S
        for packet, old_s, new_s in zip(packets, before, after, strict=True):
            decoded_s = float((packet.dts or 0) * packet.time_base) + (new_s - old_s if decoding else 0)
            packet.time_base = Fraction(1, 90_000)
            packet.pts, packet.dts = round(new_s * 90_000), round(decoded_s * 90_000)
            packet.duration, packet.stream = 0, copy
            out.mux(packet)
    return target


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`record` into a folder of the session, once for the same words."""
    folder = tmp_path_factory.mktemp("recording")

    def make(name: str, **words: Any) -> Path:
        path = folder / name
        return path if path.exists() else record(path, **words)

    return make


@pytest.fixture
def restamped(recording: Callable[..., Path], tmp_path: Path) -> Restamp:
    """A recording of 150 frames, 25 a second, as `ending` with other times."""

    def make(ending: str, edit: Edit, *, between: int = 0, decoding: bool = False) -> Path:
        source = recording(f"plain{between}.mp4", between=between)
        return restamp(source, tmp_path / f"restamped.{ending}", edit, decoding=decoding)

    return make
