from pathlib import Path

import pandas as pd
import pytest

from affect.pipeline.demo.demo import DemoSummary, demo
from affect.pipeline.demo.film import DemoDataConfig
from affect.pipeline.events import summary_of

SMALL = DemoDataConfig(splits=(("train", 2), ("validation", 1), ("test", 1)), seconds=6.4)


def made(output: Path) -> DemoSummary:
    return summary_of(demo(output, device="cpu", data=SMALL, overrides=("training.epochs=3",)), DemoSummary)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoSummary]:
    output = tmp_path_factory.mktemp("demo") / "out"
    return output, made(output)


def test_every_step_leaves_what_the_commands_leave(small: tuple[Path, DemoSummary]) -> None:
    _, summary = small
    assert sorted(path.name for path in summary.videos.iterdir()) == [f"S0{n}.mp4" for n in (1, 2, 3, 4)]
    assert (summary.store / "store.json").is_file()
    assert (summary.run / "metrics.json").is_file()
    assert summary.viewer.is_file()
    scores = pd.read_csv(summary.predictions / "predictions.csv")
    assert {"video", "start_s", "end_s", "valence", "arousal", "coverage"} <= set(scores.columns)
    assert scores["video"].unique().tolist() == ["S04.mp4"]
    assert scores["coverage"].min() == 1.0
    assert scores["end_s"].max() == pytest.approx(SMALL.seconds, abs=0.5)


def test_the_metrics_are_of_subjects_never_trained_on_and_beside_baselines(small: tuple[Path, DemoSummary]) -> None:
    metrics = small[1].metrics
    assert metrics is not None and metrics.shares_people is False
    for target in ("valence", "arousal"):
        assert metrics.spans.scores["mean"][target]["ccc"].value == pytest.approx(0, abs=1e-6)
        assert {"ccc", "pcc", "rmse"} <= set(metrics.spans.scores["model"][target])


def test_a_second_call_finds_everything_done(small: tuple[Path, DemoSummary]) -> None:
    output, first = small
    second = made(output)
    assert second.metrics is not None and first.metrics is not None
    assert second.metrics.spans.to_json() == first.metrics.spans.to_json()
    assert second.seconds["data"] < 0.5


@pytest.mark.stress
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_held_out_subjects_are_scored_far_above_the_training_mean(tmp_path: Path, seed: int) -> None:
    summary = summary_of(demo(tmp_path / "demo", seed, device="cpu"), DemoSummary)
    assert summary.metrics is not None
    for target in ("valence", "arousal"):
        model, mean = (summary.metrics.spans.scores[method][target] for method in ("model", "mean"))
        assert model["ccc"].value > mean["ccc"].value + 0.4
        assert model["rmse"].value < 0.8 * mean["rmse"].value
