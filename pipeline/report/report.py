"""A run as one page that can be opened anywhere: what was measured, how well, and what made it."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ...stages.views.html import facts, page, paragraph, section, warning
from ..runs.files import write_json, write_whole
from .compare import compare, comparison_html
from .data import METHODS, ReportData, read_report_data
from .origin import learning, made_by
from .scores import ALL, agreement, bounds, count, digits, metric_parts, subjects, videos


def write_report(run_folder: str | Path) -> Path:
    """Write `report.html` into the run's folder, whole; its path.

    Errors: RunError for a folder that is no run, or one without held-out predictions.
    """
    data = read_report_data(run_folder)
    path = data.path / "report.html"
    write_whole(path, report_html(data))
    return path


def compare_runs(runs: Sequence[str | Path], output: str | Path) -> Path:
    """Write the comparison of several runs as a page, and as JSON beside it; the page's path.

    Errors: RunError for fewer than two runs, a folder that is none, or runs that cannot be compared.
    """
    comparison = compare(runs)
    path = Path(output)
    write_json(path.with_suffix(".json"), comparison.to_json())
    write_whole(path, comparison_html(comparison))
    return path


def report_html(data: ReportData) -> str:
    """The page."""
    shared = data.shares_subjects
    title = "How well it predicts (people are shared)" if shared else "How well it predicts people it has never seen"
    return page(
        f"{data.name}: report",
        [
            f"<header><h1>{escape(data.name)}</h1>{warning(data.warnings())}{_opening(data)}</header>",
            "<main>",
            facts(_facts(data)),
            section("metrics", title, *metric_parts(data)),
            section("agreement", "Agreement with the labels", agreement(data)),
            section("subjects", "Subject by subject", subjects(data)),
            section("videos", "Over time", *videos(data)),
            section("learning", "Learning", *learning(data)),
            section("made-by", "What made these numbers", *made_by(data)),
            "</main>",
        ],
    )


def _opening(data: ReportData) -> str:
    links = {"metrics": "Metrics", "agreement": "Agreement", "subjects": "Subjects", "videos": "Over time"}
    links |= {"learning": "Learning", "made-by": "Made by"}
    items = " ".join(f'<a href="#{name}">{words}</a>' for name, words in links.items())
    return f'{paragraph(_lead(data), "lead")}<nav aria-label="Sections">{items}</nav>'


def _lead(data: ReportData) -> str:
    """The result in a sentence."""
    values = {
        words: bounds(data.metrics["spans"][method][ALL]["ccc"])[0]
        for method, words in METHODS.items()
        if method in data.metrics["spans"]
    }
    said = [f"{words} {digits(value) if math.isfinite(value) else 'not defined'}" for words, value in values.items()]
    return f"Mean CCC over {count(len(data.targets), 'target')} on held-out data: {', '.join(said)}."


def _facts(data: ReportData) -> list[tuple[str, str]]:
    spans, clips = data.level("spans"), data.level("clips")
    protocol = str(data.config["evaluation"]["protocol"])
    return [
        ("protocol", protocol),
        ("folds", f"{len(data.folds)}" + (f", {len(data.failures)} failed" if data.failures else "")),
        ("held-out subjects", f"{spans['subject'].nunique()}"),
        ("held-out videos", f"{spans['video'].nunique():,}"),
        ("held-out spans", f"{len(spans):,}"),
        ("clips in them", f"{len(clips):,}"),
        ("backbone", str(data.environment.get("recipe", {}).get("backbone", "unknown"))),
    ]
