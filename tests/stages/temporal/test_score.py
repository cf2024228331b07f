"""Scores of whole videos: each clip encoded once, ensembles, reasons, and what lies outside the training features."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from affect.cache.predictions import ClipScores, ScoreReason
from affect.configs.schema import ClipsConfig, ModelConfig
from affect.stages.temporal.clips import FeatureTable, dense_clips
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.stages.temporal.reference_distribution import ReferenceDistribution
from affect.stages.temporal.score import fit_reference, pool_scores, pooled, score_blocks, score_clips

CLIPS = ClipsConfig(length=8, context=2)


def models(count: int, context: int = 2) -> list[Ensemble]:
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        config = ModelConfig(heads=4, feed_forward=32)
        made.append(Ensemble([TemporalModel(ModelSpec(32, ("a", "b"), 8, context, config))]).eval())
    return made


def test_dense_scores_equal_those_of_each_batch_and_encode_each_clip_once(
    make_video: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = FeatureTable.from_videos({"a": make_video(1400), "b": make_video(30, seed=1), "c": make_video(3)})
    clips = dense_clips(table, CLIPS, 1)
    (one,) = models(1)
    (model,) = one.networks
    encoded = []
    encode = model.encode

    def counted(frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        encoded.append(len(frames))
        return encode(frames, mask)

    with torch.no_grad():
        parts = np.array_split(np.arange(len(clips)), 15)
        expected = torch.cat([model(clips.batch(torch.from_numpy(part))).prediction for part in parts])
    monkeypatch.setattr(model, "encode", counted)
    blocks = list(score_blocks([one], clips, batch_size=48))
    assert len(blocks) > 2 and max(encoded) <= 48
    assert sum(encoded) == len(np.unique(clips.keys(np.arange(len(clips)))[0])) == len(clips)
    found = ClipScores.concatenate(blocks)
    scored = found.reason == ScoreReason.SCORED
    np.testing.assert_allclose(found.mean[scored], expected.numpy()[scored], atol=1e-5)
    assert np.isnan(found.std).all() and found.numbers.tolist() == list(range(len(clips)))


def test_an_ensemble_gives_mean_spread_and_attention_over_its_models(make_video: Any) -> None:
    clips = dense_clips(FeatureTable.from_videos({"a": make_video(60)}), CLIPS, 8)
    several = models(3)
    alone = [score_clips([model], clips) for model in several]
    together = score_clips(several, clips)
    stacked = np.stack([scores.mean for scores in alone])
    np.testing.assert_allclose(together.mean, stacked.mean(0), atol=1e-6)
    np.testing.assert_allclose(together.std, stacked.std(0, ddof=1), atol=1e-6)
    np.testing.assert_allclose(together.attention, np.mean([scores.attention for scores in alone], 0), atol=1e-6)
    assert np.isnan(together.attention[0, :2]).all()
    np.testing.assert_allclose(np.nansum(together.attention, 1), 1, atol=1e-5)


def test_groups_pool_to_the_mean_and_spread_of_all_their_members() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 7, 2))
    groups = [scores[:3], scores[3:4], scores[4:]]
    with np.errstate(invalid="ignore"):
        stds = [group.std(0, ddof=1) if len(group) > 1 else np.full((7, 2), np.nan) for group in groups]
    mean, std = pooled([group.mean(0) for group in groups], stds, [3, 1, 1])
    np.testing.assert_allclose(mean, scores.mean(0))
    np.testing.assert_allclose(std, scores.std(0, ddof=1))


def test_groups_of_models_score_together_as_all_of_them_do(make_video: Any) -> None:
    table = FeatureTable.from_videos({"a": make_video(60), "b": make_video(24, seen=0.0)})
    clips = dense_clips(table, CLIPS, 8)
    several = models(3)
    together = score_clips(several, clips)
    parts = [score_clips(several[:2], clips), score_clips(several[2:], clips)]
    found = pool_scores(parts, [2, 1])
    for name in ("mean", "std", "attention", "coverage", "distance"):
        np.testing.assert_allclose(getattr(found, name), getattr(together, name), atol=1e-6, err_msg=name)
    assert (found.reason == together.reason).all() and (found.out_of_range == together.out_of_range).all()
    assert pool_scores(parts[:1], [2]) is parts[0]


def test_a_clip_is_doubtful_where_it_is_for_any_group_of_models(make_video: Any) -> None:
    clips = dense_clips(FeatureTable.from_videos({"a": make_video(32)}), CLIPS, 8)
    sure = replace(score_clips(models(1), clips), distance=np.full(4, 0.5, np.float32))
    strange = replace(
        sure,
        distance=np.array([2, 0.1, 0.1, 0.1], np.float32),
        out_of_range=np.array([True, False, False, False]),
        reason=np.array([0, ScoreReason.NO_NUMBER, 0, 0], np.uint8),
    )
    for parts in ([sure, strange], [strange, sure]):
        found = pool_scores(parts, [1, 1])
        assert found.distance.tolist() == [2, 0.5, 0.5, 0.5]
        assert found.out_of_range.tolist() == [True, False, False, False]
        assert found.reason.tolist() == [0, ScoreReason.NO_NUMBER, 0, 0]


def test_where_there_is_nothing_to_say_stands_nan_and_the_reason(make_video: Any) -> None:
    table = FeatureTable.from_videos({"a": make_video(40, seen=0.6), "b": make_video(24, seen=0.0)})
    clips = dense_clips(table, CLIPS, 8)
    scores = score_clips(models(2), clips, min_valid=0.6)
    unseen = clips.video == 1
    assert (scores.reason[unseen] == ScoreReason.NO_FACE).all()
    few = ~unseen & (clips.coverage < 0.6)
    assert few.any() and (scores.reason[few] == ScoreReason.TOO_FEW_FRAMES).all()
    silent = scores.reason != ScoreReason.SCORED
    assert np.isnan(scores.mean[silent]).all() and np.isfinite(scores.mean[~silent]).all()
    assert np.isnan(scores.attention[silent]).all() and not scores.out_of_range.any()


def test_a_model_that_gives_no_number_is_said_so_and_hides_nothing_else(make_video: Any) -> None:
    clips = dense_clips(FeatureTable.from_videos({"a": make_video(40)}), CLIPS, 8)
    (model,) = models(1)
    with torch.no_grad():
        model.networks[0].head.slice_bias[0] = float("inf")
    scores = score_clips([model], clips)
    assert (scores.reason == ScoreReason.NO_NUMBER).all() and np.isnan(scores.mean).all()


def test_without_context_only_the_clips_themselves_are_scored(make_video: Any) -> None:
    clips = dense_clips(FeatureTable.from_videos({"a": make_video(60)}), CLIPS, 8)
    scores = score_clips(models(2, context=0), clips)
    assert scores.attention.shape == (len(clips), 1) and (scores.attention == 1).all()


def test_no_clips_give_empty_scores(make_video: Any) -> None:
    clips = dense_clips(FeatureTable.from_videos({"a": make_video(0), "b": make_video(20)}), CLIPS, 8, videos=["a"])
    scores = score_clips(models(2), clips)
    assert scores.mean.shape == (0, 2) and scores.attention.shape == (0, 5)


def test_features_unlike_the_training_ones_are_flagged(make_video: Any) -> None:
    videos = {f"v{seed}": make_video(400, seed=seed) for seed in range(5)}
    strange = make_video(80, seed=9)
    strange.values[:] += 3
    table = FeatureTable.from_videos({**videos, "strange": strange})
    clips = dense_clips(table, CLIPS, 4)
    numbers = np.arange(len(clips))
    (model,) = models(1)
    fit_reference(model.networks[0], clips, numbers[clips.video < 4], clips.video[clips.video < 4])
    other = Ensemble([TemporalModel(model.spec)]).eval()
    other.load_state_dict(model.state_dict())
    scores = score_clips([other], clips)
    assert scores.out_of_range[clips.video == 5].all()
    assert scores.out_of_range[clips.video == 4].mean() < 0.1
    assert np.isnan(score_clips(models(1), clips).distance).all()


@pytest.mark.parametrize("size", [3, 40, 700])
def test_the_threshold_lets_nearly_all_unseen_clips_of_the_same_kind_pass(size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(6, size, generator=generator)
    rows = [
        torch.randn(n, 6, generator=generator) @ mixing + 0.1 * torch.randn(n, size, generator=generator)
        for n in (300, 300, 300)
    ]
    reference = ReferenceDistribution(size)
    assert not reference.fitted and not (reference(rows[0]) > 1).any()
    reference.fit(torch.cat(rows[:2]), np.arange(600) // 150)
    assert reference.fitted
    assert float((reference(rows[2]) > 1).float().mean()) < 0.06
    assert (reference(rows[2] + 30) > 1).all()
    if size == 700:
        away = torch.randn(size, generator=generator)
        away -= away @ reference.axes.T @ reference.axes
        assert (reference(rows[2] + 10 * away / away.norm()) > 1).all()
