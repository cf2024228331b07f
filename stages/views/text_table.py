"""Tables as lines of text: columns lined up, and the table of held-out scores."""

import math
from collections.abc import Iterator, Sequence

from ...cache.metrics import ALL_TARGETS, Metrics, Score
from ...configs.plain_text import spelled
from .rules import METHODS, METRICS


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of columns lined up, the first to the left and the others to the right; none without rows."""
    if not rows:
        return
    whole = [[spelled(item) for item in row] for row in [columns, *rows]]
    widths = [max(len(row[i]) for row in whole) for i in range(len(columns))]
    for row in whole:
        others = [item.rjust(width) for item, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *others]).rstrip()


def metrics_table(metrics: Metrics | None) -> list[str]:
    """Held-out scores of the model beside its baselines, over labelled spans, in the targets' own units."""
    if metrics is None:
        return []
    main, *others = METRICS  # the intervals are those of the first
    spans, rows = metrics.spans, []
    names = [*(target.name for target in metrics.targets), *([ALL_TARGETS] if len(metrics.targets) > 1 else [])]
    for target in names:
        heading = target
        for method, name in METHODS.items():
            if method not in spans.scores:  # a run of before
                continue
            averages = {metric: mean.score for metric, mean in spans.averages[method].items()}
            scores = averages if target == ALL_TARGETS else spans.scores[method][target]
            own = spans.subject_means[method][target][main].score
            values = [_score(scores[metric]) for metric in others]
            between, of_own = _between(scores[main]), _between(own)
            of_own = "-" if of_own == between and not own.bounded else of_own  # words are said once
            rows.append([heading, name, _score(scores[main]), between, *values, _score(own), of_own])
            heading = ""
    columns = ["target", "", METRICS[main], metrics.interval, *(METRICS[metric] for metric in others)]
    columns += [f"subject's {METRICS[main]}", metrics.interval]
    return [
        f"held out: {spans.rows} spans of {spans.subjects} {'subject' if spans.subjects == 1 else 'subjects'}",
        *table(columns, rows),
    ]


def number_text(value: float) -> str:
    """To three places; a dash where it is none."""
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _score(score: Score) -> str:
    """Its value; a dash where it has none, or one that says nothing."""
    return number_text(score.value) if score.told else "-"


def _between(score: Score) -> str:
    """Its interval, or in words why there is none."""
    if not score.told:
        return score.reason or "-"
    return f"{score.low:.3f} to {score.high:.3f}" if score.bounded else score.no_interval or "-"
