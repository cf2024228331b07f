"""The overlay video: its times, its sound, and what is drawn where."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from affect.cache.predictions import PersonPrediction, VideoPrediction
from affect.errors import InputError
from affect.pipeline.predict.overlay import write_overlay

Person = Callable[..., PersonPrediction]
Made = Callable[..., VideoPrediction]


def _times_s(path: Path) -> list[float]:
    with av.open(str(path)) as file:
        return [frame.time for frame in file.decode(video=0) if frame.time is not None]


def _sound(path: Path) -> str:
    with av.open(str(path)) as file:
        packets = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
    return hashlib.sha256(b"".join(packets)).hexdigest()


def test_frames_keep_their_times_and_sound_its_bytes(
    person: Person, prediction: Made, face_video: Path, tmp_path: Path
) -> None:
    write_overlay(prediction(person(1), source=face_video), tmp_path / "scores.mp4")
    np.testing.assert_allclose(_times_s(tmp_path / "scores.mp4"), _times_s(face_video), atol=1e-3)
    assert _sound(tmp_path / "scores.mp4") == _sound(face_video)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.mp4"]


def test_the_box_lies_on_the_face_and_the_curves_under_the_picture(
    person: Person, prediction: Made, face_video: Path, tmp_path: Path
) -> None:
    # Person 1's box is (100, 80, 160, 160) of 240 x 180; so narrow a picture is enlarged to 640 x 480.
    write_overlay(prediction(person(1), source=face_video), tmp_path / "scores.mp4")
    with av.open(str(tmp_path / "scores.mp4")) as file:
        picture = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert picture.shape[1] == 640 and picture.shape[0] > 480 + 2 * 40
    edge = picture[267:400, 262:272].max(1).mean(0)
    assert edge[0] > 200 and edge[1] > 150 and edge[2] < 170
    assert picture[484:, :].mean() < 60 and picture[504:, 320:].max() > 150


def test_uneven_times_and_odd_sizes_are_kept(person: Person, prediction: Made, tmp_path: Path) -> None:
    uneven = tmp_path / "uneven.mkv"
    times_ms = [0, 40, 90, 200, 233, 500, 1400, 1433]
    with av.open(str(uneven), "w") as out:
        track = out.add_stream("ffv1", rate=25)
        track.width, track.height, track.pix_fmt = 101, 75, "bgr0"
        track.codec_context.time_base = Fraction(1, 1000)
        for time_ms in times_ms:
            frame = av.VideoFrame.from_ndarray(np.full((75, 101, 3), 90, np.uint8), "rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    write_overlay(replace(prediction(person(1), source=uneven), width_px=101, height_px=75), tmp_path / "scores.mp4")
    np.testing.assert_allclose(_times_s(tmp_path / "scores.mp4"), np.array(times_ms) / 1000, atol=2e-3)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    person: Person, prediction: Made, face_video: Path, tmp_path: Path
) -> None:
    made = prediction(person(1), source=face_video)
    with pytest.raises(InputError, match="cannot be written"):
        write_overlay(made, tmp_path / "scores.txt")
    with pytest.raises(InputError, match="only its features"):
        write_overlay(replace(made, source=None), tmp_path / "scores.mp4")
    with pytest.raises(InputError, match="is the recording itself"):
        write_overlay(made, face_video)
    assert not list(tmp_path.iterdir())


def _with_sound(path: Path, start_s: float, **options: str) -> Path:
    """Two seconds of picture and sound, whose clock begins there. options: of the container."""
    with av.open(str(path), "w", options=options) as out:
        track: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        track.width, track.height, track.pix_fmt = 240, 180, "yuv420p"
        sound: Any = out.add_stream("aac", rate=16000)
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((180, 240, 3), 4 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = round((start_s + number / 25) * 25), Fraction(1, 25)
            out.mux(track.encode(frame))
        out.mux(track.encode())
        for number in range(2 * 16000 // 1024):
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            tone.sample_rate, tone.pts = 16000, round(start_s * 16000) + 1024 * number
            tone.time_base = Fraction(1, 16000)
            out.mux(sound.encode(tone))
        out.mux(sound.encode())
    return path


@pytest.mark.parametrize("later_s", [0.0, 36_000.0])
def test_recordings_that_were_joined_have_an_overlay_as_long_as_both_and_sound_all_through(
    person: Person, prediction: Made, tmp_path: Path, later_s: float
) -> None:
    joined = tmp_path / "joined.ts"
    parts = [_with_sound(tmp_path / f"{n}.ts", start_s) for n, start_s in enumerate((0.0, later_s))]
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    write_overlay(prediction(person(1), source=joined), tmp_path / "scores.mp4")
    times = _times_s(tmp_path / "scores.mp4")
    assert len(times) == 100 and times[-1] - times[0] == pytest.approx(3.96, abs=0.05)
    with av.open(str(tmp_path / "scores.mp4")) as file:
        heard = [float((packet.pts or 0) * packet.time_base) for packet in file.demux(audio=0) if packet.size]
    assert heard[-1] - heard[0] == pytest.approx(3.9, abs=0.3)
    assert max(np.diff(heard)) < 0.3


def test_a_stream_that_begins_within_the_file_is_no_hindrance(person: Person, prediction: Made, tmp_path: Path) -> None:
    """Three parts, of which the middle one has streams of its own: too far within the file to be known beforehand."""
    joined = tmp_path / "joined.ts"
    usual = _with_sound(tmp_path / "1.ts", 0, muxrate="28000000").read_bytes()
    other = _with_sound(tmp_path / "2.ts", 2, mpegts_start_pid="512").read_bytes()
    joined.write_bytes(usual + other + usual)
    write_overlay(prediction(person(1), source=joined), tmp_path / "scores.mp4")
    assert len(_times_s(tmp_path / "scores.mp4")) == 100
    with av.open(str(tmp_path / "scores.mp4")) as file:
        heard = [float((packet.pts or 0) * packet.time_base) for packet in file.demux(audio=0) if packet.size]
    assert heard[-1] - heard[0] == pytest.approx(3.9, abs=0.3)


@pytest.mark.parametrize("stream", [0, 1])
def test_the_overlay_is_of_the_stream_that_was_scored(
    person: Person, prediction: Made, tmp_path: Path, stream: int
) -> None:
    two = tmp_path / "two.mkv"
    with av.open(str(two), "w") as out:
        tracks: list[Any] = [out.add_stream("libx264", rate=25, options={"preset": "ultrafast"}) for _ in range(2)]
        for track in tracks:
            track.width, track.height, track.pix_fmt = 240, 180, "yuv420p"
        for track, grey in zip(tracks, (40, 220), strict=True):
            for number in range(20):
                frame = av.VideoFrame.from_ndarray(np.full((180, 240, 3), grey, np.uint8), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(track.encode(frame))
            out.mux(track.encode())
    write_overlay(replace(prediction(person(1), source=two), stream=stream), tmp_path / "scores.mp4")
    with av.open(str(tmp_path / "scores.mp4")) as file:
        picture = next(file.decode(video=0)).to_ndarray(format="rgb24")
    assert abs(int(np.median(picture[:100, :100])) - (40, 220)[stream]) < 8
