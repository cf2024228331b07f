"""One `affect train-temporal` as a benchmark needs it: what it scored on validation and held out, and its time."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from affect.configs.load import load_config
from affect.pipeline.events import summary_of
from affect.pipeline.train.train import TrainingSummary, train


@dataclass(frozen=True, slots=True)
class Trained:
    """Means over the targets; held-out numbers are of spans."""

    validation_ccc: float
    ccc: float
    pcc: float
    blend_ccc: float
    ridge_ccc: float
    ridge_pcc: float
    epochs: int
    seconds: float


def train_once(store: Path, labels: Path, preset: str | None, words: Sequence[str], seed: int) -> Trained:
    """A run of `preset` with some settings replaced, on one thread; its folder is thrown away."""
    torch.set_num_threads(1)
    config = load_config(preset, (*words, f"training.seed={seed}"))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        events = train(str(store), labels, Path(folder) / "run", config, device="cpu")
        summary = summary_of(events, TrainingSummary)
    if summary.failed:
        raise RuntimeError(f"{' '.join(words)}: {summary.failed[0].reason}")
    assert summary.metrics is not None, "every fold was done"
    averages = summary.metrics.spans.averages
    return Trained(
        validation_ccc=summary.metrics.validation_ccc,
        ccc=averages["model"]["ccc"].value,
        pcc=averages["model"]["pcc"].value,
        blend_ccc=averages["blend"]["ccc"].value,
        ridge_ccc=averages["ridge"]["ccc"].value,
        ridge_pcc=averages["ridge"]["pcc"].value,
        epochs=max(outcome.epochs for outcome in summary.outcomes),
        seconds=time.perf_counter() - started,
    )
