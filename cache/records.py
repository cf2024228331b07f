"""The values that cross the border between the stages: recipes, features of a video, and what is known of it."""

import hashlib
import json
import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from ..configs.subject import Subject
from ..errors import InputError
from . import checked
from .people import TrackFacts, facts_from_json, frames_of, main_person

Array = npt.NDArray[Any]
Json = Any  # a value json can hold; spelling the recursion out helps no reader


class FrameStatus(IntEnum):
    """What became of a kept frame."""

    OK = 0  # at least one face has a row (with faces none: the frame itself)
    NO_FACE = 1
    LOW_CONFIDENCE = 2  # a face was seen, but no track was sure enough of it
    TOO_SMALL = 3
    DECODE_ERROR = 4  # the frame came out of a damaged part of the file


@dataclass(frozen=True, slots=True)
class Target:
    """One predicted quantity on its own scale; infinite bounds where no range is known."""

    name: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""

    @property
    def bounded(self) -> bool:
        """Whether a range is known."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Recipe:
    """What made a store's features: two stores may be mixed only where every field is the same."""

    fields: Mapping[str, Json]

    @property
    def digest(self) -> str:
        """sha256 of the fields as canonical JSON, in hexadecimal."""
        text = json.dumps(dict(self.fields), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, other: "Recipe") -> dict[str, tuple[Json, Json]]:
        """Fields that differ, as name -> (mine, theirs); None where a side lacks the field."""
        names = sorted(set(self.fields) | set(other.fields))
        pairs = {name: (self.fields.get(name), other.fields.get(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """Features of one video, or of a run of its frames: N kept frames, R rows (one a face), D features.

    Rows are in frame order. `frame` counts kept frames from the start of the video, so pieces concatenate as they are.
    """

    time_s: Array  # (N,) float64, presentation time from the video's first frame, non-decreasing
    index: Array  # (N,) int64, number of the frame in the source, in decoding order from 0
    status: Array  # (N,) uint8, FrameStatus
    values: Array  # (R, D) float16
    frame: Array  # (R,) int64, which kept frame
    track: Array  # (R,) int32, whose face; 0 with faces none
    box_px: Array  # (R, 4) float32, x0 y0 x1 y1 in the upright frame
    score: Array  # (R,) float32, detection score; interpolated rows carry the interpolated score
    landmarks_px: Array  # (R, 5, 2) float32, eyes, nose, mouth corners; NaN with faces none
    # (R, 68, 2) float32, in the upright frame; (0, 0, 2) of a backbone that finds none
    points_px: Array = field(default_factory=lambda: np.zeros((0, 0, 2), np.float32))

    def __post_init__(self) -> None:
        frames, rows = len(self.time_s), len(self.frame)
        shapes = {
            "time_s": (frames,), "index": (frames,), "status": (frames,), "values": (rows, self.values.shape[-1]),
            "frame": (rows,), "track": (rows,), "box_px": (rows, 4), "score": (rows,), "landmarks_px": (rows, 5, 2),
            "points_px": (rows, 68, 2),
        }  # fmt: skip
        for name, array in self.arrays().items():
            assert array.shape == shapes[name], f"{name} has shape {array.shape}, expected {shapes[name]}"
            assert array.dtype == ALL_DTYPES[name], f"{name} is {array.dtype}, expected {ALL_DTYPES[name]}"

    def __repr__(self) -> str:
        """Shapes in place of numbers."""
        arrays = self.arrays().items()
        return "\n".join(["FrameFeatures:", *(f"  {name}: {array.shape} {array.dtype}" for name, array in arrays)])

    @property
    def size(self) -> int:
        """D."""
        return int(self.values.shape[1])

    def arrays(self) -> dict[str, Array]:
        """Every array that there is, by its name."""
        return {name: getattr(self, name) for name in (*DTYPES, *self.optional)}

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the arrays that there are and need not be."""
        return tuple(name for name in OPTIONAL if getattr(self, name).shape != (0, 0, 2))

    @classmethod
    def empty(cls, size: int) -> "FrameFeatures":
        """No frames, no rows, D = size."""
        shapes = {"values": (0, size), "box_px": (0, 4), "landmarks_px": (0, 5, 2)}
        return cls(**{name: np.zeros(shapes.get(name, (0,)), dtype) for name, dtype in DTYPES.items()})

    @classmethod
    def concatenate(cls, pieces: Sequence["FrameFeatures"]) -> "FrameFeatures":
        """Consecutive pieces of one video as one."""
        names = pieces[0].arrays()
        return cls(**{name: np.concatenate([piece.arrays()[name] for piece in pieces]) for name in names})


DTYPES: dict[str, Any] = {
    "time_s": np.dtype(np.float64), "index": np.dtype(np.int64), "status": np.dtype(np.uint8),
    "values": np.dtype(np.float16), "frame": np.dtype(np.int64), "track": np.dtype(np.int32),
    "box_px": np.dtype(np.float32), "score": np.dtype(np.float32), "landmarks_px": np.dtype(np.float32),
}  # fmt: skip
# Arrays that some recipes have: then all of its entries.
OPTIONAL: dict[str, Any] = {"points_px": np.dtype(np.float32)}
ALL_DTYPES = DTYPES | OPTIONAL
FRAME_ARRAYS = ("time_s", "index", "status")  # a row per kept frame
ROW_ARRAYS = tuple(name for name in DTYPES if name not in FRAME_ARRAYS)  # a row per face
assert tuple(ALL_DTYPES) == tuple(item.name for item in fields(FrameFeatures))


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a stored video besides its arrays; written as the entry's attributes."""

    recipe_digest: str
    fingerprint: str  # of the file's content: a renamed video keeps it, a changed one does not
    file_bytes: int
    file_mtime_ns: int
    header_frames: int | None  # as the container claims
    decoded_frames: int  # as they came out
    duration_s: float | None  # as the container claims
    average_fps: float | None
    width_px: int  # upright: after rotation and pixel aspect
    height_px: int
    rotation_deg: int
    codec: str
    bad_packets: int = 0
    cut_short: bool = False  # decoding ended before the container said it would
    persons: Mapping[int, int] = field(default_factory=dict)  # track -> person (the lowest of its linked tracks)
    tracks: Mapping[int, TrackFacts] = field(default_factory=dict)  # empty: stored before there were any, or no faces
    warnings: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"

    def __repr__(self) -> str:
        duration = "" if self.duration_s is None else f", {self.duration_s:.2f} s"
        warnings = f", {len(self.warnings)} warnings" if self.warnings else ""
        return (
            f"VideoInfo({self.codec} {self.width_px}x{self.height_px}{duration}, {self.decoded_frames} frames decoded"
            f"{warnings})"
        )

    def to_json(self) -> dict[str, Json]:
        """Plain values; `from_json` reads them back."""
        values = asdict(self)
        values["persons"] = {str(track): person for track, person in self.persons.items()}
        del values["tracks"]
        if self.tracks:  # else it is as it was before there were any
            values["tracks"] = {str(track): facts.to_json() for track, facts in self.tracks.items()}
        values["warnings"] = list(self.warnings)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Json]) -> "VideoInfo":
        """The info in an entry's attributes, whatever else they hold.

        Errors: ValueError for a field that is missing, or that cannot be.
        """
        found = {name: check(values[name], name) for name, check in _INFO_FIELDS.items() if name in values}
        if missing := sorted(_NEEDED - found.keys()):
            raise ValueError(f"{missing[0]} is missing")
        return cls(**found)


def _count_or_none(value: Json, name: str) -> int | None:
    return None if value is None else checked.whole(value, name)


def _number_or_none(value: Json, name: str) -> float | None:
    return None if value is None else checked.number(value, name, -1e15, 1e15)


def _size(value: Json, name: str) -> int:
    return checked.whole(value, name, 0, 2**31 - 1)


def _time(value: Json, name: str) -> int:
    return checked.whole(value, name, -checked.LARGEST, checked.LARGEST)


def _flag(value: Json, name: str) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise ValueError(f"{name} is {reprlib.repr(value)}; expected true or false")


def _versions(value: Json, name: str) -> dict[str, str]:
    return {checked.text(key, name): checked.text(item, name) for key, item in checked.mapping(value, name).items()}


_INFO_FIELDS: Mapping[str, Callable[[Json, str], Any]] = {
    "recipe_digest": checked.digest, "fingerprint": checked.text, "file_bytes": checked.whole, "file_mtime_ns": _time,
    "header_frames": _count_or_none, "decoded_frames": checked.whole, "duration_s": _number_or_none,
    "average_fps": _number_or_none, "width_px": _size, "height_px": _size,
    "rotation_deg": lambda value, name: checked.whole(value, name, -360, 360), "codec": checked.text,
    "bad_packets": checked.whole, "cut_short": _flag, "persons": checked.tracks, "tracks": facts_from_json,
    "warnings": checked.texts, "versions": _versions, "device": checked.text,
}  # fmt: skip
_NEEDED = {item.name for item in fields(VideoInfo) if item.default is MISSING and item.default_factory is MISSING}
assert set(_INFO_FIELDS) == {item.name for item in fields(VideoInfo)}


@dataclass(frozen=True, slots=True)
class VideoCheck:
    """One video, looked through from start to end. Unreadable: only `path` and `problems` hold."""

    path: str
    readable: bool
    problems: tuple[str, ...]  # what would go wrong, in sentences
    notes: tuple[str, ...] = ()  # what is unusual and does no harm
    codec: str = ""
    pixel_format: str = ""
    width_px: int = 0  # upright
    height_px: int = 0
    rotation_deg: int = 0
    pixel_aspect: float = 1.0
    duration_s: float | None = None  # as the container claims
    decoded_s: float = 0.0
    average_fps: float | None = None
    variable_rate: bool = False
    header_frames: int | None = None
    decoded_frames: int = 0
    kept_frames: int = 0
    bad_packets: int = 0
    cut_short: bool = False
    face_rate: float | None = None  # share of the sampled frames with a face; None with faces none
    projected_s: float = 0.0  # time of extraction on this machine, one worker
    projected_memory_bytes: int = 0  # of one worker
    projected_disk_bytes: int = 0  # of the stored features


def arrays_for(subject: Subject) -> tuple[str, ...]:
    """Names of the arrays that `subject_rows` needs."""
    return ("frame", "track", "box_px") if subject.kind == "largest" else ("frame", "track")


def subject_rows(
    arrays: Mapping[str, Array],
    frames: int,
    persons: Mapping[int, int],
    subject: Subject,
    facts: Mapping[int, TrackFacts] | None = None,
) -> Array:
    """(N,) int64: the row of `subject` in each of a video's kept frames, -1 where not seen.

    arrays: those of `arrays_for(subject)`, by name; frames: N; persons, facts: `persons` and `tracks` of its info.
    subject: anyone but "all".
    Errors: InputError for "all", or a track the video does not have.
    """
    frame, track = arrays["frame"], arrays["track"]
    if subject.kind == "all":
        raise InputError("subject is 'all'; expected one person: main, largest or track:N")
    if subject.kind == "largest":
        area = np.prod(arrays["box_px"][:, 2:] - arrays["box_px"][:, :2], axis=1)
        order = np.lexsort((area, frame))
        chosen = order[np.append(np.diff(frame[order]) > 0, True)] if len(order) else order
    elif subject.track is None:
        chosen = _rows_of_person(track, persons, main_person(track, persons, facts))
    else:
        known = np.unique(track).tolist()
        if subject.track not in known:
            raise InputError(
                f"track {subject.track} does not occur; this video has {known}",
                hint="affect inspect-cache STORE --tracks",
            )
        chosen = _rows_of_person(track, persons, persons.get(subject.track, subject.track))
    row = np.full(frames, -1, np.int64)
    row[frame[chosen]] = chosen
    return row


def _rows_of_person(track: Array, persons: Mapping[int, int], person: int) -> Array:
    tracks = [number for number in frames_of(track) if persons.get(number, number) == person]
    return np.flatnonzero(np.isin(track, tracks))
