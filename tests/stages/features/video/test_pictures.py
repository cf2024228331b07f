"""A recording that is given as pictures: their order, their pixels, their times, and those that are missing."""

import os
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from affect.cache.records import Array
from affect.errors import AffectError, VideoError
from affect.stages.features.fingerprint import fingerprint, stamp
from affect.stages.features.video.decode import Recording, open_video
from affect.stages.features.video.pictures import Pictures
from affect.stages.features.video.times import clock_offset_s, frame_times_s


def shade(number: int, size: tuple[int, int] = (48, 32)) -> Image.Image:
    """A picture that says its number: a grey of ten levels a step, with a red corner so that turning shows."""
    picture = np.full((size[1], size[0], 3), 10 * number, np.uint8)
    picture[:8, :8] = (255, 0, 0)
    return Image.fromarray(picture)


def write(folder: Path, numbers: list[int], name: str = "{:05d}.png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        shade(number).save(folder / name.format(number))
    return folder


def read(path: Path, fps: float | None = None) -> tuple[Recording, list[tuple[float, int, bool]]]:
    """Time, level of grey in steps, and whether it is damaged, of every frame; none of the damaged has a level."""
    video = open_video(path, picture_fps=fps)
    found = [
        (frame.time_s, -1 if frame.damaged else round(frame.rgb()[16:, 16:].mean() / 10), frame.damaged)
        for frame in video.frames()
    ]
    video.close()
    return video, found


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "webp", "bmp", "tif"])
def test_numbered_pictures_are_frames_at_the_rate_that_was_said(ending: str, tmp_path: Path) -> None:
    write(tmp_path / "S01", list(range(1, 13)), f"face_{{}}.{ending}")
    video, found = read(tmp_path / "S01", 12.5)
    assert [level for _, level, _ in found] == list(range(1, 13))
    np.testing.assert_allclose([time_s for time_s, _, _ in found], np.arange(12) / 12.5)
    assert (video.decoded_frames, video.damaged_frames, video.average_fps) == (12, 0, 12.5)
    assert video.duration_s == pytest.approx(12 / 12.5) and video.shape.upright_px == (48, 32)
    assert (video.problems(), video.notes(), video.cut_short) == ([], [], False)
    np.testing.assert_allclose(frame_times_s(tmp_path / "S01", picture_fps=12.5), np.arange(12) / 12.5)
    assert clock_offset_s(tmp_path / "S01") == 0


def test_a_missing_number_keeps_its_place_in_time_also_at_the_start(tmp_path: Path) -> None:
    write(tmp_path / "S01", [4, 5, 7, 8])
    video, found = read(tmp_path / "S01", 10)
    assert [(level, damaged) for _, level, damaged in found] == [
        (-1, True), (-1, True), (-1, True), (4, False), (5, False), (-1, True), (7, False), (8, False),
    ]  # fmt: skip
    np.testing.assert_allclose([time_s for time_s, _, _ in found], np.arange(8) / 10)
    first, missing = video.notes()
    assert first == "times count from picture 1; the first that is there, 4, is at 0.30 s"
    assert missing.startswith("4 numbers have no picture")
    np.testing.assert_allclose(frame_times_s(tmp_path / "S01", picture_fps=10), np.arange(8) / 10)


@pytest.mark.parametrize(("numbers", "times_s"), [
    ([0, 1, 2], [0, 0.1, 0.2]), ([1, 2, 3], [0, 0.1, 0.2]), ([0, 10, 20, 40], [0, 1, 2, 3, 4]),
    ([10, 20, 30], [0, 1, 2]), ([5, 15, 25], [0, 1, 2]), ([250, 260], list(range(27))),
])  # fmt: skip
def test_times_count_by_number_from_the_first_that_there_can_be(
    numbers: list[int], times_s: list[float], tmp_path: Path
) -> None:
    (tmp_path / "S01").mkdir()
    for number in numbers:
        shade(number % 25).save(tmp_path / "S01" / f"{number}.png")
    video, found = read(tmp_path / "S01", 10)
    np.testing.assert_allclose([time_s for time_s, _, _ in found], times_s)
    steps = {after - before for before, after in pairwise(numbers)}
    assert any("go up by 10" in note for note in video.notes()) == (1 not in steps)


