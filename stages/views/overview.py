"""Where a command stands: a row for the whole, and one for each video or fold that is being worked on.

Events are known by the names of their classes and fields (`pipeline/events.py`), since a view knows no command.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...configs.plain_text import shortened, spelled
from . import feedback
from .pace import Pace

MOST_NAME = 60  # characters of a name
TAKEN = {
    "Planned", "Begun", "Moved", "LeftToOther", "VideoOutcome", "VideoCheck", "ScoresPlanned", "ClipsScored",
    "FoldsPlanned", "EpochDone", "FoldOutcome", "SweepPlanned", "SweepOutcome",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One of them."""

    key: str  # empty: the whole
    name: str
    note: str
    done: float = 0.0
    size: float | None = None  # None: not known


@dataclass(slots=True)
class Overview:
    """What events came to; the clock is the caller's, in seconds. named: a video's name as it may be shown."""

    named: Callable[[str], str] = str
    _what: str = ""
    _unit: str = feedback.COUNT
    _at_most: bool = False
    _begins: str = feedback.GETTING_READY
    _pace: Pace | None = None
    _shown: dict[str, str] = field(default_factory=dict)  # names of what is running
    _notes: dict[str, str] = field(default_factory=dict)
    _kept: dict[str, tuple[int, float]] = field(default_factory=dict)  # frames of a video at its first move, and when

    def rows(self, now_s: float) -> list[Row]:
        """The whole first."""
        if self._pace is None:
            rows = [Row("", self._begins, "")]
        else:
            whole = feedback.whole(self._what, self._pace, self._unit, now_s, at_most=self._at_most)
            rows = [Row("", "", whole, self._pace.done, self._pace.total or None)]
        for key, name in self._shown.items():
            part, note = None if self._pace is None else self._pace.running.get(key), self._notes.get(key, "")
            if part is None:
                rows.append(Row(key, name, note))
            else:
                rows.append(Row(key, name, feedback.single(part, self._unit, note), part.done, part.size))
        return rows

    def take(self, event: Any, now_s: float) -> None:
        """Take in an event; those that are none of TAKEN change nothing."""
        kind = type(event).__name__
        if kind in ("Planned", "FoldsPlanned", "SweepPlanned", "ScoresPlanned"):
            self._plan(kind, event, now_s)
        elif kind in ("Begun", "Moved", "LeftToOther", "VideoOutcome"):
            self._video(kind, event, now_s)
        elif kind == "ClipsScored":
            key = f"scores of {event.video}"
            self._show(key, f"scores of {self.named(event.video)}", f"{event.clips} of {event.of} clips")
            if event.clips == event.of:
                self._hide(key)
        elif kind == "VideoCheck":
            self._paced(now_s).end("", now_s)
        elif kind == "EpochDone":
            self._epoch(event, now_s)
        elif kind in ("FoldOutcome", "SweepOutcome"):
            self._hide(event.name)
            self._paced(now_s).end(event.name, now_s, failed=bool(event.reason))

    def _plan(self, kind: str, event: Any, now_s: float) -> None:
        if kind == "ScoresPlanned":
            self._pace, self._begins = None, f"{len(event.videos)} videos to score"
        elif kind == "FoldsPlanned":
            self._begin("folds", feedback.EPOCHS, dict.fromkeys(range(event.folds), float(event.epochs)), now_s)
            self._at_most = event.may_stop
        elif kind == "SweepPlanned":
            self._begin("settings", feedback.COUNT, dict.fromkeys(range(event.settings), 1.0), now_s)
        elif any(event.lengths_s.values()):
            self._begin("videos", feedback.SECONDS, event.lengths_s, now_s)
        else:
            self._begin("videos", feedback.COUNT, dict.fromkeys(range(event.videos), 1.0), now_s)

    def _video(self, kind: str, event: Any, now_s: float) -> None:
        if self._pace is None and kind in ("LeftToOther", "VideoOutcome"):
            return  # it needed no plan
        pace = self._paced(now_s)
        if kind == "Begun":
            self._kept.pop(event.id, None)
            self._show(event.id, self.named(event.id))
            pace.begin(event.id, now_s, event.duration_s, again=event.frames > 0)
        elif kind == "Moved":
            pace.move(event.id, event.position_s, now_s, event.duration_s)
            kept, since_s = self._kept.setdefault(event.id, (event.frames, now_s))
            told = pace.running[event.id].rate is not None and event.frames > kept
            rate = f"{(event.frames - kept) / (now_s - since_s):.1f} frames/s" if told else ""
            self._show(event.id, self.named(event.id), rate)
        else:
            self._hide(event.id)
            if kind == "LeftToOther":
                pace.leave(event.id, now_s)
            elif event.status == "skipped":
                pace.drop(event.id, now_s)
            else:
                pace.end(event.id, now_s, failed=event.status != "done")

    def _epoch(self, event: Any, now_s: float) -> None:
        pace, record = self._paced(now_s), event.record
        if event.fold not in pace.running:
            pace.begin(event.fold, now_s - record.seconds, event.of, event.epochs - 1)
        pace.move(event.fold, event.epochs, now_s, event.of)
        validated = f", validation CCC {record.validation_ccc:.3f}" if math.isfinite(record.validation_ccc) else ""
        self._show(event.fold, f"fold {event.fold}", f"{record.phase} loss {record.loss:.3f}{validated}")

    def _begin(self, what: str, unit: str, sizes: Mapping[Any, float | None], now_s: float) -> None:
        self._what, self._unit, self._pace, self._at_most = what, unit, Pace(sizes, now_s), False

    def _paced(self, now_s: float) -> Pace:
        """That of the plan; where there is none, what comes is all there is."""
        if self._pace is None:
            self._begin("videos", feedback.SECONDS, {}, now_s)
        assert self._pace is not None
        return self._pace

    def _show(self, key: str, name: str, note: str = "") -> None:
        self._shown[key] = shortened(spelled(name), MOST_NAME)
        self._notes[key] = note

    def _hide(self, key: str) -> None:
        self._shown.pop(key, None)
        self._notes.pop(key, None)
