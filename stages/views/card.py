"""The model card of a run, as Markdown: what it scores, on whom it was trained and tried, and what it is not for."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...cache.metrics import LevelMetrics, Metrics
from ...cache.records import Recipe, Target
from ...configs.plain_text import sentence
from .rules import METHODS, PEOPLE_SHARED, score_words
from .verdict import verdict

NOT_FOR = """\
- **No diagnosis**, and no decision about a single person: scores are estimates of what raters would say.
- **People unlike those it was trained on.** `predict` marks clips that are (`out_of_range`), as far as three or more
  training people can tell. Age, skin, glasses, light and cameras that are not in the training were not tried.
- **Other labels.** A score means what the labels it learnt from meant; another study may mean something else by the
  same word.
- **Anybody who has not agreed.** Features and scores are personal data.
"""


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """What a run learnt from, counted."""

    people: int
    videos: int
    spans: int
    clips: int
    seconds: float  # of the clips


def model_card(metrics: Metrics, data: TrainedOn, recipe: Recipe, version: str | None) -> str:
    """The README.md of a run's folder; it names nobody."""
    how = "\n".join(f"- {words}" for words in _features(recipe))
    targets = "\n".join(f"| {_cell(one.name)} | {_range(one)} | {_cell(one.unit)} |" for one in metrics.targets)
    shared = f"{PEOPLE_SHARED}\n\n" if metrics.shares_people else ""
    warned = f"\n\nmetrics.json has {len(metrics.warnings)} warnings." if metrics.warnings else ""
    return f"""# Model card

Made by affect {version or ""} (`affect train-temporal`). `affect report` makes `report.html` of it, with all numbers
and pictures; `config.yaml` has every setting, `environment.json` the versions and the digests of what went in.

## What it scores
| target | range | unit |
|---|---|---|
{targets}

A score for each clip of a few seconds of one person's face, and for each video. Nothing but the face is looked at: no
voice, no words.

## What it was made of
{data.people} people in {data.videos} videos: {data.spans} labelled spans, and {data.clips} clips of them, of
{data.seconds / 3600:.2f} hours in all.

{how}

## How well it does on people it has not seen
{shared}{verdict(metrics)}

Protocol: {metrics.protocol}; {metrics.spans.subjects} people held out. CCC on labelled spans, with {metrics.interval}
intervals:

{_scores(metrics.spans, metrics.targets)}{warned}

## What it is not for
{NOT_FOR}"""


def _scores(spans: LevelMetrics, targets: Sequence[Target]) -> str:
    methods = [name for name in METHODS if name in spans.scores]
    lines = [f"| target | {' | '.join(METHODS[name] for name in methods)} |", "|---" * (1 + len(methods)) + "|"]
    for target in targets:
        cells = [score_words(spans.scores[name][target.name]["ccc"]) for name in methods]
        lines.append(f"| {_cell(target.name)} | {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def _features(recipe: Recipe) -> list[str]:
    """Where the features come from, in sentences."""
    made = recipe.fields
    faces = made.get("faces")
    detector = faces.get("detector") if isinstance(faces, dict) else None
    known = {"backbone": made.get("backbone"), "layers": made.get("taps"), "frames a second": made.get("sample_fps"),
             "face detector": detector, "view": made.get("view"), "source": made.get("source")}  # fmt: skip
    return [f"{name}: {_cell(str(value))}" for name, value in known.items() if value is not None] + [
        f"recipe {recipe.digest[:12]}: features of any other are refused"
    ]


def _range(target: Target) -> str:
    return f"{target.low:g} to {target.high:g}" if target.bounded else "not given"


def _cell(words: str) -> str:
    """Words as a cell of a table shows them, and nothing that Markdown would obey."""
    plain = sentence(words)
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#!" else letter for letter in plain)
