"""How often do 95 % intervals over people hold the truth? Simulated experiments of 2 to 20 people, in several worlds.

    python benchmarks/coverage.py [--experiments 2000] [--seed 1] [--world "10 to 30 spans each, heavy tails"]

For the metrics of a run, their means over targets and over subjects, and the differences of two methods; and for the
pooled metrics, what other ways of making an interval would have given on the same experiments.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy.stats import t as students

from affect.benchmarks.hardware import hardware, write_result
from affect.cache.records import Array
from affect.stages.temporal.intervals import PLAIN, Scale
from affect.stages.temporal.metrics import METRICS, from_sums
from affect.tests.simulated_people import WORLDS, Experiment, World, draw, truth

PEOPLE = (2, 3, 4, 8, 20)
RESAMPLES = 1000
TRUE_PEOPLE = 20_000  # over whom the truth is computed
Ends = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--world", choices=WORLDS, help="this one alone")
    args = parser.parse_args()
    machine = hardware()
    worlds = {}
    for name in [args.world] if args.world else WORLDS:
        worlds[name] = measure(WORLDS[name], args.experiments, args.seed)
        print(name, worlds[name]["lowest"], flush=True)
    write_result(
        "coverage-of-one-world" if args.world else "coverage",
        {"experiments": args.experiments, "seed": args.seed, "worlds": worlds},
        machine,
    )


def measure(world: World, experiments: int, seed: int) -> dict[str, Any]:
    """What -> metric -> people -> share of the intervals that hold the truth, of those that there are."""
    true = truth(world, TRUE_PEOPLE)
    held: dict[str, dict[str, dict[int, list[bool]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    width: dict[str, dict[str, dict[int, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for people in PEOPLE:
        random = np.random.default_rng([seed, people])
        for _ in range(experiments):
            experiment = draw(world, people, random)
            for what, metric, (low, high) in ends_of(experiment, random):
                if np.isfinite(low) and np.isfinite(high):
                    held[what][metric][people].append(low <= true.get(what, true["pooled"])[metric] <= high)
                    width[what][metric][people].append(high - low)
    shares = {what: _each(metrics, np.mean) for what, metrics in held.items()}
    return {
        "true": true,
        "lowest": {what: min(min(counts.values()) for counts in found.values()) for what, found in shares.items()},
        "coverage": shares,
        "intervals": {what: _each(metrics, len) for what, metrics in held.items()},
        "median_width": {what: _each(metrics, np.median) for what, metrics in width.items()},
    }


def _each(metrics: Mapping[str, Mapping[int, Any]], of: Callable[[Any], Any]) -> dict[str, dict[int, float]]:
    return {
        metric: {people: round(float(of(values)), 4) for people, values in found.items()}
        for metric, found in metrics.items()
    }


def ends_of(experiment: Experiment, random: np.random.Generator) -> Iterator[tuple[str, str, Ends]]:
    """(what, metric, ends) of all intervals, ours and those made in other ways."""
    for what, scores in experiment.numbers().items():
        for metric, score in scores.items():
            yield what, metric, (score.low, score.high)
    sums = person_sums(experiment)
    for way, of in WAYS.items():
        for metric, ends in of(sums, random).items():
            yield way, metric, ends


def person_sums(experiment: Experiment) -> Array:
    """(S, 8): what `from_sums` wants of each person's spans, first method and target."""
    a, b = experiment.predictions[0, :, 0], experiment.labels[:, 0]
    _, group = np.unique(experiment.subject, return_inverse=True)
    columns = (np.ones_like(a), a, b, a * a, b * b, a * b, np.abs(a - b), (a - b) ** 2)
    return np.stack([np.bincount(group, column) for column in columns], axis=1)


def percentiles(sums: Array, random: np.random.Generator) -> dict[str, Ends]:
    """The percentile bootstrap over people, as before."""
    people = len(sums)
    draws = random.multinomial(people, np.full(people, 1 / people), RESAMPLES).astype(np.float64)
    found = {}
    for metric, values in from_sums(draws @ sums).items():
        known = values[np.isfinite(values)]
        found[metric] = tuple(np.percentile(known, (2.5, 97.5))) if len(known) else (np.nan, np.nan)
    return found


def jackknifed(own_scale: bool, middle: str) -> Callable[[Array, np.random.Generator], dict[str, Ends]]:
    """Delete-one jackknife with t(S - 1), around the reported value or the mean of the pseudo-values."""

    def ends(sums: Array, _: np.random.Generator) -> dict[str, Ends]:
        people = len(sums)
        values = from_sums(np.vstack([sums.sum(0), sums.sum(0) - sums]))
        return {metric: of_one(METRICS[metric].scale, values[metric], people) for metric in METRICS}

    def of_one(scale: Scale, values: Array, people: int) -> Ends:
        used = scale if own_scale else PLAIN
        with np.errstate(divide="ignore", invalid="ignore"):
            whole, *without = used.there(values)
        mean, centre = float(np.mean(without)), float(whole)
        if middle == "pseudo-values":
            centre = people * centre - (people - 1) * mean
        error = np.sqrt((people - 1) / people * np.sum((np.array(without) - mean) ** 2))
        reach = float(students.ppf(0.975, people - 1)) * error
        low, high = used.back(np.array([centre - reach, centre + reach]))
        return float(low), float(high)

    return ends


WAYS: dict[str, Callable[[Array, np.random.Generator], dict[str, Ends]]] = {
    "percentile bootstrap": percentiles,
    "jackknife, t(S - 1)": jackknifed(True, "value"),
    "jackknife, pseudo-values, t(S - 1)": jackknifed(True, "pseudo-values"),
    "jackknife, t(S - 1), no scale": jackknifed(False, "value"),
}

if __name__ == "__main__":
    main()
