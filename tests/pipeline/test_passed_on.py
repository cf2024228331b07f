"""What is handed to others says what it is: a dictionary beside each table, a model card in each run."""

import csv
import json
from pathlib import Path

import pytest

from affect.cache.dictionary import COLUMNS, described
from affect.cache.records import Target
from affect.cache.score_tables import event_name
from affect.configs.load import load_config
from affect.pipeline.events import summary_of
from affect.pipeline.predict.outputs import Outputs
from affect.pipeline.predict.predict import PredictOptions, predict
from affect.pipeline.runs.folder import RunFolder
from affect.pipeline.train.sweep import SweepSummary, sweep
from affect.pipeline.train.train import TrainingSummary, train
from affect.tests.generated import GeneratedData, generated_features

TINY = (
    "model.width=16", "model.heads=2", "model.layers=1", "model.feed_forward=32", "clips.context=1",
    "training.epochs=1", "training.seeds=2", "evaluation.test_subjects=[s0000,s0001]",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, a run trained on it, and its scores of two videos, one of them missing."""
    folder = tmp_path_factory.mktemp("passed on")
    data = GeneratedData(subjects=6, video_frames=(96, 96), noise=0.3)
    generated_features(folder / "store", folder / "labels.csv", data)
    config = load_config(None, TINY)
    summary_of(train(str(folder / "store"), folder / "labels.csv", folder / "run", config), TrainingSummary)
    with Outputs(folder / "out", PredictOptions()) as outputs:
        for event in predict(["s0000/v000", "no.mp4"], folder / "run", folder / "out", str(folder / "store")):
            outputs.add(event)
    return folder


def tables(folder: Path) -> list[Path]:
    return sorted(path for place in ("run", "out") for path in (folder / place).rglob("*.csv"))


def test_each_table_has_its_columns_explained_beside_it(made: Path) -> None:
    found = [path.relative_to(made).as_posix() for path in tables(made)]
    assert {"out/failures.csv", "out/predictions.csv", "out/video.csv", "run/predictions.csv"} <= set(found)
    assert "run/folds/00/predictions.csv" in found
    for path in tables(made):
        with path.open(encoding="utf-8", newline="") as file:
            columns = next(csv.reader(file))
        said = json.loads(path.with_suffix(".json").read_text("utf-8"))
        assert list(said) == columns, path
        assert all(column["Description"] for column in said.values())
        assert not [name for name in columns if said[name]["Description"].startswith("setting ")], "each one is known"


def test_tables_of_events_are_as_bids_has_them(made: Path, tmp_path: Path) -> None:
    with Outputs(tmp_path, PredictOptions(exports=("bids",))) as outputs:
        for event in predict(["s0000/v000"], made / "run", tmp_path, str(made / "store")):
            outputs.add(event)
    (table,) = (tmp_path / "bids").rglob("*.tsv")
    assert table.relative_to(tmp_path / "bids").as_posix() == "s0000/v000_desc-affect_events.tsv"
    rows = [line.split("\t") for line in table.read_text("utf-8").splitlines()]
    assert rows[0][:3] == ["onset", "duration", "track"] and len({len(row) for row in rows}) == 1
    assert all(value for row in rows for value in row), "no cell is empty"
    assert len(rows) > 3 and float(rows[2][0]) > float(rows[1][0]) >= 0 and float(rows[1][1]) > 0
    said = json.loads(table.with_suffix(".json").read_text("utf-8"))
    assert list(said) == rows[0] and said["onset"]["Units"] == "s"
    assert event_name("sub-01/sub-01_task-talk_video.mp4") == "sub-01/sub-01_task-talk_desc-affect_events"
    assert event_name("sub-01_task-talk.mp4") == "sub-01_task-talk_desc-affect_events"
    assert event_name("anna.v2.mp4") == "anna.v2_desc-affect_events"


def test_a_targets_columns_have_its_range_and_unit() -> None:
    said = described(
        ["N1", "N1_std", "N1_ridge", "start_s", "attention_-1", "attention_+0"], [Target("N1", 1, 7, "points")]
    )
    assert said["N1"] == {
        "Description": "score of N1, the mean of the models",
        "Units": "points",
        "Minimum": 1,
        "Maximum": 7,
    }
    assert "does not rank errors" in said["N1_std"]["Description"] and said["N1_ridge"]["Maximum"] == 7
    assert said["start_s"]["Units"] == "s"
    assert "the clip 1 before it" in said["attention_-1"]["Description"]
    assert "the clip itself" in said["attention_+0"]["Description"]
    assert described(["coverage"], [Target("coverage")])["coverage"]["Description"].startswith("score of"), (
        "the target's"
    )
    assert list(described(["=A1"])) == ["'=A1"], "as the table's first line has it"
    assert all(column.description for column in COLUMNS.values())


def test_failures_that_are_gone_take_their_dictionary_along(made: Path, tmp_path: Path) -> None:
    from affect.pipeline.runs.folder import write_failures

    folder = RunFolder(tmp_path)
    write_failures(folder, [("0", "s1", "no space")])
    assert {path.name for path in tmp_path.iterdir()} == {"failures.csv", "failures.json"}
    write_failures(folder, [])
    assert not list(tmp_path.iterdir())


def test_a_sweep_explains_its_columns_too(made: Path, tmp_path: Path) -> None:
    config = ("training.epochs=1,2", *(word for word in TINY if "epochs" not in word))
    summary_of(sweep(str(made / "store"), made / "labels.csv", tmp_path / "grid", None, config), SweepSummary)
    said = json.loads((tmp_path / "grid" / "sweep.json").read_text("utf-8"))["columns"]
    header = (tmp_path / "grid" / "sweep.csv").read_text("utf-8").split("\n")[0].split(",")
    assert list(said) == header
    assert said["training.epochs"]["Description"] == "setting training.epochs"


def test_each_run_has_a_model_card(made: Path) -> None:
    card = (made / "run" / "README.md").read_text("utf-8")
    metrics = RunFolder(made / "run").metrics()
    assert card.startswith("# Model card")
    for words in (
        "What it scores",
        "What it was made of",
        "6 people",
        "What it is not for",
        "No diagnosis",
    ):
        assert words in card, words
    for target in metrics.targets:
        assert f"| {target.name} |" in card
    assert f"{metrics.spans.subjects} people held out" in card
    for name in ("s0000", "s0001"):
        assert name not in card, "a card is shown to others: nobody is named in it"
