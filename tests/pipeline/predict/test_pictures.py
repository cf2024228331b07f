"""A recording that is given as pictures is scored and drawn on as a video is."""

from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from affect.cli import main
from affect.tests.predictions import pictures_of

FPS = 12.5


def test_pictures_are_scored_and_drawn_on(face_video: Path, face_run: Path, tmp_path: Path) -> None:
    pictures = pictures_of(face_video, tmp_path / "S01")
    words = ["predict", pictures, "--run", face_run, "--output", tmp_path / "out", "--device", "cpu",
             "--picture-fps", FPS, "--overlay", tmp_path / "drawn.mp4"]  # fmt: skip
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    rows = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert set(rows["video"]) == {"S01"} and rows["end_s"].max() == pytest.approx(4.0, abs=0.1)
    with av.open(str(tmp_path / "drawn.mp4")) as file:
        times_s = [float(frame.time or 0) for frame in file.decode(video=0)]
    np.testing.assert_allclose(times_s, np.arange(50) / FPS, atol=1e-3)
    page = (tmp_path / "out" / "viewer.html").read_text("utf-8").replace(" ", "")
    assert '"source":null' in page  # no player shows them
