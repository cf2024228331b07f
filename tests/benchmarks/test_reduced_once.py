"""A benchmark's quicker model is the product's own: the same losses and scores, with each frame reduced once."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from affect.benchmarks.reduced_once import ReducedOnce, reduced_once
from affect.configs.schema import ClipsConfig
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.fit import Fit, LabelledClips, build_model
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.stages.temporal.score import score_clips
from affect.tests.stages.temporal.test_golden_fit import BASE, SIZE, TARGETS, labelled

OVERLAPPING = ClipsConfig(length=8, hop=2, context=2)  # each frame lies in four clips


def fitted(data: LabelledClips, once: bool) -> tuple[list[float], Any]:
    """The losses of a fit, and its scores of all clips."""
    training = replace(BASE[3], batch_size=16, epochs=3)
    model: TemporalModel = build_model(ModelSpec(SIZE, TARGETS, 8, 2, BASE[1]), 3, "cpu")
    if once:
        model, clips = reduced_once(model, data.clips, data.train)
        data, training = replace(data, clips=clips), replace(training, standardise=False)
    fit = Fit(model, data, training, BASE[2], seed=5)
    losses = [record.loss for record in fit.epochs()]
    return losses, score_clips([Ensemble([model]).eval()], data.clips).mean


def test_it_learns_and_scores_what_the_usual_model_does() -> None:
    data = labelled(OVERLAPPING)
    assert not data.clips.table.valid.all(), "some frames show nobody"
    (losses, scores), (usual_losses, usual_scores) = fitted(data, True), fitted(data, False)
    assert losses == pytest.approx(usual_losses, rel=1e-5)
    np.testing.assert_allclose(scores, usual_scores, atol=1e-4)


def test_no_frame_of_a_batch_is_reduced_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    data, seen = labelled(OVERLAPPING), list[int]()
    usual = TemporalModel.reduce

    def counted(model: TemporalModel, frames: Tensor, frame_mask: Tensor) -> Tensor:
        seen.append(frame_mask.numel())
        return usual(model, frames, frame_mask)

    monkeypatch.setattr(TemporalModel, "reduce", counted)
    made = build_model(ModelSpec(SIZE, TARGETS, 8, 2, BASE[1]), 3, "cpu")
    model, clips = reduced_once(made, data.clips, data.train)
    batch = clips.batch(torch.arange(16))
    assert isinstance(model, ReducedOnce)
    model.eval()(batch)
    distinct = len(torch.unique(batch.frames[batch.frame_mask]))
    assert sum(seen) < batch.frame_mask.sum() / 2
    assert distinct <= sum(seen) <= 2 * (distinct + 1), "the clips asked for, and those around them"
