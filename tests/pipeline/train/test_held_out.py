"""From held-out clips to the rows of spans and videos, where some clips have no label."""

import numpy as np
import pandas as pd
import pytest

from affect.cache.metrics import METHODS
from affect.pipeline.train.held_out import column_of, levels_of, measure_level

SEEN, UNSEEN = 0.1, 0.7  # what every method is off by, on clips with a label and on clips without


def clips_of(people: int, labelled: int) -> pd.DataFrame:
    """Four clips of a video a person; pain has a label in the first `labelled` of them, joy in all."""
    number, label = np.tile(np.arange(4), people), np.random.default_rng(0).uniform(0, 1, 4 * people)
    table = pd.DataFrame({
        "fold": "00", "subject": np.repeat([f"p{one}" for one in range(people)], 4), "span": np.arange(4 * people),
        "start_s": number * 5.0, "end_s": number * 5.0 + 5.0, "coverage": 1.0,
    })  # fmt: skip
    table["video"] = table["subject"] + "/v"
    has = number < labelled
    for target, known in (("pain", has), ("joy", has | True)):
        table[column_of(target, "label")] = np.where(known, label, np.nan)
        for method in METHODS:
            table[column_of(target, method)] = label + np.where(has, SEEN, UNSEEN)
    return table


@pytest.mark.parametrize("method", METHODS)
def test_a_videos_prediction_is_the_mean_over_the_clips_that_have_a_label(method: str) -> None:
    videos = levels_of(clips_of(5, 2))["videos"]
    assert len(videos) == 5
    np.testing.assert_allclose(videos[column_of("pain", method)] - videos["pain_label"], SEEN)
    np.testing.assert_allclose(videos[column_of("joy", method)] - videos["joy_label"], (SEEN + UNSEEN) / 2)
    assert (videos["coverage"] == 1).all() and (videos["end_s"] == 20).all(), "of all clips, as before"


def test_the_error_of_videos_is_that_of_what_was_labelled() -> None:
    found = measure_level(levels_of(clips_of(5, 2))["videos"], ["pain", "joy"]).scores["blend"]
    assert found["pain"]["mae"].value == pytest.approx(SEEN)
    assert found["joy"]["mae"].value == pytest.approx((SEEN + UNSEEN) / 2)


def test_a_video_without_a_label_has_a_score_all_the_same_and_counts_nowhere() -> None:
    clips = pd.concat([clips_of(5, 2), clips_of(1, 0).assign(subject="q", video="q/v")], ignore_index=True)
    videos = levels_of(clips)["videos"].set_index("subject")
    assert videos["pain_label"].isna().tolist() == [False] * 5 + [True]
    assert videos["pain"].iloc[-1] == pytest.approx(clips[clips["subject"] == "q"]["pain"].mean())
    assert measure_level(videos.reset_index(), ["pain"]).scores["model"]["pain"]["mae"].value == pytest.approx(SEEN)


def test_whole_numbers_without_a_label_are_left_out_too() -> None:
    """A column of them is read as integers."""
    clips = clips_of(1, 2).assign(pain=[1, 1, 9, 9])
    assert levels_of(clips)["videos"]["pain"].tolist() == [1.0]


def test_spans_without_a_label_keep_their_rows_and_predictions() -> None:
    clips = clips_of(2, 2)
    spans = levels_of(clips)["spans"]
    np.testing.assert_array_equal(spans["pain"], clips["pain"])
    np.testing.assert_array_equal(spans["pain_label"], clips["pain_label"])
