"""A `predict` that is killed, stopped or out of space leaves the older output whole, or says it is not complete."""

import errno
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from affect.cache.files import PARTIAL
from affect.cache.opening import create_store
from affect.cli import main
from affect.pipeline.predict.inputs import PredictOptions
from affect.tests.forks import Forks
from affect.tests.pipeline.predict.conftest import RECIPE, made_features, make_run, store_features
from affect.tests.predictions import write_predictions

TABLES = ("predictions.csv", "video.csv", "predictions.parquet")
VIDEOS = [f"{number}.mp4" for number in range(3)]

# What the commands below load before they do anything.
LOADED = ("affect.cli", "affect.pipeline.predict.outputs", "affect.pipeline.predict.predict",
          "affect.pipeline.terminal.bars", "affect.pipeline.runs.model_file", "affect.cache.zarr_format", "pandas",
          "pyarrow.parquet", "matplotlib.figure", "affect.pipeline.train.train", "affect.pipeline.report.report",
          "affect.pipeline.runs.import_checkpoint")  # fmt: skip


class Commands:
    """Runs the command in processes that may be killed; `said` is what the last one wrote."""

    def __init__(self, forks: Forks) -> None:
        self._forks = forks

    @property
    def said(self) -> str:
        return self._forks.said

    def run(self, *words: object, kill_after_s: float | None = None, most_bytes: int = 0) -> int:
        """The exit code, -9 where it was killed; most_bytes: of any one file."""
        code = "import affect.cli; affect.cli.main()"
        ended = self._forks.run(code, "affect", *words, kill_after_s=kill_after_s, most_bytes=most_bytes)
        assert "Traceback" not in self.said, self.said
        return ended


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    forks = Forks(tmp_path_factory.mktemp("commands"), LOADED)
    yield Commands(forks)
    forks.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "made", RECIPE, 12)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "features"
    made = create_store(folder, RECIPE)
    for number, name in enumerate(VIDEOS):
        store_features(made, name, made_features(np.ones((1, 120), bool), 12, seed=number))
    return folder


@pytest.fixture(scope="module")
def older(run: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished output of all videos, sparse."""
    folder = tmp_path_factory.mktemp("older") / "out"
    write_predictions(list(VIDEOS), run, folder, store, PredictOptions(device="cpu"))
    return folder


@pytest.fixture(scope="module")
def newer(run: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, dense."""
    folder = tmp_path_factory.mktemp("newer") / "out"
    write_predictions(list(VIDEOS), run, folder, store, PredictOptions(device="cpu", stride=1))
    return folder


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TABLES if (folder / name).exists()}


def complete(folder: Path) -> bool:
    answer: bool = json.loads((folder / "summary.json").read_text("utf-8"))["complete"]
    return answer


def check_truth(folder: Path, older: Path, newer: Path) -> str:
    """Which of the three a folder is: the older output whole, the newer one whole, or one that says it is not."""
    found = tables(folder)
    for name, data in found.items():
        assert data in (tables(older)[name], tables(newer)[name]), f"{name} is neither the older table nor the newer"
    if not complete(folder):
        assert set(found) == set(TABLES)
        return "not complete"
    assert found in (tables(older), tables(newer)), "the summary says complete, and the tables are mixed"
    assert (folder / "viewer.html").read_text("utf-8").rstrip().endswith("</html>")
    return "older" if found == tables(older) else "newer"


def words_for(run: Path, store: Path, folder: Path) -> list[object]:
    return ["predict", *VIDEOS, "--run", run, "--store", store, "--output", folder, "--stride", 1, "--device", "cpu"]


