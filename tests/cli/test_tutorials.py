"""Every command and snippet of the tutorials runs, in the order a reader would type them, and says what is shown."""

import random
import shutil
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pandas as pd
import pytest

from affect.pipeline.demo.film import DemoDataConfig
from affect.tests.desk import make_desk
from affect.tests.pages import blocks, run_page, text_of
from affect.tests.workbooks import write_excel

pytestmark = pytest.mark.timeout(1800)  # each is a reader's afternoon
NAMES = {"S01": "anna", "S02": "ben", "S03": "cleo", "S04": "fay", "S05": "dora", "S06": "emil"}  # two are held out


def people(folder: Path, count: int, seconds: float) -> list[Path]:
    """Recordings of so many subjects, without labels."""
    names = {f"S{number:02d}": f"made{number:02d}" for number in range(1, count + 1)}
    make_desk(folder, names, DemoDataConfig(splits=(("train", count),), seconds=seconds, span_s=seconds / 2))
    (folder / "labels.csv").unlink()
    shutil.rmtree(folder / "made")
    return [folder / "interviews" / f"{name}.mp4" for name in names.values()]


def side_by_side(left: Path, right: Path, output: Path) -> None:
    same = "[0:v]scale=-2:240[a];[1:v]scale=-2:240[b];[a][b]hstack"
    words = ["-y", "-loglevel", "error", "-i", left, "-i", right, "-filter_complex", same, output]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *map(str, words)], check=True, stdin=subprocess.DEVNULL)


def test_your_own_recordings_and_what_goes_on_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = DemoDataConfig(splits=(("train", 3), ("validation", 1), ("test", 2)), seconds=8.0)
    make_desk(tmp_path, NAMES, config)
    Path("labels.yaml").write_text(blocks(text_of("docs/labels.md"), "yaml")[0], "utf-8")
    run_page("docs/own-videos.md")
    run_page("docs/scores.md")
    assert list(Path("closer").rglob("*.vtt")) and (Path("closer") / "viewer.html").is_file()
    run_page("docs/publishing.md")
    assert Path("compared.html").is_file()
    shutil.copytree("runs/first", "received")
    run_page("docs/sharing.md")
    assert_names_are_where_the_page_says(Path("received"))

    side_by_side(Path("interviews/anna.mp4"), Path("interviews/ben.mp4"), Path("talk.mp4"))
    run_page("docs/several-people.md")
    everybody, second = (pd.read_csv(f"{name}/predictions.csv") for name in ("everybody", "second"))
    assert everybody["track"].unique().tolist() == [0, 1] and second["track"].unique().tolist() == [1]
    shown = everybody[everybody["track"] == 1]["valence"].to_numpy()
    assert shown.tolist() == second["valence"].tolist()


def assert_names_are_where_the_page_says(run: Path) -> None:
    """docs/sharing.md has a row for each file of a run; names of people are in those alone of which it says so."""
    rows = text_of("docs/sharing.md").partition("| in a run |")[2].partition("\n\n")[0].splitlines()[2:]
    named = {path for row in rows if "names of subjects" in row for path in files(run, row)}
    nameless = {path for row in rows if "names of subjects" not in row for path in files(run, row)}
    assert named and nameless and not named & nameless
    for path in nameless:
        found = [name for name in NAMES.values() if name.encode() in path.read_bytes()]
        assert not found, f"{path} names {found}"
    assert any(b"dora" in path.read_bytes() for path in named)


def files(run: Path, row: str) -> set[Path]:
    """What the first cell of a row names."""
    patterns = row.split("|")[1].replace("`", "").replace(",", "").split()
    found = {pattern: set(run.glob(pattern)) for pattern in patterns}
    assert all(found.values()), found
    return set.union(*found.values())


def test_amigos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = random.Random(0)
    raters = [f"{target}_Annotator_{rater}" for target in ("Valence", "Arousal") for rater in (1, 2, 3)]
    rows: list[list[object]] = [["UserID", "VideoID", "Segment_Index", *raters]]
    Path("AMIGOS/videos").mkdir(parents=True)
    for number, video in enumerate(people(tmp_path, 8, 21.0)):
        user, film = number // 2 + 1, ("10", "18")[number % 2]
        shutil.move(video, f"AMIGOS/videos/P{user:02d}_{film}_face.mp4")
        rows += [[user, film, segment, *(round(drawn.uniform(-1, 1), 2) for _ in raters)] for segment in (1, 2)]
    write_excel(Path("AMIGOS/External_Annotations.xlsx"), rows)
    run_page("docs/amigos.md")
    labels = pd.read_csv("labels.csv")
    assert len(labels) == 16 and labels["subject"].nunique() == 4
    assert Path("out/viewer.html").is_file()


def test_clinical_interviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = random.Random(0)
    page = text_of("docs/clinic.md")
    head, _, example = (line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|"))
    rows: list[list[object]] = [list(head), [int(cell) if cell.isdigit() else cell for cell in example]]
    for number, video in enumerate(people(tmp_path, 8, 12.0), 1):
        shutil.move(video, f"interviews/visit{number:02d}.mp4")
        if number != 7:  # that is the page's own row
            items = [drawn.randint(1, 7) for _ in range(3)]
            rows.append(
                [number, f"visit{number:02d}", *items, sum(items) + 4, *(drawn.randint(0, 4) for _ in range(4))]
            )
    write_excel(Path("ratings.xlsx"), rows)
    Path("key.txt").write_text("0123456789abcdef0123456789abcdef", "utf-8")
    Path("key.txt").chmod(0o600)
    run_page("docs/clinic.md")
    panss = pd.read_csv("labels-panss.csv").set_index("subject")
    assert panss[panss.index == 7][["n1", "n3", "n6", "total"]].to_numpy().tolist() == [[3, 4, 5, 22]]
    assert pd.read_csv("labels-cains.csv").set_index("subject").loc[7, "total"] == 2 + 1 + 3 + 2
    assert not any(b"visit08" in path.read_bytes() for path in Path("out").rglob("*") if path.is_file())


def test_no_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = people(tmp_path, 2, 8.0)
    for video, name in zip(made, ("anna", "dora"), strict=True):
        video.rename(video.with_stem(name))
    run_page("docs/no-labels.md")
    assert pd.read_csv("faces/people.csv")["video"].tolist() == ["anna.mp4", "dora.mp4"]
    assert len(list(Path("tables").glob("*.parquet"))) == 2


def test_the_first_page_s_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page("docs/start.md")
