"""What `--verbose` says and `--log` keeps: each event as lines, under pseudonyms where they are on."""

import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cache.log_file import LogFile
from ...cache.versions import system, version
from ...configs.plain_text import sentence
from ...stages.views.story import Story
from ..events import ScoresPlanned

if TYPE_CHECKING:
    from ...cache.pseudonyms import Pseudonyms

__all__ = ["LogFile", "Story", "open_log", "told", "versions"]


def open_log(path: str, places: Sequence[str]) -> LogFile:
    """The log at a path that was typed. places: of the command, where nothing else may lie. Errors: as LogFile."""
    return LogFile(Path(path), [Path(place).resolve() for place in places])


def versions() -> str:
    """What computes: affect, Python, the system, and the packages that numbers depend on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "av", "opencv-python"))
    return f"affect {version('affect')}, Python {platform.python_version()}, {system()}; {packages}"


def told(story: Story, event: Any, names: "Pseudonyms | None") -> Iterator[str]:
    """The lines of an event, each without the name of a video where names are replaced."""
    if names is None or not names.active:
        yield from map(sentence, story.lines(event, time.monotonic()))
        return
    from ..predict.outputs import under

    path = getattr(event, "path", None) or getattr(event, "source", None)
    video = {field: getattr(event, field) for field in ("id", "video") if hasattr(event, field)}
    shown = replace(event, **{field: names.of(name) for field, name in video.items()}) if video else event
    shown = under(names, event) if isinstance(event, ScoresPlanned) else shown
    for line in story.lines(shown, time.monotonic()):
        yield sentence(names.cleaned(line, next(iter(video.values()), ""), Path(path) if path else None))
