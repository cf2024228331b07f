"""Runs with small random models, stores with made features, and a short recording of a real face."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect.cache import records
from affect.cache.opening import create_store
from affect.cache.predictions import PersonPrediction, VideoPrediction
from affect.cache.records import FrameFeatures, FrameStatus, Recipe, VideoInfo
from affect.cache.store import Store
from affect.configs.schema import ClipsConfig, Config, ModelConfig
from affect.pipeline.runs.folder import RunFolder
from affect.pipeline.runs.model_file import ModelCard, write_model
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.stages.temporal.scaling import LabelScaling
from affect.tests.predictions import made_person, made_prediction, write_face_video

TARGETS = ("valence", "PANSS N1")
SCALES = (records.Target("valence", -1.0, 1.0), records.Target("PANSS N1", 1.0, 7.0, "points"))
SMALL = replace(
    Config(),
    clips=ClipsConfig(length=4, context=1),
    model=ModelConfig(width=16, heads=2, layers=1, feed_forward=16),
)


def make_run(path: Path, recipe: Recipe, size: int, *, folds: int = 2, people: int = 4) -> Path:
    """A run of untrained models that know the distribution of standard normal features."""
    folder = RunFolder.create(path, SMALL, {}, resume=False)
    for fold in range(folds):
        torch.manual_seed(fold)
        spec = ModelSpec(size, TARGETS, SMALL.clips.length, SMALL.clips.context, SMALL.model)
        model = TemporalModel(spec).eval()
        check = model.reference.fit(torch.randn(400, size) * 0.3, np.arange(400) % people)
        card = ModelCard(
            spec, recipe, SMALL.clips, LabelScaling.from_ranges(SCALES), SCALES,
            {"valence": 0.1, "PANSS N1": 3.0 + fold}, range_check=check,
        )  # fmt: skip
        digest = write_model(folder.folds / str(fold) / "model.safetensors", Ensemble([model]), card)
        folder.write_json(f"folds/{fold}/fold.json", {"model_sha256": digest})
    return path


def made_features(seen: np.ndarray[Any, Any], size: int, *, seed: int = 0, fps: float = 3.125) -> FrameFeatures:
    """Features of P people through N frames; seen: (P, N) bool."""
    rng = np.random.default_rng(seed)
    frames = seen.shape[1]
    frame, track = np.nonzero(seen.T)
    rows = len(frame)
    box = np.array([[40, 30, 90, 100]]) + np.array([[100, 0, 100, 0]]) * track[:, None]
    status = np.where(seen.any(0), FrameStatus.OK, FrameStatus.NO_FACE).astype(np.uint8)
    return FrameFeatures(
        time_s=np.arange(frames) / fps, index=np.arange(frames), status=status,
        values=rng.standard_normal((rows, size)).astype(np.float16),
        frame=frame, track=track.astype(np.int32), box_px=box.astype(np.float32),
        score=np.ones(rows, np.float32), landmarks_px=np.zeros((rows, 5, 2), np.float32),
    )  # fmt: skip


def store_features(store: Store, entry: str, features: FrameFeatures) -> None:
    people = np.unique(features.track).tolist()
    info = VideoInfo(
        recipe_digest=store.recipe.digest, fingerprint=entry, file_bytes=1, file_mtime_ns=1, header_frames=None,
        decoded_frames=len(features.time_s), duration_s=None, average_fps=3.125, width_px=320, height_px=240,
        rotation_deg=0, codec="made", persons={track: track for track in people},
    )  # fmt: skip
    with store.writer(entry, entry) as writer:
        writer.append(features, b"")
        writer.commit(info)


@pytest.fixture(scope="session")
def store_person() -> Callable[[Store, str, int], None]:
    """A function that stores a video of one person, seen in each of some frames."""
    return lambda store, entry, frames: store_features(store, entry, made_features(np.ones((1, frames), bool), 12))


RECIPE = Recipe({"backbone": "made", "precision": "fp32"})


@pytest.fixture(scope="session")
def made_run() -> Callable[..., Path]:
    return make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two models for the features in `store`."""
    return make_run(tmp_path_factory.mktemp("runs") / "made", RECIPE, 12)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stored videos: `alone.mp4` (one person, a gap), `clinic/two.mp4` (two people), `empty.mp4` (nobody)."""
    folder = tmp_path_factory.mktemp("stored") / "features"
    store = create_store(folder, RECIPE)
    alone = np.ones((1, 42), bool)
    alone[:, 16:24] = False
    store_features(store, "alone.mp4", made_features(alone, 12))
    two = np.ones((2, 30), bool)
    two[1, :10] = False
    store_features(store, "clinic/two.mp4", made_features(two, 12, seed=1))
    store_features(store, "empty.mp4", made_features(np.zeros((1, 9), bool), 12))
    return folder


@pytest.fixture(scope="session")
def face_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a moving photograph of a face, with sound."""
    return write_face_video(tmp_path_factory.mktemp("videos") / "interview 7.mp4")


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    return write_face_video


@pytest.fixture(scope="session")
def face_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run for features made by the default recipe."""
    from affect.stages.features.stream import FeatureExtractor

    extractor = FeatureExtractor(SMALL.features, "cpu", 1)
    return make_run(tmp_path_factory.mktemp("runs") / "face", extractor.recipe, extractor.feature_size)


@pytest.fixture(scope="session")
def person() -> Callable[..., PersonPrediction]:
    return made_person


@pytest.fixture(scope="session")
def prediction() -> Callable[..., VideoPrediction]:
    return made_prediction
