"""Whether a run's metrics.json says what its own predictions have."""

from collections.abc import Iterator

import numpy as np

from ...cache.metrics import LEVELS, LevelMetrics, Metrics, Score


def disagreement(said: Metrics, measured: Metrics) -> str:
    """In which number metrics.json differs from what the predictions have; empty where it does not."""
    found = []
    for level in LEVELS:
        theirs, ours = getattr(said, level), getattr(measured, level)
        if (theirs.rows, theirs.subjects) != (ours.rows, ours.subjects):
            found.append(f"{theirs.rows} {level} of {theirs.subjects} subjects, here {ours.rows} of {ours.subjects}")
        for method, target, metric, score in _scores(ours):
            known = theirs.scores.get(method, {}).get(target, {})
            other = known.get(metric)
            older = other is None and known  # an older version had fewer metrics
            undefined = other is not None and other.reason and score.reason  # and 0 for some without a meaning
            if older or undefined:
                continue
            if other is None or not np.isclose(other.value, score.value, rtol=1e-6, atol=1e-9, equal_nan=True):
                value = "missing" if other is None else f"{other.value:.4g}"
                found.append(f"{metric} of {target} ({method}, {level}) {value}, here {score.value:.4g}")
    if not found:
        return ""
    return (
        f"metrics.json disagrees with predictions.csv in {len(found)} numbers, first: {found[0]}; those shown here are "
        "computed from predictions.csv"
    )


def _scores(level: LevelMetrics) -> Iterator[tuple[str, str, str, Score]]:
    for method, targets in level.scores.items():
        for target, metrics in targets.items():
            for metric, score in metrics.items():
                yield method, target, metric, score
