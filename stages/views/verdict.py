"""The first sentence about a run: which method held out best, by how much, and what that means."""

import math

from ...cache.metrics import ALL_TARGETS, LevelMetrics, Metrics, Score
from .rules import METHODS, score_text

LEARNT = ("blend", "model", "ridge")  # what is learnt from features; the training mean is not
MORE_PEOPLE = "a straight line is as good here: more people would help more than a larger network"


def verdict(metrics: Metrics) -> str:
    """Which method held out best on labelled spans, by how much with the paired interval, and what that means."""
    spans = metrics.spans
    ccc = {name: spans.averages[name]["ccc"].score for name in LEARNT if name in spans.averages}
    known = {name: score for name, score in ccc.items() if math.isfinite(score.value)}
    who = "people who are on other sides too" if metrics.shares_people else _people(spans.subjects)
    if not known:
        reasons = dict.fromkeys(score.reason for score in ccc.values() if score.reason)
        return f"Nothing can be said about {who}: {'; '.join(reasons) or 'no method has a CCC'}."
    best = max(known, key=lambda name: known[name].value)
    mean = f"mean CCC {score_text(known[best].value)}"
    if known[best].bounded:
        mean += f", {metrics.interval} {_between(known[best])}"
    return f"Held out best on {who}: {METHODS[best]} ({mean}). {_meaning(metrics, best, known[best])}"


def _meaning(metrics: Metrics, best: str, score: Score) -> str:
    if metrics.shares_people:
        return "That says nothing about new people."
    spans = metrics.spans
    if not _holds(spans, best, score):
        return "That is not told from a guess: nothing here is shown to hold for new people."
    if "ridge" not in spans.averages:
        return "There is no ridge regression to hold it against."
    other = best if best != "ridge" else _second(spans)
    over = spans.over_ridge.get(other)
    if over is None or not math.isfinite(over.value):
        return "It cannot be held against ridge regression."
    said = f"{METHODS[other]} minus ridge regression {score_text(over.value, signed=True)}"
    if not over.bounded:
        why = "one person" if spans.subjects == 1 else over.no_interval or "not known"
        return f"{said}, without an interval ({why}): one person tells no method from another."
    said = f"{said} ({metrics.interval} {_between(over)})"
    if over.low > 0:
        return f"{said}: the networks add to a straight line."
    if over.high < 0:
        return f"{said}: a straight line is better here: more people would help more than a larger network."
    return f"{said}: {MORE_PEOPLE}."


def _holds(spans: LevelMetrics, method: str, score: Score) -> bool:
    """Whether a method is told from a guess: over all rows, or in the mean of what people have alone."""
    own = spans.subject_means.get(method, {}).get(ALL_TARGETS, {}).get("ccc")
    return any(one.value > 0 and not one.low <= 0 for one in (score, *([own.score] if own else [])))


def _second(spans: LevelMetrics) -> str:
    """The best method beside ridge regression."""
    others = [name for name in LEARNT if name in spans.over_ridge]
    values = {name: spans.over_ridge[name].value for name in others}
    return max(values, key=lambda name: values[name] if math.isfinite(values[name]) else -math.inf, default="model")


def _people(subjects: int) -> str:
    return "1 person never seen" if subjects == 1 else f"{subjects} people never seen"


def _between(score: Score) -> str:
    return f"{score_text(score.low)} to {score_text(score.high)}"
