"""Progress bars on the terminal's error stream: what is running, how fast, how long it will still take."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ...cache.records import VideoCheck
from ...configs.plain_text import shortened, spelled
from ..events import (
    ClipsScored,
    EpochDone,
    FoldOutcome,
    FoldsPlanned,
    Moved,
    Planned,
    Step,
    SweepOutcome,
    SweepPlanned,
    VideoOutcome,
)

Event = TypeVar("Event")
LINE_EVERY_S = 0.5
MOST_NAME = 60  # characters of a name beside its bar


def bars(
    events: Generator[Event, None, None], enabled: bool = True, *, named: Callable[[str], str] = str
) -> Generator[Event, None, None]:
    """The events of a command as they come, drawn on the way; closing it closes the command.

    named: a video's name as it may be shown.
    """
    with contextlib.closing(events):
        if not enabled:
            yield from events
            return
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False), TimeRemainingColumn(),
        )  # fmt: skip
        notebook = Console(stderr=True).is_jupyter
        console = Console(stderr=True, force_jupyter=False)
        with Progress(*columns, console=console, transient=True, disable=notebook) as progress:
            drawing, line = _Drawing(progress, named), _Line(progress)
            for event in events:
                drawing.show(event)
                if notebook:
                    line.write()
                yield event
            if notebook:
                line.write(last=True)


class _Line:
    """The bars in words, on one line that is written again and again: where a cell of a notebook is all there is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._written_s = -math.inf
        self._width = 0

    def write(self, last: bool = False) -> None:
        if time.monotonic() - self._written_s < LINE_EVERY_S and not last:
            return
        words = [
            f"{task.description} {task.completed:g}/{'?' if task.total is None else f'{task.total:g}'} "
            f"{task.fields['note']}".rstrip()
            for task in self._progress.tasks
        ]
        line = ", ".join(words)
        sys.stderr.write(f"\r{line.ljust(self._width)}" + ("\n" if last else ""))
        sys.stderr.flush()
        self._written_s, self._width = time.monotonic(), len(line)


class _Drawing:
    """One bar for the whole, and one for each video or fold that is being worked on."""

    def __init__(self, progress: Progress, named: Callable[[str], str]) -> None:
        self.progress = progress
        self.named = named
        self.whole: TaskID | None = None
        self.running: dict[str, TaskID] = {}
        self.epochs: int | None = None  # of each fold, at most

    def show(self, event: Any) -> None:
        match event:
            case Step(words):
                self._say(words)
            case Planned(videos):
                self._begin("videos", videos)
            case Moved(name, position_s, duration_s, frames):
                self._move(name, round(position_s), round(duration_s) if duration_s else None)
                elapsed = self.progress.tasks[self.progress.task_ids.index(self.running[name])].elapsed or 0.0
                self.progress.update(self.running[name], note=f"{frames / elapsed:.1f} frames/s" if elapsed else "")
            case VideoOutcome(name, status=status):
                self._end(name, counts=status != "skipped")
            case ClipsScored(name, clips=clips, of=total):
                self._move(name, clips, total, "scores of ")
                if clips == total:
                    self._end(name, "scores of ", counts=False)
            case VideoCheck():
                self._end("")
            case FoldsPlanned(folds, epochs, labels):
                if labels:
                    self._say(labels)
                self._begin("folds", folds)
                self.epochs = epochs
            case EpochDone(name, record, epochs):
                self._move(name, epochs, self.epochs)
                score = f"{record.phase} loss {record.loss:.3f}"
                if math.isfinite(record.validation_ccc):
                    score += f", validation CCC {record.validation_ccc:.3f}"
                self.progress.update(self.running[name], note=score)
            case SweepPlanned(settings):
                self._begin("settings", settings)
            case FoldOutcome(name) | SweepOutcome(name):
                self._end(name)

    def _say(self, words: str) -> None:
        self.progress.console.print(spelled(words), highlight=False, markup=False, emoji=False)

    def _begin(self, what: str, total: int) -> None:
        if self.whole is not None:
            self.progress.remove_task(self.whole)
        self.whole = self.progress.add_task(what, total=total, note="")

    def _move(self, name: str, done: int, total: int | None, what: str = "") -> None:
        if what + name not in self.running:
            shown = what + shortened(spelled(self.named(name)), MOST_NAME)
            self.running[what + name] = self.progress.add_task(shown, total=total, note="")
        self.progress.update(self.running[what + name], completed=done)

    def _end(self, name: str, what: str = "", counts: bool = True) -> None:
        if what + name in self.running:
            self.progress.remove_task(self.running.pop(what + name))
        if counts and self.whole is not None:
            self.progress.advance(self.whole)
