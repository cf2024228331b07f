"""What happens while a command works: its stream holds these, and ends with its summary.

A command is a generator. Whoever runs it loops over its events: the terminal draws bars, the outputs write, a notebook
shows what it likes, a test keeps them all. Closing the generator ends the work and keeps what is done.
"""

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..cache.predictions import PersonPrediction, RangeCheck
from ..cache.records import Json, Target

if TYPE_CHECKING:  # torch comes with it; what draws events needs none
    from ..stages.temporal.fit import EpochRecord

Summary = TypeVar("Summary")


def summary_of(events: Generator[Any, None, None], kind: type[Summary]) -> Summary:
    """The summary, of this kind, that a command's stream ends with; every other event is let pass."""
    last = None
    with contextlib.closing(events):
        for event in events:
            last = event
    assert isinstance(last, kind), f"the stream ended with {last!r}"
    return last


def within(events: Generator[Any, None, None], kind: type[Summary]) -> Generator[Any, None, Summary]:
    """The events of a command that another one runs, but for its summary, which is the value of `yield from`."""
    summary = None
    with contextlib.closing(events):
        for event in events:
            if isinstance(event, kind):
                summary = event
            else:
                yield event
    assert summary is not None, "a command's last event is its summary"
    return summary


@dataclass(frozen=True, slots=True)
class Step:
    """A command of several steps begins one of them."""

    words: str


@dataclass(frozen=True, slots=True)
class Planned:
    """How many videos there are to work on."""

    videos: int
    lengths_s: Mapping[str, float | None] = field(default_factory=dict, compare=False)  # id -> as its file says
    settled: Mapping[str, Json] = field(default_factory=dict, compare=False)  # device, recipe: what all were made with


@dataclass(frozen=True, slots=True)
class Begun:
    """The extraction of one video begins."""

    id: str
    duration_s: float | None
    frames: int  # that an earlier run has kept, and are not extracted again


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the extraction of one video stands."""

    id: str
    position_s: float
    duration_s: float | None
    frames: int  # kept so far


@dataclass(frozen=True, slots=True)
class LeftToOther:
    """Another run is at a video, or has just done it."""

    id: str


@dataclass(frozen=True, slots=True)
class VideoOutcome:
    """What became of one video."""

    id: str
    path: str
    status: Literal["done", "skipped", "failed", "busy"]
    reason: str = ""  # why it was skipped or failed; empty when done
    frames: int = 0
    rows: int = 0
    face_share: float = 0.0  # of kept frames, with at least one face's row
    warnings: tuple[str, ...] = ()

    @property
    def stored(self) -> bool:
        """Whether its features are in the store."""
        return self.status in ("done", "skipped")


@dataclass(frozen=True, slots=True)
class ScoresPlanned:
    """What is going to be scored, and by what; the first event of a prediction, after every check that may refuse."""

    videos: tuple[str, ...]  # ids, and the words for what is not there
    run: str
    recipe_digest: str
    models: int
    targets: tuple[Target, ...]
    training_means: tuple[float | None, ...]  # of each target
    subject: str
    clip_frames: int
    stride_frames: int
    min_valid: float = 0.0  # share of a clip's frames that must show the person, for a score
    method: str = "model"  # whose scores: blend, model or ridge
    worth: str = ""  # what these scores are worth on new people, in words; empty where nobody asked
    sources: tuple[Path, ...] = ()  # the recordings among the videos
    missing: tuple[str, ...] = ()  # what is to be said of models that the runs were to have and have not
    warnings: tuple[str, ...] = ()  # of the runs: folds whose training failed, and clips that cannot be judged
    range_check: RangeCheck | None = None  # how clips are found to be out of range; None: not known
    meanings: Mapping[str, str] = field(default_factory=dict)  # target -> what it is, where that is no label


@dataclass(frozen=True, slots=True)
class ClipsScored:
    """A block of one person's clips has its scores."""

    video: str
    block: PersonPrediction  # these clips alone
    clips: int  # of this person, so far
    of: int

    @property
    def track(self) -> int:
        """The person."""
        return self.block.track


@dataclass(frozen=True, slots=True)
class VideoFailed:
    """A video that could not be scored, and why."""

    video: str
    source: Path | None
    reason: str


@dataclass(frozen=True, slots=True)
class FoldsPlanned:
    """What a run is about to train."""

    folds: int  # that are not done yet
    epochs: int  # of each, at most
    labels: str = field(default="", compare=False)  # what the label table was read as, in one line
    may_stop: bool = field(default=False, compare=False)  # early, where validation does not get better
    settled: Mapping[str, Json] = field(default_factory=dict, compare=False)  # device, and settings as they are used


@dataclass(frozen=True, slots=True)
class EpochDone:
    """One epoch of a fold is over."""

    fold: str
    record: "EpochRecord"
    epochs: int  # of the fold so far: of all its seeds, with pre-training
    of: int | None = None  # as many as it has at most, less what seeds that stopped early have spared


@dataclass(frozen=True, slots=True)
class FoldOutcome:
    """What became of one fold."""

    name: str
    test_subjects: tuple[str, ...]
    reason: str = ""  # why it failed; empty when done
    validation_ccc: float = float("nan")
    epochs: int = 0


@dataclass(frozen=True, slots=True)
class SweepPlanned:
    """How many settings a sweep is about to train."""

    settings: int


@dataclass(frozen=True, slots=True)
class SweepOutcome:
    """What one setting came to. Held-out numbers are means over targets, of spans."""

    name: str
    words: tuple[str, ...]  # KEY=VALUE of the settings that vary
    run: Path
    validation_ccc: float = float("nan")
    held_out: Mapping[str, float] = field(default_factory=dict)  # metric -> value; NaN where it is not defined
    warnings: tuple[str, ...] = ()
    reason: str = ""  # what failed; empty when every fold was done
    judged_on: str = ""  # a digest of the validation people of each fold, and of the targets
