"""The array script of docs/slurm.md, its own lines, as processes beside each other; one of them is killed."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect.cache import open_store
from affect.cache.records import DTYPES
from affect.tests.predictions import write_face_video

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "slurm.md").read_text("utf-8")
SCRIPTS = re.findall(r"```bash\n(#!.*?)```", PAGE, re.S)
EXTRACT, TRAIN = (next(script for script in SCRIPTS if command in script) for command in ("extract-", "train-"))
OPTIONS = {  # of sbatch, that the scripts use
    "job-name", "array", "gpus-per-task", "cpus-per-task", "mem", "time", "requeue", "output",
}  # fmt: skip


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A folder with six recordings, one file that is none, and the command on a path of its own."""
    (tmp_path / "interviews").mkdir()
    film = write_face_video(tmp_path / "film.mp4", seconds=4.0).read_bytes()
    for number in range(6):
        (tmp_path / "interviews" / f"P{number}.mp4").write_bytes(film + bytes(number))  # other content, the same film
    (tmp_path / "interviews" / "torn.mp4").write_bytes(film[:2000])
    command = tmp_path / "bin" / "affect"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m affect "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def started(node: Path, script: str, **slurm: object) -> "subprocess.Popen[str]":
    """A task as SLURM starts it: the script, in the folder it was submitted from, with variables of its own."""
    where = {**os.environ, "PATH": f"{node / 'bin'}{os.pathsep}{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": ""}
    where |= {f"SLURM_{name.upper()}": str(value) for name, value in slurm.items()}
    return subprocess.Popen(
        ["bash", "-c", script], cwd=node, env=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def array(node: Path, *tasks: int) -> "list[subprocess.Popen[str]]":
    return [started(node, EXTRACT, array_job_id=77, array_task_id=task, job_id=78 + task) for task in tasks]


def at_work(node: Path, task: "subprocess.Popen[str]") -> bool:
    """Whether a task is at a video: whether a claim is of a process of its session."""
    for claim in (node / "features" / ".journal").rglob("claim"):
        try:
            if os.getsid(int(json.loads(claim.read_bytes())["pid"])) == task.pid:
                return True
        except (OSError, ValueError):
            continue  # it was given back meanwhile
    return False


def outcome(node: Path, task: int) -> dict[str, dict[str, Any]]:
    text = (node / "outcomes" / f"77_{task}.json").read_text("utf-8")
    return {item["id"]: item for item in json.loads(text)["videos"]} if text else {}


def test_tasks_of_an_array_share_the_work_and_one_that_is_killed_loses_nothing(node: Path) -> None:
    tasks = array(node, 0, 1, 2)
    deadline = time.monotonic() + 300
    while not at_work(node, tasks[1]):
        assert time.monotonic() < deadline and tasks[1].poll() is None
        time.sleep(0.01)
    os.killpg(tasks[1].pid, signal.SIGKILL)
    said = [task.communicate(timeout=500) for task in tasks]
    assert [task.returncode for task in tasks] == [1, -signal.SIGKILL, 1], said  # for the torn file alone
    assert outcome(node, 1) == {}
    names = {f"P{number}.mp4" for number in range(6)}
    done = [{name for name, item in outcome(node, task).items() if item["status"] == "done"} for task in (0, 2)]
    assert not done[0] & done[1], "no video was done twice"
    assert len(done[0] | done[1]) >= len(names) - 2, "the killed one had finished two at most"
    for task in (0, 2):
        found = outcome(node, task)
        assert found.keys() == {*names, "torn.mp4"}
        failed = {name for name, item in found.items() if item["status"] == "failed"}
        assert failed == {"torn.mp4"} and found["torn.mp4"]["reason"]
    store = open_store(node / "features")
    assert set(store.ids()) == names
    assert all(store.verify(name) == [] for name in names)

    (again,) = array(node, 1)  # as --requeue does it
    again.communicate(timeout=300)
    assert {item["status"] for item in outcome(node, 1).values()} == {"skipped", "failed"}

    alone = subprocess.run(
        [node / "bin" / "affect", "extract-features", "interviews", "--store", "alone"], cwd=node, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert alone.returncode == 1, alone.stderr
    for name in names:
        shared, single = store.read(name), open_store(node / "alone").read(name)
        assert all(np.array_equal(getattr(shared, array), getattr(single, array)) for array in DTYPES), name


def test_the_training_script_begins_a_run_and_goes_on_with_it(node: Path) -> None:
    from affect.tests.generated import GeneratedData, generated_features

    data = GeneratedData(subjects=6, video_frames=(64, 64), noise=0.3)
    generated_features(node / "features", node / "labels.csv", data)
    quick = TRAIN.replace("--resume", "--resume --set evaluation.test_subjects=[s0000,s0001] --config small")
    for _ in range(2):
        task = started(node, quick.rstrip() + " --set training.epochs=2\n")
        _, said = task.communicate(timeout=500)
        assert task.returncode == 0, said
    assert (node / "runs" / "first" / "metrics.json").is_file()


def test_the_scripts_name_options_that_sbatch_has() -> None:
    for script in SCRIPTS:
        words = re.findall(r"^#SBATCH --([a-z-]+)", script, re.M)
        assert words and set(words) <= OPTIONS
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert "--array" in EXTRACT and "gpus-per-task=1" in EXTRACT
