"""Which tool a table of features comes from, told by the names of its columns, and what each column holds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ....cache.cell_values import TimeUnit
from ....cache.tables import few
from ....errors import InputError, ManifestError, shown

KindName = Literal["openface", "py-feat", "table"]
POINTS = tuple(f"{axis}_{number}" for axis in "xy" for number in range(68))  # pixels of the frame, in both tools
BOX = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight")
REPEATED = ("frame",)  # py-feat's index and its column, where the index was written too


@dataclass(frozen=True, slots=True)
class Kind:
    """A tool's tables."""

    signature: frozenset[str]  # columns that all of them have, and others have not
    features: str  # a regular expression: columns that become features unless others are asked for
    words: str  # the same in words
    box: bool = False  # whether BOX may be there


KINDS: dict[KindName, Kind] = {
    "openface": Kind(
        frozenset({"frame", "timestamp", "confidence", "success"}),
        r"AU\d\d_[rc]|gaze_[01]_[xyz]|gaze_angle_[xy]|pose_[TR][xyz]",
        "action units (_r and _c), gaze and pose",
    ),
    "py-feat": Kind(
        frozenset({"frame", "FaceRectX", "FaceScore"}),
        r"AU\d\d|anger|disgust|fear|happiness|sadness|surprise|neutral|Pitch|Roll|Yaw",
        "action units, emotions, and Pitch, Roll and Yaw",
        box=True,
    ),
    "table": Kind(frozenset(), r".*", "every other column of numbers"),
}
_UNITS: dict[str, TimeUnit] = {
    "": "auto", "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "ms": "ms", "msec": "ms", "millis": "ms", "millisecond": "ms", "milliseconds": "ms", "hms": "hms",
}  # fmt: skip
TIME: dict[str, TimeUnit] = {
    f"{word}{end}": unit for word in ("time", "timestamp", "t") for end, unit in _UNITS.items()
}
TIME |= {word: unit for word, unit in _UNITS.items() if len(word) > 1}
COARSE = "approxtime"  # of py-feat: whole seconds
FRAME = ("frame", "frameno", "framenr", "framenumber", "frameindex", "frameidx", "frameid")
FACE = ("face", "faceid", "track", "trackid", "person", "personid", "identity")
CONFIDENCE = ("confidence", "faceconfidence", "facescore", "detectionscore", "detectionconfidence")
SUCCESS = ("success",)
VIDEO = ("video", "videoid", "videoname", "videofile", "file", "filename", "recording", "media", "input")
NO_FEATURE = ("subject", "subjectid", "participant", "participantid", "patient", "patientid", "split", "index")
_ROLES = {*TIME, COARSE, *FRAME, *FACE, *CONFIDENCE, *SUCCESS, *VIDEO, *NO_FEATURE}


@dataclass(frozen=True, slots=True)
class TimeSource:
    """Where the times of a table's rows come from, as far as a user says it."""

    column: str = ""  # empty: found by its name
    unit: TimeUnit = "auto"
    fps: float | None = None  # of the video, where there are numbers of frames alone


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns of a table by what they hold; empty where there is none."""

    kind: KindName
    time: str
    unit: TimeUnit
    frame: str
    face: str
    confidence: str
    success: str
    video: str
    coarse: str  # times too coarse to be used, which `fps` has to agree with
    candidates: tuple[str, ...]  # the columns that are none of these
    unused: tuple[str, ...]  # columns that go by their names, and another one was taken
    points: bool  # all of POINTS
    box: bool  # all of BOX

    @property
    def words(self) -> tuple[str, ...]:
        """What the rows are found by."""
        found = (("time", self.time or self.frame), ("face", self.face), ("confidence", self.confidence))
        return tuple(f"{what} {name}" for what, name in found if name)


def kind_of(names: Sequence[str]) -> KindName:
    """The tool whose columns these are; `table` for any other."""
    return next((name for name, kind in KINDS.items() if kind.signature and kind.signature <= set(names)), "table")


def fits(names: Sequence[str]) -> bool:
    """Whether these may be the columns of a table of features: one of them tells the time."""
    return any(plain(name) in TIME or plain(name) in FRAME for name in names)


def roles_of(names: Sequence[str], kind: KindName, said: TimeSource, place: str) -> Roles:
    """The roles of a table's columns. place: the table, for messages.

    Errors: ManifestError for a table without times, or of another tool than `kind`.
    """
    known = {plain(name): name for name in reversed(names)}
    lacking = sorted(KINDS[kind].signature - set(names))
    if lacking:
        raise ManifestError(
            f"{place}: no column {', '.join(lacking)}, as tables of {kind} have; its columns are {few(names)}",
            hint="--kind table reads any table with a time and numbers",
        )

    def first(words: Sequence[str]) -> str:
        return next((known[word] for word in words if word in known), "")

    if said.column and said.column not in names:
        raise ManifestError(f"{place}: no column {shown(said.column)}; its columns are {few(names)}")
    frame, time = first(FRAME), said.column or first(tuple(TIME))
    unit = said.unit if said.unit != "auto" else TIME.get(plain(time), "auto")
    if time and (time == frame or unit == "frame"):
        frame, time = time, ""
    if not time and not frame:
        raise ManifestError(
            f"{place}: no column tells the time; its columns are {few(names)}",
            hint="--time-column NAME names it; time, timestamp, time_ms and frame are known",
        )
    if not time and said.fps is None:
        coarse = f"{known[COARSE]} is in whole seconds, and " if COARSE in known else ""
        raise ManifestError(
            f"{place}: {coarse}numbers of frames alone do not tell the time; expected the video's frame rate",
            hint="--fps 25, or --time-column NAME for a column of times",
        )
    face, confidence, success, video = (first(words) for words in (FACE, CONFIDENCE, SUCCESS, VIDEO))
    coarse = known.get(COARSE, "")
    others = [name for name in names if name not in (time, frame, face, confidence, success, video, coarse)]
    return Roles(
        kind, time, unit, frame, face, confidence, success, video, coarse,
        tuple(name for name in others if plain(name) not in _ROLES),
        tuple(name for name in others if plain(name) in _ROLES),
        kind != "table" and set(POINTS) <= set(names), KINDS[kind].box and set(BOX) <= set(names),
    )  # fmt: skip


def chosen(roles: Roles, asked: Sequence[str]) -> tuple[str, ...]:
    """The columns that become features, in the table's order.

    asked: names and regular expressions, with commas between them; empty: as `KINDS`.
    Errors: InputError for what is no regular expression.
    """
    if not asked:
        return tuple(name for name in roles.candidates if re.fullmatch(KINDS[roles.kind].features, name))
    asked = [word.strip() for words in asked for word in re.split(r",(?![^{]*\})", words)]
    return tuple(name for name in roles.candidates if any(name == word or _matches(word, name) for word in asked))


def _matches(word: str, name: str) -> bool:
    try:
        return re.fullmatch(word, name) is not None
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"--columns {shown(word)} is no regular expression: {error}") from error


def plain(name: str) -> str:
    """A column's name for comparing: lower case letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
