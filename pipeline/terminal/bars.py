"""Progress bars on the terminal's error stream: what is running, how fast, how long it will still take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..extract.extract import Listener, Moved
from ..extract.plan import VideoOutcome

if TYPE_CHECKING:
    from ...stages.temporal.fit import EpochRecord
    from ..train.fold import FoldOutcome
    from ..train.train import TrainingListener


@contextmanager
def extraction_bar(enabled: bool) -> Iterator[Listener]:
    """A listener that draws videos done, and each running video's share, frames a second and time left."""
    if not enabled:
        yield Listener()
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bars(progress).listener()


class _Bars:
    """One bar for the run in videos, one in whole seconds of recording for each video that is being read."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.total = progress.add_task("videos", total=None, rate="")
        self.running: dict[str, TaskID] = {}

    def listener(self) -> Listener:
        return Listener(self.planned, self.moved, self.finished)

    def planned(self, videos: int) -> None:
        self.progress.update(self.total, total=videos)

    def moved(self, moved: Moved) -> None:
        if moved.id not in self.running:
            length = round(moved.duration_s) if moved.duration_s else None
            self.running[moved.id] = self.progress.add_task(moved.id, total=length, rate="")
        bar = self.running[moved.id]
        elapsed = self.progress.tasks[self.progress.task_ids.index(bar)].elapsed or 0.0
        rate = f"{moved.frames / elapsed:.1f} frames/s" if elapsed else ""
        self.progress.update(bar, completed=round(moved.position_s), rate=rate)

    def finished(self, outcome: VideoOutcome) -> None:
        bar = self.running.pop(outcome.id, None)
        if bar is not None:
            self.progress.remove_task(bar)
        if outcome.status != "skipped":
            self.progress.advance(self.total)


@contextmanager
def training_bar(enabled: bool) -> "Iterator[TrainingListener]":
    """A listener that draws folds done and, in this process, each fold's epochs with its validation score."""
    from ..train.train import TrainingListener

    if not enabled:
        yield TrainingListener()
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[score]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        total = progress.add_task("folds", total=None, score="")
        running: dict[str, TaskID] = {}
        most = 0

        def planned(folds: int, epochs: int) -> None:
            nonlocal most
            most = epochs
            progress.update(total, total=folds)

        def epoch(fold: str, record: "EpochRecord") -> None:
            if fold not in running:
                running[fold] = progress.add_task(fold, total=most, score="")
            score = f"{record.phase} loss {record.loss:.3f}, validation CCC {record.validation_ccc:.3f}"
            progress.update(running[fold], completed=record.epoch, score=score)

        def finished(outcome: "FoldOutcome") -> None:
            if outcome.name in running:
                progress.remove_task(running.pop(outcome.name))
            progress.advance(total)

        yield TrainingListener(planned, epoch, finished)


@contextmanager
def counting_bar(what: str, total: int, enabled: bool) -> Iterator[Callable[[], None]]:
    """A function to call for each item done."""
    if not enabled:
        yield lambda: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda: progress.advance(bar)
