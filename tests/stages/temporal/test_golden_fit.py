"""A refactoring shows the same losses: small seeded fits, epoch by epoch, held against numbers in a file.

`python -m affect.tests.stages.temporal.test_golden_fit` writes the numbers anew, where a change is meant to move them.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from affect.cache.records import FrameFeatures
from affect.configs.schema import ClipsConfig, LossConfig, ModelConfig, TrainingConfig
from affect.stages.temporal.clips import FeatureTable, index_clips
from affect.stages.temporal.fit import EpochRecord, Fit, LabelledClips, build_model
from affect.stages.temporal.model import ModelSpec

GOLDEN = Path(__file__).with_name("golden_fit.json")
VIDEOS, SPANS, SIZE, TARGETS = 6, 8, 24, ("valence", "arousal")
SHOWN = ("loss", "regression", "relational", "validation_ccc", "learning_rate")
BASE = (
    ClipsConfig(length=8, context=2),
    ModelConfig(width=16, heads=2, layers=1, feed_forward=32),
    LossConfig(relational_weight=0.7),
    TrainingConfig(epochs=4, batch_size=8, learning_rate=3e-3, warmup=0.3),
)
CASES = {
    "with context": BASE,
    "without context": (ClipsConfig(length=8, context=0), *BASE[1:]),
    "rmse, steps and the last epoch": (
        *BASE[:2],
        LossConfig(regression="rmse", relational_weight=0.7, label_similarity="distance"),
        replace(BASE[3], schedule="step", step_epochs=2, keep="last", standardise=False),
    ),
    "contrastive first": (*BASE[:2], replace(BASE[2], contrastive_epochs=2), BASE[3]),
}


def labelled(config: ClipsConfig) -> LabelledClips:
    """Spans of six made videos whose labels follow their features; the last two videos choose the epoch."""
    draw = np.random.default_rng(7)
    mixing = draw.standard_normal((len(TARGETS), SIZE))
    frames = SPANS * 16
    videos, labels = {}, []
    for number in range(VIDEOS):
        affect = np.tanh(draw.standard_normal((SPANS, len(TARGETS))))
        labels.append(affect)
        values = np.repeat(affect, 16, axis=0) @ mixing + draw.standard_normal((frames, SIZE))
        seen = np.flatnonzero(draw.random(frames) < 0.9)
        videos[f"v{number}"] = FrameFeatures(
            time_s=np.arange(frames) * 0.32,
            index=np.arange(frames) * 8,
            status=np.where(np.isin(np.arange(frames), seen), 0, 1).astype(np.uint8),
            values=values[seen].astype(np.float16),
            frame=seen,
            track=np.zeros(len(seen), np.int32),
            box_px=np.zeros((len(seen), 4), np.float32),
            score=np.ones(len(seen), np.float32),
            landmarks_px=np.zeros((len(seen), 5, 2), np.float32),
        )
    names = np.repeat(list(videos), SPANS).tolist()
    start_s = np.tile(np.arange(SPANS) * 5.12, VIDEOS)
    clips = index_clips(FeatureTable.from_videos(videos), names, start_s, start_s + 5.12, config)
    values = np.concatenate(labels).astype(np.float32)
    values[3, 0] = np.nan
    chosen = clips.span // SPANS >= VIDEOS - 2
    return LabelledClips(clips, values[clips.span], np.flatnonzero(~chosen), np.flatnonzero(chosen))


def new_fit(name: str) -> Fit:
    clips, model, loss, training = CASES[name]
    spec = ModelSpec(SIZE, TARGETS, clips.length, clips.context, model)
    return Fit(build_model(spec, 3, "cpu"), labelled(clips), training, loss, 3)


def losses(records: list[EpochRecord]) -> list[list[float | None]]:
    return [[None if np.isnan(getattr(one, name)) else getattr(one, name) for name in SHOWN] for one in records]


def same(found: list[list[float | None]], expected: list[list[float | None]]) -> None:
    np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=0, atol=1e-6)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", CASES)
def test_a_seeded_fit_gives_the_losses_it_always_gave(name: str) -> None:
    expected = json.loads(GOLDEN.read_text("utf-8"))[name]
    assert len({round(row[0], 6) for row in expected}) == len(expected), "every epoch has a loss of its own"
    same(losses(list(new_fit(name).epochs())), expected)


@pytest.mark.parametrize("name", CASES)
def test_a_fit_resumed_from_its_state_gives_the_same_losses(name: str) -> None:
    expected = json.loads(GOLDEN.read_text("utf-8"))[name]
    begun = new_fit(name)
    first = [record for _, record in zip(range(2), begun.epochs(), strict=False)]
    resumed = new_fit(name)
    resumed.load_state(begun.state())
    same(losses([*first, *resumed.epochs()]), expected)


if __name__ == "__main__":
    torch.set_num_threads(1)
    GOLDEN.write_text(json.dumps({name: losses(list(new_fit(name).epochs())) for name in CASES}, indent=1) + "\n")
