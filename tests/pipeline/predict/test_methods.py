"""Whose scores `predict` gives: those of the networks, of ridge regression, or of both, half and half."""

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

import affect
from affect.cache.opening import open_store
from affect.cache.records import Array, subject_rows
from affect.cli import main
from affect.configs.load import load_config
from affect.configs.schema import Method
from affect.configs.subject import MAIN
from affect.errors import ConfigError, InputError, RunError
from affect.pipeline.events import summary_of
from affect.pipeline.predict.inputs import PredictOptions
from affect.pipeline.runs.folder import Run, load_run
from affect.pipeline.train.train import TrainingSummary, train
from affect.stages.temporal.clips import FeatureTable, dense_clips
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.score import score_clips
from affect.tests.generated import GeneratedData, generated_features
from affect.tests.predictions import predicted_video, write_predictions

METHODS: tuple[Method, ...] = get_args(Method)
WORDS = (
    "model.width=16", "model.heads=2", "model.layers=1", "model.feed_forward=32", "clips.context=1", "clips.length=8",
    "training.learning_rate=3e-3", "training.epochs=3", "training.seeds=3", "evaluation.protocol=k-fold",
    "evaluation.folds=2",
)  # fmt: skip
VIDEO = "s0001/v000"
CPU = PredictOptions(device="cpu")


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generated `store` and `labels.csv` of six people."""
    folder = tmp_path_factory.mktemp("generated")
    data = GeneratedData(subjects=6, videos=1, video_frames=(120, 120), feature_size=12, missing=0.1, seed=2)
    generated_features(folder / "store", folder / "labels.csv", data)
    return folder


@pytest.fixture(scope="module")
def blended(features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two folds of three networks each, that scores by its blend."""
    run = tmp_path_factory.mktemp("runs") / "blended"
    events = train(str(features / "store"), features / "labels.csv", run, load_config(None, WORDS), device="cpu")
    assert not summary_of(events, TrainingSummary).failed
    return run


def asking_for(run: Path, method: str, copy: Path) -> Path:
    """A copy of a run that says another method."""
    shutil.copytree(run, copy)
    tree = yaml.safe_load((copy / "config.yaml").read_text("utf-8"))
    tree["evaluation"]["method"] = method
    (copy / "config.yaml").write_text(yaml.safe_dump(tree), "utf-8")
    return copy


def scores(run: Path, store: Path, method: Method | None = None) -> Array:
    """(C, K) scores of the clips of VIDEO, with NaN where nobody is seen."""
    prediction = predicted_video(VIDEO, run, store, method)
    return prediction.persons[0].clips.mean


def scores_of_networks(run: Run, store: Path) -> Array:
    """(N, C, K) scores of each network of each fold, alone."""
    clips = dense_clips(FeatureTable.from_store(open_store(str(store)), [VIDEO]), run.card.clips, 8)
    each = [[Ensemble([network]).eval()] for model in run.models for network in model.networks]
    return np.stack([score_clips(alone, clips).mean for alone in each])


def mean_features(store: Path) -> Array:
    """(C, D) float64: the mean of what is seen in each eight frames."""
    video = open_store(str(store)).read(VIDEO)
    row = subject_rows(video.arrays(), len(video.time_s), {}, MAIN)
    each = [row[first : first + 8][row[first : first + 8] >= 0] for first in range(0, len(row), 8)]
    return np.stack([video.values[rows].astype(np.float64).mean(0) for rows in each])


def test_a_fold_holds_three_networks_that_differ_and_ridge_regression(blended: Path) -> None:
    run = load_run(blended)
    assert [len(model.networks) for model in run.models] == [3, 3] and run.has_ridge and run.method == "blend"
    weights = [network.head.slice_bias.detach().numpy() for model in run.models for network in model.networks]
    assert len({values.tobytes() for values in weights}) == 6
    for fold in ("00", "01"):
        record = json.loads((blended / "folds" / fold / "fold.json").read_text("utf-8"))
        assert 1e-3 <= record["ridge"]["alpha"] <= 1e6 and 0 < record["ridge"]["left_out_ccc"] <= 1


