"""Recordings that were joined into one file: what changes where they meet."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from affect.stages.features.video.decode import open_video


def part(
    path: Path, codec: str = "mpeg2video", aspect: Fraction = Fraction(1), frames: int = 40, **options: str
) -> bytes:
    """A transport stream of a grey field that grows brighter. options: of the container."""
    with av.open(str(path), "w", options=options) as out:
        track: Any = out.add_stream(codec, rate=25, options={"bf": "2", "g": "10"})
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        track.codec_context.sample_aspect_ratio = aspect
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 3 * number, np.uint8), "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            out.mux(track.encode(picture))
        out.mux(track.encode())
    return path.read_bytes()


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_each_frame_has_the_pixel_aspect_of_its_own_part_and_the_change_is_said(tmp_path: Path, codec: str) -> None:
    first, second = Fraction(1), Fraction(4, 3)  # MPEG-2 knows four
    path = tmp_path / "joined.ts"
    path.write_bytes(part(tmp_path / "1.ts", codec, first) + part(tmp_path / "2.ts", codec, second))
    video = open_video(path)
    widths = [frame.rgb().shape[1] for frame in video.frames()]
    video.close()
    assert widths == [64] * 40 + [85] * 40
    assert (video.pixel_aspect, video.shape.upright_px) == (1, (64, 48))
    assert "the picture size changes within the file: [(64, 48), (85, 48)]" in video.notes()


def test_a_stream_that_begins_within_the_file_is_said_not_to_be_read(tmp_path: Path) -> None:
    """Its part lies too far within the file to be known beforehand, and pictures of the other stream follow it."""
    usual = part(tmp_path / "1.ts", muxrate="30000000")
    path = tmp_path / "joined.ts"
    path.write_bytes(usual + part(tmp_path / "2.ts", mpegts_start_pid="512") + usual)
    video = open_video(path)
    assert sum(1 for _ in video.frames()) == 80
    video.close()
    assert video.problems()[0] == (
        "another video stream begins within the file, as where recordings are joined, and is not read; the one that "
        "is read ends at 3.20 s"
    )


def test_a_part_that_the_decoder_swallows_without_an_error_is_said_to_be_lost(tmp_path: Path) -> None:
    """The codec changes where the parts meet, too far within the file to be known beforehand."""
    path, first = tmp_path / "joined.ts", part(tmp_path / "1.ts", "mpeg2video", muxrate="30000000")
    path.write_bytes(first + part(tmp_path / "2.ts", "libx265", frames=75))
    video = open_video(path)
    assert 38 <= sum(1 for _ in video.frames()) <= 40
    video.close()
    words = r"lost: 7[0-9] packets behind about 1\.[3-6][0-9] s gave neither a picture nor an error, as where the codec"
    assert any(re.match(words, problem) for problem in video.problems())