def kill_at_random(
    commands: Commands, run: Path, store: Path, older: Path, newer: Path, tmp_path: Path, times: int
) -> dict[str, int]:
    draw, found = random.Random(times), {"older": 0, "not complete": 0, "newer": 0}
    folder = tmp_path / "out"
    shutil.copytree(older, folder)
    started = time.monotonic()
    assert commands.run(*words_for(run, store, folder)) == 0, commands.said
    whole_s = time.monotonic() - started
    assert check_truth(folder, older, newer) == "newer"
    # On a busy machine many a call is killed before it writes, or is over before that.
    for number in range(5 * times):
        if number >= times and found["not complete"]:
            break
        shutil.rmtree(folder)
        shutil.copytree(older, folder)
        commands.run(*words_for(run, store, folder), kill_after_s=draw.uniform(0.02, 1.05) * whole_s)
        found[check_truth(folder, older, newer)] += 1
        partial = folder / "predictions.partial.csv"
        if partial.exists() and partial.stat().st_size:  # rows stay readable while it goes
            assert len(pd.read_csv(partial)) <= len(pd.read_csv(newer / "predictions.csv"))
    assert commands.run(*words_for(run, store, folder)) == 0, commands.said
    assert check_truth(folder, older, newer) == "newer"
    assert not [path for path in folder.rglob("*") if PARTIAL.fullmatch(path.name) or ".partial" in path.name]
    assert not (folder / ".predict.lock").exists()
    return found


def test_a_killed_call_over_a_finished_output_leaves_the_truth(
    commands: Commands, run: Path, store: Path, older: Path, newer: Path, tmp_path: Path
) -> None:
    assert kill_at_random(commands, run, store, older, newer, tmp_path, 6)["not complete"]


@pytest.mark.stress
def test_forty_killed_calls_leave_the_truth(
    commands: Commands, run: Path, store: Path, older: Path, newer: Path, tmp_path: Path
) -> None:
    found = kill_at_random(commands, run, store, older, newer, tmp_path, 40)
    assert found["not complete"] >= 10, found


def test_after_ctrl_c_over_a_finished_output_what_is_done_is_in_place(
    run: Path, store: Path, older: Path, tmp_path: Path
) -> None:
    from affect.pipeline.predict.outputs import Outputs
    from affect.pipeline.predict.predict import predict

    folder, options = shutil.copytree(older, tmp_path / "out"), PredictOptions(device="cpu", stride=1)
    with pytest.raises(KeyboardInterrupt), Outputs(folder, options) as outputs:
        for event in predict(list(VIDEOS), run, folder, store, options=options):
            outputs.add(event)
            if len(outputs.summary.results) == 2:
                assert tables(folder) == tables(older) and not complete(folder)
                assert set(pd.read_csv(folder / "predictions.partial.csv")["video"]) >= set(VIDEOS[:2])
                raise KeyboardInterrupt
    assert not complete(folder) and not list(folder.glob("*.partial*"))
    for rows in (pd.read_csv(folder / "predictions.csv"), pd.read_parquet(folder / "predictions.parquet")):
        assert set(rows["video"]) == set(VIDEOS[:2])


# -- no space, no right


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system takes rights that this user does not have")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def leave(disk: Path, kilobytes: int) -> None:
    """Fill the disk but for so much."""
    (disk / "ballast").unlink(missing_ok=True)
    usage = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(max(0, usage.f_bavail * usage.f_frsize - (kilobytes << 10))))


def check_refused(commands: Commands, code: int) -> None:
    assert code in (1, 2) and "no space left for" in commands.said, (code, commands.said)
    assert code == 1 or "Hint:" in commands.said


@pytest.mark.parametrize("free_kb", [0, 4, 20, 48, 80, 160])
def test_a_full_disk_costs_no_older_table(
    commands: Commands, run: Path, store: Path, older: Path, newer: Path, small_disk: Path, free_kb: int
) -> None:
    folder = shutil.copytree(older, small_disk / "out")
    leave(small_disk, free_kb)
    code = commands.run(*words_for(run, store, folder))
    check_refused(commands, code)
    assert check_truth(folder, older, newer) in ("older", "not complete", "newer")
    if free_kb < 20:
        assert code == 2 and check_truth(folder, older, newer) == "older"
    (small_disk / "ballast").unlink()
    assert commands.run(*words_for(run, store, folder)) == 0, commands.said
    assert check_truth(folder, older, newer) == "newer" and not list(folder.glob("*.partial*"))


