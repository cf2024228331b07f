"""What the columns of a table of labels are, by their names: times in a unit, whose video and person, values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...cache.cell_values import TimeUnit
from ...cache.manifest_csv import is_manifest
from .tables import plain

VIDEO = ("video", "file", "filename", "interview", "recording", "clip", "media", "videoid", "videoname", "videofile")
SUBJECT = ("subject", "patient", "participant", "person", "subjectid", "patientid", "participantid", "speaker")
SPLIT = ("split", "partition")
Timing = tuple[str, TimeUnit]  # a column of times, and the unit that its name says
_UNITS: Mapping[str, TimeUnit] = {  # endings of a name; those of three words as ELAN exports them
    "": "auto", "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "ssmsec": "s",
    "ms": "ms", "msec": "ms", "millis": "ms", "millisecond": "ms", "milliseconds": "ms",
    "hms": "hms", "hhmmss": "hms", "hhmmssms": "hms", "frame": "frame", "frames": "frame",
}  # fmt: skip


def _in_units(*words: str) -> dict[str, TimeUnit]:
    return {f"{word}{ending}": unit for word in words for ending, unit in _UNITS.items()}


TIME: dict[str, TimeUnit] = {
    **_in_units("time", "timestamp", "t", "timecode"),
    **{name: unit for name, unit in _UNITS.items() if name},
    "frameno": "frame", "framenr": "frame", "framenumber": "frame", "frameindex": "frame", "frameid": "frame",
}  # fmt: skip
START = _in_units("start", "starttime", "onset", "begin", "begintime", "from", "tstart", "tmin")
END = _in_units("end", "endtime", "offset", "stop", "stoptime", "to", "tend", "tmax")
DURATION = _in_units("duration", "dur")
START["startframe"] = START["framestart"] = END["endframe"] = END["frameend"] = "frame"


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns of a table by what they hold."""

    time: tuple[str, ...]  # one for points in time; start and end, or start and duration, for spans
    units: tuple[TimeUnit, ...]  # of each of these, as its name says; where one name says none, the other's
    duration: bool  # whether the second of these is a length
    video: str | None
    subject: str | None
    split: str | None
    values: tuple[str, ...]

    @property
    def spans(self) -> bool:
        """Whether a row has a start and an end."""
        return len(self.time) > 1


def roles_of(names: Sequence[str]) -> Roles | None:
    """The roles of a table's columns; None where it has no times, or no values."""
    known = {plain(name): name for name in reversed(names)}
    starts, ends, durations, times = (
        [(known[word], unit) for word, unit in words.items() if word in known] for words in (START, END, DURATION, TIME)
    )
    # A time beside an end or a duration is where its span starts.
    chosen = _one_unit(starts or times, [*ends, *durations]) or times[:1]
    if not chosen:
        return None
    video, subject, split = (
        next((known[word] for word in words if word in known), None) for words in (VIDEO, SUBJECT, SPLIT)
    )
    timing = {*START, *END, *DURATION, *TIME}
    values = tuple(name for name in names if name not in (video, subject, split) and plain(name) not in timing)
    units = [unit for _, unit in chosen]
    said: TimeUnit = next((unit for unit in units if unit != "auto"), "auto")
    return Roles(
        time=tuple(name for name, _ in chosen),
        units=tuple(said if unit == "auto" else unit for unit in units),
        duration=len(chosen) > 1 and chosen[1] in durations,
        video=video,
        subject=subject,
        split=split,
        values=tuple(name for name in values if name),
    ) if values else None  # fmt: skip


def _one_unit(starts: Sequence[Timing], seconds: Sequence[Timing]) -> list[Timing]:
    """The first start and end whose names say the same unit; where none do, the first of each, if there are both."""
    pairs = [[start, second] for start in starts for second in seconds]
    return next((pair for pair in pairs if pair[0][1] == pair[1][1]), pairs[0] if pairs else [])


def fits(names: Sequence[str]) -> bool:
    """Whether these are the columns of a table of labels in time that is no manifest yet."""
    return roles_of([name for name in names if name]) is not None and not is_manifest(names)
