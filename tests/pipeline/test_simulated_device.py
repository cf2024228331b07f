"""Whole commands on a device that is not there: every tensor is where it has to be, and the numbers are the CPU's."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import transforms

from affect.cache import open_store
from affect.configs.load import load_config
from affect.configs.schema import FeaturesConfig
from affect.pipeline.demo.film import DemoDataConfig, make_demo_data
from affect.pipeline.events import summary_of
from affect.pipeline.extract.extract import ExtractionSummary, extract
from affect.pipeline.extract.videos import find_videos
from affect.pipeline.predict.predict import predict_frame
from affect.pipeline.train.train import TrainingSummary, train
from affect.tests.generated import GeneratedData, generated_features
from affect.tests.simulated_device import Simulated, simulated

KINDS: dict[str, dict[str, Any]] = {"cuda": {}, "mps": {"has_float64": False}}
TINY = (
    "model.width=16", "model.heads=2", "model.layers=1", "model.feed_forward=32", "clips.context=1",
    "training.epochs=2", "training.batch_size=16", "evaluation.test_subjects=[s0000,s0001]",
)  # fmt: skip
MORE = {
    "as it comes": (),
    "bf16": ("training.precision=bf16", "training.accumulate=2", "training.seeds=1"),
    "contrastive": ("loss.contrastive_epochs=1", "training.seeds=1", "clips.context=0"),
    "other losses": ("training.optimizer=sgd", "loss.label_similarity=distance", "training.standardise=false"),
    "centred": ("clips.centre=person", "training.keep=best", "training.refit=false"),
}


def test_the_simulated_device_refuses_what_a_real_one_refuses() -> None:
    with simulated() as machine:
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        assert isinstance(there, Simulated) and there.device == torch.device("cuda:0")
        with pytest.raises(RuntimeError, match="two devices"):
            there + here
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        assert (there + torch.tensor(2.0)).cpu().tolist() == [3.0] * 3, "a number of the host may join"
        assert machine.computed == 1
    assert not torch.cuda.is_available() and type(torch.ones(1)) is torch.Tensor, "nothing of it is left"
    with simulated("mps", has_float64=False), pytest.raises(TypeError, match="float64"):
        torch.ones(3, device="mps").double()


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A store and its label table, of six people."""
    folder = tmp_path_factory.mktemp("generated")
    data = GeneratedData(subjects=6, video_frames=(96, 96), noise=0.3, missing=0.1)
    generated_features(folder / "store", folder / "labels.csv", data)
    return str(folder / "store"), folder / "labels.csv"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", MORE)
def test_training_and_scoring_keep_their_tensors_together(
    generated: tuple[str, Path], tmp_path: Path, kind: str, more: str
) -> None:
    store, labels = generated
    config = load_config(None, [*TINY, *MORE[more]])
    with simulated(kind, **KINDS[kind]) as machine:
        summary = summary_of(train(store, labels, tmp_path / "run", config, device=kind), TrainingSummary)
        assert [outcome.reason for outcome in summary.outcomes] == [""]
        assert machine.computed > 100, "it was computed there"
        scores = predict_frame("s0000/v000", tmp_path / "run", store=store, device=kind)
    alone = predict_frame("s0000/v000", tmp_path / "run", store=store, device="cpu")
    assert np.allclose(scores["valence"], alone["valence"], atol=1e-4) and len(scores) > 3
