"""Scores with their intervals, a dot and a line for each: a forest plot."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.metrics import Score
from ...configs.plain_text import shortened
from .html import figure
from .rules import named_score
from .svg import MOST_NAME, Axes, line, padded, points, svg, text


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """A score under its name."""

    name: str
    score: Score
    style: str  # class of the style sheet


def interval_span(scores: Iterable[Score]) -> tuple[float, float]:
    """What an axis must show for all of these scores, their intervals and zero."""
    return padded(np.array([(one.value, one.low, one.high) for one in scores], np.float64), np.zeros(1))


def interval_figure(
    what: str, rows: Sequence[IntervalRow], interval: str, *, label: str, span: tuple[float, float] | None = None
) -> str:
    """Scores under a caption, which promises intervals only where there are, and else says why there are none.

    what: what the scores are; label: that of the axis; span: what it shows, or just what these need.
    """
    if any(row.score.bounded for row in rows):
        caption = f"{what} with its {interval} interval"
    else:
        why = dict.fromkeys(row.score.no_interval for row in rows if row.score.told and row.score.no_interval)
        caption = f"{what} (no interval{': ' if why else ''}{'; '.join(map(reason, why))})"
    return figure(caption, intervals(caption, rows, label=label, span=span))


def reason(why: str) -> str:
    """Why there is no interval, after words that say so already."""
    return why.removesuffix(": no interval")


def intervals(
    title: str, rows: Sequence[IntervalRow], *, label: str = "", span: tuple[float, float] | None = None
) -> str:
    """A dot with its interval for each row, below its name and numbers; `label` names the axis, `span` it shows.

    Zero and the grid are drawn beside the dots alone: no line crosses a word.
    """
    row, foot, left, right = 34.0, 36.0, 12.0, 12.0
    height = len(rows) * row + foot
    values = span or interval_span(one.score for one in rows)
    parts = []
    for place, one in enumerate(rows):
        top, last = place * row + 15, place == len(rows) - 1
        axes = Axes(values, (math.nan, math.nan), row - 15 + foot, top, left, right, foot)
        parts.append(axes.grid(label if last else "", x_values=last))
        zero, y, score = float(axes.px(0.0)), top + 9, one.score
        parts.append(line(zero, top, zero, top + row - 15, "zero"))
        if score.bounded:
            parts.append(line(float(axes.px(score.low)), y, float(axes.px(score.high)), y, one.style))
        parts.append(text(left, top - 4, _numbers_whole(one.name, score), "tick strong"))
        if score.told:
            parts.append(points(np.array([float(axes.px(score.value))]), np.array([y]), f"{one.style} large"))
    words = "; ".join(named_score(one.name, one.score) for one in rows)
    return svg(height, title, words, parts)


def _numbers_whole(name: str, score: Score) -> str:
    """A name with its score; of a long name the middle is left out, of the score nothing."""
    return named_score(shortened(name, MOST_NAME if score.told else MOST_NAME - 8), score)
