"""`import affect` gives plain functions: what docs/library.md shows runs, is typed, and says what the commands say."""

import builtins
import importlib.metadata
import inspect
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import affect
from affect.cache.records import FrameStatus
from affect.cli import main
from affect.errors import AffectError, ConfigError, InputError, StoreError
from affect.pipeline.demo.film import DemoDataConfig
from affect.tests.desk import make_desk
from affect.tests.generated import GeneratedData, generated_features

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "library.md").read_text("utf-8")
NAMES = {"S01": "anna", "S02": "ben", "S03": "cleo", "S04": "dora", "S05": "emil"}
QUICK = {
    "model.width": 8, "model.heads": 2, "model.layers": 1, "model.feed_forward": 8, "clips.length": 8,
    "training.epochs": 1, "training.seeds": 1, "evaluation.protocol": "k-fold", "evaluation.folds": 2,
}  # fmt: skip
VIDEOS = ["s0000/v000", "s0001/v000"]


def examples() -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the page supposes it: `interviews/` and `labels.csv`."""
    folder = tmp_path_factory.mktemp("desk")
    config = DemoDataConfig(splits=(("train", 2), ("validation", 1), ("test", 2)), seconds=5.0)
    make_desk(folder, NAMES, config)
    return folder


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store and labels of six people, and a run trained on them."""
    folder = tmp_path_factory.mktemp("generated")
    data = GeneratedData(subjects=6, videos=1, video_frames=(64, 64), feature_size=6, missing=0.2, seed=3)
    generated_features(folder / "store", folder / "labels.csv", data)
    affect.train_temporal(
        store=folder / "store", labels=folder / "labels.csv", run=folder / "run", settings=QUICK, device="cpu"
    )
    return folder


