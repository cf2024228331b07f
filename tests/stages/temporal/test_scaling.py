"""Labels between their own units and training numbers: zero stays zero where a scale has two sides."""

import numpy as np
import pytest

from affect.cache.records import Target
from affect.stages.temporal.scaling import LabelScaling

TARGETS = (Target("valence", -1, 1), Target("n1", 1, 7, "points"), Target("lean", -2, 4))


def test_a_range_around_zero_keeps_its_zero_and_any_other_becomes_zero_to_one() -> None:
    scaling = LabelScaling.from_ranges(TARGETS)
    assert scaling.targets == ("valence", "n1", "lean")
    lowest, zero, highest = np.array([[-1, 1, -2], [0, 4, 0], [1, 7, 4]], np.float64)
    assert scaling.to_training(lowest).tolist() == [-1, 0, -0.5]
    assert scaling.to_training(zero).tolist() == [0, 0.5, 0]  # the relational loss compares directions from this zero
    assert scaling.to_training(highest).tolist() == [1, 1, 1]


def test_scores_and_spreads_come_back_in_their_own_units() -> None:
    scaling = LabelScaling.from_ranges(TARGETS)
    labels = np.array([[0.25, 3, -1], [np.nan, 7, 2]])
    np.testing.assert_allclose(scaling.to_units(scaling.to_training(labels)), labels, rtol=1e-6)
    assert scaling.spread_to_units(np.full(3, 0.5)).tolist() == [0.5, 3, 2]
    assert LabelScaling.from_json(scaling.to_json()) == scaling


def test_a_target_without_a_range_cannot_be_scaled() -> None:
    with pytest.raises(AssertionError, match="arousal has no range"):
        LabelScaling.from_ranges([Target("arousal")])
