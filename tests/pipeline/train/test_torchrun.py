"""Training over several ranks, as the README's `torchrun` line starts it: two processes that talk through gloo."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import TINY

if TYPE_CHECKING:
    from .conftest import Data

SETTINGS = (*TINY, "training.epochs=2", "training.batch_size=16", "training.seeds=1")
ONE_FOLD = "evaluation.test_subjects=[s0000,s0001]"
README = (Path(__file__).parents[3] / "README.md").read_text("utf-8")


def torchrun(*words: object, folder: Path, path: Sequence[Path] = ()) -> subprocess.Popen[str]:
    """The README's line with two ranks, and these words of ours in the place of its dots."""
    (line,) = re.findall(r"`(torchrun .*?)`", README)
    given = line.replace(" N ", " 2 ").replace(" ...", "")
    assert given != line
    program, *rest = shlex.split(given)
    assert program == "torchrun"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *rest, *map(str, words), *settings, "--device", "cpu"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        env={
            **os.environ, "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([*map(str, path), os.environ.get("PYTHONPATH", "")]),
        },
    )  # fmt: skip


@pytest.mark.parametrize("settings", [(), ("loss.contrastive_epochs=2",)], ids=["supervised", "contrastive"])
def test_the_readme_s_line_trains_one_model_on_two_ranks(
    data: "Data", tmp_path: Path, settings: tuple[str, ...]
) -> None:
    more = [word for setting in (ONE_FOLD, *settings) for word in ("--set", setting)]
    words = ("--store", data.store, "--labels", data.labels, "--run", "run", *more)
    running = torchrun(*words, folder=tmp_path)
    said, _ = running.communicate(timeout=240)
    assert running.returncode == 0, said
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    phases = [row["phase"] for row in log]
    assert phases == ["contrastive"] * 2 * len(settings) + ["supervised"] * 2
    assert (tmp_path / "run" / "metrics.json").is_file()
