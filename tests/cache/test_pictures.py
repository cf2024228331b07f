"""Which files of a folder are the pictures of one recording, and which words stand for them."""

from pathlib import Path

import pytest

from affect.cache.pictures import is_pattern, series_at, series_in
from affect.cache.walk import VIDEO_SUFFIXES, Walk
from affect.errors import VideoError


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def test_pictures_are_ordered_by_their_number_and_not_by_their_name(tmp_path: Path) -> None:
    touch(tmp_path, "f10.jpg", "f9.jpg", "f100.JPG", "f2.jpg")
    (series,) = series_in(tmp_path, sorted(path.name for path in tmp_path.iterdir()))
    assert series.files == {2: "f2.jpg", 9: "f9.jpg", 10: "f10.jpg", 100: "f100.JPG"}
    assert list(series.files) == [2, 9, 10, 100]


def test_series_of_one_folder_are_told_apart_by_their_names_and_kinds(tmp_path: Path) -> None:
    names = ["left_1.png", "left_2.png", "right_1.png", "right_2.png", "left_1.jpg", "left_2.jpg", "7.webp",
             "8.webp", "cover.jpg", "figure 1.png", ".hidden_1.jpg", ".hidden_2.jpg", "left_1_depth.png",
             "notes1.txt"]  # fmt: skip
    found = {(series.prefix, series.suffix): len(series.files) for series in series_in(tmp_path, sorted(names))}
    assert found == {("", ".webp"): 2, ("left_", ".jpg"): 2, ("left_", ".png"): 2, ("right_", ".png"): 2}


def test_a_number_that_stands_twice_is_refused_with_both_names(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "01.jpg", "2.jpg")
    with pytest.raises(VideoError, match=r"01\.jpg and 1\.jpg have the same number"):
        series_at(tmp_path)


def test_a_pattern_stands_for_its_series_whatever_padding_it_says_but_a_file_of_that_name_is_a_file(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a1.jpg", "a2.jpg", "b1.jpg", "b2.jpg", "50%_1.png", "50%_2.png")
    assert series_at(tmp_path / "a%05d.jpg").files == {1: "a1.jpg", 2: "a2.jpg"}
    assert series_at(tmp_path / "b%d.JPG").files == {1: "b1.jpg", 2: "b2.jpg"}
    assert series_at(tmp_path / "50%%_%d.png").files == {1: "50%_1.png", 2: "50%_2.png"}
    touch(tmp_path, "talk %d.mp4")
    assert not is_pattern(tmp_path / "talk %d.mp4")
    assert not is_pattern(tmp_path / "a%d_%d.jpg")
    with pytest.raises(VideoError, match="no two pictures have names of this pattern"):
        series_at(tmp_path / "c%d.jpg")
    with pytest.raises(VideoError, match="3 series of pictures") as failure:
        series_at(tmp_path)
    for series in series_in(tmp_path, sorted(path.name for path in tmp_path.iterdir())):
        assert str(series.path) in str(failure.value)  # each may be typed as it is named
        assert series_at(series.path).files == series.files


def test_a_walk_finds_folders_of_pictures_but_none_of_those_that_lie_beside_a_video(tmp_path: Path) -> None:
    touch(tmp_path / "S01", *(f"{number:05d}.jpg" for number in range(1, 6)), "Thumbs.db")
    touch(tmp_path / "S02" / "left", "f1.png", "f2.png")
    touch(tmp_path / "S03", "film.mp4", "thumb1.jpg", "thumb2.jpg")
    walk = Walk.of(tmp_path, VIDEO_SUFFIXES)
    assert [(series.folder.name, len(series.files)) for series in walk.series] == [("S01", 5), ("left", 2)]
    assert [file.name for file in walk.files] == ["film.mp4"]
    assert walk.left_out == (
        f"{tmp_path}: left out by their ending: 2 .jpg, 1 .db (S01/Thumbs.db, S03/thumb1.jpg, S03/thumb2.jpg); "
        "a file that is named itself is always tried",
    )
    assert walk.unread_pictures == (
        f"{tmp_path}: 2 folders of numbered pictures, left out: S01 (5 pictures), S02/left (2 pictures); "
        "--picture-fps 25 reads them as videos",
    )
