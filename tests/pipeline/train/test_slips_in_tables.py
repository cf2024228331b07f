"""Slips in a label table that only its videos show: ends far behind them, and a range of nobody."""

from pathlib import Path

import pandas as pd
import pytest

from affect.configs.load import load_config
from affect.errors import ManifestError
from affect.pipeline.train.training_set import TrainingSet, build_training_set
from affect.tests.generated import GeneratedData, generated_features

DATA = GeneratedData(subjects=3, videos=1, video_frames=(96, 96), feature_size=8)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A store of three videos of about half a minute, and the label table beside it."""
    generated_features(tmp_path / "features", tmp_path / "labels.csv", DATA)
    return tmp_path


def built(place: Path, table: pd.DataFrame, *words: str) -> TrainingSet:
    table.to_csv(place / "labels.csv", index=False)
    return build_training_set(str(place / "features"), place / "labels.csv", load_config(None, words), "cpu")


def read(place: Path) -> pd.DataFrame:
    return pd.read_csv(place / "labels.csv")


def test_an_end_far_behind_the_video_is_said_with_its_line(place: Path) -> None:
    table = read(place)
    assert not any("behind the end" in words for words in built(place, table).warnings)
    table["end_s"] = table["end_s"].astype(float)
    table.loc[[3, 4], "end_s"] = [4000.0, 5000.0]
    said = [words for words in built(place, table).warnings if "behind the end" in words]
    assert len(said) == 1 and ": 2, cut there; the first stands in line 5 (to 4000 s of " in said[0]


def test_a_range_of_a_name_that_is_nearly_a_targets_is_said(place: Path) -> None:
    (place / "labels.yaml").unlink(missing_ok=True)
    warnings = built(place, read(place), "labels.ranges={valense: [-2, 2], arousal: [-1, 1], pain: [0, 10]}").warnings
    assert [words for words in warnings if "labels.ranges names" in words] == [
        "labels.ranges names 'valense', and no target is called so; did you mean valence?"
    ]


def test_a_span_that_stands_twice_under_two_names_of_its_video_is_refused(place: Path) -> None:
    table = read(place)
    again = table.iloc[[2]].assign(
        video=lambda rows: "./" + rows["video"], subject=lambda rows: rows["subject"].str.upper()
    )
    with pytest.raises(ManifestError, match=f"line {len(table) + 2}: .* stands already in line 4"):
        built(place, pd.concat([table, again]))
