"""`affect export-features`: exactly what is stored, in files of its own and nowhere else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from affect.cache.export import Export
from affect.cache.memory_store import MemoryStore
from affect.cache.opening import create_store, open_store
from affect.cache.records import FrameFeatures, FrameStatus, Recipe, VideoInfo
from affect.cache.store import Entry
from affect.cli import main

FRAMES = 2500  # more than two pieces
STATUS = ("ok", "no_face", "low_confidence", "too_small", "decode_error")


def affect(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def video(frames: int, *, points: bool = False) -> FrameFeatures:
    """Two people in every third frame, nobody in the frames between."""
    generator = np.random.default_rng(frames)
    frame = np.repeat(np.arange(0, frames, 3), 2)
    rows = len(frame)
    status = np.resize(np.array([0, 1, 4], np.uint8), frames)
    more = {"points_px": generator.random((rows, 68, 2), np.float32)} if points else {}
    return FrameFeatures(
        np.arange(frames) / 7, np.arange(frames) * 5, status, generator.standard_normal((rows, 3)).astype(np.float16),
        frame, np.resize(np.array([1, 4], np.int32), rows), generator.random((rows, 4), np.float32) - 0.5,
        generator.random(rows, np.float32), generator.random((rows, 5, 2), np.float32), **more,
    )  # fmt: skip


def make(location: Path, *ids: str, store_format: str = "zarr", points: bool = False, **recipe: object) -> Path:
    store = create_store(location, Recipe({"backbone": "made", **recipe}), store_format)
    for entry_id in ids:
        info = VideoInfo(store.recipe.digest, entry_id, 1, 1, None, 1, None, 5.0, 9, 9, 0, "made", persons={1: 1, 4: 1})
        with store.writer(entry_id, entry_id) as writer:
            writer.append(video(FRAMES, points=points), b"")
            writer.commit(info)
    return location


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def said(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "features.json").read_text("utf-8"))
    return found


def tree(folder: Path) -> dict[str, bytes]:
    return {item.relative_to(folder).as_posix(): item.read_bytes() for item in folder.rglob("*") if item.is_file()}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("store_format", ["zarr", "hdf5"])
def test_a_table_has_every_number_and_every_frame(kind: str, store_format: str, tmp_path: Path) -> None:
    store = make(tmp_path / "store", "day/anna.mp4", store_format=store_format, points=True)
    result = affect("export-features", store, "--output", tmp_path / "out", "--format", kind)
    assert result.exit_code == 0, result.output
    table, features = read(tmp_path / "out" / f"day/anna.mp4.{kind}"), video(FRAMES, points=True)
    assert table["frame"].unique().tolist() == list(range(FRAMES)), "none is left out, and all are in order"
    kept = table.drop_duplicates("frame")
    np.testing.assert_array_equal(kept["time_s"], features.time_s)
    np.testing.assert_array_equal(kept["index"], features.index)
    assert kept["status"].tolist() == [STATUS[number] for number in features.status]
    seen = table[table["track"].notna()]
    assert len(seen) == len(features.frame) and len(table) == len(seen) + FRAMES - len(features.frame) // 2
    np.testing.assert_array_equal(seen["frame"], features.frame)
    np.testing.assert_array_equal(seen["track"].astype(int), features.track)
    assert set(seen["person"].astype(int)) == {1}, "a linked track is the same person"
    for names, array in (
        (["f0", "f1", "f2"], features.values), (["x0_px", "y0_px", "x1_px", "y1_px"], features.box_px),
        (["score"], features.score[:, None]), (["nose_x_px", "nose_y_px"], features.landmarks_px[:, 2]),
        (["point67_x_px", "point67_y_px"], features.points_px[:, 67]),
    ):  # fmt: skip
        np.testing.assert_array_equal(seen[names].to_numpy(np.float32), array.astype(np.float32))
    assert table.loc[table["track"].isna(), ["f0", "x0_px", "score", "nose_x_px", "person"]].isna().all(axis=None)
    dictionary = said(tmp_path / "out")
    assert list(dictionary["columns"]) == list(table.columns) and dictionary["complete"] is True
    assert dictionary["recordings"] == {f"day/anna.mp4.{kind}": "day/anna.mp4"}
    assert set(dictionary["columns"]["status"]["Levels"]) == set(STATUS) == {item.name.lower() for item in FrameStatus}


def test_numpy_reads_the_arrays_without_pickle(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "anna.mp4", columns=["AU01", "=2+3", "AU12"])
    assert affect("export-features", store, "--output", tmp_path / "out", "--format", "npz").exit_code == 0
    features = video(FRAMES)
    with np.load(tmp_path / "out" / "anna.mp4.npz", allow_pickle=False) as found:
        for name, array in features.arrays().items():
            if name != "status":
                assert found[name].dtype == array.dtype
                np.testing.assert_array_equal(found[name], array)
        assert found["status"].tolist() == [STATUS[number] for number in features.status]
        assert found["person"].tolist() == [1] * len(features.track)
        assert found["columns"].tolist() == ["AU01", "=2+3", "AU12"]
        assert set(found) == set(said(tmp_path / "out")["columns"])


def test_no_spreadsheet_computes_a_name(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "anna.mp4", columns=["=HYPERLINK(1)", "@x", "index"])
    assert affect("export-features", store, "--output", tmp_path / "out", "--format", "csv").exit_code == 0
    names = read(tmp_path / "out" / "anna.mp4.csv").columns
    assert list(names[-3:]) == ["'=HYPERLINK(1)", "'@x", "feature index"]


def test_a_video_without_frames_is_a_table_without_rows(tmp_path: Path) -> None:
    store = create_store(tmp_path / "store", Recipe({"backbone": "made"}))
    info = VideoInfo(store.recipe.digest, "f", 1, 1, None, 0, None, 5.0, 9, 9, 0, "made")
    with store.writer("none", "f") as writer:
        writer.append(FrameFeatures.empty(2), b"")
        writer.commit(info)
    for kind in ("csv", "parquet", "npz"):
        assert affect("export-features", store.location, "--output", tmp_path / "out", "--format", kind).exit_code == 0
    for kind in ("csv", "parquet"):
        table = read(tmp_path / "out" / f"none.{kind}")
        assert len(table) == 0 and {"time_s", "status", "f1"} <= set(table.columns)


def test_what_is_there_stays_unless_it_is_ours_and_that_is_asked_for(tmp_path: Path) -> None:
    store, out = make(tmp_path / "store", "a.mp4", "b.mp4"), tmp_path / "out"
    out.mkdir()
    (out / "b.mp4.csv").write_text("mine", "utf-8")
    words = ("export-features", store, "--output", out, "--format", "csv")
    first = affect(*words)
    assert first.exit_code == 1 and "failed: b.mp4: " in first.stderr and "of no export" in first.stderr
    (out / "a.mp4.csv").write_text("changed", "utf-8")
    again = affect(*words)
    assert "kept a.mp4.csv" in again.stdout and (out / "a.mp4.csv").read_text("utf-8") == "changed"
    assert affect(*words, "--overwrite", "--json").exit_code == 1
    assert (out / "a.mp4.csv").read_text("utf-8").startswith("time_s,")
    assert (out / "b.mp4.csv").read_text("utf-8") == "mine", "no word makes it ours"
    assert said(out)["recordings"] == {"a.mp4.csv": "a.mp4"} and said(out)["complete"] is False


def test_one_recording_is_told_to_a_program(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "a.mp4", "b.mp4")
    found = json.loads(affect("export-features", store, "b.mp4", "--output", tmp_path / "out", "--json").stdout)
    assert found == {"output": str(tmp_path / "out"), "recordings": [
        {"id": "b.mp4", "file": "b.mp4.parquet", "status": "done", "reason": "", "frames": FRAMES, "rows": 1668}
    ]}  # fmt: skip


def test_what_may_refuse_comes_before_anything_is_made(tmp_path: Path) -> None:
    store, other = make(tmp_path / "store", "a.mp4"), make(tmp_path / "other", "a.mp4", view="hflip")
    for name in ("night.mp4", "../a.mp4", "../../store/a.mp4"):
        refused = affect("export-features", store, name, "--output", tmp_path / "new")
        assert refused.exit_code == 2 and "holds no entry" in refused.output and not (tmp_path / "new").exists()
    before = tree(store)
    assert "is a store" in affect("export-features", store, "--output", store).output and tree(store) == before
    assert affect("export-features", store, "--output", tmp_path / "out").exit_code == 0
    before = tree(tmp_path / "out")
    refused = affect("export-features", other, "--output", tmp_path / "out", "--overwrite")
    assert refused.exit_code == 2 and "another recipe" in refused.output and tree(tmp_path / "out") == before
    (tmp_path / "mine").mkdir()
    for words in ("{}", "[1]", "[" * 9999, '{"made_by": "affect export-features", "columns": 3}', "\xff"):
        (tmp_path / "mine" / "features.json").write_text(words, "latin-1")
        refused = affect("export-features", store, "--output", tmp_path / "mine", "--overwrite")
        assert refused.exit_code == 2 and "it is kept" in refused.output
        assert [item.name for item in (tmp_path / "mine").iterdir()] == ["features.json"]


def test_no_link_in_the_folder_is_followed(tmp_path: Path) -> None:
    store, out, away = make(tmp_path / "store", "day/a.mp4", "b.mp4", "c.mp4"), tmp_path / "out", tmp_path / "away"
    out.mkdir()
    away.mkdir()
    (away / "c.csv").write_text("mine", "utf-8")
    (out / "day").symlink_to(away)
    (out / "c.mp4.csv").symlink_to(away / "c.csv")
    result = affect("export-features", store, "--output", out, "--format", "csv")
    assert result.exit_code == 1 and "failed: day/a.mp4" in result.output and "failed: c.mp4" in result.output
    assert tree(away) == {"c.csv": b"mine"} and (out / "b.mp4.csv").exists()
    (out / "features.json").unlink()
    (out / "features.json").symlink_to(away / "c.csv")
    assert affect("export-features", store, "--output", out).exit_code == 2
    assert tree(away) == {"c.csv": b"mine"}


def test_ids_that_are_one_file_where_case_does_not_count_do_not_replace_each_other(tmp_path: Path) -> None:
    store, out = make(tmp_path / "store", "A.mp4", "a.mp4"), tmp_path / "out"
    assert affect("export-features", store, "--output", out).exit_code == 0
    (out / "a.mp4.parquet").unlink()
    (out / "a.mp4.parquet").hardlink_to(out / "A.mp4.parquet")  # as it is on a file system that folds case
    with Export(open_store(store), (), out, "parquet", overwrite=False) as export:
        assert [export.write(entry_id).status for entry_id in export.ids] == ["skipped", "failed"]


class Hostile(MemoryStore):
    """As a store of a stranger in an object store, whose keys may be anything."""

    def ids(self) -> list[str]:
        return ["../escaped", "/escaped", "a/../../escaped", "..", "a\0b", "con\n", *super().ids()]

    def entry(self, entry_id: str, names: Sequence[str] = ()) -> Entry:
        return replace(super().entry("good", names), id=entry_id)


@pytest.mark.parametrize("overwrite", [False, True])
def test_no_id_leads_out_of_the_folder(overwrite: bool, tmp_path: Path) -> None:
    store = Hostile(Recipe({"backbone": "made"}))
    store.keep("good", VideoInfo(store.recipe.digest, "f", 1, 1, None, 1, None, 5.0, 9, 9, 0, "made"), video(6))
    (tmp_path / "escaped.csv").write_text("mine", "utf-8")
    with Export(store, (), tmp_path / "out", "csv", overwrite=overwrite) as export:
        outcomes = {entry_id: export.write(entry_id).status for entry_id in export.ids}
    assert outcomes.pop("good") == "done" and set(outcomes.values()) == {"failed"} and len(outcomes) == 6
    assert set(tree(tmp_path)) == {"escaped.csv", "out/features.json", "out/good.csv"}
    assert (tmp_path / "escaped.csv").read_text("utf-8") == "mine"


def test_a_dictionary_of_a_stranger_names_nothing_outside(tmp_path: Path) -> None:
    store, out = make(tmp_path / "store", "a.mp4"), tmp_path / "out"
    assert affect("export-features", store, "--output", out).exit_code == 0
    document = said(out)
    document["recordings"] |= {"../escaped.csv": "../escaped", "/etc/passwd": "x", "gone.csv": "gone", "a.csv": 3}
    (out / "features.json").write_text(json.dumps(document), "utf-8")
    (tmp_path / "escaped.csv").write_text("mine", "utf-8")
    assert affect("export-features", store, "--output", out, "--overwrite").exit_code == 0
    assert said(out)["recordings"] == {"a.mp4.parquet": "a.mp4"}
    assert (tmp_path / "escaped.csv").read_text("utf-8") == "mine"


def test_a_damaged_entry_costs_its_own_file_alone(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "a.mp4", "b.mp4")
    chunk = next(item for item in (store / "a.mp4.zarr" / "values").rglob("*") if item.is_file() and "c" in item.parts)
    chunk.write_bytes(b"no chunk")
    result = affect("export-features", store, "--output", tmp_path / "out")
    assert result.exit_code == 1 and "failed: a.mp4: " in result.stderr and "damaged" in result.stderr
    assert set(tree(tmp_path / "out")) == {"features.json", "b.mp4.parquet"}


DIES = """
import os, signal, sys
from affect.cache import export
from affect.cache.store import Entry
from affect.cli import main
class Dying(export.NewFile):
    def place(self):
        if self.path.name.startswith("b"):
            os.kill(os.getpid(), signal.SIGKILL)
        super().place()
