"""A call that finds everything stored needs no network, and no torch."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from affect.cache import open_store
from affect.cli import main
from affect.tests.predictions import write_face_video

ASK = """
import sys
from affect.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    print("code", ended.code, "torch", "torch" in sys.modules, "torchvision", "torchvision" in sys.modules)
"""


def call(*words: object) -> str:
    """What a call in a process of its own prints; its last line says its exit code, and whether it imported torch."""
    command = [sys.executable, "-c", ASK, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    (folder / "videos").mkdir()
    write_face_video(folder / "videos" / "a.mp4")
    result = CliRunner().invoke(main, ["extract-features", str(folder / "videos"), "--store", str(folder / "store")])
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("more", [(), ("--device", "cpu"), ("--verify",), ("--set", "features.precision=fp32")])
def test_what_is_stored_is_skipped_without_torch(more: tuple[str, ...], place: Path) -> None:
    said = call("extract-features", place / "videos", "--store", place / "store", *more)
    assert "skipped 1" in said
    assert said.splitlines()[-1] == "code 0 torch False torchvision False"


def test_a_store_of_another_recipe_is_refused_as_before(place: Path) -> None:
    words = ["extract-features", place / "videos", "--store", place / "store", "--set", "features.view=hflip"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 2 and "view" in result.output
    for format_words in (["--format", "hdf5"],):
        result = CliRunner().invoke(main, [str(word) for word in [*words[:4], *format_words]])
        assert result.exit_code == 2 and "zarr" in result.output


def test_a_new_video_beside_stored_ones_is_extracted_and_a_changed_one_is_named(place: Path) -> None:
    write_face_video(place / "videos" / "b.mp4", seconds=1.0)
    words = ["extract-features", str(place / "videos"), "--store", str(place / "store")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0 and "1 stored, 1 skipped" in result.output
    assert open_store(str(place / "store")).ids() == ["a.mp4", "b.mp4"]
    write_face_video(place / "videos" / "b.mp4", seconds=1.4)
    said = call(*words)
    assert "0 stored, 1 skipped, 1 failed" in said and said.splitlines()[-1].startswith("code 1 torch False")
    again = CliRunner().invoke(main, [*words, "--overwrite"])
    assert again.exit_code == 0 and "2 stored" in again.output
