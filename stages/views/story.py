"""What happens, as lines: what `--verbose` says and `--log` keeps. Events are known by name, as in `overview.py`."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from . import feedback
from .rules import clock_text

TOLD = {
    "Step", "Planned", "Begun", "LeftToOther", "VideoOutcome", "VideoFailed", "ScoresPlanned", "VideoPrediction",
    "FoldsPlanned", "EpochDone", "FoldOutcome", "SweepPlanned", "SweepOutcome",
}  # fmt: skip


def notes(event: Any) -> list[str]:
    """What is said of an event also where nobody asked for more."""
    words = {"Step": "words", "FoldsPlanned": "labels"}.get(type(event).__name__)
    return [getattr(event, words)] if words and getattr(event, words) else []


class Story:
    """Each event of a command as lines; nothing for what is a step on the way. The clock is the caller's."""

    def __init__(self) -> None:
        self._begun_s: dict[str, float] = {}  # videos and folds

    def lines(self, event: Any, now_s: float) -> Iterator[str]:
        """Names are the event's own."""
        yield from notes(event)
        match type(event).__name__:
            case "Planned":
                yield from _settled(event.settled)
                known = [length for length in event.lengths_s.values() if length]
                more = event.videos - len(known)
                length = f", {clock_text(sum(known))} of video{f' and {more} of unknown length' if more else ''}"
                yield f"{event.videos} videos to do{length if known else ''}"
            case "Begun":
                self._begun_s[event.id] = now_s
                yield f"{event.id}: " + (f"goes on behind {event.frames} kept frames" if event.frames else "begun")
            case "LeftToOther":
                yield f"{event.id}: another run is at it, or has just done it"
            case "VideoOutcome" if event.status == "done":
                face = f", {event.face_share:.1%} with a face" if event.face_share else ""
                yield f"{event.id}: done, {event.frames} frames, {event.rows} rows{face}{self._since(event.id, now_s)}"
                yield from (f"{event.id}: warning: {warning}" for warning in event.warnings)
            case "VideoOutcome":
                yield f"{event.id}: {event.status}: {event.reason}"
            case "VideoFailed":
                yield f"{event.video}: failed: {event.reason}"
            case "ScoresPlanned" if not event.run:
                yield f"{len(event.videos)} videos to describe"
            case "ScoresPlanned":
                yield (
                    f"{len(event.videos)} videos to score with {event.models} models of {event.run} by {event.method}: "
                    f"{', '.join(target.name for target in event.targets)}; clips of {event.clip_frames} kept frames, "
                    f"one every {event.stride_frames}, of {event.subject}; recipe {event.recipe_digest[:12]}"
                )
                yield from (f"warning: {warning}" for warning in (*event.missing, *event.warnings))
            case "VideoPrediction":
                clips = sum(len(person.clips) for person in event.persons)
                odd = sum(int(person.clips.out_of_range.sum()) for person in event.persons)
                yield f"{event.video}: {clips} clips scored, {odd} out of range"
                yield from (f"{event.video}: warning: {warning}" for warning in event.warnings)
            case "FoldsPlanned":
                yield from _settled(event.settled)
                yield f"{event.folds} folds to train, of {event.epochs} epochs at most"
            case "EpochDone" if event.fold not in self._begun_s:
                self._begun_s[event.fold] = now_s - event.record.seconds
                before = event.epochs - 1
                yield f"fold {event.fold}: " + (f"goes on behind epoch {before}" if before else "begun")
            case "FoldOutcome":
                score = _validated(event.validation_ccc)
                done = f"done, {event.epochs} epochs{score}{self._since(event.name, now_s)}"
                yield f"fold {event.name}: " + (f"failed: {event.reason}" if event.reason else done)
            case "SweepPlanned":
                yield f"{event.settings} settings to train"
            case "SweepOutcome":
                done = f"done{_validated(event.validation_ccc)}"
                yield f"{event.name} ({' '.join(event.words)}): " + (
                    f"failed: {event.reason}" if event.reason else done
                )

    def _since(self, name: str, now_s: float) -> str:
        begun_s = self._begun_s.pop(name, None)
        return "" if begun_s is None else f", {feedback.took(now_s - begun_s)}"


def _validated(ccc: float) -> str:
    return f", validation CCC {ccc:.3f}" if math.isfinite(ccc) else ""


def _settled(what: Mapping[str, Any]) -> Iterator[str]:
    words = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in what.items()]
    yield from [f"settled: {', '.join(words)}"] if words else []
