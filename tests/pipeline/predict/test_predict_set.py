"""`predict --set`: what a prediction may decide is decided, and what the run has decided stands."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import affect
from affect.cli import main
from affect.configs.changes import CHANGEABLE, choices
from affect.configs.manual import manual, typed
from affect.errors import ConfigError
from affect.pipeline.predict.inputs import PredictOptions


def predicted(run: Path, store: Path, output: Path, *words: str, video: str = "alone.mp4") -> Result:
    return CliRunner().invoke(
        main,
        [
            "predict",
            video,
            "--run",
            str(run),
            "--store",
            str(store),
            "--output",
            str(output),
            "--device",
            "cpu",
            *words,
        ],
    )


def table(run: Path, store: Path, output: Path, *words: str, video: str = "alone.mp4") -> pd.DataFrame:
    result = predicted(run, store, output, *words, video=video)
    assert result.exit_code == 0, result.output
    return pd.read_csv(output / "predictions.csv")


def test_each_setting_is_the_option_that_it_stands_for(run: Path, store: Path, tmp_path: Path) -> None:
    dense = table(run, store, tmp_path / "dense", "--set", "clips.hop=1", "--set", "clips.subject=largest")
    flags = affect.predict("alone.mp4", run=run, store=store, stride=1, subject="largest", device="cpu")
    pd.testing.assert_series_equal(dense["valence"], flags["valence"].astype(float), check_dtype=False, rtol=1e-6)
    everybody = table(run, store, tmp_path / "all", "--set", "clips.subject=all", video="clinic/two.mp4")
    assert everybody["track"].nunique() == 2


def test_a_larger_share_of_seen_frames_leaves_clips_without_a_score(run: Path, store: Path, tmp_path: Path) -> None:
    usual = table(run, store, tmp_path / "usual", "--stride", "1")
    strict = table(run, store, tmp_path / "strict", "--stride", "1", "--set", "clips.min_valid=0.9")
    part = usual["valence"].notna() & (usual["coverage"] < 0.9)
    assert part.any() and strict["valence"][part].isna().all()
    assert (strict["reason"][part] == "too few frames with a face").all()
    whole = usual["coverage"] >= 0.9
    np.testing.assert_array_equal(strict["valence"][whole], usual["valence"][whole])
    said = json.loads((tmp_path / "strict" / "summary.json").read_text("utf-8"))
    assert said["min_valid"] == 0.9


@pytest.mark.parametrize("key", [item.key for item in manual() if item.key not in CHANGEABLE])
def test_what_the_features_or_the_models_depend_on_is_refused(key: str) -> None:
    default = next(item for item in manual() if item.key == key).default
    with pytest.raises(ConfigError) as refused:
        choices([f"{key}={typed(default)}"])
    assert f"{key} cannot be set for a prediction" in refused.value.message
    command = "extract-features" if key.startswith("features.") else "train-temporal"
    assert refused.value.hint is not None and refused.value.hint.startswith(f"affect {command}")


def test_a_refusal_makes_nothing(run: Path, store: Path, tmp_path: Path) -> None:
    result = predicted(run, store, tmp_path / "out", "--set", "features.sample_fps=10")
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    assert "the features of the run were made with it" in result.stderr and "--store NEW_STORE" in result.stderr


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("clips.hop=0", "clips.hop is 0"),
        ("clips.hop=1,2", "expected a whole number"),
        ("clips.min_valid=1.5", "a number, 0 to 1"),
        ("clips.min_valid=.nan", "a number, 0 to 1"),
        ("evaluation.method=best", "evaluation.method"),
        ("clips.subject=somebody", "somebody"),
        ("clips.subject=", "subject is ''"),
        ("clips.subject", "is not KEY=VALUE"),
        ("clips.min_vald=0.5", "did you mean min_valid?"),
        ("=", "is not KEY=VALUE"),
    ],
)
def test_a_value_that_cannot_be_is_refused(word: str, said: str, run: Path, store: Path, tmp_path: Path) -> None:
    result = predicted(run, store, tmp_path / "out", "--set", word)
    assert result.exit_code == 2 and said in result.stderr and not (tmp_path / "out").exists()


def test_two_answers_to_one_question_are_refused_and_the_same_twice_is_one() -> None:
    with pytest.raises(ConfigError, match="two answers"):
        choices(["clips.hop=1"], stride=2)
    assert choices(["clips.hop=2"], stride=2)["stride"] == 2
    assert set(choices([]).values()) == {None}, "as the run was trained"


def test_every_option_that_a_setting_stands_for_exists() -> None:
    assert set(CHANGEABLE.values()) <= {item.name for item in fields(PredictOptions)}
    assert set(CHANGEABLE) <= {item.key for item in manual()}