def test_a_blended_score_is_half_ridge_and_half_the_mean_of_the_three_networks(blended: Path, features: Path) -> None:
    run, store = load_run(blended), features / "store"
    networks, means = scores_of_networks(run, store), mean_features(store)
    assert len(networks) == 6 and np.ptp(networks, axis=0).max() > 0.05
    ridge = np.mean([
        ((means - fold.ridge.mean.numpy()) / fold.ridge.spread.numpy()) @ fold.ridge.weight.numpy()
        + fold.ridge.bias.numpy() for fold in run.models if fold.ridge is not None
    ], axis=0)  # fmt: skip
    assert np.abs(ridge - networks.mean(0)).max() > 0.05
    np.testing.assert_allclose(scores(blended, store, "model"), networks.mean(0), atol=1e-6)
    np.testing.assert_allclose(scores(blended, store, "ridge"), ridge, atol=2e-6)
    np.testing.assert_allclose(scores(blended, store, "blend"), (ridge + networks.mean(0)) / 2, atol=2e-6)


def test_the_command_gives_three_methods_of_which_one_is_the_mean_of_the_others(
    blended: Path, features: Path, tmp_path: Path
) -> None:
    tables = {}
    for method in METHODS:
        output = tmp_path / method
        words = [
            "predict",
            VIDEO,
            "--run",
            blended,
            "--store",
            features / "store",
            "--output",
            output,
            "--method",
            method,
        ]
        result = CliRunner().invoke(main, [str(word) for word in [*words, "--device", "cpu"]])
        assert result.exit_code == 0, result.output
        assert json.loads((output / "summary.json").read_text("utf-8"))["method"] == method
        assert (output / "viewer.html").is_file() and list((output / "plots").iterdir())
        tables[method] = pd.read_csv(output / "predictions.csv")
    for name in ("valence", "arousal"):
        model, ridge, blend = (tables[method][name] for method in ("model", "ridge", "blend"))
        assert (model - ridge).abs().max() > 0.05
        np.testing.assert_allclose(blend, (model + ridge) / 2, atol=1.1e-6)  # the table has six digits
        assert (tables["blend"][f"{name}_std"] > 0).all()
    store = features / "store"
    whole = {method: scores(blended, store, method) for method in METHODS}
    np.testing.assert_allclose(whole["blend"], (whole["model"] + whole["ridge"]) / 2, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_run_says_whose_scores_it_gives_and_the_command_line_comes_last(
    blended: Path, features: Path, tmp_path: Path, method: Method
) -> None:
    run, store = asking_for(blended, method, tmp_path / "run"), features / "store"
    np.testing.assert_array_equal(scores(run, store), scores(blended, store, method))
    write_predictions([VIDEO], run, tmp_path / "out", store, options=CPU)
    assert json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["method"] == method
    for asked in METHODS:
        np.testing.assert_array_equal(scores(run, store, asked), scores(blended, store, asked))


def test_runs_of_different_methods_score_together_only_by_one_that_is_asked_for(
    blended: Path, features: Path, tmp_path: Path
) -> None:
    for method in ("blend", "ridge"):
        asking_for(blended, method, tmp_path / "runs" / method)
    with pytest.raises(RunError, match="the runs score by different methods: blend, ridge") as caught:
        write_predictions([VIDEO], tmp_path / "runs", tmp_path / "out", features / "store", options=CPU)
    assert caught.value.hint == "--method model" and not (tmp_path / "out").exists()
    options = PredictOptions(device="cpu", method="ridge")
    write_predictions([VIDEO], tmp_path / "runs", tmp_path / "out", features / "store", options=options)
    alone = affect.predict(VIDEO, run=blended, store=features / "store", method="ridge", device="cpu")
    np.testing.assert_allclose(
        pd.read_csv(tmp_path / "out" / "predictions.csv")["valence"], alone["valence"], atol=2e-6
    )


@pytest.mark.parametrize("method", ["blend", "ridge"])
def test_a_run_without_ridge_regression_says_so_and_nothing_is_written(
    run: Path, store: Path, tmp_path: Path, method: Method
) -> None:
    words = f"run {run} holds no ridge regression, which --method {method} needs"
    options = PredictOptions(device="cpu", method=method)
    with pytest.raises(RunError) as caught:
        write_predictions(["alone.mp4"], run, tmp_path / "out", store, options=options)
    assert caught.value.message == words
    assert caught.value.hint == "--method model, or train again with this affect"
    given = ["predict", "alone.mp4", "--run", run, "--store", store, "--output", tmp_path / "out", "--method", method]
    said = CliRunner().invoke(main, [str(word) for word in [*given, "--device", "cpu"]])
    assert said.exit_code == 2 and f"Error: {words}" in said.output and "Hint: --method model" in said.output
    assert not (tmp_path / "out").exists()


def test_a_run_without_ridge_regression_scores_by_its_networks_whatever_its_configuration_says(
    run: Path, store: Path, tmp_path: Path
) -> None:
    assert load_run(run).config.evaluation.method == "blend" and load_run(run).method == "model"
    write_predictions(["alone.mp4"], run, tmp_path / "out", store, options=CPU)
    assert json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["method"] == "model"
    written = pd.read_csv(tmp_path / "out" / "predictions.csv")
    asked = affect.predict("alone.mp4", run=run, store=store, method="model", device="cpu")
    np.testing.assert_array_equal(written["valence"], asked["valence"])


@pytest.mark.parametrize("word", ["lasso", "Ridge", "mean", ""])
def test_a_method_that_does_not_exist_is_refused(blended: Path, features: Path, tmp_path: Path, word: Any) -> None:
    store = features / "store"
    given = ["predict", VIDEO, "--run", blended, "--store", store, "--output", tmp_path / "out", "--method", word]
    said = CliRunner().invoke(main, [str(one) for one in given])
    assert said.exit_code == 2 and "'blend', 'model', 'ridge'" in said.output
    with pytest.raises(InputError, match="expected blend, model or ridge"):
        affect.predict(VIDEO, run=blended, store=store, method=word, device="cpu")
    with pytest.raises(InputError, match="expected blend, model or ridge"):
        write_predictions([VIDEO], blended, tmp_path / "out", store, PredictOptions(device="cpu", method=word))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=r"evaluation\.method is .*; expected 'blend' or 'model' or 'ridge'"):
        load_config(None, [f"evaluation.method='{word}'"])
    with pytest.raises(RunError, match=r"config\.yaml is no configuration: evaluation\.method is "):
        load_run(asking_for(blended, word, tmp_path / "run"))


