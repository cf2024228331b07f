"""A run as one page that can be opened anywhere: what was measured, how well, and what made it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...cache.metrics import ALL_TARGETS, LevelMetrics, Metrics, Score, Scores
from ...cache.records import Array
from .charts import Strip, bars, bland_altman, over_time, scatter
from .forest import IntervalRow, interval_figure, interval_span, reason
from .html import count, facts, figure, folded, page, paragraph, pictures, score_cell, section, table, warning
from .origin import FoldHistory, Origin, learning, made_by
from .rules import METHODS, METRICS, PEOPLE_SHARED, escaped, score_words
from .svg import padded
from .verdict import verdict
from .warned import in_order

UNKNOWN = Score(math.nan)
STYLES = {"blend": "model", "model": "model", "ridge": "other", "mean": "plain"}  # method -> class of the style sheet
MOST_OPEN = 6  # videos that are unfolded from the start


@dataclass(frozen=True, slots=True)
class HeldOutVideo:
    """One held-out video with n clips in time order, K targets."""

    subject: str
    name: str
    start_s: Array  # (n,)
    end_s: Array  # (n,)
    prediction: Array  # (n, K)
    label: Array  # (n, K), of the span that a clip lies in


@dataclass(frozen=True, slots=True)
class Report:
    """All that the page of a run shows: N held-out spans, K targets in the order of `metrics.targets`."""

    name: str
    metrics: Metrics
    method: str  # whose scores are drawn
    warnings: tuple[str, ...]
    prediction: Array  # (N, K)
    label: Array  # (N, K)
    # target, or all of them -> CCC of the method minus that of ridge regression, paired; or empty
    over_ridge: Mapping[str, Score]
    videos: tuple[HeldOutVideo, ...]
    folds: tuple[FoldHistory, ...]  # those that are done
    failed_folds: int
    origin: Origin
    offer: str = ""  # a setting that would do better among the training people; empty without


def report_html(report: Report) -> str:
    """The page."""
    shared = report.metrics.shares_people
    title = "How well it predicts (people are shared)" if shared else "How well it predicts people it has never seen"
    warnings = in_order([*([PEOPLE_SHARED] if shared else []), *report.warnings])
    return page(
        f"{report.name}: report",
        [
            f"<header><h1>{escaped(report.name)}</h1>{warning(warnings)}{_opening(report)}</header>",
            "<main>",
            facts(_facts(report)),
            section("metrics", title, *_metrics(report)),
            section("agreement", "Agreement with the labels", _agreement(report)),
            section("subjects", "Subject by subject", _subjects(report)),
            section("videos", "Over time", *_videos(report)),
            section("learning", "Learning", *learning(report.folds)),
            section("made-by", "What made these numbers", *made_by(report.origin)),
            "</main>",
        ],
    )


def _opening(report: Report) -> str:
    """The result in a sentence, what may be tried next, and links to the sections."""
    links = {"metrics": "Metrics", "agreement": "Agreement", "subjects": "Subjects", "videos": "Over time"}
    links |= {"learning": "Learning", "made-by": "Made by"}
    items = " ".join(f'<a href="#{name}">{words}</a>' for name, words in links.items())
    offer = paragraph(report.offer, "note") if report.offer else ""
    return f'{paragraph(verdict(report.metrics), "lead")}{offer}<nav aria-label="Sections">{items}</nav>'


def _facts(report: Report) -> list[tuple[str, str]]:
    metrics = report.metrics
    return [
        ("protocol", metrics.protocol),
        ("folds", f"{len(report.folds)}" + (f", {report.failed_folds} failed" if report.failed_folds else "")),
        ("held-out subjects", f"{metrics.spans.subjects}"),
        ("held-out videos", f"{len({video.name for video in report.videos}):,}"),
        ("held-out spans", f"{metrics.spans.rows:,}"),
        ("clips in them", f"{metrics.clips.rows:,}"),
        ("backbone", str(report.origin.recipe.get("backbone", "unknown"))),
    ]


def _metrics(report: Report) -> list[str]:
    """Metrics of all levels beside the baselines, and what the model has over ridge regression."""
    metrics = report.metrics
    words = (
        f"Pooled over all held-out spans; a span's score is the mean of its clips'. {_of_intervals(metrics)} The "
        "baselines saw the same training people: ridge regression on each span's mean feature, and the mean of the "
        "training labels. ICC(3,1) forgives a constant error, ICC(2,1) does not."
    )
    if len(report.folds) > 1:
        words += (
            " The training mean differs from fold to fold and is low where the held-out people are high, "
            "which pushes its correlation below zero."
        )
    return [
        paragraph(words),
        *_metric_tables(report, metrics.spans, "labelled spans"),
        pictures(_interval_figures(report)),
        folded("The same for clips", "".join(_metric_tables(report, metrics.clips, "clips"))),
        folded("The same for videos", "".join(_metric_tables(report, metrics.videos, "videos"))),
    ]


def _of_intervals(metrics: Metrics) -> str:
    """What the numbers below the values are; or that there are none, and why."""
    given = [score for of in metrics.spans.scores.values() for scores in of.values() for score in scores.values()]
    if any(score.bounded for score in given):
        return f"Below each value its {metrics.interval} interval, by {metrics.interval_method}, with Student's t."
    why = dict.fromkeys(score.no_interval for score in given if score.no_interval)
    return f"No value has an interval{': ' if why else ''}{'; '.join(map(reason, why))}."


def _metric_tables(report: Report, level: LevelMetrics, rows_are: str) -> list[str]:
    """Pooled over all rows, where long recordings weigh more, and the mean over subjects of their own."""
    pooled: dict[str, dict[str, Mapping[str, Score]]] = {name: dict(of) for name, of in level.scores.items()}
    for method, means in level.averages.items():
        pooled[method][ALL_TARGETS] = {metric: mean.score for metric, mean in means.items()}
    own = {
        method: {name: {metric: mean.score for metric, mean in means.items()} for name, means in of_targets.items()}
        for method, of_targets in level.subject_means.items()
    }
    where = f"{level.rows:,} held-out {rows_are} of {count(level.subjects, 'subject')}"
    words = f"Mean over subjects of what each has alone, on {rows_are}: all subjects count alike"
    metrics, main = report.metrics, report.method
    return [_metric_table(where, metrics, pooled, main), _metric_table(words, metrics, own, main) if own else ""]


def _metric_table(caption: str, metrics: Metrics, scores: Scores, main: str) -> str:
    names = {one.name: f"{one.name} ({one.unit})" if one.unit else one.name for one in metrics.targets}
    if len(names) > 1:
        names[ALL_TARGETS] = "mean of the targets"
    rows: list[tuple[str, str, list[str]]] = []
    for name, heading in names.items():
        rows.append(("", heading, []))
        for method in (one for one in METHODS if one in scores):
            cells = [score_cell(scores[method][name].get(metric, UNKNOWN)) for metric in METRICS]
            rows.append(("main" if method == main else "", METHODS[method], cells))
    return table(caption, ["", *METRICS.values()], rows)


def _interval_figures(report: Report) -> list[str]:
    """CCC of each method by target, on one scale; and on another what the method has over ridge regression."""
    spans = report.metrics.spans
    rows = {
        target.name: [
            IntervalRow(METHODS[method], spans.scores[method][target.name]["ccc"], style)
            for method, style in STYLES.items()
            if method in spans.scores
        ]
        for target in report.metrics.targets
    }
    if len(rows) > 1:
        rows[ALL_TARGETS] = [
            IntervalRow(METHODS[method], spans.averages[method]["ccc"].score, style)
            for method, style in STYLES.items()
            if method in spans.averages
        ]
    span = interval_span(row.score for of_target in rows.values() for row in of_target)
    return [
        *(
            interval_figure(f"{target}: CCC", of_target, report.metrics.interval, label="CCC", span=span)
            for target, of_target in rows.items()
        ),
        *_over_ridge(report),
    ]


def _over_ridge(report: Report) -> list[str]:
    """What the method has over ridge regression, target by target, with an axis of its own; empty where not known."""
    if not report.over_ridge:
        return []
    rows = [IntervalRow(name, score, "model") for name, score in report.over_ridge.items()]
    title = f"{METHODS[report.method]} \N{MINUS SIGN} ridge, paired: difference in CCC"
    return [interval_figure(title, rows, report.metrics.interval, label="difference in CCC")]


def _agreement(report: Report) -> str:
    """Scatter and Bland-Altman plots of every target."""
    items = []
    for number, target in enumerate(report.metrics.targets):
        prediction, label = report.prediction[:, number], report.label[:, number]
        ccc = report.metrics.spans.scores[report.method][target.name]["ccc"]
        picture = scatter(target.name, label, prediction, unit=target.unit, note=f"CCC: {score_words(ccc)}")
        items.append(figure(f"{target.name}: predicted against true", picture))
        picture = bland_altman(target.name, label, prediction, unit=target.unit)
        items.append(figure(f"{target.name}: Bland-Altman", picture))
    return pictures(items, "pairs")


def _subjects(report: Report) -> str:
    """Bars of every subject's own CCC; empty for one subject."""
    metrics, method = report.metrics, report.method
    people = metrics.spans.per_subject
    if len(people) < 2:
        return ""
    items = []
    for target in metrics.targets:
        values = np.array([methods[method][target.name]["ccc"].value for methods in people.values()])
        pooled = metrics.spans.scores[method][target.name]["ccc"].value
        picture = bars(f"CCC of {target.name} by subject", list(people), values, reference=pooled)
        items.append(figure(f"{target.name}: CCC ({METHODS[method]}) within each subject; dashed: pooled", picture))
    return pictures(items)


def _videos(report: Report) -> list[str]:
    """Label and prediction over time, subject by subject, the first ones unfolded."""
    names = [target.name for target in report.metrics.targets]
    spans = [
        padded(*(column[:, number] for video in report.videos for column in (video.prediction, video.label)))
        for number in range(len(names))
    ]
    by_subject: dict[str, list[str]] = {}
    for video in sorted(report.videos, key=lambda video: (_natural(video.subject), _natural(video.name))):
        strips = [
            Strip(name, video.label[:, number], video.prediction[:, number], spans[number])
            for number, name in enumerate(names)
        ]
        picture = over_time(video.name, video.start_s, video.end_s, strips)
        by_subject.setdefault(video.subject, []).append(figure(video.name, picture))
    words = "Every held-out video, clip by clip: dashed the label of the span a clip lies in, solid the prediction."
    shown, parts = 0, [paragraph(words)]
    for subject, items in by_subject.items():
        parts.append(
            folded(f"Subject {subject} ({count(len(items), 'video')})", pictures(items), opened=shown < MOST_OPEN)
        )
        shown += len(items)
    return parts


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts P2 before P10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
