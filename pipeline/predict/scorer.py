"""A trained run applied to one stored video: every chosen person's clips, block by block."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cache.memory_store import MemoryStore
from ...cache.predictions import LARGEST, NOBODY, REASONS, PersonPrediction, Target, VideoPrediction
from ...cache.records import Array, FrameFeatures, VideoInfo, main_person, subject_rows
from ...cache.store import Store
from ...configs.schema import FeaturesConfig
from ...errors import InputError
from ...stages.temporal.clips import FeatureTable, dense_clips
from ...stages.temporal.score import ClipScores, score_blocks
from ..extract.extract import Moved, extract_into
from ..extract.plan import VideoOutcome
from ..extract.videos import Source
from ..runs.folder import Run
from ..workers import Workers

if TYPE_CHECKING:
    from ...stages.features.stream import FeatureExtractor

TABLE_BYTES = 64 << 20  # of features held at once; more stay in the store and are read in blocks
BATCH_CLIPS = 64


@dataclass(frozen=True, slots=True)
class Scored:
    """Where the scoring of one video stands."""

    video: str
    track: int
    clips: int  # so far
    of: int


@dataclass(frozen=True, slots=True)
class Scorer:
    """How a run's models are applied.

    subject: main, largest, track:N, or all, which means everybody seen for at least one clip's length.
    stride: kept frames between clips; None: a clip's length, no overlap.
    """

    run: Run
    device: str = "cpu"
    subject: str | None = None  # None: as the run was trained
    stride: int | None = None

    def __post_init__(self) -> None:
        if self.stride is not None and self.stride < 1:
            raise InputError(
                f"--stride is {self.stride}; expected kept frames between clips, at least 1", hint="--stride 1 is dense"
            )
        word = self.subject or self.run.card.clips.subject
        if word not in ("main", "largest", "all") and not (word.startswith("track:") and word[6:].isdigit()):
            raise InputError(
                f"--subject is {word!r}; expected main, largest, all or track:N",
                hint="affect inspect-cache STORE --tracks lists who is in a video",
            )

    @property
    def models(self) -> int:
        """How many have a say in each score."""
        return len(self.run.models)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is predicted, in the columns' order."""
        card = self.run.card
        means = [other.training_mean for other in self.run.cards]
        return tuple(
            Target(
                item.name,
                item.low,
                item.high,
                item.unit,
                _mean([mean[item.name] for mean in means if item.name in mean]),
            )
            for item in card.targets
        )

    def score(
        self,
        store: Store,
        entry: str,
        *,
        name: str | None = None,
        source: Path | None = None,
        done: Callable[[PersonPrediction, Scored], None] = lambda block, scored: None,
    ) -> VideoPrediction:
        """The scores of one stored video; `done` is given each block as soon as it is scored.

        Errors: EntryError for an entry that is missing or damaged, InputError for a track the video does not have.
        """
        info, layout = store.info(entry), store.read(entry, values=False)
        video = _StoredVideo(store, entry, entry if name is None else name, info, layout)
        persons, brief = self._persons(layout, info)
        scored = tuple(self._score_person(video, track, word, done) for track, word in persons)
        notes = [f"{brief} more people were seen too briefly to be scored"] if brief else []
        return VideoPrediction(
            video=video.name,
            source=source,
            duration_s=_duration_s(layout.time_s),
            width_px=info.width_px,
            height_px=info.height_px,
            targets=self.targets,
            persons=scored,
            models=len(self.run.models),
            warnings=(*info.warnings, *notes),
        )

    def _persons(self, layout: FrameFeatures, info: VideoInfo) -> tuple[list[tuple[int, str]], int]:
        """Each chosen person and the word that selects them; how many were seen too briefly."""
        word = self.subject or self.run.card.clips.subject
        if word == "largest":
            return [(LARGEST if len(layout.frame) else NOBODY, word)], 0
        if word != "all":
            track = main_person(layout.track, info.persons) if word == "main" else int(word[6:])
            return [(info.persons.get(track, track), word)], 0
        owners = np.array([info.persons.get(int(track), int(track)) for track in layout.track], np.int64)
        people, frames = np.unique(owners, return_counts=True)
        lasting = people[frames >= self.run.card.clips.length]
        if len(lasting) == 0:
            return [(main_person(layout.track, info.persons), "main")], max(0, len(people) - 1)
        return [(int(track), f"track:{track}") for track in lasting], len(people) - len(lasting)

    def _score_person(
        self, video: "_StoredVideo", track: int, word: str, done: Callable[[PersonPrediction, Scored], None]
    ) -> PersonPrediction:
        layout, card, clips = video.layout, self.run.card, self.run.card.clips
        row = subject_rows(layout.arrays(), len(layout.time_s), video.info.persons, word)
        faces = _Faces(layout.time_s[row >= 0], layout.box_px[row[row >= 0]])
        if len(faces.time_s) == 0:
            person = _silent(self._spans(layout.time_s), track, len(card.targets), self._neighbours)
            done(person, Scored(video.name, track, len(person.start_s), len(person.start_s)))
            return person
        table = FeatureTable.from_store(video.store, [video.entry], word, self.device, TABLE_BYTES)
        index = dense_clips(table, clips, self.stride or clips.length)
        pieces, start_s, end_s = [], index.start_s, index.end_s
        scored = 0
        for block in score_blocks(self.run.models, index, batch_size=BATCH_CLIPS, min_valid=clips.min_valid):
            pieces.append(self._person(block, start_s, end_s, track, faces))
            scored += len(block.numbers)
            done(pieces[-1], Scored(video.name, track, scored, len(index)))
        return _joined(pieces)

    def _person(self, block: ClipScores, start_s: Array, end_s: Array, track: int, faces: "_Faces") -> PersonPrediction:
        scaling = self.run.card.scaling
        return PersonPrediction(
            track=track,
            start_s=start_s[block.numbers],
            end_s=end_s[block.numbers],
            mean=scaling.to_units(block.mean).astype(np.float32),
            std=scaling.spread_to_units(block.std).astype(np.float32),
            coverage=block.coverage,
            out_of_range=block.out_of_range,
            reason=block.reason,
            attention=block.attention,
            distance=block.distance,
            face_time_s=faces.time_s,
            face_box_px=faces.box_px,
        )

    @property
    def _neighbours(self) -> int:
        """2w + 1; 1 for models without context."""
        return 1 if all(model.context is None for model in self.run.models) else 2 * self.run.card.clips.context + 1

    def _spans(self, time_s: Array) -> tuple[Array, Array]:
        """Start and end of the clips there would be, had somebody been seen."""
        length = self.run.card.clips.length
        hop = self.stride or length
        if len(time_s) == 0:
            return np.zeros(0), np.zeros(0)
        spare = max(0, len(time_s) - length)
        first = np.minimum(np.arange(-(-spare // hop) + 1) * hop, spare)
        ends = np.append(time_s, _duration_s(time_s))
        return time_s[first], ends[np.minimum(first + length, len(time_s))]


@dataclass(frozen=True, slots=True)
class _StoredVideo:
    """A video as it lies in a store; `name` is what it may be called."""

    store: Store
    entry: str
    name: str
    info: VideoInfo
    layout: FrameFeatures  # without values


@dataclass(frozen=True, slots=True)
class _Faces:
    """Where a person was seen."""

    time_s: Array  # (M,)
    box_px: Array  # (M, 4)


def features_config(run: Run) -> FeaturesConfig:
    """The settings of stage one that make the features a run was trained on.

    Weights that came with the run lie in its folder, wherever that has been moved to.
    """
    config = run.config.features
    if config.weights and not Path(config.weights).is_absolute():
        return replace(config, weights=str(run.path / config.weights))
    return config


def extract_in_memory(
    run: Run, source: Source, device: str, moved: Callable[[Moved], None] | None = None
) -> tuple[Store, VideoOutcome]:
    """A store in memory with the one video in it, and what became of it. Errors: RunError for another recipe."""
    extractor = _extractor(features_config(run), device)
    run.card.check_features(extractor.recipe, "in memory", str(run.path))
    store = MemoryStore(extractor.recipe)
    return store, extract_into(store, source, extractor, moved=moved)


@functools.lru_cache(maxsize=1)
def _extractor(config: FeaturesConfig, device: str) -> "FeatureExtractor":
    """The detector and backbone, kept for the next video."""
    from ...stages.features.stream import FeatureExtractor

    return FeatureExtractor(config, device, Workers().threads)


def _silent(spans: tuple[Array, Array], track: int, targets: int, neighbours: int) -> PersonPrediction:
    """Clips of a video in which the person is never seen."""
    clips = len(spans[0])
    nothing = np.full((clips, targets), np.nan, np.float32)
    return PersonPrediction(
        track=track,
        start_s=spans[0],
        end_s=spans[1],
        mean=nothing,
        std=nothing,
        coverage=np.zeros(clips, np.float32),
        out_of_range=np.zeros(clips, bool),
        reason=np.full(clips, REASONS.index("no face in the clip"), np.uint8),
        attention=np.full((clips, neighbours), np.nan, np.float32),
        distance=np.full(clips, np.nan, np.float32),
        face_time_s=np.zeros(0),
        face_box_px=np.zeros((0, 4), np.float32),
    )


def _joined(pieces: Sequence[PersonPrediction]) -> PersonPrediction:
    """Consecutive blocks of one person's clips as one."""
    names = ("start_s", "end_s", "mean", "std", "coverage", "out_of_range", "reason", "attention", "distance")
    joined: dict[str, Any] = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
    return replace(pieces[0], **joined)


def _duration_s(time_s: Array) -> float:
    """End of the last kept frame: its time and one mean interval; what a header claims is not asked."""
    if len(time_s) == 0:
        return 0.0
    return float(time_s[-1] + (time_s[-1] - time_s[0]) / max(1, len(time_s) - 1))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
