"""What a walk through a folder leaves out is said, with how many there are of it."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from affect.cache.walk import VIDEO_SUFFIXES, Walk
from affect.cli import main
from affect.errors import InputError
from affect.pipeline.extract.videos import find_videos, search_videos
from affect.pipeline.predict.inputs import MEMORY, find_inputs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for name in ("a.mp4", "sub/b.MOV", "c.rm", "d.rm", "notes", "labels.csv", "._a.mp4", ".hidden/e.mp4", ".DS_Store"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "gone").symlink_to(tmp_path / "elsewhere")
    (folder / "lost.mp4").symlink_to(tmp_path / "nothing.mp4")
    (folder / "up").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "pipe.mp4")
    return folder


def test_the_files_are_those_with_a_suffix_and_the_rest_is_said_in_sentences(folder: Path, tmp_path: Path) -> None:
    walk = Walk.of(folder, VIDEO_SUFFIXES)
    assert [path.relative_to(folder).as_posix() for path in walk.files] == ["a.mp4", "lost.mp4", "sub/b.MOV"]
    assert not walk.unlisted
    said = [sentence.removeprefix(f"{folder}: ") for sentence in walk.left_out]
    assert said == [
        "left out by their ending: 2 .rm, 1 .csv, 1 without one (c.rm, d.rm, labels.csv, notes); "
        "a file that is named itself is always tried",
        "left out as hidden: 1 (._a.mp4)",
        "hidden folders, not entered: 1 (.hidden)",
        f"links that lead nowhere: 1 (gone -> {tmp_path / 'elsewhere'})",
        "left out, since they are no regular files: 1 (pipe.mp4)",
    ]


def test_many_files_are_counted_and_few_named(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:05d}.jps").touch()
    (sentence,) = Walk.of(tmp_path, VIDEO_SUFFIXES).left_out
    assert "40 .jps (00000.jps, " in sentence and "and 34 more" in sentence and len(sentence) < 300


def test_a_folder_without_anything_else_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert search_videos([str(tmp_path)]).left_out == () == search_videos([str(tmp_path / "a.mp4")]).left_out


def test_find_videos_gives_the_sources_alone(folder: Path) -> None:
    assert [source.id for source in find_videos([str(folder)])] == ["a.mp4", "lost.mp4", "sub/b.MOV"]


def test_a_folder_without_videos_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "b.rm").touch()
    with pytest.raises(InputError, match=r"holds no video.*\n.*1 .rm \(b.rm\)"):
        find_videos([str(tmp_path)])


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_check_videos_and_extract_features_say_it_once_on_the_error_stream(
    folder: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    listed = CliRunner().invoke(main, ["check-videos", str(folder), *words])
    planned = CliRunner().invoke(
        main, ["extract-features", str(folder), "--store", str(tmp_path / "store"), "--dry-run", *words]
    )
    for result in (listed, planned):
        assert result.stderr.count("left out by their ending: 2 .rm") == 1, result.output
        assert "left out as hidden: 1 (._a.mp4)" in result.stderr and "gone -> " in result.stderr
        assert "left out" not in result.stdout


def test_a_pattern_of_predict_says_how_many_of_its_matches_are_no_videos(folder: Path) -> None:
    inputs = find_inputs([str(folder / "*.*"), str(folder / "sub")], MEMORY)
    assert [source.id for source in inputs.sources] == ["a.mp4", "b.MOV", "lost.mp4", "pipe.mp4"]
    assert inputs.left_out == (f"{folder}/*.*: 3 of 6 are left out by their ending",)
