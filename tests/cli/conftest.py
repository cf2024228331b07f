"""Small real videos, one of a moving face, made once for every test of the commands."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import pytest
from click.testing import CliRunner, Result
from skimage import data, io

from affect.cli import main

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
Affect = Callable[..., Result]


Ffmpeg = Callable[..., None]


@pytest.fixture(scope="session")
def ffmpeg() -> Ffmpeg:
    """Runs ffmpeg with these words, the last being the file to write."""

    def run(*words: object) -> None:
        subprocess.run([FFMPEG, "-y", "-loglevel", "error", *map(str, words)], check=True, stdin=subprocess.DEVNULL)

    return run


@pytest.fixture(scope="session")
def affect() -> Affect:
    """Runs the command in this process: `affect("predict", path, "--run", run)`."""

    def run(*words: object) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory, ffmpeg: Ffmpeg) -> Path:
    """`face.mp4` and `face 2.mp4`: a photograph's face, panned about; 4 s at 25 fps."""
    folder = tmp_path_factory.mktemp("videos")
    picture = folder.parent / "astronaut.png"
    io.imsave(picture, data.astronaut()[:320, 60:380])
    for name, speed in [("face.mp4", 2.0), ("face 2.mp4", 3.0)]:
        pan = f"crop=240:240:40+40*sin({speed}*t):40+20*cos({speed}*t)"
        ffmpeg("-loop", 1, "-i", picture, "-t", 4, "-r", 25, "-vf", pan, "-pix_fmt", "yuv420p", folder / name)
    return folder
