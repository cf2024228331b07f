"""Every command of docs/store.md runs in turn, on a store as the page supposes it, and does what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from affect.cache.opening import create_store, open_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo
from affect.cli import main
from affect.tests.pages import assert_said, blocks, commands, text_of

PAGE = text_of("docs/store.md")


def fill(location: str, *ids: str) -> None:
    store = create_store(location, Recipe({"backbone": "made"}))
    for entry_id in ids:
        info = VideoInfo(store.recipe.digest, entry_id, 1, 1, None, 4, None, 5.0, 9, 9, 0, "made")
        features = FrameFeatures(
            np.arange(4) / 5, np.arange(4), np.array([0, 1, 0, 0], np.uint8), np.ones((3, 2), np.float16),
            np.array([0, 2, 3]), np.zeros(3, np.int32), np.zeros((3, 4), np.float32), np.ones(3, np.float32),
            np.zeros((3, 5, 2), np.float32),
        )  # fmt: skip
        with store.writer(entry_id, entry_id) as writer:
            writer.append(features, b"")
            writer.commit(info)


def test_every_command_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill("features", "talking_face.mp4", "talking_face_2.mp4")
    ids = []
    for snippet in blocks(PAGE, "python"):
        subprocess.run([sys.executable, "-c", snippet], check=True)
    for command, shown in commands(PAGE):
        program, *words = command.split()
        assert program == "affect"
        if words[0] == "extract-features":
            fill("more", "talking_face_2.mp4")
        else:
            result = CliRunner().invoke(main, words)
            assert result.exit_code == 0, f"{command}\n{result.output}"
            assert_said(command, shown, result.output)
        ids.append(open_store("features").ids())
    one, two, renamed = "talking_face.mp4", "talking_face_2.mp4", "S02.mp4"
    assert ids[6:] == [[one, two], [renamed, one], [renamed, one], [one], [one, two]]
    assert len(list(Path("tables").glob("*.parquet"))) == len(list(Path("tables").glob("*.npz"))) == 2
    with np.load("tables/talking_face.mp4.npz") as found:
        assert found["time_s"][found["frame"]].tolist() == [0.0, 0.4, 0.6]


def test_the_page_names_every_column_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill("features", "a")
    assert CliRunner().invoke(main, ["export-features", "features", "--output", "tables"]).exit_code == 0
    columns = set(pd.read_parquet("tables/a.parquet").columns)
    table = PAGE[PAGE.index("| column |") :].partition("\n\n")[0]
    firsts = {name for row in table.splitlines()[2:] for name in re.findall(r"`([\w]+)`", row.split("|")[1])}
    assert firsts - {"f0", "f1"} <= columns
    spans = {"left_eye_x_px", "right_mouth_y_px"}
    assert {name for name in columns - firsts if not name.startswith(("left_", "right_", "nose_"))} == set()
    assert spans <= firsts
