"""Colours: those of ordinary video are FFmpeg's own, those of HDR are shown as on an ordinary screen."""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from skimage import data

from affect.cache.records import Array
from affect.errors import VideoError
from affect.stages.features.video.colour import HDR, HLG, PQ, rolled_off, to_sdr
from affect.stages.features.video.decode import Recording, open_video

WIDTH, HEIGHT = 320, 240
BT709, BT2020, DISPLAY_P3, UNSPECIFIED = 1, 9, 12, 2  # primaries, in the numbers of ITU-T H.273
BT2020_NCL, ICTCP = 9, 14
SDR = {
    "709tv.mp4": "-vf scale=out_color_matrix=bt709:out_range=tv,format=yuv420p -c:v libx264 -qp 8 -colorspace bt709",
    "709pc.mp4": "-vf scale=out_color_matrix=bt709:out_range=pc,format=yuvj420p -c:v libx264 -qp 8 -colorspace bt709",
    "601pc.mkv": "-vf scale=out_color_matrix=bt601:out_range=pc,format=yuv422p -c:v ffv1 -color_range pc",
    "2020tv.mp4": "-vf scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le -c:v libx265 -x265-params "
    "log-level=none:qp=8:colorprim=bt2020:transfer=bt2020-10:colormatrix=bt2020nc",
    "grey10.mkv": "-pix_fmt gray10le -c:v ffv1",
    "argb.mov": "-pix_fmt argb -c:v qtrle",
    "prores.mov": "-pix_fmt yuva444p10le -c:v prores_ks -profile:v 4",
    "alpha.webm": "-pix_fmt yuva420p -c:v libvpx-vp9 -crf 10 -b:v 0",
    "mjpeg.avi": "-pix_fmt yuvj422p -c:v mjpeg -q:v 2",
}
# White of the picture is made 203 cd/m2, by zimg and not by us.
LIGHT = "format=gbrp,zscale=min=gbr:rin=full:tin=bt709:pin=bt709:p=bt709:m=gbr:r=full:t=linear:npl=203,format=gbrpf32le"


def ffmpeg(*words: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-nostdin", *words]
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Array]:
    """A file, and what it shows: (240, 320, 3) uint8."""
    path = tmp_path_factory.mktemp("colour") / "photograph.png"
    picture = cv2.resize(data.astronaut()[:384, :512], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), picture[..., ::-1])
    return path, picture


def filmed(photograph: Path, target: Path, words: str) -> Path:
    ffmpeg("-loop", "1", "-framerate", "25", "-t", "0.12", "-i", str(photograph), *words.split(), str(target))
    return target


def first(path: Path) -> tuple[Recording, Array]:
    video = open_video(path)
    pictures = [frame.rgb() for frame in video.frames()]
    video.close()
    return video, pictures[0].astype(int)


