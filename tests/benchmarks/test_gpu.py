"""The measurement of a GPU's machine, tried out on the CPU: its parts run, and what fails is listed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from affect.benchmarks import gpu

PROGRAM = Path(gpu.__file__)


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, str(PROGRAM), *words], check=False, capture_output=True, text=True)


def test_parts_run_without_a_gpu_and_leave_no_result_behind() -> None:
    before = sorted(PROGRAM.parent.glob("results/*gpu*"))
    done = run("--device", "cpu", "--quick", "--only", "training,hardware_decoding")
    assert done.returncode == 0, done.stderr
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    training, decoding = json.loads(found["training"]), json.loads(found["hardware_decoding"])
    assert training["fp32 on cpu"]["seconds_a_step"] > 0 and 0 < training["fp32 on cpu"]["loss"] < 4
    assert decoding["software"] > 10
    if not torch.cuda.is_available():
        assert "Error" in decoding["cuda"] and decoding["the same luma"] is None
    assert sorted(PROGRAM.parent.glob("results/*gpu*")) == before


def test_a_part_that_fails_or_lasts_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = gpu.measured_by("numerics", gpu.Asked("cuda:99", quick=True))
    assert "failed" in found and "Hint: --device cpu" not in found
    monkeypatch.setitem(gpu.PARTS, "numerics", (gpu.numerics, 0))
    assert gpu.measured_by("numerics", gpu.Asked("cpu", quick=True)) == {"failed": "longer than 0 s"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_gpu_nothing_is_measured_and_that_is_said() -> None:
    done = run()
    assert done.returncode == 1 and "no CUDA device is here; nothing was measured" in done.stderr


def test_the_limits_leave_time_for_the_tests_within_twenty_minutes() -> None:
    assert sum(limit for _, limit in gpu.PARTS.values()) <= 1140
