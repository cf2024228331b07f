"""Progress bars on the terminal's error stream: what is running, how fast, how long it will still take."""

import contextlib
from collections.abc import Generator
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..events import Moved, Planned, Step, VideoOutcome

Event = TypeVar("Event")


def bars(events: Generator[Event, None, None], enabled: bool = True) -> Generator[Event, None, None]:
    """The events of a command as they come, drawn on the way; closing it closes the command."""
    with contextlib.closing(events):
        if not enabled:
            yield from events
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            drawing = _Drawing(progress)
            for event in events:
                drawing.show(event)
                yield event


class _Drawing:
    """One bar for the whole, and one for each video or fold that is being worked on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.whole: TaskID | None = None
        self.running: dict[str, TaskID] = {}

    def show(self, event: Any) -> None:
        match event:
            case Step(words):
                self.progress.console.print(words, highlight=False)
            case Planned(videos):
                self._begin("videos", videos)
            case Moved(name, position_s, duration_s, frames):
                self._move(name, round(position_s), round(duration_s) if duration_s else None)
                elapsed = self.progress.tasks[self.progress.task_ids.index(self.running[name])].elapsed or 0.0
                self.progress.update(self.running[name], note=f"{frames / elapsed:.1f} frames/s" if elapsed else "")
            case VideoOutcome(name, status=status):
                self._end(name, counts=status != "skipped")

    def _begin(self, what: str, total: int) -> None:
        if self.whole is not None:
            self.progress.remove_task(self.whole)
        self.whole = self.progress.add_task(what, total=total, note="")

    def _move(self, name: str, done: int, total: int | None) -> None:
        if name not in self.running:
            self.running[name] = self.progress.add_task(name, total=total, note="")
        self.progress.update(self.running[name], completed=done)

    def _end(self, name: str, counts: bool = True) -> None:
        if name in self.running:
            self.progress.remove_task(self.running.pop(name))
        if counts and self.whole is not None:
            self.progress.advance(self.whole)