def off(one: Array, other: Array) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("name", SDR)
def test_colours_of_ordinary_video_are_those_that_ffmpeg_shows(
    photograph: tuple[Path, Array], tmp_path: Path, name: str
) -> None:
    path = filmed(photograph[0], tmp_path / name, SDR[name])
    video, picture = first(path)
    convert = "scale=flags=bilinear+accurate_rnd"
    # ffmpeg's filter takes chroma to lie in the middle where a file does not say; the decoder knows its codec.
    differences = []
    for places in ("", ":in_chroma_loc=left:out_chroma_loc=left"):
        words = ["-vf", convert + places, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        shown = np.frombuffer(ffmpeg("-i", str(path), *words), np.uint8).reshape(HEIGHT, WIDTH, 3)
        differences.append(off(picture, shown))
    assert min(differences) < 0.25, differences
    notes = [note for note in video.notes() if "HDR" in note or "gamut" in note]
    assert len(notes) == (name == "2020tv.mp4")


@pytest.mark.parametrize(("curve", "name", "most"), [("smpte2084", "PQ", 4), ("arib-std-b67", "HLG", 6)])
def test_hdr_shows_the_picture_that_it_was_made_of(
    photograph: tuple[Path, Array], tmp_path: Path, curve: str, name: str, most: float
) -> None:
    words = (
        f"-vf {LIGHT},zscale=p=bt2020,zscale=t={curve}:m=bt2020nc:r=limited:npl=203,format=yuv420p10le -c:v libx265 "
        f"-x265-params log-level=none:qp=8 -colorspace bt2020nc -color_primaries bt2020 -color_trc {curve}"
    )
    video, picture = first(filmed(photograph[0], tmp_path / "hdr.mp4", words))
    assert off(picture, photograph[1]) < most
    assert np.abs(picture.mean((0, 1)) - photograph[1].mean((0, 1))).max() < most
    assert video.notes() == [f"HDR ({name}), tone-mapped to SDR"]
    with av.open(str(tmp_path / "hdr.mp4")) as container:
        raw = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert off(raw, photograph[1]) > 3 * most  # as it was read before


def grey_film(path: Path, levels: Sequence[float], *, transfer: int, primaries: int, coding: int) -> Path:
    """Fields of these levels of luma, 0 black to 1 peak, side by side, without loss; marked as said."""
    width = 32 * len(levels)
    luma = np.tile(np.repeat(np.round(64 + 876 * np.array(levels)), 32).astype(np.uint16), (32, 1))
    chroma = np.full((16, width // 2), 512, np.uint16)
    with av.open(str(path), "w") as out:
        track: Any = out.add_stream("ffv1", rate=25)
        track.width, track.height, track.pix_fmt = width, 32, "yuv420p10le"
        frame: Any = av.VideoFrame(width, 32, "yuv420p10le")
        for plane, values in zip(frame.planes, (luma, chroma, chroma), strict=True):
            rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
            rows[:, : values.shape[1]] = values
            plane.update(rows.tobytes())
        for marked in (track.codec_context, frame):
            marked.color_trc, marked.color_primaries = transfer, primaries
            marked.colorspace, marked.color_range = coding, 1
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        out.mux(track.encode(frame))
        out.mux(track.encode())
    return path


def levels_shown(path: Path) -> list[int]:
    _, picture = first(path)
    assert np.ptp(picture, axis=2).max() == 0  # grey stays grey
    shown: list[int] = picture[16, 16::32, 0].tolist()
    return shown


def test_the_two_kinds_of_hdr_agree_where_bt_2408_says_that_they_do(tmp_path: Path) -> None:
    """A grey card of 26 cd/m2 is 38 % of both signals; white of 203 cd/m2 is 58 % of PQ and 75 % of HLG."""
    marks = {"primaries": BT2020, "coding": BT2020_NCL}
    pq = levels_shown(grey_film(tmp_path / "pq.mkv", [0, 0.38, 0.58, 1], transfer=PQ, **marks))
    hlg = levels_shown(grey_film(tmp_path / "hlg.mkv", [0, 0.38, 0.75, 1], transfer=HLG, **marks))
    np.testing.assert_allclose(pq, hlg, atol=2)
    assert pq[0] == 0 and pq[-1] == 255
    assert pq[1] == pytest.approx(255 * (26 / 203) ** (1 / 2.4), abs=2)
    assert 235 < pq[2] < 250


def test_highlights_are_rolled_off_and_all_below_is_left_alone() -> None:
    light = np.linspace(0, 1000 / 203, 1000)
    rolled = rolled_off(light)
    np.testing.assert_array_equal(rolled[light <= 0.75], light[light <= 0.75])
    assert (np.diff(rolled) > 0).all() and rolled[-1] == pytest.approx(1)
    assert np.diff(rolled).max() <= np.diff(light).max() + 1e-12


def test_colours_of_bt_2020_become_those_of_bt_709() -> None:
    """Light of one primary of BT.709, put into BT.2020's, is seen as that primary again."""
    in_2020 = {0: (0.6274, 0.0691, 0.0164), 1: (0.3293, 0.9195, 0.0880), 2: (0.0433, 0.0114, 0.8956)}  # ITU-R BT.2087
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875  # SMPTE ST 2084
    for channel, light in in_2020.items():
        power = (np.array(light) * 0.5 * 203 / 10_000) ** m1
        signal = ((c1 + c2 * power) / (1 + c3 * power)) ** m2
        shown = to_sdr(np.round(signal * 65535).astype(np.uint16)[None, None], PQ, BT2020)[0, 0].astype(int)
        assert shown[channel] == pytest.approx(255 * 0.5 ** (1 / 2.4), abs=3)
        assert np.delete(shown, channel).max() < 20


@pytest.mark.parametrize("transfer", HDR)
def test_hdr_that_names_no_primaries_has_those_of_its_standard(transfer: int) -> None:
    signal = np.random.default_rng(0).integers(0, 40_000, (8, 8, 3)).astype(np.uint16)
    np.testing.assert_array_equal(to_sdr(signal, transfer, UNSPECIFIED), to_sdr(signal, transfer, BT2020))
    assert off(to_sdr(signal, transfer, BT709), to_sdr(signal, transfer, BT2020)) > 1


def test_a_wide_gamut_is_named_and_not_converted(tmp_path: Path) -> None:
    shown = {}
    for primaries in (BT709, BT2020, DISPLAY_P3):
        path = grey_film(tmp_path / "g.mkv", [0, 0.5, 1], transfer=1, primaries=primaries, coding=1)
        video, _ = first(path)
        shown[primaries] = levels_shown(path), [note.split(",")[0] for note in video.notes()]
    assert shown[BT709][1] == []
    assert shown[BT2020] == (shown[BT709][0], ["wide gamut (BT.2020)"])
    assert shown[DISPLAY_P3] == (shown[BT709][0], ["wide gamut (Display P3)"])


def test_colours_that_cannot_be_converted_are_refused_by_name(tmp_path: Path) -> None:
    path = grey_film(tmp_path / "g.mkv", [0, 1], transfer=PQ, primaries=BT2020, coding=ICTCP)
    with pytest.raises(VideoError, match="coded as ICtCp, which is not converted"):
        first(path)


def test_a_small_square_of_hdr_is_tone_mapped_too(tmp_path: Path) -> None:
    path = grey_film(tmp_path / "g.mkv", [0.38], transfer=PQ, primaries=BT2020, coding=BT2020_NCL)
    video = open_video(path)
    frame = next(video.frames())
    assert frame.square(16).shape == (16, 16, 3)
    assert abs(int(frame.square(16)[8, 8, 0]) - int(frame.rgb()[16, 16, 0])) <= 1
    video.close()
