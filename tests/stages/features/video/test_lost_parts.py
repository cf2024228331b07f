"""What is lost of a recording: it is said what, and where; and nothing is said of a whole one."""

from collections.abc import Callable
from pathlib import Path

import av
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
