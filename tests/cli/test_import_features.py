"""Tables of other tools become a store that training, prediction and reports take like any other."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affect.cache.opening import open_store
from affect.tests.feature_tables import OPENFACE, Made, drawn, openface, plain, pyfeat

from .conftest import Affect

PEOPLE = 6
SMALL = ("--set", "training.epochs=3", "--set", "training.seeds=1", "--set", "model.width=16", "--set",
         "model.heads=2", "--set", "model.feed_forward=16", "--set", "model.layers=1")  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OpenFace's tables of six people, 40 s each, and labels that say `S00.mp4`: what AU12 tells of each 4 s."""
    folder = tmp_path_factory.mktemp("desk")
    rows = []
    for person in range(PEOPLE):
        values = drawn(1000, len(OPENFACE), person)
        openface(folder / "openface" / f"S{person:02d}.csv", Made(values, 25.0, lost=range(300, 320)))
        level = values[:, OPENFACE.index("AU12_r")].reshape(10, 100).mean(axis=1)
        split = "test" if person > 3 else "validation" if person == 3 else "train"
        rows += [(f"S{person:02d}.mp4", f"P{person}", 4 * span, 4 * span + 4, split, round(float(value) / 5, 3))
                 for span, value in enumerate(level)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["video", "subject", "start_s", "end_s", "split", "smile"])
    table.to_csv(folder / "labels.csv", index=False)
    return folder


def test_tables_train_a_run_that_scores_what_is_stored_and_refuses_videos(
    desk: Path, affect: Affect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk)
    made = affect("import-features", "openface", "--store", "features")
    assert made.exit_code == 0, made.output
    assert "S00        200   196        98.0%" in made.output
    assert "a table of openface; 48 features: gaze_0_x" in made.output.replace("\n", "")
    features = open_store("features").read("S00")
    values = drawn(1000, len(OPENFACE), 0)[features.index]
    np.testing.assert_array_equal(features.values, values[features.status == 0].astype(np.float16))

    trained = affect("train-temporal", "--store", "features", "--labels", "labels.csv", "--run", "run", *SMALL)
    assert trained.exit_code == 0, trained.output
    assert "kept frames a second" not in trained.output  # clips last as long as of videos
    scored = affect("predict", "S04", "S05", "--run", "run", "--output", "out", "--store", "features")
    assert scored.exit_code == 0, scored.output
    table = pd.read_csv("out/predictions.csv")
    assert set(table["video"]) == {"S04", "S05"} and table["smile"].notna().all()
    assert affect("report", "run").exit_code == 0
    assert "imported-openface" in Path("run/report.html").read_text("utf-8")
    inspected = affect("inspect-cache", "features", "--verify")
    assert inspected.exit_code == 0 and 'source: "openface"' in inspected.output

    Path("new.mp4").write_bytes(b"no video")
    for store in ((), ("--store", "features")):
        refused = affect("predict", "new.mp4", "--run", "run", "--output", "other", *store)
        assert refused.exit_code == 2
        assert "was trained on features that came in tables of openface; of the video new.mp4" in refused.output
        assert "affect import-features TABLES" in refused.output
    assert not Path("other").exists()


def test_extraction_and_import_never_mix_in_a_store(desk: Path, affect: Affect, videos: Path, tmp_path: Path) -> None:
    store, videos_store = tmp_path / "imported", tmp_path / "extracted"
    assert affect("import-features", desk / "openface", "--store", store).exit_code == 0
    words = ("--backbone", "pixels", "--faces", "none")
    mixed = affect("extract-features", videos, "--store", store, *words)
    assert mixed.exit_code == 2
    assert "holds features that came in tables of openface; these are extracted from videos" in mixed.output
    assert affect("extract-features", videos, "--store", videos_store, *words).exit_code == 0
    mixed = affect("import-features", desk / "openface", "--store", videos_store)
    assert mixed.exit_code == 2 and "these came in tables of openface" in mixed.output
    other = affect("import-features", desk / "openface", "--store", store, "--columns", "AU.*_r")
    assert other.exit_code == 2 and "was made with another recipe: columns is" in other.output
    named = affect("extract-features", videos, "--store", tmp_path / "new", "--backbone", "imported-openface")
    assert named.exit_code == 2 and "no network here makes them of a video" in named.output


