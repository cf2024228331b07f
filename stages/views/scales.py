"""The scales of targets: what an axis shows, and what lies beyond a scale in words."""

import math
from collections.abc import Sequence

import numpy as np

from ...cache.predictions import PersonPrediction
from ...cache.records import Array, Target
from ...configs.plain_text import spelled
from .rules import SLACK, number_text

MOST_PLACES = 6


def shown_range(target: Target, *columns: Array) -> tuple[float, float]:
    """What an axis shows: the target's scale and whatever lies outside it; without a scale what the values need."""
    values = np.concatenate([np.asarray(column, np.float64).ravel() for column in (*columns, ())])
    values = values[np.isfinite(values)]
    low, high = float(values.min(initial=math.inf)), float(values.max(initial=-math.inf))
    if target.bounded:
        return min(target.low, low), max(target.high, high)
    if low > high:
        return 0.0, 1.0
    margin = (high - low) * 0.05 or max(abs(high), 1.0) * 0.1
    return low - margin, high + margin


def beyond(target: Target, value: float) -> str:
    """On which side of its scale a value lies, in words; empty on it, and where no scale is known."""
    low, high = limits(target)
    return "below its scale" if value < low else "above its scale" if value > high else ""


def limits(target: Target) -> tuple[float, float]:
    """Outside which a value is beyond the scale, by more than a number that is shown tells; infinite without one."""
    slack = SLACK * (target.high - target.low) if target.bounded else 0.0
    return (target.low - slack, target.high + slack) if target.bounded else (-math.inf, math.inf)


def beyond_words(targets: Sequence[Target], persons: Sequence[PersonPrediction]) -> str:
    """How many values of a video lie beyond the scales of their targets; empty where none does."""
    said = []
    for number, target in enumerate(targets):
        values, (low, high) = np.concatenate([*(one.clips.mean[:, number] for one in persons), ()]), limits(target)
        if out := int(((values < low) | (values > high)).sum()):
            scale = f"{number_text(target.low)} to {number_text(target.high)}"
            said.append(f"{spelled(target.name)} ({out} of {int(np.isfinite(values).sum())}; the scale is {scale})")
    return f"values lie beyond their scale: {', '.join(said)}" if said else ""


def value_text(target: Target, value: float) -> str:
    """A value to as many places as its scale is fine: 0.31, 4.2, 37."""
    size, places = target.high - target.low if target.bounded else 4.0, 0
    while size <= 40 / 10**places and places < MOST_PLACES:
        places += 1
    return f"{value:z.{places}f}"
