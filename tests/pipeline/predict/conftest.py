"""Runs with small random models, stores with made features, and a short recording of a real face."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from affect.cache import records
from affect.cache.opening import create_store
from affect.cache.predictions import PersonPrediction, Target, VideoPrediction
from affect.cache.records import FrameFeatures, FrameStatus, Recipe, VideoInfo
from affect.cache.store import Store
from affect.configs.schema import ClipsConfig, Config, ModelConfig
from affect.pipeline.runs.folder import RunFolder
from affect.pipeline.runs.model_file import ModelCard, write_model
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.stages.temporal.scaling import LabelScaling

TARGETS = ("valence", "PANSS N1")
SCALES = (records.Target("valence", -1.0, 1.0), records.Target("PANSS N1", 1.0, 7.0, "points"))
SMALL = replace(
    Config(),
    clips=ClipsConfig(length=4, context=1),
    model=ModelConfig(width=16, heads=2, layers=1, feed_forward=16),
)


def make_run(path: Path, recipe: Recipe, size: int, *, folds: int = 2) -> Path:
    """A run of untrained models that know the distribution of standard normal features."""
    folder = RunFolder.create(path, SMALL, {}, resume=False)
    for fold in range(folds):
        torch.manual_seed(fold)
        spec = ModelSpec(size, TARGETS, SMALL.clips.length, SMALL.clips.context, SMALL.model)
        model = TemporalModel(spec).eval()
        model.reference.fit(torch.randn(400, size) * 0.3)
        card = ModelCard(
            spec, recipe, SMALL.clips, LabelScaling.from_ranges(SCALES), SCALES,
            {"valence": 0.1, "PANSS N1": 3.0 + fold},
        )  # fmt: skip
        digest = write_model(folder.folds / str(fold) / "model.safetensors", model, card)
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


def write_face_video(path: Path, *, seconds: float = 2.0, fps: int = 25) -> Path:
    """A face that wanders, and a tone."""
    from skimage.data import astronaut

    picture = astronaut()[0:260, 60:380]
    with av.open(str(path), "w") as out:
        track: Any = out.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        track.width, track.height, track.pix_fmt = 240, 180, "yuv420p"
        sound: Any = out.add_stream("aac", rate=16000)
        sound.layout = "mono"
        for number in range(round(seconds * fps)):
            shift = round(20 * np.sin(number / 9))
            frame = np.ascontiguousarray(picture[40:220, 40 + shift : 280 + shift])
            out.mux(track.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        tone = (np.sin(np.arange(round(seconds * 16000)) * 0.2) * 9000).astype(np.int16)
        for start in range(0, len(tone), 1024):
            piece = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], "s16", "mono")
            piece.sample_rate, piece.pts = 16000, start
            out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
        out.mux(track.encode(None))
    return path


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


def made_person(track: int = 1, *, duration_s: float = 60.0, hop_s: float = 5.0, models: int = 3) -> PersonPrediction:
    """A person with a gap from 30 to 40 s and a stretch out of range from 45 to 50 s; clips of five seconds."""
    start = np.arange(0, duration_s - 5 + 1e-9, hop_s)
    middle = start + 2.5
    mean = np.stack([np.sin(middle / 7 + track) * 0.8, 4 + 2 * np.cos(middle / 9)], 1).astype(np.float32)
    silent = (middle > 30) & (middle < 40)
    mean[silent] = np.nan
    std = np.where(np.isnan(mean) | (models < 2), np.nan, 0.1).astype(np.float32)
    attention = np.tile(np.array([[0.25, 0.6, 0.15]], np.float32), (len(start), 1))
    attention[0, 0] = np.nan
    time_s = np.arange(0, duration_s, 0.32)
    return PersonPrediction(
        track=track, start_s=start, end_s=start + 5, mean=mean, std=std,
        coverage=np.where(silent, 0, 0.9).astype(np.float32),
        out_of_range=(middle > 45) & (middle < 50), reason=silent.astype(np.uint8), attention=attention,
        distance=np.where(silent, np.nan, 0.5).astype(np.float32), face_time_s=time_s,
        face_box_px=np.tile(np.array([[60, 40, 120, 120]], np.float32) + 40 * track, (len(time_s), 1)),
    )  # fmt: skip


def made_prediction(
    *persons: PersonPrediction, source: Path | None = None, duration_s: float = 60.0
) -> VideoPrediction:
    targets = (Target("valence", -1, 1, "", 0.05), Target("PANSS N1", 1, 7, "points", 3.0))
    return VideoPrediction("clinic/interview.mp4", source, duration_s, 240, 180, targets, persons, models=3)


@pytest.fixture(scope="session")
def open_page(browser: Any) -> Callable[..., Any]:
    """A function that opens a file in headless Chromium and gives the page; requests are noted in `page.asked`."""

    def open_file(path: Path, **settings: Any) -> Any:
        page = browser.new_page(**{"viewport": {"width": 1100, "height": 850}} | settings)
        page.set_default_timeout(10_000)
        page.asked, page.troubles = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.goto(path.as_uri())
        return page

    return open_file
