"""A grid of settings, a run each, one table; the choice between them looks at validation alone."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...configs.load import load_config
from ...configs.schema import Config
from ...errors import AffectError, ConfigError
from ..runs.files import write_json, write_whole
from ..workers import Workers, resolve_device, run_all, spread_devices
from .train import TrainingSummary, train_temporal

MOST_POINTS = 1000
SHOWN = ("ccc", "pcc", "rmse")  # the metrics of sweep.csv


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One setting of the grid, for a worker."""

    name: str  # of its run's folder
    words: tuple[str, ...]  # of the settings that vary
    config: Config
    store: str
    mirrored: str | None
    labels: Path
    folder: Path
    device: str
    resume: bool


@dataclass(frozen=True, slots=True)
class SweepOutcome:
    """What one setting came to. Held-out numbers are means over targets, of spans."""

    name: str
    words: tuple[str, ...]
    run: Path
    validation_ccc: float
    held_out: dict[str, float]  # metric -> value
    warnings: tuple[str, ...] = ()
    reason: str = ""  # what failed; empty when every fold was done


@dataclass(slots=True)
class SweepSummary:
    """All settings in the order of the grid, and the one that validation prefers."""

    folder: Path
    outcomes: list[SweepOutcome] = field(default_factory=list)

    @property
    def chosen(self) -> SweepOutcome | None:
        """Highest mean CCC on the inner validation clips; None where every setting failed."""
        known = [item for item in self.outcomes if np.isfinite(item.validation_ccc) and not item.reason]
        return max(known, key=lambda item: item.validation_ccc, default=None)


def expand_grid(words: Sequence[str]) -> list[list[str]]:
    """Every combination of the values that `KEY=A,B,C` words list; the last word varies fastest.

    A comma inside brackets, braces or quotes belongs to one value: `labels.targets=[a,b]` is no list of settings.
    Errors: ConfigError for an empty value between commas, or a grid of more than MOST_POINTS settings.
    """
    choices = [[f"{key}={value}" for value in values] for key, values in map(_values, words)]
    points = int(np.prod([len(choice) for choice in choices], dtype=np.float64))
    if points > MOST_POINTS:
        raise ConfigError(f"--set spans a grid of {points} settings; expected at most {MOST_POINTS}")
    return [list(point) for point in itertools.product(*choices)]


def _values(word: str) -> tuple[str, list[str]]:
    key, separator, text = word.partition("=")
    if not separator:
        raise ConfigError(f"--set {word!r} is not KEY=VALUE", hint="--set training.epochs=20")
    values = [value.strip() for value in _split(text)]
    if len(values) > 1 and "" in values:
        raise ConfigError(f"--set {word!r} has an empty value between commas", hint=f"--set {key}=A,B")
    return key, values


def _split(text: str) -> Iterator[str]:
    """Parts between commas that stand outside brackets, braces and quotes."""
    depth, quote, start = 0, "", 0
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{(":
            depth += 1
        elif letter in "]})":
            depth -= 1
        elif letter == "," and depth == 0:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def sweep(
    store: str,
    labels: str | Path,
    folder: str | Path,
    source: str | None,
    words: Sequence[str],
    *,
    device: str = "auto",
    workers: Workers | None = None,
    resume: bool = False,
    mirrored: str | None = None,
    finished: Callable[[SweepOutcome], None] = lambda outcome: None,
) -> SweepSummary:
    """Train a run for every setting of the grid, each in a folder of its own, and write sweep.csv and sweep.json.

    source: preset or file, as in `load_config`. A setting that fails is listed and the others stand.
    Errors: ConfigError for a setting that is wrong, before anything is trained.
    """
    workers, folder = workers or Workers(), Path(folder)
    grid = expand_grid(words)
    varying = [column for column in range(len(words)) if len({point[column] for point in grid}) > 1]
    devices = spread_devices(resolve_device(device), workers.jobs)
    points = [
        SweepPoint(
            name=_name(number, [point[column] for column in varying]),
            words=tuple(point[column] for column in varying),
            config=load_config(source, point),
            store=store,
            mirrored=mirrored,
            labels=Path(labels),
            folder=folder,
            device=devices[number % len(devices)],
            resume=resume,
        )
        for number, point in enumerate(grid)
    ]
    summary = SweepSummary(folder)
    for outcome in run_all(workers, train_point, [(point,) for point in points]):
        summary.outcomes.append(outcome)
        summary.outcomes.sort(key=lambda item: item.name)
        _write_table(summary)
        finished(outcome)
    return summary


def train_point(point: SweepPoint) -> SweepOutcome:
    """The outcome of one setting; its run lies under the sweep's folder."""
    run = point.folder / point.name
    try:
        summary = train_temporal(
            point.store,
            point.labels,
            run,
            point.config,
            device=point.device,
            resume=point.resume and run.exists(),
            mirrored=point.mirrored,
        )
    except AffectError as error:
        return SweepOutcome(point.name, point.words, run, float("nan"), {}, reason=error.message)
    return _outcome(point, run, summary)


def _outcome(point: SweepPoint, run: Path, summary: TrainingSummary) -> SweepOutcome:
    reason = "; ".join(f"fold {item.name}: {item.reason}" for item in summary.failed)
    outcome = SweepOutcome(point.name, point.words, run, float("nan"), {}, summary.warnings, reason)
    if summary.metrics is None:
        return outcome
    averages = summary.metrics.spans.averages["model"]
    held_out = {name: averages[name].value for name in SHOWN}
    return replace(outcome, validation_ccc=summary.metrics.validation_ccc, held_out=held_out)


def _write_table(summary: SweepSummary) -> None:
    chosen = summary.chosen
    rows = [
        {"run": item.name}
        | dict(word.split("=", 1) for word in item.words)
        | {"validation_ccc": item.validation_ccc, "chosen": item is chosen}
        | {f"held_out_{name}": item.held_out.get(name) for name in SHOWN}
        | {"reason": item.reason}
        for item in summary.outcomes
    ]
    write_whole(summary.folder / "sweep.csv", pd.DataFrame(rows).to_csv(index=False))
    warnings = list(dict.fromkeys(warning for item in summary.outcomes for warning in item.warnings))
    chosen_words = {"run": chosen.name, "settings": list(chosen.words)} if chosen else None
    write_json(
        summary.folder / "sweep.json",
        {"warnings": warnings, "chosen_by": "mean CCC of the inner validation clips", "chosen": chosen_words,
         "settings": rows},
    )  # fmt: skip


def _name(number: int, words: Sequence[str]) -> str:
    """A folder's name: the place in the grid, and what varies in letters any file system takes."""
    pairs = [word.partition("=") for word in words]
    parts = [f"{key.rpartition('.')[2]}-{value}" for key, _, value in pairs]
    short = re.sub(r"[^A-Za-z0-9.+_-]+", "-", "_".join(parts))
    return f"{number:03d}" + (f"_{short[:80]}" if short else "")