def test_numbers_that_are_no_frames_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    write(tmp_path / "S01", [1], "frame_1690000000123.png")
    write(tmp_path / "S01", [2], "frame_1690000000163.png")
    write(tmp_path / "S01", [2], "frame_1690000000204.png")
    with pytest.raises(VideoError, match=r"would be frame 1,690,000,000,204 of the recording"):
        open_video(tmp_path / "S01", picture_fps=25)


def test_pictures_without_a_rate_are_refused_with_what_says_it(tmp_path: Path) -> None:
    write(tmp_path / "S01", [1, 2, 3])
    with pytest.raises(VideoError, match="3 numbered pictures; expected to know their rate") as failure:
        open_video(tmp_path / "S01")
    assert failure.value.hint is not None and "--picture-fps" in failure.value.hint


@pytest.mark.parametrize(("column", "cells", "times_s"), [
    ("time_s", ["5.0", "5.04", "6.5"], [0, 0.04, 1.5]),
    ("time_ms", ["5000", "5040", "6500"], [0, 0.04, 1.5]),
    ("timestamp", ["0:00:05", "0:00:05.04", "0:00:06.5"], [0, 0.04, 1.5]),
    ("Time", ["5,0", "5,04", "6,5"], [0, 0.04, 1.5]),
])  # fmt: skip
def test_a_table_says_which_pictures_and_when(
    column: str, cells: list[str], times_s: list[float], tmp_path: Path
) -> None:
    write(tmp_path / "far", [3, 1, 2], "any name {}.png")
    table, names = tmp_path / "S01.csv", ["far/any name 3.png", "far/any name 1.png", "far/any name 2.png"]
    rows = [f"{name};{cell}" for name, cell in zip(names, cells, strict=True)]
    table.write_text("\n".join([f"path;{column}", *rows]))
    video, found = read(table)
    assert [level for _, level, _ in found] == [3, 1, 2]
    np.testing.assert_allclose([time_s for time_s, _, _ in found], times_s)
    np.testing.assert_allclose(frame_times_s(table), times_s)
    assert video.average_fps == pytest.approx(2 / 1.5)


@pytest.mark.parametrize(("text", "words"), [
    ("path,time_s\na1.png,0\na2.png,2\na3.png,1\n", "line 4: column 'time_s' goes back from 2 s to 1 s"),
    ("path,time_s\na1.png,0\na2.png,\n", "line 3: column 'time_s' holds no time"),
    ("path,time_s\na1.png,0\na2.png,soon\n", "line 3: column 'time_s' is 'soon'"),
    ("path,valence\na1.png,0\n", "expected one of time_s"),
    ("time_s,valence\n0,0\n", "expected one of path"),
    ("path,time_s\n", "lists no picture"),
    ("", "empty"),
])  # fmt: skip
def test_a_table_that_does_not_say_it_is_refused_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    write(tmp_path, [1, 2, 3], "a{}.png")
    (tmp_path / "S01.csv").write_text(text)
    with pytest.raises(AffectError, match=words):
        open_video(tmp_path / "S01.csv")


@pytest.mark.parametrize("name", ["../secret/1.png", "/etc/hostname", "a/../../secret/1.png", "..", ""])
def test_a_table_names_no_file_outside_its_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "secret", [1], "{}.png")
    table = write(tmp_path / "given", [1, 2], "{}.png") / "S01.csv"
    table.write_text(f"path,time_s\n./1.png,0\nx/../2.png,1\n{name},2\n")
    if name:
        monkeypatch.chdir(table.parent)
        for said in (table, Path("S01.csv"), Path("../given/S01.csv")):
            with pytest.raises(VideoError, match=r"line 4: .* is outside the table's folder"):
                open_video(said)
    else:  # the folder itself, which is no picture
        assert [damaged for _, _, damaged in read(table)[1]] == [False, False, True]


