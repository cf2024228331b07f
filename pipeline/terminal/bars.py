"""How far a command is, on the error stream: bars on a terminal, a line a minute where nobody looks."""

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Generator
from datetime import datetime
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ...configs.plain_text import spelled
from ...stages.views.overview import Overview
from ...stages.views.story import notes

Event = TypeVar("Event")
LINE_EVERY_S, BATCH_LINE_EVERY_S = 0.5, 60.0  # in a notebook; in a log
DRAW_EVERY_S = 0.2


def bars(
    events: Generator[Event, None, None],
    enabled: bool = True,
    *,
    named: Callable[[str], str] = str,
    told: Callable[[Any], bool] = lambda event: False,
) -> Generator[Event, None, None]:
    """The events of a command as they come, drawn on the way; closing it closes the command.

    named: a video's name as it may be shown. told: gets each event first; whether it has said what there is to say.
    """
    with contextlib.closing(events), contextlib.ExitStack() as stack:
        notebook = Console(stderr=True).is_jupyter
        console = Console(stderr=True, force_jupyter=False)
        alive = enabled and console.is_terminal and not notebook
        name, note = (TextColumn(what, markup=False) for what in ("{task.description}", "{task.fields[note]}"))
        progress = Progress(name, BarColumn(), note, console=console, transient=True, disable=not alive)
        drawing = _Drawing(stack.enter_context(progress), Overview(named))
        if enabled and not alive:
            stack.enter_context(_lines(drawing, again=notebook))
        for event in events:
            said = told(event) or not enabled
            drawing.show(event)
            for words in [] if said else notes(event):
                console.print(spelled(words), highlight=False, markup=False, emoji=False)
            yield event


@contextlib.contextmanager
def _lines(drawing: "_Drawing", *, again: bool) -> Generator[None, None, None]:
    """The rows in words. again: on one line that is rewritten, all that a notebook's cell is; else a line a minute."""
    ended, width = threading.Event(), 0

    def write() -> None:
        nonlocal width
        line = drawing.line() if again else f"{datetime.now().strftime('%H:%M:%S')} {drawing.line()}"
        with contextlib.suppress(OSError, ValueError):  # who reads them has gone
            sys.stderr.write(f"\r{line.ljust(width)}" if again else f"{line}\n")
            sys.stderr.flush()
        width = len(line)

    def keep_writing() -> None:
        if again:
            write()
        while not ended.wait(LINE_EVERY_S if again else BATCH_LINE_EVERY_S):
            write()

    thread = threading.Thread(target=keep_writing, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if again:
            write()
            sys.stderr.write("\n")


class _Drawing:
    """An overview, and a bar for each of its rows."""

    def __init__(self, progress: Progress, overview: Overview) -> None:
        self._progress, self._overview = progress, overview
        self._tasks: dict[str, TaskID] = {}
        self._drawn_s = -math.inf
        self._kind: type = type(None)
        self._lock = threading.Lock()
        self._draw(time.monotonic())

    def show(self, event: Any) -> None:
        """Take in an event."""
        with self._lock:
            now_s = time.monotonic()
            self._overview.take(event, now_s)
            new, self._kind = type(event) is not self._kind, type(event)
            if (new or now_s - self._drawn_s >= DRAW_EVERY_S) and not self._progress.disable:
                self._draw(now_s)
                self._drawn_s = now_s

    def line(self) -> str:
        """All of it in words."""
        with self._lock:
            return "; ".join(f"{row.name} {row.note}".strip() for row in self._overview.rows(time.monotonic()))

    def _draw(self, now_s: float) -> None:
        rows = {row.key: row for row in self._overview.rows(now_s)}
        for key in self._tasks.keys() - rows.keys():
            self._progress.remove_task(self._tasks.pop(key))
        for key, row in rows.items():
            if key not in self._tasks:
                self._tasks[key] = self._progress.add_task(row.name, total=None, note=row.note)
            self._progress.update(
                self._tasks[key], description=row.name, note=row.note, completed=row.done, total=row.size
            )
