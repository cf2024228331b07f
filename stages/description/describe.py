"""The people of one stored video: over windows of time, over all of it, and two by two."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np

from ...cache.description import Description, PairFacts, PersonFacts
from ...cache.feature_frame import persons_of
from ...cache.people import frames_of, people
from ...cache.predictions import NOBODY, ClipScores, PersonPrediction, ScoreReason
from ...cache.records import Array, FrameFeatures, VideoInfo, subject_rows
from ...cache.store import Store
from ...configs.subject import Subject
from ...errors import EntryError
from .expressivity import expressivity, shapes
from .series import EXPRESSIVITY, MOVEMENT, Measure, mean_step_s, measures_of, series_of, sides_px
from .synchrony import synchrony

LEAST_SEEN_S = 2.0  # who is seen for less is counted and not described
LEAST_COVERAGE = 0.5  # of a window, for a number
TIME_TOLERANCE_S = 1e-6  # a frame this much before a window's start is in it: .6 / .2 is 2.9999999999999996
GAP_S = 1.0  # a longer one begins another stretch
GRID_S = 0.2  # of the curves that are compared
MOST_PAIRED = 6  # people; those seen longest
COMPARED = (MOVEMENT, EXPRESSIVITY)


@dataclass(frozen=True, slots=True)
class _Known:
    """A person of the video."""

    track: int
    row: Array  # (N,) of each kept frame, -1 where not seen
    series: dict[str, Array]  # measure -> (N,)


@dataclass(frozen=True, slots=True)
class Described:
    """What is said of one video."""

    persons: tuple[PersonPrediction, ...]  # over windows; each target is a measure
    description: Description
    brief: int  # people seen too briefly to be described


def describe(store: Store, entry: str, window_s: float, duration_s: float, *, pointed: bool) -> Described:
    """Everybody seen for two seconds or more, in the order of their numbers.

    window_s: length of the windows of time, from the video's first frame to duration_s. pointed: whether the measures
    of 68 points are wanted. Errors: EntryError for an entry that is missing, damaged, or has no points.
    """
    info, features = store.info(entry), store.read(entry, values=False)
    if pointed and "points_px" not in features.optional:
        raise EntryError(f"{entry} holds no points of faces", hint="features.taps=auto of face-api stores them")
    shown = measures_of(pointed=pointed)
    step_s = mean_step_s(features.time_s) or LEAST_SEEN_S
    everybody, frames = np.unique(persons_of(features, info), return_counts=True)
    lasting = [int(track) for track in everybody[frames * step_s >= LEAST_SEEN_S]]
    known = [_known(features, info, track) for track in lasting]
    rows = shapes(features) if pointed else lambda start, stop: store.read_values(entry, start, stop)
    places = [(person.row, person.series) for person in known]
    changes = expressivity(rows, len(features.frame), places, over="nothing" if pointed else "usual")
    for person, values in zip(known, changes, strict=True):
        person.series[EXPRESSIVITY] = values
    windows, kinds = _Windows(features, window_s, duration_s), _kinds(features, info)
    facts = (
        _facts(features, person, shown, step_s, duration_s=duration_s, kind=kinds.get(person.track, ""))
        for person in known
    )
    return Described(
        tuple(windows.person(person, shown) for person in known) or (windows.nobody(shown),),
        Description(tuple(facts), tuple(_pairs(features, known, step_s))),
        len(everybody) - len(lasting),
    )


def _known(features: FrameFeatures, info: VideoInfo, track: int) -> _Known:
    row = subject_rows(features.arrays(), len(features.time_s), info.persons, Subject("track", track), info.tracks)
    return _Known(track, row, series_of(features, row, info.height_px))


def _kinds(features: FrameFeatures, info: VideoInfo) -> dict[int, str]:
    """Person -> live or still, where that is known."""
    found = people(frames_of(features.track), info.persons, info.tracks)
    return {person.track: person.kind for person in found}


def _facts(
    features: FrameFeatures, person: _Known, shown: Sequence[Measure], step_s: float, *, duration_s: float, kind: str
) -> PersonFacts:
    seen = person.row >= 0
    time_s, box_px = features.time_s[seen], features.box_px[person.row[seen]]
    series = {measure.target.name: person.series[measure.target.name] for measure in shown}
    known = {name: values[np.isfinite(values)] for name, values in series.items()}
    return PersonFacts(
        person.track,
        first_s=float(time_s[0]),
        last_s=float(time_s[-1]),
        seen_s=min(float(seen.sum() * step_s), duration_s - float(time_s[0])),  # the last step may be cut short
        presence=float(seen.mean()),
        stretches=1 + int((np.diff(time_s) > max(GAP_S, 1.5 * step_s)).sum()),
        kind=kind,
        side_px=float(np.median(sides_px(box_px))),
        mean={name: float(values.mean()) if len(values) else float("nan") for name, values in known.items()},
        spread={name: float(values.std(ddof=1)) if len(values) > 1 else float("nan") for name, values in known.items()},
    )


class _Windows:
    """Stretches of equal length of one video, those that hold a kept frame."""

    def __init__(self, features: FrameFeatures, window_s: float, duration_s: float) -> None:
        self._features, self._window_s, self._duration_s = features, window_s, duration_s
        numbers = (features.time_s + TIME_TOLERANCE_S) / window_s
        self._numbers, self._of = np.unique(numbers.astype(np.int64), return_inverse=True)
        self._frames = np.bincount(self._of, minlength=len(self._numbers))

    def nobody(self, shown: Sequence[Measure]) -> PersonPrediction:
        """What is said where there is nobody to describe."""
        frames = len(self._of)
        unknown = {measure.target.name: np.full(frames, np.nan) for measure in shown}
        return self.person(_Known(NOBODY, np.full(frames, -1), unknown), shown)

    def person(self, known: _Known, shown: Sequence[Measure]) -> PersonPrediction:
        """One person in every window: means of what is known of each measure."""
        count, start_s = len(self._numbers), self._numbers * self._window_s
        seen = known.row >= 0
        coverage = np.bincount(self._of, seen, count) / np.maximum(self._frames, 1)
        told = coverage >= LEAST_COVERAGE
        mean = np.full((count, len(shown)), np.nan, np.float32)
        for number, measure in enumerate(shown):
            values = known.series[measure.target.name]
            there = np.isfinite(values)
            total = np.bincount(self._of, np.where(there, values, 0.0), count)
            counts = np.bincount(self._of, there, count)
            mean[:, number] = np.where(told & (counts > 0), total / np.maximum(counts, 1), np.nan)
        few = np.where(coverage > 0, ScoreReason.TOO_FEW_FRAMES, ScoreReason.NO_FACE)
        clips = ClipScores(
            numbers=np.arange(count),
            mean=mean,
            std=np.full_like(mean, np.nan),
            attention=np.full((count, 1), np.nan, np.float32),
            coverage=coverage.astype(np.float32),
            reason=np.where(told, ScoreReason.SCORED, few).astype(np.uint8),
            distance=np.full(count, np.nan, np.float32),
            out_of_range=np.zeros(count, bool),
        )
        end_s = np.minimum(start_s + self._window_s, max(self._duration_s, float(start_s[-1]) if count else 0.0))
        boxes = self._features.box_px[known.row[seen]]
        return PersonPrediction(known.track, start_s, end_s, clips, self._features.time_s[seen], boxes)


def _pairs(features: FrameFeatures, known: Sequence[_Known], step_s: float) -> list[PairFacts]:
    """How far those who are seen longest go together, two by two."""
    if len(known) < 2:
        return []
    longest = sorted(known, key=lambda person: -int((person.row >= 0).sum()))[:MOST_PAIRED]
    grid_s = max(GRID_S, step_s)
    place = ((features.time_s - features.time_s[0]) / grid_s).round().astype(np.int64)
    found = []
    for first, second in combinations(sorted(longest, key=lambda person: person.track), 2):
        for name in COMPARED:
            said = synchrony(_gridded(place, first.series[name]), _gridded(place, second.series[name]), grid_s)
            found.append(PairFacts(first.track, second.track, name, **asdict(said)))
    return found


def _gridded(place: Array, values: Array) -> Array:
    """The mean of what is known at each step of the grid; a single step without any is the mean of its neighbours."""
    known, count = np.isfinite(values), int(place[-1]) + 1
    counts = np.bincount(place[known], minlength=count)
    total = np.bincount(place[known], values[known], count)
    grid = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    between = (grid[:-2] + grid[2:]) / 2
    grid[1:-1] = np.where(np.isnan(grid[1:-1]), between, grid[1:-1])
    return grid