def test_metrics_have_a_row_for_the_blend_on_every_level_and_what_each_method_has_over_ridge(blended: Path) -> None:
    metrics = json.loads((blended / "metrics.json").read_text("utf-8"))
    table = pd.read_csv(blended / "predictions.csv")
    for level, name in (("clips", "clip"), ("spans", "span"), ("videos", "video")):
        rows, found = table[table["level"] == name], metrics[level]
        ccc = {}
        for method in ("blend", "model", "ridge", "mean"):
            columns = [target if method == "model" else f"{target}_{method}" for target in metrics["targets"]]
            each = [plain_ccc(rows[column], rows[f"{target}_label"]) for column, target in zip(
                columns, metrics["targets"], strict=True)]  # fmt: skip
            said = [found[method][target]["ccc"]["value"] for target in metrics["targets"]]
            assert said == pytest.approx(each, abs=1e-9)
            ccc[method] = float(np.mean(each))
            assert found[method]["all targets"]["ccc"]["value"] == pytest.approx(ccc[method], abs=1e-9)
        assert found["ccc over ridge"].keys() == {"blend", "model", "mean"}
        for method, score in found["ccc over ridge"].items():
            assert score["value"] == pytest.approx(ccc[method] - ccc["ridge"], abs=1e-9)
            assert score["low"] < score["value"] < score["high"]
        for target in metrics["targets"]:
            half = (rows[target] + rows[f"{target}_ridge"]) / 2
            np.testing.assert_allclose(rows[f"{target}_blend"], half, atol=1e-6)


def plain_ccc(prediction: "pd.Series[float]", label: "pd.Series[float]") -> float:
    a, b = prediction.to_numpy(), label.to_numpy()
    return float(2 * np.mean((a - a.mean()) * (b - b.mean())) / (a.var() + b.var() + (a.mean() - b.mean()) ** 2))
