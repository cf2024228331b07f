"""`--json`: every command that prints results prints one JSON document, whatever else there is to say."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from affect.cli import main
from affect.tests.generated import GeneratedData, generated_features

FACE = "f%C3%A4ce.mp4"  # its id in a store
Affect = Callable[..., Result]
TRAIN = (
    "--device", "cpu", "--set", "model.width=8", "--set", "model.heads=2", "--set", "model.layers=1", "--set",
    "model.feed_forward=8", "--set", "clips.length=8", "--set", "evaluation.protocol=k-fold", "--set",
    "evaluation.folds=2", "--set", "training.seeds=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, videos: Path) -> Path:
    """A folder with `videos` (one of them damaged, beside a text), generated `store`, `labels.csv`, and `run`."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "videos").mkdir()
    shutil.copy(videos / "face.mp4", folder / "videos" / "fäce.mp4")
    (folder / "videos" / "broken.mp4").write_bytes(b"no video")
    (folder / "videos" / "notes.doc").write_text("", "utf-8")
    (folder / "videos" / "spans.csv").write_text("video,start,end,mood\nfäce.mp4,0,1,0.5\nfäce.mp4,1,2,0.25\n", "utf-8")
    (folder / "tables").mkdir()
    rows = "".join(f"{number},{number / 25},0,0.9,1,{number % 5}\n" for number in range(50))
    (folder / "tables" / "S01.csv").write_text(
        f"frame, timestamp, face_id, confidence, success, AU12_r\n{rows}", "utf-8"
    )
    data = GeneratedData(subjects=6, videos=1, video_frames=(64, 64), feature_size=6)
    generated_features(folder / "store", folder / "labels.csv", data)
    words = ["--store", folder / "store", "--labels", folder / "labels.csv", "--run", folder / "run", *TRAIN]
    result = CliRunner().invoke(main, ["train-temporal", *map(str, words), "--set", "training.epochs=1"])
    assert result.exit_code == 0, result.output
    return folder


def document(result: Result, code: int = 0) -> dict[str, Any]:
    """What a program reads: all of standard output, as one object on one line."""
    assert result.exit_code == code, result.output
    assert result.stdout.count("\n") == 1 and result.stdout.endswith("\n")
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert isinstance(found, dict) and found
    return found


def test_every_command_takes_it() -> None:
    assert [
        name for name, command in main.commands.items() if "as_json" not in {item.name for item in command.params}
    ] == []


def test_a_table_and_a_document_tell_the_same_of_an_extraction(affect: Affect, desk: Path, tmp_path: Path) -> None:
    words = ("extract-features", desk / "videos", "--store", tmp_path / "store", "--device", "cpu")
    planned = affect(*words, "--dry-run", "--json")
    assert document(planned)["videos"] == [
        {"id": "broken.mp4", "would_be": "extracted"}, {"id": FACE, "would_be": "extracted"}
    ]  # fmt: skip
    assert "note: " in planned.stderr, "what is left out is said, but not to the program"
    done = affect(*words, "--json")
    assert {item["id"]: item["status"] for item in document(done, 1)["videos"]} == {
        "broken.mp4": "failed", FACE: "done"
    }  # fmt: skip
    assert not any(line.startswith("{") for line in done.stderr.splitlines())


def test_imported_tables_are_told_with_what_was_understood(affect: Affect, desk: Path, tmp_path: Path) -> None:
    words = ("import-features", desk / "tables", "--store", tmp_path / "store", "--json")
    assert document(affect(*words, "--dry-run"))["videos"] == [{"id": "S01", "would_be": "extracted"}]
    found = document(affect(*words))
    assert found["understood"] and found["videos"][0]["frames"] > 1


def test_what_is_looked_at_is_told(affect: Affect, desk: Path) -> None:
    assert document(affect("inspect-cache", desk / "store", "--json"))["videos"]
    checked = document(affect("check-videos", desk / "videos", "--json"), 1)["videos"]
    assert [item["readable"] for item in checked] == [False, True]
    layers = document(affect("check-backbone", "pixels", "--device", "cpu", "--json"))
    assert layers["feature_size"] == 1024


def test_labels_that_are_prepared_are_told(affect: Affect, desk: Path, tmp_path: Path) -> None:
    found = document(affect("prepare-labels", "spans", desk / "videos", "--output", tmp_path / "out.csv", "--json"))
    assert found["manifests"][0]["rows"] == 2 and found["understood"]


def test_training_one_setting_or_several_and_predicting_are_told(affect: Affect, desk: Path, tmp_path: Path) -> None:
    words = ("train-temporal", "--store", desk / "store", "--labels", desk / "labels.csv", *TRAIN, "--json")
    trained = document(affect(*words, "--run", tmp_path / "run", "--set", "training.epochs=1"))
    assert trained["metrics"]["targets"] and trained["failed"] == {}
    swept = document(affect(*words, "--run", tmp_path / "sweep", "--set", "training.epochs=1,2"))["sweep"]
    assert [item["words"] for item in swept] == [["training.epochs=1"], ["training.epochs=2"]]
    scored = affect(
        "predict", "s0000/v000", "--run", tmp_path / "run", "--store", desk / "store", "--output", tmp_path / "out",
        "--device", "cpu", "--json",
    )  # fmt: skip
    assert document(scored)["results"][0]["status"] == "done"


def test_a_report_and_a_comparison_say_where_their_page_is(affect: Affect, desk: Path, tmp_path: Path) -> None:
    shutil.copytree(desk / "run", tmp_path / "one")
    shutil.copytree(desk / "run", tmp_path / "two")
    found = document(affect("report", tmp_path / "one", "--json"))
    assert found["runs"] == [str(tmp_path / "one")] and Path(found["report"]).is_file()
    page = tmp_path / "compared.html"
    found = document(affect("report", tmp_path / "one", tmp_path / "two", "--output", page, "--json"))
    assert found["report"] == str(page) and page.is_file()


def test_a_refusal_leaves_the_output_to_nobody(affect: Affect, tmp_path: Path) -> None:
    result = affect("predict", "x.mp4", "--run", tmp_path / "none", "--output", tmp_path / "out", "--json")
    assert result.exit_code == 2 and result.stdout == "" and "Hint: " in result.stderr
