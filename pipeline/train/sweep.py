"""A grid of settings, a run each, one table; the choice between them looks at validation alone."""

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...cache.csv_cells import to_cells
from ...cache.dictionary import described
from ...cache.files import write_whole
from ...cache.json_files import read_json, write_json
from ...configs.load import load_config
from ...configs.schema import Config
from ...errors import AffectError, ConfigError, RunError
from ..devices import resolve_device, spread_devices
from ..events import SweepOutcome, SweepPlanned, summary_of
from ..runs.folder import RunFolder
from ..workers import Died, Workers, run_all
from .train import TrainingSummary, train

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

    @property
    def run(self) -> Path:
        """Its run's folder."""
        return self.folder / self.name


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """The settings that are over, in the order of the grid, and the one that validation prefers."""

    folder: Path
    outcomes: tuple[SweepOutcome, ...]

    @property
    def chosen(self) -> SweepOutcome | None:
        """Highest mean CCC on the inner validation clips; None where every setting failed."""
        return max(self._known, key=lambda item: item.validation_ccc, default=None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What makes the choice worth less."""
        chosen, notes = self.chosen, []
        if len({item.judged_on for item in self._known}) > 1:
            notes.append("settings were judged on different validation people or targets: the highest CCC may be luck")
        tied = [item.name for item in self._known if chosen and item.validation_ccc == chosen.validation_ccc]
        if len(tied) > 1:
            notes.append(f"{' and '.join(tied[:3])} are equal on validation, {len(tied)} in all; the first is chosen")
        return tuple(notes)

    @property
    def _known(self) -> list[SweepOutcome]:
        return [item for item in self.outcomes if np.isfinite(item.validation_ccc) and not item.reason]


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
) -> Generator[SweepPlanned | SweepOutcome | SweepSummary, None, None]:
    """The outcome of every setting of the grid as it comes, and the summary last.

    Each setting is trained as a run in a folder of its own; sweep.csv and sweep.json list those that are over.
    source: preset or file, as in `load_config`. A setting that fails, or whose worker dies, is listed and the others
    stand. Errors, before anything is trained: ConfigError for a setting that is wrong, RunError for a run that is there
    already (without `resume`).
    """
    workers, folder = workers or Workers(), Path(folder)
    grid = expand_grid(words)
    varying = [column for column in range(len(words)) if len({point[column] for point in grid}) > 1]
    devices = spread_devices(resolve_device(device), workers.jobs_here)
    points = [
        SweepPoint(
            name=_name(number, [point[column] for column in varying]),
            words=tuple(point[column] for column in varying),
            config=_without_refit(load_config(source, point)),
            store=store,
            mirrored=mirrored,
            labels=Path(labels),
            folder=folder,
            device=devices[number % len(devices)],
        )
        for number, point in enumerate(grid)
    ]
    for point in points:
        if not resume and RunFolder(point.run).config_file.exists():
            raise RunError(f"{point.run} already holds a run", hint="--resume goes on with it; or name another --run")
    _check_tables(folder)
    yield SweepPlanned(len(points))
    outcomes: list[SweepOutcome] = []
    with contextlib.closing(run_all(workers, train_point, points, SweepOutcome)) as events:
        for event in events:
            outcome = event
            if isinstance(event, Died):
                outcome = SweepOutcome(event.task.name, event.task.words, event.task.run, reason=event.reason)
            outcomes.append(outcome)
            outcomes.sort(key=lambda item: item.name)
            _write_tables(SweepSummary(folder, tuple(outcomes)))
            yield outcome
    yield SweepSummary(folder, tuple(outcomes))


def _without_refit(config: Config) -> Config:
    """The settings with validation spans that do not train: the choice between settings is made on them."""
    left = tuple(name for name in config.by_size if name != "training.refit")
    return replace(config, training=replace(config.training, refit=False), by_size=left)


def train_point(point: SweepPoint) -> Generator[SweepOutcome, None, None]:
    """The outcome of one setting, whose run is begun or gone on with: a worker's death may have cut it short."""
    resume = point.run.exists()
    try:
        events = train(
            point.store, point.labels, point.run, point.config, device=point.device, resume=resume,
            mirrored=point.mirrored,
        )  # fmt: skip
        summary = summary_of(events, TrainingSummary)
    except AffectError as error:
        yield SweepOutcome(point.name, point.words, point.run, reason=error.message)
        return
    reason = "; ".join(f"fold {item.name}: {item.reason}" for item in summary.failed)
    outcome = SweepOutcome(point.name, point.words, point.run, warnings=summary.warnings, reason=reason)
    if summary.metrics is not None:
        averages = summary.metrics.spans.averages["model"]
        held_out = {name: averages[name].value for name in SHOWN}
        known = {name for name, ccc in summary.metrics.validation_by_fold.items() if np.isfinite(ccc)}
        people = [(name, RunFolder(point.run).fold(name).subjects.get("validation")) for name in sorted(known)]
        judged = repr((people, [target.name for target in summary.metrics.targets]))
        outcome = replace(
            outcome, validation_ccc=summary.metrics.validation_ccc, held_out=held_out,
            judged_on=hashlib.sha256(judged.encode()).hexdigest()[:12],
        )  # fmt: skip
    yield outcome


def _check_tables(folder: Path) -> None:
    """Errors: RunError where sweep.csv or sweep.json is not of an earlier sweep, and would be lost."""
    tables = [name for name in ("sweep.csv", "sweep.json") if os.path.lexists(folder / name)]
    try:
        ours = not tables or {"chosen_by", "settings"} <= read_json(folder / "sweep.json").keys()
    except RunError:
        ours = False
    if not ours:
        raise RunError(f"{folder / tables[0]} is of no earlier sweep; nothing was written", hint="name another --run")


def _write_tables(summary: SweepSummary) -> None:
    chosen = summary.chosen
    rows = [
        {"run": item.name}
        | dict(word.split("=", 1) for word in item.words)
        | {"validation_ccc": item.validation_ccc, "chosen": item is chosen}
        | {f"held_out_{name}": item.held_out.get(name) for name in SHOWN}
        | {"reason": item.reason}
        for item in summary.outcomes
    ]
    write_whole(summary.folder / "sweep.csv", to_cells(pd.DataFrame(rows)).to_csv(index=False, lineterminator="\n"))
    warnings = [*summary.notes, *dict.fromkeys(words for item in summary.outcomes for words in item.warnings)]
    chosen_words = {"run": chosen.name, "settings": list(chosen.words)} if chosen else None
    write_json(
        summary.folder / "sweep.json",
        {"columns": described(rows[0]), "warnings": warnings, "chosen_by": "mean CCC of the inner validation clips",
         "chosen": chosen_words, "settings": rows},
    )  # fmt: skip


def _name(number: int, words: Sequence[str]) -> str:
    """A folder's name: the place in the grid, and what varies in letters any file system takes."""
    pairs = [word.partition("=") for word in words]
    parts = [f"{key.rpartition('.')[2]}-{value}" for key, _, value in pairs]
    short = re.sub(r"[^A-Za-z0-9.+_-]+", "-", "_".join(parts))
    return f"{number:03d}" + (f"_{short[:80]}" if short else "")
