"""Held-out predictions of people drawn at random, whose true metrics are known: how often do intervals hold them?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from affect.cache.metrics import Score
from affect.cache.records import Array
from affect.stages.temporal.metrics import (
    estimate,
    estimate_subjects,
    evaluate_subjects,
    mean_over_subjects,
    mean_over_targets,
    paired_difference,
)

TARGETS = 2
Numbers = Mapping[str, Mapping[str, Score]]  # what -> metric -> score


@dataclass(frozen=True, slots=True)
class World:
    """How people and two methods are. A label is the person's level + what varies; a method says slope * label +
    its bias for the person + noise. Half of the variance of biases and noise is common to both methods."""

    spans: tuple[int, int]  # of a person, fewest and most, each number as likely
    level: float = 0.5  # standard deviation between people, where it is 1 within
    bias: tuple[float, float] = (0.7, 0.9)  # of each method, between people
    noise: tuple[float, float] = (0.55, 0.8)
    slope: float = 0.8
    heavy: bool = False  # levels and biases by Student's t(3), as spread out: a few people are far from all others

    def of_people(self, shape: tuple[int, ...], random: np.random.Generator) -> Array:
        """What differs between people, with a standard deviation of 1."""
        return random.standard_t(3, shape) / np.sqrt(3) if self.heavy else random.standard_normal(shape)


WORLDS = {
    "10 to 30 spans each": World((10, 30)),
    "3 to 6 spans each": World((3, 6)),
    "5 to 200 spans each": World((5, 200)),
    "one span each": World((1, 1)),
    "20 spans each": World((20, 20)),
    "100 spans each, biases below the noise": World((100, 100), 0.0, (0.7, 0.5), (1.0, 1.0), 1.0),
    "10 to 30 spans each, heavy tails": World((10, 30), heavy=True),
}


@dataclass(frozen=True, slots=True)
class Experiment:
    """Some people of a world: N spans, two methods, K targets."""

    subject: Array  # (N,) of text
    predictions: Array  # (2, N, K)
    labels: Array  # (N, K)

    def numbers(self) -> Numbers:
        """Everything that has an interval: of the first method, and of its difference to the second."""
        pooled = [estimate(self.predictions[0, :, k], self.labels[:, k], self._names) for k in range(TARGETS)]
        own = [estimate_subjects(self.predictions[0, :, k], self.labels[:, k], self._names) for k in range(TARGETS)]
        first, second = self.predictions
        differences = [
            paired_difference(first[:, k], second[:, k], self.labels[:, k], self._names) for k in range(TARGETS)
        ]
        return {
            "pooled": pooled[0].scores(),
            "pooled, all targets": mean_over_targets(pooled).scores(),
            "mean over subjects": own[0].scores(),
            "mean over subjects, all targets": mean_over_targets(own).scores(),
            "difference": differences[0].scores(),
            "difference, all targets": mean_over_targets(differences).scores(),
            "difference, mean over subjects": {"ccc": mean_over_subjects(self._gains())},
        }

    @property
    def _names(self) -> list[str]:
        names: list[str] = self.subject.tolist()
        return names

    def _gains(self) -> Array:
        """(S,): how much higher each subject's own CCC of the first target is with the first method."""
        first, second = (
            evaluate_subjects(self.predictions[side, :, 0], self.labels[:, 0], self._names) for side in (0, 1)
        )
        return np.array([first[name]["ccc"].value - second[name]["ccc"].value for name in first])


def draw(world: World, people: int, random: np.random.Generator) -> Experiment:
    """Some people of a world."""
    spans = random.integers(world.spans[0], world.spans[1] + 1, people)
    who = np.repeat(np.arange(people), spans)
    rows = (len(who), TARGETS)
    labels = world.level * world.of_people((people, TARGETS), random)[who] + random.standard_normal(rows)
    biases, noises = world.of_people((3, people, TARGETS), random), random.standard_normal((3, *rows))
    predictions = [
        world.slope * labels
        + world.bias[side] * (biases[0] + biases[side + 1])[who] / np.sqrt(2)
        + world.noise[side] * (noises[0] + noises[side + 1]) / np.sqrt(2)
        for side in (0, 1)
    ]
    return Experiment(who.astype(str), np.stack(predictions), labels)


def truth(world: World, people: int = 5000) -> dict[str, dict[str, float]]:
    """What -> metric -> its value over so many people."""
    found = draw(world, people, np.random.default_rng(0)).numbers()
    return {what: {metric: score.value for metric, score in scores.items()} for what, scores in found.items()}