export.NewFile = Dying
main(sys.argv[1:])
"""


def killed(*words: object) -> None:
    """An export that is gone right before its file of `b` is there."""
    assert subprocess.run([sys.executable, "-c", DIES, *map(str, words)], check=False).returncode == -9


def test_a_part_of_an_export_that_was_killed_does_not_make_it_complete(tmp_path: Path) -> None:
    store, out = make(tmp_path / "store", "a.mp4", "b.mp4", "c.mp4"), tmp_path / "out"
    words = ("export-features", store, "--output", out)
    killed(*words)
    older = said(out)
    for document in (
        older,
        {key: older[key] for key in older if key not in ("missing", "outdated")},
    ):  # or of an earlier version
        (out / "features.json").write_text(json.dumps(document), "utf-8")
        assert affect(*words, "a.mp4").exit_code == 0
        assert said(out)["complete"] is False and set(said(out)["recordings"]) == {"a.mp4.parquet"}
        assert set(said(out)["missing"]) == {"b.mp4.parquet", "c.mp4.parquet"}
    assert affect(*words, "b.mp4").exit_code == 0 and said(out)["complete"] is False
    assert affect("edit-cache", store, "remove", "c.mp4").exit_code == 0
    assert affect(*words).exit_code == 0 and said(out)["complete"] is True, "nobody waits for what has gone"


def test_another_format_of_all_makes_an_export_complete(tmp_path: Path) -> None:
    store, out = make(tmp_path / "store", "a.mp4", "b.mp4"), tmp_path / "out"
    words = ("export-features", store, "--output", out, "--format")
    killed(*words, "csv")
    assert affect(*words, "npz").exit_code == 0
    assert said(out)["complete"] is True and len(said(out)["recordings"]) == 3


def test_an_export_is_not_complete_before_each_file_is_written_again(tmp_path: Path) -> None:
    store, out = make(tmp_path / "store", "a.mp4", "b.mp4"), tmp_path / "out"
    words = ("export-features", store, "--output", out)
    assert affect(*words).exit_code == 0 and said(out)["complete"] is True
    with pytest.raises(KeyboardInterrupt), Export(open_store(store), (), out, "parquet", overwrite=True) as export:
        export.write("a.mp4")
        raise KeyboardInterrupt
    assert said(out)["complete"] is False and set(said(out)["outdated"]) == {"b.mp4.parquet"}
    assert affect(*words).exit_code == 0 and said(out)["complete"] is False, "b.mp4 is still of before"
    assert affect(*words, "--overwrite").exit_code == 0 and said(out)["complete"] is True
    shutil.rmtree(store / "b.mp4.zarr" / "box_px")
    assert affect(*words, "--overwrite").exit_code == 1
    assert said(out)["complete"] is False and set(said(out)["recordings"]) == {"a.mp4.parquet", "b.mp4.parquet"}


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_killed_in_the_middle_it_says_so_and_the_same_command_makes_it_whole(kind: str, tmp_path: Path) -> None:
    store, out = make(tmp_path / "store", "a.mp4", "b.mp4"), tmp_path / "out"
    words = ["export-features", str(store), "--output", str(out), "--format", kind]
    assert subprocess.run([sys.executable, "-c", DIES, *words], check=False).returncode == -9
    assert said(out)["complete"] is False and (out / f"a.mp4.{kind}").exists()
    assert not (out / f"b.mp4.{kind}").exists(), "no file is half there"
    assert affect(*words).exit_code == 0
    whole = tmp_path / "whole"
    assert affect(*words[:3], whole, *words[4:]).exit_code == 0
    assert {name: len(data) for name, data in tree(out).items()} == {
        name: len(data) for name, data in tree(whole).items()
    }


def test_two_exports_do_not_write_to_one_folder_at_once(tmp_path: Path) -> None:
    store = open_store(make(tmp_path / "store", "a.mp4"))
    with Export(store, (), tmp_path / "out", "csv", overwrite=False):
        second = affect("export-features", store.location, "--output", tmp_path / "out")
        assert second.exit_code == 2 and f"process {os.getpid()}" in second.output
    assert affect("export-features", store.location, "--output", tmp_path / "out").exit_code == 0


def test_a_table_that_was_exported_is_imported_again(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "anna", columns=["AU01_r", "AU02_r", "AU12_r"])
    assert affect("export-features", store, "--output", tmp_path / "out", "--format", "parquet").exit_code == 0
    shutil.copy(tmp_path / "out" / "anna.parquet", tmp_path / "anna.parquet")
    words = ("import-features", tmp_path / "anna.parquet", "--store", tmp_path / "again", "--sample-fps", "source")
    result = affect(*words, "--kind", "table", "--columns", "features,AU.*")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_an_output_that_is_named_as_a_table_is_one_table_of_all(tmp_path: Path, suffix: str) -> None:
    store, one = make(tmp_path / "store", "b.mp4", "day/a.mp4"), tmp_path / f"all{suffix}"
    result = affect("export-features", store, "--output", one)
    assert result.exit_code == 0, result.output
    assert affect("export-features", store, "--output", tmp_path / "each", "--format", suffix[1:]).exit_code == 0
    each = [read(tmp_path / "each" / f"{name}{suffix}").assign(video=name) for name in ("b.mp4", "day/a.mp4")]
    together = pd.concat(each, ignore_index=True)
    pd.testing.assert_frame_equal(read(one), together[["video", *together.columns.drop("video")]], check_dtype=False)
    said = json.loads(Path(f"{one}.json").read_text("utf-8"))
    assert said["complete"] is True and said["recordings"] == ["b.mp4", "day/a.mp4"]
    assert list(said["columns"]) == list(read(one).columns)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["store", "each", one.name, f"{one.name}.json"])


def test_one_table_is_kept_unless_it_is_ours_and_to_be_replaced(tmp_path: Path) -> None:
    store, one = make(tmp_path / "store", "a"), tmp_path / "all.csv"
    one.write_text("mine\n", "utf-8")
    kept = affect("export-features", store, "--output", one, "--overwrite")
    assert kept.exit_code == 2 and "kept" in kept.output and one.read_text("utf-8") == "mine\n"
    one.unlink()
    assert affect("export-features", store, "--output", one).exit_code == 0
    first = one.read_bytes()
    again = affect("export-features", store, "--output", one)
    assert again.exit_code == 2 and "--overwrite" in again.output and one.read_bytes() == first
    assert affect("export-features", store, "--output", one, "--overwrite").exit_code == 0
    link = tmp_path / "link.csv"
    link.symlink_to(one)
    assert (
        affect("export-features", store, "--output", link, "--overwrite").exit_code == 2 and one.read_bytes() == first
    )


DIES_PLACING = """
import os, signal, sys
from affect.cli import main
left, replace = int(sys.argv[1]), os.replace
def counted(*words):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*words)
os.replace = counted
main(sys.argv[2:])
"""


@pytest.mark.parametrize("older", [False, True], ids=["new", "in place of an older one"])
@pytest.mark.parametrize("step", range(3))
def test_one_table_whose_call_was_killed_at_its_end_is_written_by_the_same_call(
    step: int, older: bool, tmp_path: Path
) -> None:
    store, one = make(tmp_path / "store", "a", "b"), tmp_path / "out" / "all.csv"
    words = ["export-features", str(store), "--output", str(one), *(["--overwrite"] if older else [])]
    if older:
        assert affect("export-features", store, "a", "--output", one).exit_code == 0
    dies = [sys.executable, "-c", DIES_PLACING, str(step), *words]
    assert subprocess.run(dies, check=False).returncode == -9
    dictionary = Path(f"{one}.json")
    assert not one.exists() or json.loads(dictionary.read_text("utf-8"))["complete"] is (older and step == 0)
    again = affect(*words)
    assert again.exit_code == 0, again.output
    assert json.loads(dictionary.read_text("utf-8"))["complete"] is True and set(read(one)["video"]) == {"a", "b"}


def test_one_table_does_not_replace_a_json_of_somebody_else(tmp_path: Path) -> None:
    store, mine = make(tmp_path / "store", "a"), tmp_path / "all.csv.json"
    mine.write_text('{"my": "notes"}', "utf-8")
    kept = affect("export-features", store, "--output", tmp_path / "all.csv", "--overwrite")
    assert kept.exit_code == 2 and "all.csv.json is there and is of no export" in kept.output
    assert mine.read_text("utf-8") == '{"my": "notes"}' and not (tmp_path / "all.csv").exists()


def test_one_table_leaves_out_what_is_damaged_and_names_it(tmp_path: Path) -> None:
    store, one = make(tmp_path / "store", "a", "b"), tmp_path / "all.parquet"
    shutil.rmtree(store / "a.zarr" / "box_px")
    result = affect("export-features", store, "--output", one)
    assert result.exit_code == 1 and "failed: a" in result.output
    assert set(read(one)["video"]) == {"b"}
    said = json.loads(Path(f"{one}.json").read_text("utf-8"))
    assert said["complete"] is False and list(said["failed"]) == ["a"] and said["recordings"] == ["b"]


def test_one_table_that_cannot_be(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "a")
    for words in (("--output", tmp_path / "all.npz"), ("--output", tmp_path / "all.csv", "--format", "parquet")):
        result = affect("export-features", store, *words)
        assert result.exit_code == 2 and "Hint: " in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
