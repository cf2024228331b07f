"""Predictions as values: how they look in a debugger, what they refuse, and the sentences that go into tables."""

from dataclasses import replace

import numpy as np
import pytest

from affect.cache.predictions import ScoreReason
from affect.tests.predictions import made_person, made_prediction


def test_a_prediction_is_shown_by_its_size_and_not_by_its_digits() -> None:
    person = made_person(3)
    assert repr(person) == "PersonPrediction(person 3, 12 clips, 2 targets)"
    assert repr(person.clips) == "ClipScores(12 clips, 2 targets)"
    assert repr(made_prediction(person)) == "VideoPrediction('clinic/interview.mp4', 60.0 s, 1 person, 2 targets)"


def test_arrays_that_do_not_belong_together_are_no_prediction() -> None:
    person = made_person()
    for name in ("mean", "std", "attention", "coverage", "reason", "distance", "out_of_range"):
        with pytest.raises(AssertionError, match="not"):
            replace(person.clips, **{name: getattr(person.clips, name)[1:]})
    for wrong in ({"start_s": person.start_s[1:]}, {"end_s": person.end_s[1:]}, {"face_time_s": np.zeros(1)}):
        with pytest.raises(AssertionError, match="not"):
            replace(person, **wrong)
    with pytest.raises(AssertionError, match="a training mean for each target"):
        replace(made_prediction(person), training_means=(0.5,))


def test_a_reason_carries_the_sentence_that_tables_show() -> None:
    sentences = ["", "no face in the clip", "too few frames with a face", "the model gave no number"]
    assert [ScoreReason(number).sentence for number in range(4)] == sentences