def test_every_example_of_the_page_runs_and_shows_what_it_promises(desk: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", examples()], cwd=desk, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "5 stored, 0 skipped, 0 failed" in done.stdout and "anna.mp4" in done.stdout
    assert "Held out best on 2 people" in done.stdout and "FrameFeatures:" in done.stdout
    assert "nobody.mp4: no such file" in done.stdout


def test_the_page_and_the_package_name_the_same_functions() -> None:
    functions = {name for name in affect.__all__ if not name.startswith("_")}
    assert set(re.findall(r"affect\.([a-z_]+)\(", PAGE)) == functions
    assert affect.__version__ == importlib.metadata.version("affect")
    assert all(getattr(affect, name).__doc__ for name in functions)


def test_an_import_loads_nothing_until_a_function_is_called() -> None:
    code = (
        "import sys\nbefore = set(sys.modules)\nimport affect\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in new if not name.startswith('__editable__')), "
        "[name for name in sys.modules if name.startswith('affect.')], len(set(sys.modules) - before))\n"
        "before = set(sys.modules)\nimport click\nprint(len(set(sys.modules) - before))\n"
    )
    first, second = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert first.startswith("['affect'] [] "), first
    assert int(first.rpartition(" ")[2]) <= 3 * int(second), "no more modules than three times those of click"


def test_a_name_that_is_not_there_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'describe_everything'"):
        _ = affect.describe_everything  # type: ignore[attr-defined]


def test_a_type_checker_sees_the_functions_and_what_they_give(tmp_path: Path) -> None:
    user = tmp_path / "user.py"
    user.write_text(
        f"{examples()}\nreveal_type(affect.__version__)\nreveal_type(affect.open_store('x').ids())\n"
        "affect.predict('x', runs='y')\naffect.nothing\n",
        "utf-8",
    )
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "affect").symlink_to(ROOT)
    words = ["--strict", "--config-file", "", "--ignore-missing-imports", "--follow-imports=silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, "--cache-dir", str(tmp_path / "cache"), str(user)], cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(tmp_path / "packages")}, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if "user.py" in line and "defined in" not in line]
    lines = [line.partition(": ")[2] for line in said]
    assert len(lines) == 4, done.stdout + done.stderr
    assert 'type is "str"' in lines[0] and 'type is "list[str]"' in lines[1]
    assert "did you mean" in lines[2] and 'no attribute "nothing"' in lines[3]


@pytest.mark.parametrize(
    ("command", "function", "apart"),
    [
        # what a notebook does in another way: tables, clusters, what is typed once more as a setting, further outputs
        ("extract-features", affect.extract_features,
         {"as_json", "dry_run", "backend", "scheduler", "overrides", "backbone", "weights", "faces", "sample_fps"}),
        ("train-temporal", affect.train_temporal, {"as_json", "backend", "scheduler", "overrides"}),
        ("predict", affect.predict,
         {"as_json", "overrides", "store_format", "overlay", "exports", "no_video", "pseudonymise"}),
    ],
)  # fmt: skip
def test_a_function_takes_what_its_command_takes_and_calls_it_so(command: str, function: Any, apart: set[str]) -> None:
    options = {str(item.name) for item in main.commands[command].params if item.expose_value}
    taken = set(inspect.signature(function).parameters)
    assert options - taken == apart
    assert taken - options == {"settings", "progress"}
    parameters = inspect.signature(function).parameters
    for option in main.commands[command].params:
        if option.name in ("device", "jobs"):
            assert parameters[option.name].default == option.default


def test_a_table_of_scores_is_what_the_command_writes(generated: Path, tmp_path: Path) -> None:
    places = ["--run", generated / "run", "--store", generated / "store", "--output", tmp_path / "out"]
    result = CliRunner().invoke(main, ["predict", *VIDEOS, *map(str, places), "--device", "cpu", "--no-video"])
    assert result.exit_code == 0, result.output
    table = affect.predict(
        VIDEOS, run=generated / "run", store=generated / "store", output=tmp_path / "own", device="cpu"
    )
    written = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert list(table.columns) == list(written.columns) and table["video"].tolist() == written["video"].tolist()
    np.testing.assert_array_equal(table["valence"].to_numpy(float), written["valence"].to_numpy(float))
    assert (tmp_path / "own" / "predictions.csv").read_bytes() == (tmp_path / "out" / "predictions.csv").read_bytes()
    assert json.loads((tmp_path / "own" / "summary.json").read_text("utf-8"))["complete"]
    assert result.stdout.splitlines()[0] == table.attrs["worth"]


def test_a_table_says_below_itself_what_its_scores_are_worth(generated: Path) -> None:
    table = affect.predict(VIDEOS[0], run=generated / "run", store=generated / "store", device="cpu")
    worth = table.attrs["worth"]
    assert worth and repr(table).splitlines()[-1].startswith(("warning: ", worth))
    assert worth in repr(table) and f"<p>{worth}</p>" in table._repr_html_()
    assert type(table[["valence"]]) is pd.DataFrame, "a part of it is a table like any other"
    table.attrs["failed"] = {"<script>x\x1b": "no"}
    assert "<script>" not in table._repr_html_() and "\x1b" not in repr(table)


def test_a_video_that_fails_is_warned_of_and_one_alone_is_an_error(generated: Path) -> None:
    def predicted(*videos: str) -> Any:
        return affect.predict(videos, run=generated / "run", store=generated / "store", device="cpu")

    with pytest.warns(UserWarning, match=r"lost\.mp4 does not exist") as caught:
        table = predicted(VIDEOS[0], "lost.mp4")
    assert caught[0].filename == __file__, "the warning points at who called"
    assert table["video"].unique().tolist() == VIDEOS[:1] and list(table.attrs["failed"]) == ["lost.mp4"]
    with pytest.raises(InputError, match="no such file"):
        predicted("lost.mp4")


def test_results_show_themselves_as_the_commands_print_them(generated: Path, tmp_path: Path) -> None:
    trained = affect.train_temporal(
        store=generated / "store", labels=generated / "labels.csv", run=tmp_path / "run", settings=QUICK, device="cpu",
        progress=False,
    )  # fmt: skip
    assert repr(trained).startswith("Held out best on 6 people")
    assert trained._repr_html_().startswith("<pre>Held out best")
    assert repr(affect.open_store(generated / "store")).startswith(f"Store('{generated / 'store'}', zarr, generated, ")


def test_settings_are_values_of_python(generated: Path, tmp_path: Path) -> None:
    settings = QUICK | {
        "training.epochs": np.int64(2), "training.learning_rate": np.float32(0.25), "labels.targets": ("valence",),
        "labels.ranges": {"valence": (-2, 2)}, "clips.hop": None, "training.standardise": False,
    }  # fmt: skip
    words: dict[str, Any] = {"store": generated / "store", "labels": generated / "labels.csv", "device": "cpu"}
    trained = affect.train_temporal(**words, run=tmp_path / "run", settings=settings)
    assert trained.metrics is not None and [item.name for item in trained.metrics.targets] == ["valence"]
    said = (tmp_path / "run" / "config.yaml").read_text("utf-8")
    assert "learning_rate: 0.25" in said and "standardise: false" in said and "epochs: 2" in said
    with pytest.raises(ConfigError, match=r"training\.epochs is 2\.5"):
        affect.train_temporal(store="s", labels="l", run="r", settings={"training.epochs": 2.5})
    with pytest.raises(ConfigError, match=r"clips\.length cannot be set for a prediction"):
        affect.predict("x", run="r", settings={"clips.length": 3})


def test_a_store_becomes_a_table_in_which_no_frame_is_lost(generated: Path) -> None:
    store = affect.open_store(generated / "store")
    arrays, table = store.read(VIDEOS[0]), store.to_frame(VIDEOS[0])
    seen = table["track"].notna()
    assert (~seen).sum() > 0 and len(table) == len(arrays.time_s), "one person, so a row for each kept frame"
    np.testing.assert_array_equal(table["time_s"], arrays.time_s)
    names = [f"f{number}" for number in range(6)]
    np.testing.assert_array_equal(table.loc[seen, names].to_numpy(np.float16), arrays.values)
    assert table.loc[~seen, names].isna().all(axis=None)
    assert table["status"].tolist() == [FrameStatus(status).name.lower() for status in arrays.status]
    assert list(store.to_frame(VIDEOS[0], values=False).columns) == list(table.columns[:-6])
    with pytest.raises(StoreError, match="is not a store"):
        affect.open_store(generated)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A kernel as a notebook runs it, which has no ipywidgets."""
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_a_notebook_has_one_line_of_progress_and_no_widgets(
    notebook: None, generated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words: dict[str, Any] = {"store": generated / "store", "labels": generated / "labels.csv", "device": "cpu"}
    affect.train_temporal(**words, run=tmp_path / "run", settings=QUICK)
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\r") >= 2 and "2 of 2 folds" in said.err.splitlines()[-1]
    affect.train_temporal(**words, run=tmp_path / "quiet", settings=QUICK, progress=False)
    assert capsys.readouterr() == ("", "")


def test_an_extraction_tells_of_failures_and_of_what_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "notes.doc").write_text("", "utf-8")
    summary = affect.extract_features(tmp_path, store=tmp_path / "store", device="cpu", progress=False)
    assert [item.status for item in summary.outcomes] == ["failed"] and "failed: broken.mp4: " in repr(summary)
    assert any("notes.doc" in warning or ".doc" in warning for warning in summary.warnings), summary
    with pytest.raises(AffectError):
        affect.extract_features(tmp_path / "none", store=tmp_path / "store")
