"""The learning rate at every step: a linear warm-up, then what the schedule says."""

from dataclasses import replace
from typing import Literal

import pytest

from affect.configs.schema import TrainingConfig
from affect.stages.temporal.optimizer import learning_rate

STEPS = 10  # an epoch
CONFIG = TrainingConfig(learning_rate=0.1, warmup=0.1, epochs=4, step_epochs=1, step_factor=0.5)  # warm for 4 steps


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_the_rate_rises_in_equal_steps_to_the_one_that_was_asked_for(
    schedule: Literal["cosine", "step", "constant"],
) -> None:
    rates = [learning_rate(step, STEPS, replace(CONFIG, schedule=schedule)) for step in range(5)]
    assert rates == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])


@pytest.mark.parametrize(
    ("schedule", "steps", "expected"),
    [
        ("cosine", [4, 13, 22, 31, 39, 40, 99], [0.1, 0.0853553, 0.05, 0.0146447, 0.00019026, 0, 0]),
        ("step", [4, 9, 10, 19, 20, 30, 39], [0.1, 0.1, 0.05, 0.05, 0.025, 0.0125, 0.0125]),
        ("constant", [4, 20, 39], [0.1, 0.1, 0.1]),
    ],
)
def test_behind_the_warm_up_the_rate_follows_its_schedule(
    schedule: Literal["cosine", "step", "constant"], steps: list[int], expected: list[float]
) -> None:
    rates = [learning_rate(step, STEPS, replace(CONFIG, schedule=schedule)) for step in steps]
    assert rates == pytest.approx(expected, abs=1e-7)


def test_without_a_warm_up_the_first_step_has_the_whole_rate() -> None:
    assert learning_rate(0, STEPS, replace(CONFIG, warmup=0)) == 0.1