def test_what_is_stored_is_skipped_until_its_table_or_its_rate_changes(affect: Affect, tmp_path: Path) -> None:
    tables, store = tmp_path / "tables", tmp_path / "store"
    for name in ("S01", "S02"):
        pyfeat(tables / f"{name}.csv", Made(drawn(50, 27, len(name))), video=f"/data/{name}.mp4")
    words = ("import-features", tables, "--store", store, "--fps")
    assert "2 stored, 0 skipped, 0 failed" in affect(*words, 25).output
    os.utime(tables / "S01.csv", (1, 1))
    again = affect(*words, 25)
    assert again.exit_code == 0 and "0 stored, 2 skipped, 0 failed" in again.output
    other = affect(*words, 30)
    assert other.exit_code == 1 and "S01.csv, or how it is read, has changed" in other.output
    assert "2 stored, 0 skipped, 0 failed" in affect(*words, 25, "--overwrite").output
    pyfeat(tables / "S02.csv", Made(drawn(60, 27)))
    changed = affect(*words, 25)
    assert changed.exit_code == 1 and "1 skipped, 1 failed" in changed.output
    assert (store / "failures.csv").read_text().splitlines()[1].startswith("S02,")


def test_a_table_that_fails_does_not_stop_the_others(desk: Path, affect: Affect, tmp_path: Path) -> None:
    tables, store = tmp_path / "tables", tmp_path / "store"
    for name in ("S01", "S02", "S03"):
        openface(tables / f"{name}.csv", Made(drawn(50, 48)))
    openface(tables / "bad.csv", Made(drawn(50, 40)))  # it lacks columns
    pyfeat(tables / "other.csv", Made(drawn(50, 27)))
    (tables / "empty.csv").write_bytes(b"")
    (tables / "notes.txt").write_text("none of ours")
    for jobs in (1, 2):
        result = affect("import-features", tables, "--store", store, "--jobs", jobs, "--json", "--overwrite")
        assert result.exit_code == 1
        outcomes = {item["id"]: item for item in json.loads(result.stdout)["videos"]}
        assert {name for name, item in outcomes.items() if item["status"] == "done"} == {"S01", "S02", "S03"}
        assert "no column of numbers AU14_c, AU15_c" in outcomes["bad"]["reason"]
        assert "is empty" in outcomes["empty"]["reason"] and "as tables of openface have" in outcomes["other"]["reason"]
        assert "left out by their ending: 1 .txt" in result.stderr


def test_tables_of_unlike_sizes_and_several_videos_in_one_share_a_store(affect: Affect, tmp_path: Path) -> None:
    store = tmp_path / "store"
    plain(tmp_path / "a.csv", {"video": ["S1", "S1", "S2"], "time": [0, 0.5, 0], "x": [1, 2, 3], "y": [1, 2, 3]})
    first = affect("import-features", tmp_path / "a.csv", "--store", store)
    assert first.exit_code == 0 and "2 stored" in first.output
    prints = {open_store(store).info(name).fingerprint for name in ("S1", "S2")}
    assert len(prints) == 2  # one file is not one recording here
    plain(tmp_path / "b.csv", {"video": ["S3"], "time": [0], "x": [1], "y": [2], "z": [3]})
    second = affect("import-features", tmp_path / "b.csv", "--store", store)
    assert second.exit_code == 0, second.output
    assert "columns that others lack left out: z" in second.output.replace("\n", "")
    assert open_store(store).ids() == ["S1", "S2", "S3"]


def test_a_dry_run_says_what_tables_are_read_as_and_makes_nothing(desk: Path, affect: Affect, tmp_path: Path) -> None:
    result = affect("import-features", desk / "openface", "--store", tmp_path / "store", "--dry-run")
    assert result.exit_code == 0 and "48 features" in result.output and "S05" in result.output
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--columns", "AU("), "is no regular expression"),
        (("--columns", "nothing"), "none of its columns becomes a feature"),
        (("--kind", "py-feat"), "no column FaceRectX, FaceScore, as tables of py-feat have"),
        (("--fps", "0"), "--fps is 0"),
        (("--sample-fps", "-1"), "sample_fps"),
        (("--time-column", "when"), "no column 'when'"),
    ],
)
def test_wrong_use_exits_with_2_and_makes_nothing(
    desk: Path, affect: Affect, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    result = affect("import-features", desk / "openface", "--store", tmp_path / "store", *words)
    assert result.exit_code == 2 and said in result.output
    assert not (tmp_path / "store").exists()
