"""The first sentence about a run: which method held out best, by how much, and what that means."""

import math

from ...cache.metrics import ALL_TARGETS, LevelMetrics, Metrics, Score
from ...configs.plain_text import sentence, shortened
from .rules import METHODS, score_text

LEARNT = ("blend", "model", "ridge")  # what is learnt from features; the training mean is not
IN_WORDS = {
    "blend": "the blend (the mean of the networks and ridge regression)",
    "model": "the model (the mean of the networks)",
    "ridge": "ridge regression",
}
MOST_WORTH = 1200  # characters of it: who sends metrics.json may have written anything into its reasons
NOTHING_SHOWN = "nothing here is shown to hold for new people."
MORE_PEOPLE = "a straight line is as good here: more people would help more than a larger network"


def worth(measured: Metrics | str, method: str) -> str:
    """What scores by a method are worth on people whom a run has never seen: the verdict, and how good this method was.

    measured: the run's metrics, or why they are not known.
    """
    by = IN_WORDS.get(method, method)
    if isinstance(measured, str):
        return f"How good these scores are for new people is not known: {measured}. They are by {by}."
    said = f"{verdict(measured)} These scores are by {by}{_own(measured, method)}."
    return shortened(sentence(said), MOST_WORTH)


def _own(metrics: Metrics, method: str) -> str:
    """How good a method was, where the verdict does not say it since another one was better."""
    ccc = _of_learnt(metrics.spans)
    if method == _best(ccc):
        return ""
    if method not in ccc:
        return ", which was not measured"
    score = ccc[method]
    if not score.told:
        return f", whose mean CCC says nothing: {score.reason or 'it is not defined'}" if _best(ccc) else ""
    return f": {_mean_ccc(metrics, score)}"


def _of_learnt(spans: LevelMetrics) -> dict[str, Score]:
    return {name: spans.averages[name]["ccc"].score for name in LEARNT if name in spans.averages}


def _best(ccc: dict[str, Score]) -> str | None:
    """The method whose CCC is highest; None where none says something."""
    known = {name: score.value for name, score in ccc.items() if score.told}
    return max(known, key=lambda name: known[name]) if known else None


def _mean_ccc(metrics: Metrics, score: Score) -> str:
    between = f", {metrics.interval} {_between(score)}" if score.bounded else ""
    return f"mean CCC {score_text(score.value)}{between}"


def verdict(metrics: Metrics) -> str:
    """Which method held out best on labelled spans, by how much with the paired interval, and what that means."""
    spans = metrics.spans
    ccc = _of_learnt(spans)
    best = _best(ccc)
    who = "people who are on other sides too" if metrics.shares_people else _people(spans.subjects)
    if best is None:
        reasons = dict.fromkeys(score.reason for score in ccc.values() if score.reason)
        return f"Nothing can be said about {who}: {'; '.join(reasons) or 'no method has a CCC'}."
    said = f"Held out best on {who}: {METHODS[best]} ({_mean_ccc(metrics, ccc[best])})."
    return f"{said} {_meaning(metrics, best, ccc[best])}"


def _meaning(metrics: Metrics, best: str, score: Score) -> str:
    if metrics.shares_people:
        return "That says nothing about new people."
    spans = metrics.spans
    known = [one for one in (score, _own_mean(spans, best)) if one is not None and one.bounded]
    if not known:
        return f"{_no_interval(spans.subjects, score)} Whether that is more than a guess is not known: {NOTHING_SHOWN}"
    if not any(one.low > 0 for one in known):
        return f"That is not told from a guess: {NOTHING_SHOWN}"
    if "ridge" not in spans.averages:
        return "There is no ridge regression to hold it against."
    other = best if best != "ridge" else _second(spans)
    over = spans.over_ridge.get(other)
    if over is None or not math.isfinite(over.value):
        return "It cannot be held against ridge regression."
    said = f"{METHODS[other].capitalize()} minus ridge regression {score_text(over.value, signed=True)}"
    if not over.bounded:
        return f"{said}, without an interval: that tells no method from another."
    said = f"{said} ({metrics.interval} {_between(over)})"
    if over.low > 0:
        return f"{said}: the networks add to a straight line."
    if over.high < 0:
        return f"{said}: a straight line is better here: more people would help more than a larger network."
    return f"{said}: {MORE_PEOPLE}."


def _own_mean(spans: LevelMetrics, method: str) -> Score | None:
    """The mean CCC of what people have alone: it may be told from a guess where the CCC over all rows is not."""
    own = spans.subject_means.get(method, {}).get(ALL_TARGETS, {}).get("ccc")
    return own.score if own else None


def _no_interval(subjects: int, score: Score) -> str:
    if score.no_interval is None:  # an older version's
        return "No interval is known."
    why = "there is one person" if subjects == 1 else "the labels do not vary without one of them"
    return f"There is no interval, as {why}."


def _second(spans: LevelMetrics) -> str:
    """The best method beside ridge regression."""
    others = [name for name in LEARNT if name in spans.over_ridge]
    values = {name: spans.over_ridge[name].value for name in others}
    return max(values, key=lambda name: values[name] if math.isfinite(values[name]) else -math.inf, default="model")


def _people(subjects: int) -> str:
    return "1 person never seen" if subjects == 1 else f"{subjects} people never seen"


def _between(score: Score) -> str:
    return f"{score_text(score.low)} to {score_text(score.high)}"