@pytest.mark.parametrize("free_kb", [0, 4, 20, 48, 80])
def test_a_full_disk_ends_a_first_call_clearly_and_with_space_it_works(
    commands: Commands, run: Path, store: Path, newer: Path, small_disk: Path, free_kb: int
) -> None:
    leave(small_disk, free_kb)
    check_refused(commands, commands.run(*words_for(run, store, small_disk / "out")))
    (small_disk / "ballast").unlink()
    assert commands.run(*words_for(run, store, small_disk / "out")) == 0, commands.said
    assert tables(small_disk / "out") == tables(newer)


def test_a_limit_on_files_is_a_full_disk(
    commands: Commands, run: Path, store: Path, older: Path, newer: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(older, tmp_path / "out")
    for most_bytes in (1000, 3000, 20_000):
        check_refused(commands, commands.run(*words_for(run, store, folder), most_bytes=most_bytes))
        assert check_truth(folder, older, newer) in ("older", "not complete")
        assert tables(folder) == tables(older)


def test_a_folder_that_may_not_be_written_is_said_before_anything_is_scored(
    commands: Commands, run: Path, store: Path, older: Path, small_disk: Path
) -> None:
    folder = shutil.copytree(older, small_disk / "out")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for place in (folder, small_disk / "new"):
        assert commands.run(*words_for(run, store, place)) == 2
        assert "may not be written" in commands.said and "Hint:" in commands.said
    assert tables(folder) == tables(older) and complete(folder)


@pytest.mark.parametrize("free_kb", [0, 8, 64, 200, 400])
def test_a_full_disk_ends_a_training_clearly_and_with_space_it_goes_on(
    commands: Commands, small_disk: Path, tmp_path: Path, free_kb: int
) -> None:
    from affect.tests.hostile.test_files import training

    store, labels, settings = training(tmp_path)
    words: list[Any] = ["train-temporal", "--store", store, "--labels", labels, "--device", "cpu", *settings]
    assert commands.run(*words, "--run", tmp_path / "roomy") == 0, commands.said
    leave(small_disk, free_kb)
    check_refused(commands, commands.run(*words, "--run", small_disk / "run"))
    (small_disk / "ballast").unlink()
    resume = ["--resume"] if (small_disk / "run" / "config.yaml").exists() else []
    assert commands.run(*words, "--run", small_disk / "run", *resume) == 0, commands.said
    for name in ("predictions.csv", "metrics.json", "folds/01/predictions.csv"):
        assert (small_disk / "run" / name).read_bytes() == (tmp_path / "roomy" / name).read_bytes(), name


def test_a_full_disk_ends_a_report_and_a_label_table_clearly(
    commands: Commands, small_disk: Path, tmp_path: Path
) -> None:
    from affect.tests.hostile.test_files import annotations
    from affect.tests.pipeline.report.conftest import held_out, write_run
    from affect.tests.predictions import write_face_video

    run = write_run(small_disk / "run", held_out(4, 3, 0.1), ("valence",))
    assert commands.run("report", run) == 0, commands.said
    page = (run / "report.html").read_bytes()
    annotations(tmp_path / "data", write_face_video(tmp_path / "film.mp4", seconds=0.4))
    words = ("prepare-labels", "omg", tmp_path / "data", "--output", small_disk / "labels.csv")
    leave(small_disk, 0)
    for command in (("report", run), words):
        assert commands.run(*command) == 2
        check_refused(commands, 2)
    assert (run / "report.html").read_bytes() == page
    assert not list(small_disk.glob("labels*")) and not list(small_disk.rglob(".affect-*"))
    (small_disk / "ballast").unlink()
    for command in (("report", run), words):
        assert commands.run(*command) == 0, commands.said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (OSError(errno.EIO, "Input/output error", "/data/a.mp4"), "/data/a.mp4 cannot be written or read"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/data/a.mp4"), "no space left for /data/a.mp4"),
    ],
)
def test_what_nobody_else_has_named_ends_a_command_as_an_error_of_ours(
    error: BaseException, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from affect.pipeline.extract import inspect

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(inspect, "inspect_store", fail)
    result = CliRunner().invoke(main, ["inspect-cache", str(tmp_path)])
    assert isinstance(result.exception, SystemExit) and result.exit_code in (1, 2)
    assert words in result.stderr and "Hint:" in result.stderr
