"""Networks of several seeds and ridge regression beside them: whose scores a method gives."""

from typing import Any

import numpy as np
import pytest
import torch

from affect.cache.records import Target
from affect.configs.schema import ClipsConfig, ModelConfig
from affect.stages.temporal.clips import ClipTable, FeatureTable, dense_clips
from affect.stages.temporal.ensemble import Ensemble, LinearScores
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.stages.temporal.ridge import Ridge, fit_ridge
from affect.stages.temporal.scaling import LabelScaling
from affect.stages.temporal.score import clip_means, score_clips

SCALING = LabelScaling.from_ranges([Target("valence", -1, 1), Target("n1", 1, 7, "points")])
SPEC = ModelSpec(32, ("valence", "n1"), 8, 2, ModelConfig(heads=4, feed_forward=32))


def regression() -> Ridge:
    draw = np.random.default_rng(0)
    features = draw.normal(3, 2, (50, 32)).astype(np.float32)
    labels = np.stack([features[:, 0] / 10, 4 + features[:, 1] / 3], 1) + draw.normal(0, 0.1, (50, 2))
    return fit_ridge(features, labels, [f"p{row % 5}" for row in range(50)])


def ensemble(seeds: int, ridge: bool = True) -> Ensemble:
    made = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        made.append(TemporalModel(SPEC))
    return Ensemble(made, LinearScores.of(regression(), SCALING) if ridge else None).eval()


@pytest.fixture
def clips(make_video: Any) -> ClipTable:
    return dense_clips(FeatureTable.from_videos({"a": make_video(90), "b": make_video(40, seed=1)}), ClipsConfig(8), 4)


def test_a_regression_gives_the_same_scores_in_the_units_of_training() -> None:
    ridge = regression()
    features = np.random.default_rng(1).normal(3, 2, (20, 32)).astype(np.float32)
    scores = LinearScores.of(ridge, SCALING)(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(SCALING.to_units(scores), ridge.predict(features), atol=1e-5)
    assert abs(scores[:, 1]).max() < 2 < ridge.predict(features)[:, 1].min(), "a scale of 1 to 7 is 0 to 1 in training"


def test_the_scores_of_a_model_are_the_mean_of_its_networks(clips: ClipTable) -> None:
    several = ensemble(3)
    alone = [score_clips([Ensemble([network]).eval()], clips).mean for network in several.networks]
    assert min(np.abs(alone[a] - alone[b]).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 0.01, "three networks"
    np.testing.assert_allclose(score_clips([several], clips).mean, np.mean(alone, 0), atol=1e-6)


def test_the_scores_of_ridge_are_of_each_clips_mean_feature_and_ask_no_network(
    clips: ClipTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = ensemble(3)
    means = clip_means(clips, np.arange(len(clips))).numpy()
    for network in several.networks:
        monkeypatch.setattr(network, "encode", None)
    found = score_clips([several], clips, method="ridge")
    np.testing.assert_allclose(SCALING.to_units(found.mean), regression().predict(means), atol=1e-5)
    assert (found.attention == 1).all() and found.attention.shape == (len(clips), 1), "no neighbour has a say"


def test_a_blend_is_half_ridge_and_half_the_mean_of_the_networks(clips: ClipTable) -> None:
    several = ensemble(3)
    model, ridge, blend = (score_clips([several], clips, method=method) for method in ("model", "ridge", "blend"))
    assert np.abs(model.mean - ridge.mean).max() > 0.1
    np.testing.assert_allclose(blend.mean, (model.mean + ridge.mean) / 2, atol=1e-6)
    np.testing.assert_allclose(blend.attention, model.attention)


def test_folds_are_blended_each_for_itself_and_their_spread_is_that_of_their_blends(clips: ClipTable) -> None:
    folds = [ensemble(2), ensemble(1), ensemble(3)]
    alone = np.stack([score_clips([fold], clips, method="blend").mean for fold in folds])
    together = score_clips(folds, clips, method="blend")
    np.testing.assert_allclose(together.mean, alone.mean(0), atol=1e-6)
    np.testing.assert_allclose(together.std, alone.std(0, ddof=1), atol=1e-6)


def test_without_ridge_regression_only_the_networks_can_be_asked(clips: ClipTable) -> None:
    several = ensemble(2, ridge=False)
    assert np.isfinite(score_clips([several], clips, method="model").mean).all()
    with pytest.raises(AssertionError, match="only a fold with ridge regression"):
        score_clips([several], clips, method="blend")
