"""`describe-faces` on real films: what it measures of a head whose movements are known, what it writes and refuses."""

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import affect
from affect.cli import main
from affect.stages.film.moved_face import load_face
from affect.stages.film.scene import draw_situation, film

FPS, FRAMES = 10, 160


def sway(frame: int) -> np.ndarray:
    """x, y, roll and scale in -1 .. 1: the head leans slowly from one side to the other."""
    return np.array([0.0, 0.0, np.sin(2 * np.pi * frame / 80), 0.0])


def write(path: Path, pictures: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=Fraction(FPS))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def leaning(seed: int, lively: bool) -> list[np.ndarray]:
    """A face that leans; where it is lively, its expression changes too."""
    face, situation, random = load_face(), draw_situation(np.random.default_rng(seed)), np.random.default_rng(seed)
    moods = np.repeat(random.uniform(-1, 1, (FRAMES // 5, 2)), 5, 0) if lively else np.zeros((FRAMES, 2))
    return [film(face, situation, moods[frame], sway(frame), frame) for frame in range(FRAMES)]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write(folder / "calm.mp4", leaning(1, lively=False))
    write(folder / "lively.mp4", leaning(1, lively=True))
    write(folder / "empty.mp4", [np.full((240, 320, 3), 90, np.uint8)] * 40)
    return folder


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, ["describe-faces", *map(str, words)])


@pytest.fixture(scope="module")
def described(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("described") / "faces"
    result = typed(films, "--output", output, "--set", "features.sample_fps=5")
    assert result.exit_code == 0, result.output
    assert "expressivity" in result.output and "not what anybody feels" in result.output
    return output


def test_a_head_that_leans_is_followed(described: Path) -> None:
    windows = pd.read_csv(described / "faces.csv")
    calm = windows[windows["video"] == "calm.mp4"]
    middle = (calm["start_s"] + calm["end_s"]) / 2
    assert np.corrcoef(calm["tilt_deg"], np.sin(2 * np.pi * middle * FPS / 80))[0, 1] > 0.9
    assert calm["coverage"].min() > 0.9 and calm["reason"].isna().all()


def test_a_face_that_changes_is_more_expressive_than_one_that_only_leans(described: Path) -> None:
    people = pd.read_csv(described / "people.csv")
    assert people["video"].tolist() == ["calm.mp4", "lively.mp4"], "and nobody in the empty one"
    calm, lively = people["expressivity"].tolist()
    assert lively > 1.5 * calm
    assert people["movement"].max() < 0.6


def test_every_table_says_what_its_columns_are(described: Path) -> None:
    for name in ("faces", "people", "pairs"):
        columns = pd.read_csv(described / f"{name}.csv").columns
        said = json.loads((described / f"{name}.json").read_text("utf-8"))
        assert list(said) == list(columns)
        assert not [column for column, what in said.items() if what["Description"].startswith(("setting", "score of"))]
    assert pd.read_parquet(described / "faces.parquet").shape == pd.read_csv(described / "faces.csv").shape
    assert {path.name for path in (described / "plots").iterdir()} == {
        "calm.mp4.png",
        "lively.mp4.png",
        "empty.mp4.png",
    }
    assert "not what anybody feels" in (described / "viewer.html").read_text("utf-8")
    summary = json.loads((described / "summary.json").read_text("utf-8"))
    assert summary["complete"] is True and summary["made_by"] == "affect describe-faces" and "run" not in summary


def test_the_store_is_one_to_train_on_and_ids_are_described_without_their_videos(
    described: Path, films: Path, tmp_path: Path
) -> None:
    assert affect.open_store(described / "features").ids() == ["calm.mp4", "empty.mp4", "lively.mp4"]
    again = typed(
        "lively.mp4", "--store", described / "features", "--output", tmp_path / "again", "--window-s", "2", "--json"
    )
    assert again.exit_code == 0, again.output
    (video,) = json.loads(again.output)["results"]
    assert video["video"] == "lively.mp4" and video["description"]["people"][0]["presence"] > 0.9
    windows = pd.read_csv(tmp_path / "again" / "faces.csv")
    assert (windows["end_s"] - windows["start_s"]).round(6).iloc[0] == 2.0


def test_a_new_video_goes_into_a_store_as_its_features_are_made(described: Path, films: Path, tmp_path: Path) -> None:
    """At its rate, without a word about it."""
    (tmp_path / "later.mp4").write_bytes((films / "calm.mp4").read_bytes() + b"\0")
    store = tmp_path / "store"
    first = typed(films / "lively.mp4", "--store", store, "--output", tmp_path / "a", "--sample-fps", "2.5")
    later = typed(tmp_path / "later.mp4", "--store", store, "--output", tmp_path / "b")
    assert first.exit_code == later.exit_code == 0, later.output
    times = affect.open_store(store).to_frame("later.mp4", values=False)["time_s"]
    assert np.median(np.diff(times)) == pytest.approx(0.4)


def test_what_another_command_made_is_kept(described: Path, films: Path, tmp_path: Path) -> None:
    other = tmp_path / "scores"
    other.mkdir()
    (other / "summary.json").write_text(
        json.dumps({"made_by": "affect predict", "complete": True, "recipe_digest": "", "videos": []}), "utf-8"
    )
    result = typed(films / "calm.mp4", "--output", other)
    assert result.exit_code == 2 and "affect predict" in result.output and "nothing was written" in result.output
    assert [path.name for path in other.iterdir()] == ["summary.json"]


def test_one_video_that_cannot_be_read_does_not_stop_the_others(films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "calm.mp4").write_bytes((films / "calm.mp4").read_bytes())
    result = typed(folder, "--output", tmp_path / "out")
    assert result.exit_code == 1 and "failed: broken.mp4" in result.output
    assert pd.read_csv(tmp_path / "out" / "failures.csv")["video"].tolist() == ["broken.mp4"]
    assert pd.read_csv(tmp_path / "out" / "people.csv")["video"].tolist() == ["calm.mp4"]


def test_names_are_nowhere_under_pseudonyms(films: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("5f2b8c1d9e7a4630f1e2d3c4b5a69788", "utf-8")
    key.chmod(0o600)
    result = typed(films / "calm.mp4", "--output", tmp_path / "out", "--pseudonymise", key, "--export", "bids")
    assert result.exit_code == 0, result.output
    assert "calm" not in result.output
    for path in (tmp_path / "out").rglob("*"):
        assert "calm" not in path.name and (path.is_dir() or b"calm" not in path.read_bytes()), path


@pytest.mark.parametrize("words", [("--window-s", "0"), ("--window-s", "nan"), ("--window-s", "1e9")])
def test_windows_have_a_length(films: Path, tmp_path: Path, words: tuple[str, str]) -> None:
    result = typed(films / "calm.mp4", "--output", tmp_path / "out", *words)
    assert result.exit_code == 2 and "--window-s" in result.output and not (tmp_path / "out").exists()


def test_the_commands_of_the_page_run(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "describe.md").read_text("utf-8")
    commands = re.findall(r"^\$ affect (.*)$", page, re.M)
    assert len(commands) >= 2
    monkeypatch.chdir(tmp_path)
    for name in ("talking_face.mp4", "talking_face_2.mp4"):
        Path(name).write_bytes((films / "calm.mp4").read_bytes())
    for command in commands:
        result = CliRunner().invoke(main, command.split())
        assert result.exit_code == 0, f"{command}\n{result.output}"
    said = {name for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in re.findall(r"`(\w+)`", row)}
    columns = set(pd.read_csv("faces/people.csv").columns) | set(pd.read_csv("faces/pairs.csv").columns)
    assert said <= columns | {"faces", "people", "pairs", "failures", "csv", "parquet"}, said - columns


def test_a_program_gets_tables(films: Path) -> None:
    people = affect.describe_faces(films / "calm.mp4", progress=False)
    assert people["video"].tolist() == ["calm.mp4"] and "not what anybody feels" in repr(people)
    assert len(people.windows) == 16 and set(people.windows["person"]) == {0} and len(people.pairs) == 0
    assert people.windows["tilt_deg"].between(-45, 45).all()
