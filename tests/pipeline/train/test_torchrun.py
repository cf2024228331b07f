"""Training over several ranks, as `torchrun` in docs/machines.md starts it: two processes that talk through gloo."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from torch import distributed

from affect.errors import DeviceError
from affect.stages.temporal.ranks import ranks
from affect.tests.simulated_device import simulated

from .conftest import TINY

if TYPE_CHECKING:
    from .conftest import Data

SETTINGS = (*TINY, "training.epochs=2", "training.batch_size=16", "training.seeds=1")
ONE_FOLD = "evaluation.test_subjects=[s0000,s0001]"
PAGE = (Path(__file__).parents[3] / "docs" / "machines.md").read_text("utf-8")


def torchrun(
    *words: object, folder: Path, path: Sequence[Path] = (), last: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """The page's line with two ranks, and these words of ours in the place of its dots."""
    (line,) = re.findall(r"`(torchrun .*?)`", PAGE)
    given = line.replace(" N ", " 2 ").replace(" ...", "")
    assert given != line
    program, *rest = shlex.split(given)
    assert program == "torchrun"
    settings = [word for setting in (*SETTINGS, *last) for word in ("--set", setting)]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *rest, *map(str, words), *settings, "--device", "cpu"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        env={
            **os.environ, "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([*map(str, path), os.environ.get("PYTHONPATH", "")]),
        },
    )  # fmt: skip


@pytest.mark.parametrize("settings", [(), ("loss.contrastive_epochs=2",)], ids=["supervised", "contrastive"])
def test_the_page_s_line_trains_one_model_on_two_ranks(data: "Data", tmp_path: Path, settings: tuple[str, ...]) -> None:
    more = [word for setting in (ONE_FOLD, *settings) for word in ("--set", setting)]
    words = ("--store", data.store, "--labels", data.labels, "--run", "run", *more)
    running = torchrun(*words, folder=tmp_path)
    said, _ = running.communicate(timeout=240)
    assert running.returncode == 0, said
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    phases = [row["phase"] for row in log]
    assert phases == ["contrastive"] * 2 * len(settings) + ["supervised"] * 2
    assert (tmp_path / "run" / "metrics.json").is_file()


FAILS = """
import os, torch

if os.environ.get("RANK") == "1":
    backward, steps = torch.Tensor.backward, []

    def failing(self, *given, **named):
        steps.append(0)
        if len(steps) == 3:
            open(os.environ["FAILED"], "w").close()
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return backward(self, *given, **named)

    torch.Tensor.backward = failing
"""


def test_a_rank_that_fails_ends_all_of_them_within_a_minute(
    data: "Data", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(FAILS)
    monkeypatch.setenv("FAILED", str(tmp_path / "failed"))
    folds = ("--set", "evaluation.protocol=k-fold", "--set", "evaluation.folds=2")
    words = ("--store", data.store, "--labels", data.labels, "--run", "run", *folds)
    running = torchrun(*words, folder=tmp_path, path=[tmp_path / "path"])
    while running.poll() is None and not (tmp_path / "failed").exists():
        time.sleep(0.1)
    try:
        said, _ = running.communicate(timeout=60)
    finally:
        running.terminate()  # it ends its ranks too
        running.wait(60)
    assert running.returncode != 0
    assert "rank 1 of 2 failed alone: RuntimeError: CUDA error: an illegal memory access" in said, said
    assert "Traceback" not in said.partition("torch/distributed/elastic")[0], said


def test_a_fold_that_fails_on_every_rank_is_listed_and_the_next_one_is_tried(data: "Data", tmp_path: Path) -> None:
    folds = ("--set", "evaluation.protocol=k-fold", "--set", "evaluation.folds=2", "--set", "training.clip_norm=0")
    words = ("--store", data.store, "--labels", data.labels, "--run", "run", *folds)
    running = torchrun(*words, "--set", "training.optimizer=sgd", folder=tmp_path, last=("training.learning_rate=1e6",))
    said, _ = running.communicate(timeout=240)
    assert running.returncode != 0 and "failed alone" not in said, said
    rows = (tmp_path / "run" / "failures.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["fold", "00", "01"] and "the loss is nan" in rows[1]


@pytest.mark.parametrize(
    ("device", "machine", "place"),
    [
        ("cuda", {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, "cuda:1"),
        ("cuda:1", {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}, "cuda:1"),
        ("cpu", {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, "cpu"),
        ("cuda:0", {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, "--device cuda:0 is one device"),
        ("mps", {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}, "--device mps is one device"),
        ("cuda", {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "3"}, "has 2 CUDA devices"),
    ],
)
def test_each_rank_takes_a_gpu_of_its_own_or_is_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, machine: dict[str, str], place: str
) -> None:
    groups: list[str] = []
    monkeypatch.setattr(distributed, "init_process_group", groups.append)
    for name in ("barrier", "destroy_process_group"):
        monkeypatch.setattr(distributed, name, lambda: None)
    for name, value in {"WORLD_SIZE": "3", **machine}.items():
        monkeypatch.setenv(name, value)
    with simulated("cuda", devices=2):
        if place in ("cpu", "cuda:1"):
            with ranks(device) as found:
                assert found == place
            assert groups == ["nccl" if place == "cuda:1" else "gloo"]
        else:
            with pytest.raises(DeviceError, match=place), ranks(device):
                pass
            assert groups == [], "nobody waits for this rank"
