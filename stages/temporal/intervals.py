"""How far a number over some people may be from that over all people like them: intervals without resampling.

A person's rows stand or fall together, so the spread is that of the number when each person is left out once (the
delete-one jackknife), around the number itself, and the length follows Student's t. Three things make few people safe:

- The number is moved to a scale on which its error is about the same everywhere, and its interval back (`Scale`).
- Student's t has one degree of freedom fewer than there are people; fewer still where a few people hold most of the
  rows. Source: Bell & McCaffrey 2002, "Bias reduction in standard errors", for a mean weighted by rows.
- The side to which people's influence is skewed is lengthened. Source: Johnson 1978, "Modified t tests".

docs/measured.md says how often such intervals hold the truth, and what other ways gave.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array

SHARE = 0.95  # of all such intervals that are meant to hold the truth
INTERVAL, METHOD = f"{SHARE * 100:g} %", "leaving out one subject at a time (jackknife)"
NEAR_ONE = 1 - 1e-9  # where Fisher's z of a perfect correlation is taken, 10.7, so that it is finite
ALONE = 0.999  # with this share of the rows, one person decides alone
ONE_PERSON = "one subject: no interval"
HANGS = "none: hangs on one subject"


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a number's error does not depend on the number: there and back again."""

    there: Callable[[Array], Array]
    back: Callable[[Array], Array]


PLAIN = Scale(np.asarray, np.asarray)
LOG = Scale(np.log, np.exp)
FISHER_Z = Scale(lambda value: np.arctanh(np.clip(value, -NEAR_ONE, NEAR_ONE)), np.tanh)


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the truth may lie; NaN with a reason where nothing can be said."""

    low: float = math.nan
    high: float = math.nan
    reason: str | None = None


def jackknife(value: float, without: Array, rows: Array, scale: Scale) -> Interval:
    """The interval of a number over S people.

    without (S,): the number without each of them. rows (S,): of each, for how much they weigh. No interval for one
    person, or where leaving one out leaves no number or (`LOG`) no error: two people cannot be told from one then.
    """
    people = len(without)
    if people < 2:
        return Interval(reason=ONE_PERSON)
    if (without == value).all():
        return Interval(value, value)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, *others = scale.there(np.array([value, *without]))
    moved = np.array(others)
    if not np.isfinite(moved).all():
        return Interval(reason=HANGS)
    error = math.sqrt((people - 1) / people * float(((moved - middle) ** 2).sum()))
    below, above = _lengths(_skewness(moved), rows)
    ends = scale.back(np.array([middle - below * error, middle + above * error]))
    return Interval(min(float(ends[0]), value), max(float(ends[1]), value))


def degrees_of_freedom(rows: Array) -> float:
    """Of the variance of a mean weighted by rows (S,) over people who spread alike: S - 1 where all have as many."""
    share = rows / rows.sum()
    if share.max() > ALONE:
        return 1.0
    among = float((share**2).sum())
    weight = (share / (1 - share)) ** 2  # leaving one out moves the mean by its share of what is left
    total, first, second = (float((weight * share**power).sum()) for power in range(3))
    trace = total * (1 + among) - 2 * first
    # Of the square of S x S covariances, weight_i weight_j (1 if i = j, + among - share_i - share_j)^2, summed.
    squares = (among * total) ** 2 + 2 * total * second - 4 * among * total * first + 2 * first**2
    squares += float((weight**2 * (1 + 2 * among - 4 * share)).sum())
    return float(np.clip(trace**2 / squares, 1.0, len(rows) - 1))


def _lengths(skewness: float, rows: Array) -> tuple[float, float]:
    """How many standard errors the interval reaches below and above."""
    plain = _quantile(len(rows) - 1)
    longer = skewness * (2 * plain**2 + 1)
    length = _quantile(degrees_of_freedom(rows))
    return length + max(0.0, -longer), length + max(0.0, longer)


def _skewness(moved: Array) -> float:
    """A sixth of the skewness of the mean of people's influences; the number grows without those who pull it down."""
    influence = moved.mean() - moved
    size = float((influence**2).sum()) ** 1.5
    return float((influence**3).sum()) / (6 * size) if size > 0 else 0.0


def _quantile(freedom: float) -> float:
    """Of Student's t, for both sides of the interval."""
    from scipy.special import stdtrit  # scipy's start is not for commands that need no interval

    return float(stdtrit(freedom, (1 + SHARE) / 2))
