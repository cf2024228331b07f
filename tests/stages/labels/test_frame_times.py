"""Labels that are given frame by frame lie on the clock that features have, whatever is wrong with the recording's."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from affect.cache.manifest import read_manifest
from affect.pipeline.prepare_labels import prepare_labels
from affect.stages.features.video.decode import open_video

FRAMES, FPS = 60, 10
VALENCE = np.round(np.linspace(-0.9, 0.9, FRAMES), 3)
Shift = Callable[[int], float]  # frame -> seconds


def film(path: Path, shift: Shift = lambda number: 0.0, *, cover: bool = False, frames: range = range(FRAMES)) -> Path:
    """Frames at ten a second, each shifted; the cover is a large picture in a stream before theirs."""
    with av.open(str(path), "w") as out:
        streams: list[Any] = [out.add_stream("mjpeg", rate=1)] if cover else []
        streams.append(out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "bf": "0"}))
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if cover:
            streams[0].width, streams[0].height, streams[0].pix_fmt = 640, 480, "yuvj420p"
            picture = av.VideoFrame.from_ndarray(np.full((480, 640, 3), 90, np.uint8), "rgb24")
            picture.pts, picture.time_base = 0, Fraction(1, 1)
            out.mux(streams[0].encode(picture))
            out.mux(streams[0].encode())
        packets = []
        for number in frames:
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * number, np.uint8), "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, FPS)
            packets += streams[-1].encode(picture)
        packets += streams[-1].encode()
        for number, packet in zip(frames, packets, strict=True):
            late = round(shift(number) / packet.time_base)
            packet.pts, packet.dts = packet.pts + late, packet.dts + min(0, late)
            packet.duration = 0
            out.mux(packet)
    return path


def make(folder: Path, kind: str) -> Path:
    """The same 60 frames in a file of this kind."""
    if kind == "cover before it":
        return film(folder / "a.mkv", cover=True)
    if kind == "a wrong time":
        return film(folder / "a.mkv", lambda number: 3.0 if number == 22 else 0.0)
    if kind == "no times":
        return film(folder / "a.h264")
    first = film(folder / "first.ts", frames=range(30))
    jump_s = {"joined, the clock goes back": -3.0, "joined, the clock goes ahead": 36_000.0}[kind]
    second = film(folder / "second.ts", lambda number: jump_s, frames=range(30, 60))
    path = folder / "a.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    first.unlink()
    second.unlink()
    return path


@pytest.mark.parametrize(
    "kind",
    ["cover before it", "a wrong time", "no times", "joined, the clock goes back", "joined, the clock goes ahead"],
)
def test_a_line_belongs_to_the_frame_that_features_have_at_that_time(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path, kind)
    lines = ["valence,arousal", *(f"{value},0" for value in VALENCE)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    summary = prepare_labels("aff-wild2", tmp_path, tmp_path / "labels.csv", span_s=1.0).manifests[0]
    assert summary.problems == ()
    manifest = read_manifest(summary.manifest)
    assert manifest.start_s.tolist() == list(range(6))
    np.testing.assert_allclose(manifest.labels[:, 0], VALENCE.reshape(6, 10).mean(1), atol=1e-6)
    video = open_video(path)
    np.testing.assert_allclose([frame.time_s for frame in video.frames()], np.arange(FRAMES) / FPS, atol=0.001)
    video.close()


def test_the_clock_is_that_of_the_stream_that_was_named(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        tracks: list[Any] = [out.add_stream("libx264", rate=rate, options={"preset": "ultrafast"}) for rate in (10, 5)]
        for track in tracks:
            track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for track, frames in zip(tracks, (60, 30), strict=True):
            for number in range(frames):
                picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * number, np.uint8), "rgb24")
                picture.pts, picture.time_base = number, Fraction(6, frames)  # both last for six seconds
                out.mux(track.encode(picture))
            out.mux(track.encode())
    values = "".join(f"{value},0\n" for value in VALENCE)
    (tmp_path / "Train_Set").mkdir()
    (tmp_path / "Train_Set" / "a.txt").write_text(f"valence,arousal\n{values}")
    ends = {}
    for stream in (0, 1):
        output = tmp_path / f"labels-{stream}.csv"
        prepare_labels("aff-wild2", tmp_path, output, span_s=1.0, stream=stream)
        ends[stream] = np.nanmax(read_manifest(output).labels[:, 0])
    assert ends[0] == pytest.approx(VALENCE[50:60].mean(), abs=2e-3)
    assert ends[1] == pytest.approx(VALENCE[25:30].mean(), abs=2e-3)  # its 30 frames take the first 30 lines
