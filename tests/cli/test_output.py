"""What a command prints may not be taken: a reader that has gone, or a full disk behind `>`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from affect.tests.generated import GeneratedData, generated_features

COMMANDS = {"a command": ("inspect-cache", "store"), "json": ("inspect-cache", "store", "--json"), "help": ("--help",),
            "help of a command": ("predict", "--help"), "version": ("--version",)}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("printed")
    shape = GeneratedData(subjects=2, videos=1, video_frames=(32, 32), feature_size=4)
    generated_features(place / "store", place / "labels.csv", shape)
    return place


def run(words: tuple[str, ...], folder: Path, stdout: int, unbuffered: str) -> tuple[int, str]:
    """Exit code, and what the command said to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "affect", *words], cwd=folder, stdout=stdout, stderr=subprocess.PIPE, text=True,
        timeout=120, check=False, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_reader_that_has_gone_ends_a_command_quietly(words: tuple[str, ...], unbuffered: str, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run(words, folder, writing, unbuffered) == (141, "")
    finally:
        os.close(writing)


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_full_disk_behind_the_output_is_one_error_of_ours(
    words: tuple[str, ...], unbuffered: str, folder: Path
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        code, said = run(words, folder, full, unbuffered)
    finally:
        os.close(full)
    error, hint = said.splitlines()
    assert code == 1
    assert error == "Error: standard output cannot be written (No space left on device)" and hint.startswith("Hint: ")
