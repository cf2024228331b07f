"""One real run on generated features, and run folders made by hand, for the tests of the report."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affect.cache.records import Target
from affect.configs.load import load_config
from affect.pipeline.events import summary_of
from affect.pipeline.runs.folder import RunFolder
from affect.pipeline.train.held_out import levels_of, measure, predictions_table
from affect.pipeline.train.train import TrainingSummary, train
from affect.tests.generated import Generated, GeneratedData, generated_features

SMALL = (
    "model.width=16", "model.heads=2", "model.feed_forward=32", "model.layers=1", "training.epochs=4",
    "training.learning_rate=3e-3", "clips.context=1",
)  # fmt: skip
DATA = GeneratedData(
    subjects=6, videos=2, video_frames=(96, 160), feature_size=16, label_noise=0.05, noise=0.5, missing=0.1, seed=3
)


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Generated]:
    """A folder with `store` and `labels.csv`, and what was generated."""
    folder = tmp_path_factory.mktemp("generated")
    return folder, generated_features(folder / "store", folder / "labels.csv", DATA)


@pytest.fixture(scope="session")
def trained_run(generated: tuple[Path, Generated], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three folds."""
    folder, _ = generated
    run = tmp_path_factory.mktemp("runs") / "trained"
    config = load_config(None, [*SMALL, "evaluation.protocol=k-fold", "evaluation.folds=3"])
    events = train(str(folder / "store"), folder / "labels.csv", run, config, device="cpu")
    summary = summary_of(events, TrainingSummary)
    assert not summary.failed, summary.failed
    return run


def write_run(
    path: Path,
    clips: pd.DataFrame,
    targets: tuple[str, ...],
    warnings: tuple[str, ...] = (),
    shares_people: bool = False,
    settings: tuple[str, ...] = (),
) -> Path:
    """A finished run with these held-out clips, as training would have written it."""
    config = load_config(None, settings)
    folder = RunFolder.create(path, config, {"labels_sha256": "same", "recipe": {"backbone": "none"}}, resume=False)
    levels = levels_of(clips)
    predictions_table(levels).to_csv(path / "predictions.csv", index=False)
    metrics = measure(
        levels,
        [Target(name, -1.0, 1.0) for name in targets],
        config,
        warnings=warnings,
        shares_people=shares_people,
        validation={"00": 0.5},
        failed={},
    )
    folder.write_json("metrics.json", metrics.to_json())
    folder.write_json("folds/00/fold.json", {"warnings": list(warnings), "best_epoch": 1, "epochs": 1})
    return path


def held_out(subjects: int, spans: int, error: float, seed: int = 0) -> pd.DataFrame:
    """Held-out clips of one video a subject: labels from `seed`, predictions off by noise of size `error`."""
    draw = np.random.default_rng(seed)
    rows = subjects * spans
    label = draw.uniform(-1, 1, rows)
    noise = np.random.default_rng(99).standard_normal(rows)
    return pd.DataFrame(
        {
            "fold": "00",
            "subject": np.repeat([f"p{number}" for number in range(subjects)], spans),
            "video": np.repeat([f"p{number}/v" for number in range(subjects)], spans),
            "span": np.arange(rows),
            "start_s": np.tile(np.arange(spans) * 5.0, subjects),
            "end_s": np.tile(np.arange(spans) * 5.0 + 5.0, subjects),
            "coverage": 1.0,
            "valence": label + error * noise,
            "valence_label": label,
            "valence_ridge": label + 0.5 * noise,
            "valence_blend": label + (error / 2 + 0.25) * noise,
            "valence_mean": label.mean(),
        }
    )
