"""Small tables of features, and the authors' numbers with the weights they belong to."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect.cache.records import FrameFeatures
from affect.stages.temporal.clips import FeatureTable

MakeVideo = Callable[..., FrameFeatures]


@pytest.fixture(scope="session")
def parity(root: Path) -> dict[str, Any]:
    """What benchmarks/parity.py defines."""
    return runpy.run_path(str(root / "benchmarks" / "parity.py"))


@pytest.fixture(scope="session")
def make_video() -> MakeVideo:
    return _video


@pytest.fixture
def table() -> FeatureTable:
    """Videos of 50, 10, 100 and 0 frames, a few without the person, 32 features."""
    return FeatureTable.from_videos({f"v{frames}": _video(frames, seed=frames) for frames in (50, 10, 100, 0)})


def _video(frames: int, seed: int = 0, seen: float = 0.9, size: int = 32, interval_s: float = 0.32) -> FrameFeatures:
    generator = np.random.default_rng(seed)
    frame = np.flatnonzero(generator.random(frames) < seen)
    rows = len(frame)
    return FrameFeatures(
        time_s=np.arange(frames) * interval_s,
        index=np.arange(frames) * 8,
        status=np.where(np.isin(np.arange(frames), frame), 0, 1).astype(np.uint8),
        values=generator.standard_normal((rows, size)).astype(np.float16),
        frame=frame,
        track=np.zeros(rows, np.int32),
        box_px=np.tile(np.array([0, 0, 9, 9], np.float32), (rows, 1)),
        score=np.ones(rows, np.float32),
        landmarks_px=np.zeros((rows, 5, 2), np.float32),
    )