def test_a_picture_that_cannot_be_read_is_a_damaged_frame_that_says_what_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "S01", [1, 2, 3, 4, 5, 6], "{}.jpg")
    (folder / "2.jpg").write_bytes((folder / "2.jpg").read_bytes()[:300])
    (folder / "4.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    (folder / "5.jpg").unlink()
    (folder / "5.jpg").symlink_to("nowhere.jpg")
    video, found = read(folder, 10)
    assert [damaged for _, _, damaged in found] == [False, True, False, True, True, False]
    (problem,) = video.problems()
    assert problem == (
        "damaged: 3 pictures could not be read, the first at 0.10 s: it is damaged, or no picture; "
        "marked as decode errors"
    )
    assert (video.decoded_frames, video.damaged_frames) == (6, 3)


def test_a_folder_of_pointers_is_refused_by_what_they_are(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(VideoError, match="a Git LFS pointer"):
        open_video(tmp_path, picture_fps=25)


def test_a_picture_of_more_pixels_than_fit_into_memory_is_not_decoded(tmp_path: Path) -> None:
    write(tmp_path, [1, 2])
    bomb = bytearray((tmp_path / "00002.png").read_bytes())
    at = bomb.index(b"IHDR") + 4
    bomb[at : at + 8] = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "00002.png").write_bytes(bomb)
    video, found = read(tmp_path, 25)
    assert [damaged for _, _, damaged in found] == [False, True]
    assert "pixels" in video.problems()[0] or "damaged, or no picture" in video.problems()[0]


def test_depth_alpha_palette_and_the_turn_of_a_photograph_are_brought_to_upright_rgb(tmp_path: Path) -> None:
    grey16 = Image.fromarray(np.full((32, 48), 120 * 257, np.uint16))
    grey16.save(tmp_path / "1.png")
    shade(12).convert("RGBA").save(tmp_path / "2.png")
    shade(12).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "3.png")
    shade(12).convert("L").save(tmp_path / "4.png")
    _, found = read(tmp_path, 1)
    assert [level for _, level, _ in found] == [12] * 4
    photograph = tmp_path / "photograph"
    photograph.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    for number in (1, 2):
        shade(12).save(photograph / f"{number}.jpg", quality=95, exif=exif)
    video = open_video(photograph, picture_fps=1)
    frame = next(iter(video.frames())).rgb()
    assert frame.shape == (48, 32, 3)
    assert frame[2, -3, 0] > 200 and frame[2, 2, 0] < 150  # the red corner is at the upper right now


def test_pictures_of_several_sizes_are_each_read_at_their_own_and_said(tmp_path: Path) -> None:
    shade(1).save(tmp_path / "1.png")
    shade(2, (60, 40)).save(tmp_path / "2.png")
    video = open_video(tmp_path, picture_fps=5)
    assert [frame.rgb().shape for frame in video.frames()] == [(32, 48, 3), (40, 60, 3)]
    assert video.notes() == ["the pictures have 2 sizes: 48x32, 60x40"]


def test_an_animated_webp_has_the_times_of_its_pictures(tmp_path: Path) -> None:
    pictures = [shade(number) for number in range(1, 6)]
    path = tmp_path / "film.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 40, 300, 40, 40], lossless=True)
    video, found = read(path)
    assert isinstance(video, Pictures)
    assert [level for _, level, _ in found] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose([time_s for time_s, _, _ in found], [0, 0.1, 0.14, 0.44, 0.48])
    np.testing.assert_allclose(frame_times_s(path), [0, 0.1, 0.14, 0.44, 0.48])
    shade(3).save(tmp_path / "still.webp", lossless=True)
    with pytest.raises(VideoError, match="still picture"):
        open_video(tmp_path / "still.webp")


def test_an_animation_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, 32, 48, 3), np.uint8)
    pictures, path = [Image.fromarray(one) for one in noise], tmp_path / "film.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, lossless=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match=r"none of its pictures can be read; the first is at 0.00 s: it is damaged"):
        open_video(path)


