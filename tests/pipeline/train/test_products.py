import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from affect.configs.schema import Config
from affect.pipeline.events import EpochDone
from affect.pipeline.train.train import train
from affect.stages.temporal import products

from .conftest import Data


def test_a_fold_trains_with_the_quick_products_and_leaves_the_process_as_it_was(
    data: Data, settings: Callable[..., Config], tmp_path: Path
) -> None:
    """Also where the run is left between two epochs."""
    if not products._stays_float32():
        pytest.skip("oneDNN's products are no float32 on this processor")
    before = products._SWITCH.fp32_precision
    config = settings("evaluation.protocol=k-fold", "evaluation.folds=2", "training.epochs=3")
    with contextlib.closing(train(data.store, data.labels, tmp_path / "run", config, device="cpu")) as events:
        for event in events:
            if isinstance(event, EpochDone):
                assert products._SWITCH.fp32_precision == "bf16"
                break
    assert products._SWITCH.fp32_precision == before
