"""What is lost of a recording: it is said what, and where; and nothing is said of a whole one."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from affect.stages.features.video.decode import open_video
from affect.stages.features.video.times import clock_offset_s

Made = Callable[..., Path]


def said(path: Path) -> tuple[int, list[str], list[str]]:
    """How many frames are read, the problems, and the notes."""
    video = open_video(path)
    frames = sum(1 for _ in video.frames())
    video.close()
    return frames, video.problems(), video.notes()


def test_a_recording_that_begins_between_key_frames_says_so_and_its_clock_is_a_players(
    recording: Made, tmp_path: Path
) -> None:
    whole, cut = recording("whole.ts", between=2), tmp_path / "cut.ts"
    with av.open(str(whole)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    key_s, start = float((packets[50].pts or 0) * packets[50].time_base), packets[20].pos
    assert packets[50].is_keyframe and start is not None
    cut.write_bytes(whole.read_bytes()[start:])
    with av.open(str(cut)) as container:
        missing_s = key_s - float((container.start_time or 0) / av.time_base)
    assert 0.8 < missing_s < 1.3
    words = f"the first {missing_s:.2f} s cannot be decoded: no whole key frame there; time 0 is the first picture"
    assert said(cut) == (100, [f"{words} behind them"], [])
    assert clock_offset_s(cut) == pytest.approx(missing_s, abs=0.001)


@pytest.mark.parametrize(("name", "codec"), [("cut.avi", "mjpeg"), ("cut.wmv", "wmv2")])
def test_a_file_that_is_cut_between_two_packets_is_called_cut_short(
    recording: Made, tmp_path: Path, name: str, codec: str
) -> None:
    """FFmpeg gives an AVI file the length that is left, and an ASF file none; their headers know better."""
    whole, cut = recording(name, codec=codec), tmp_path / name
    assert said(whole) == (150, [], [])
    with av.open(str(whole)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    end = packets[60].pos
    assert end is not None
    cut.write_bytes(whole.read_bytes()[:end])
    frames, problems, _ = said(cut)
    assert 40 < frames <= 60  # a packet of ASF holds several
    end_s = frames / 25
    assert problems[0] == f"cut short: decoding ended at {end_s:.2f} s of the 6.00 s the container announces"


def with_longer_sound(path: Path) -> Path:
    """Two seconds of picture, five of sound; the container says only how long the file is."""
    with av.open(str(path), "w") as out:
        track: Any = out.add_stream("flv1", rate=25)
        sound: Any = out.add_stream("pcm_s16le", rate=11025, layout="mono")
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for number in range(125):
            if number < 50:
                picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 5 * number, np.uint8), "rgb24")
                picture.pts, picture.time_base = number, Fraction(1, 25)
                out.mux(track.encode(picture))
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 441), np.int16), "s16", "mono")
            heard.sample_rate, heard.pts, heard.time_base = 11025, 441 * number, Fraction(1, 11025)
            out.mux(sound.encode(heard))
        out.mux(track.encode())
        out.mux(sound.encode())
    return path


def test_sound_that_outlasts_the_picture_does_not_make_it_cut_short_and_a_cut_does(tmp_path: Path) -> None:
    whole, cut = with_longer_sound(tmp_path / "whole.flv"), tmp_path / "cut.flv"
    assert said(whole) == (50, [], [])
    with av.open(str(whole)) as container:
        end = [packet.pos for packet in container.demux(video=0) if packet.size][30]
    assert end is not None
    cut.write_bytes(whole.read_bytes()[:end])
    frames, problems, _ = said(cut)
    assert frames == 30 and "cut short: decoding ended at 1.20 s of the 5." in problems[0]
