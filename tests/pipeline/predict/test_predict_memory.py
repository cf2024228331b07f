"""A dense prediction of a long recording: bounded memory, early rows, a page of a bearable size."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from affect.cache.opening import create_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo

SIZE, FPS = 1280, 3.125
# VmHWM begins anew with the program; getrusage would count what the test process held before it forked.
PROGRAM = """
import json, os, re, sys
from pathlib import Path
from affect.pipeline.predict.predict import PredictOptions
from affect.tests.predictions import write_predictions
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # a thread a core
video, *words = sys.argv[1:]
summary = write_predictions([video], *words, options=PredictOptions(device="cpu", stride=1))
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps([summary.results[0].clips, peak]))
"""


def _store_noise(folder: Path, recipe: Recipe, frames: int) -> None:
    """One face in every frame, written in blocks."""
    store = create_store(folder, recipe)
    rng = np.random.default_rng(0)
    with store.writer("long.mp4", "long") as writer:
        for start in range(0, frames, 512):
            number = np.arange(start, min(frames, start + 512))
            rows = len(number)
            block = FrameFeatures(
                time_s=number / FPS, index=number * 8, status=np.zeros(rows, np.uint8),
                values=rng.standard_normal((rows, SIZE), np.float32).astype(np.float16), frame=number,
                track=np.zeros(rows, np.int32), box_px=np.tile(np.array([10, 10, 90, 90], np.float32), (rows, 1)),
                score=np.ones(rows, np.float32), landmarks_px=np.zeros((rows, 5, 2), np.float32),
            )  # fmt: skip
            writer.append(block, b"")
        writer.commit(
            VideoInfo(recipe.digest, "long", 1, 1, None, frames * 8, None, 25.0, 320, 240, 0, "made", persons={0: 0})
        )


def _predict_alone(*words: str | Path) -> tuple[int, int]:
    """Clips, and the most bytes that a process of its own held."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], check=True, capture_output=True, text=True)
    clips, peak = json.loads(done.stdout)
    return clips, peak


@pytest.mark.parametrize("hours", [0.1, pytest.param(3.0, marks=pytest.mark.stress)])
def test_a_dense_prediction_stays_under_a_gigabyte_and_a_half(
    hours: float, made_run: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = Recipe({"backbone": "made", "precision": "fp32"})
    frames = round(hours * 3600 * FPS)
    _store_noise(tmp_path / "features", recipe, frames)
    run = made_run(tmp_path / "run", recipe, SIZE)
    clips, peak = _predict_alone("long.mp4", run, tmp_path / "out", tmp_path / "features")
    assert clips == frames - 3
    assert peak < 1.5e9
    assert (tmp_path / "out" / "viewer.html").stat().st_size < 1e5 + 80 * clips
    assert sum(1 for _ in (tmp_path / "out" / "predictions.csv").open()) == clips + 1


def test_a_recording_with_two_threads_stays_under_a_gigabyte_and_a_half(
    face_run: Path, write_video: Callable[..., Path], tmp_path: Path
) -> None:
    video = write_video(tmp_path / "face.mp4", seconds=60)
    clips, peak = _predict_alone(video, face_run, tmp_path / "out")
    assert clips == 60 * 5 - 3
    assert peak < 1.35e9  # an hour at a usual size takes 0.1 GB more than this small minute
