from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from affect.cache.manifest import Manifest, write_manifest
from affect.configs.load import load_config
from affect.configs.schema import Config
from affect.pipeline.events import summary_of
from affect.pipeline.train.train import TrainingSummary, train
from affect.tests.generated import GeneratedData, generated_features

TINY = (
    "model.width=16", "model.heads=2", "model.layers=1", "model.feed_forward=32", "clips.context=1",
    "training.learning_rate=3e-3", "training.epochs=8",
)  # fmt: skip


@dataclass(frozen=True)
class Data:
    """A generated store and label table of eight people, two videos each."""

    store: str
    labels: Path
    manifest: Manifest

    def relabelled(self, path: Path, **changes: object) -> Path:
        """A copy of the label table with some columns replaced."""
        import dataclasses

        write_manifest(dataclasses.replace(self.manifest, **changes), path)  # type: ignore[arg-type]
        return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("generated")
    made = generated_features(
        folder / "store", folder / "labels.csv",
        GeneratedData(
            subjects=8, video_frames=(160, 160), noise=0.3, label_noise=0.02, subject_effect=0.2, missing=0.1
        ),
    )  # fmt: skip
    return Data(str(folder / "store"), folder / "labels.csv", made.manifest)


@pytest.fixture(scope="session")
def settings() -> Callable[..., Config]:
    """The tiny model's configuration with more `--set` words."""
    return lambda *words: load_config(None, [*TINY, *words])


def trained(store: str, labels: Path, run: Path, config: Config, **options: Any) -> TrainingSummary:
    """A run from its first event to its last, which is its summary."""
    return summary_of(train(store, labels, run, config, device="cpu", **options), TrainingSummary)


def split_of(subjects: list[str], **sides: int) -> list[str]:
    """The first people train, the next choose, the rest test."""
    names = sorted(set(subjects))
    train, validation = sides["train"], sides["train"] + sides["validation"]
    side = ["train"] * train + ["validation"] * (validation - train) + ["test"] * (len(names) - validation)
    return [side[names.index(name)] for name in subjects]