def test_raw_motion_jpeg_is_a_recording_and_one_jpeg_is_none(recording: Callable[..., Path], tmp_path: Path) -> None:
    path = recording("raw.mjpeg", codec="mjpeg", seconds=2)
    video = open_video(path)
    times_s: Array = np.array([frame.time_s for frame in video.frames()])
    assert len(times_s) == 50
    np.testing.assert_allclose(times_s, np.arange(50) / 25, atol=1e-6)
    assert any("read as 25 a second" in note for note in video.notes())
    slower = open_video(path, picture_fps=10)
    np.testing.assert_allclose([frame.time_s for frame in slower.frames()], np.arange(50) / 10, atol=1e-6)
    np.testing.assert_allclose(frame_times_s(path, picture_fps=10), np.arange(50) / 10, atol=1e-6)
    shade(3).save(tmp_path / "one.mjpeg", format="JPEG")
    with pytest.raises(VideoError, match="still picture"):
        open_video(tmp_path / "one.mjpeg")


def test_a_fingerprint_is_of_every_picture_and_its_name_and_of_the_table(tmp_path: Path) -> None:
    folder = write(tmp_path / "S01", [1, 2, 3])
    before, size = fingerprint(folder), stamp(folder)[0]
    assert size == sum(file.stat().st_size for file in folder.iterdir())
    (folder / "Thumbs.db").write_bytes(b"x")
    assert (fingerprint(folder), fingerprint(folder / "%05d.png")) == (before, before)
    (folder / "00003.png").rename(folder / "00004.png")
    moved = fingerprint(folder)
    assert moved != before
    shade(9).save(folder / "00004.png")
    assert fingerprint(folder) != moved
    table = tmp_path / "S01.csv"
    table.write_text("path,time_s\nS01/00001.png,0\nS01/00002.png,1\n")
    listed = fingerprint(table)
    table.write_text("path,time_s\nS01/00001.png,0\nS01/00002.png,2\n")
    assert fingerprint(table) != listed
    assert stamp(table)[0] > sum((folder / name).stat().st_size for name in ("00001.png", "00002.png"))


KINDS: dict[str, dict[str, Any]] = {
    "jpg": {"quality": 80},
    "png": {},
    "webp": {},
    "bmp": {},
    "tif": {"compression": "tiff_lzw"},
}


@pytest.mark.parametrize("ending", KINDS)
def test_damaged_bytes_of_any_kind_are_a_damaged_frame_and_never_an_error(ending: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words"
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    Image.fromarray(noise.repeat(8, 0).repeat(8, 1)).save(tmp_path / f"1.{ending}", exif=exif, **KINDS[ending])
    whole, chance = (tmp_path / f"1.{ending}").read_bytes(), random.Random(ending)
    for number in range(2, 302):
        data = bytearray(whole)
        if number % 5 == 0:
            del data[chance.randrange(len(data)) :]
        for _ in range(chance.choice((0, 1, 2, 8, 40)) if data else 0):
            place = chance.randrange(min(len(data), 400) if number % 2 else len(data))
            data[place] = chance.choice((0, 255, chance.randrange(256)))
        (tmp_path / f"{number}.{ending}").write_bytes(data)
    video, found = read(tmp_path, 25)
    assert len(found) == 301 and not found[0][2]
    assert 0 < video.damaged_frames < 301


def test_links_to_nowhere_pipes_and_devices_among_pictures_are_damaged_frames(tmp_path: Path) -> None:
    folder = write(tmp_path / "S01", [1, 2])
    (folder / "00003.png").symlink_to("nowhere")
    os.mkfifo(folder / "00004.png")
    (folder / "00005.png").symlink_to("/dev/zero")
    (folder / "00006.png").mkdir()
    _, found = read(folder, 25)
    assert [damaged for _, _, damaged in found] == [False, False, True, True, True, True]
    assert fingerprint(folder).startswith("sha256:")
    assert stamp(folder)[0] == sum((folder / f"0000{number}.png").stat().st_size for number in (1, 2))
