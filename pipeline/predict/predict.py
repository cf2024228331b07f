"""`affect predict`: new videos, or stored ones, to scores over time that say how far they may be trusted.

from affect.pipeline.predict.predict import predict_frame
scores = predict_frame("interview.mp4", "runs/first")
scores.plot(x="start_s", y="valence")
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...cache.memory_store import MemoryStore
from ...cache.predictions import VideoPrediction
from ...cache.records import Target
from ...cache.store import Store
from ...errors import AffectError, InputError
from ..extract.extract import ExtractionSummary, Moved, Planned, extract, extract_into
from ..extract.plan import VideoOutcome
from ..extract.videos import Source
from ..runs.folder import Run, load_runs
from ..workers import Workers, resolve_device
from .features import check_features, features_config, open_stores, store_locations
from .inputs import MEMORY, find_inputs
from .scorer import ClipsScored, Scorer
from .tables import clip_rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """How to predict, and what to write besides the tables, plots and viewer."""

    stride: int | None = None  # kept frames between clips; None: a clip's length, 1: dense
    subject: str | None = None  # main, largest, track:N or all; None: as the run was trained
    device: str = "auto"
    jobs: int = 1
    store_format: str | None = None  # of a store that is made; None: zarr
    overwrite: bool = False  # extract again what is stored
    overlay: Path | None = None  # a video file; with several videos a folder for them
    exports: tuple[str, ...] = ()  # names of further outputs: eaf, vtt
    with_video: bool = True  # in the viewer; without, neither the recording nor face boxes
    key_file: Path | None = None  # names become hashes under this key


@dataclass(frozen=True, slots=True)
class ScoresPlanned:
    """What a call is going to do: its first event, after every check that may refuse."""

    videos: tuple[str, ...]  # ids, and the words for what is not there
    run: str
    recipe_digest: str
    models: int
    targets: tuple[Target, ...]
    training_means: tuple[float | None, ...]
    subject: str
    clip_frames: int
    stride_frames: int


@dataclass(frozen=True, slots=True)
class VideoFailed:
    """A video without scores, and why."""

    video: str
    source: Path | None
    reason: str


PredictEvent = ScoresPlanned | Planned | Moved | VideoOutcome | ClipsScored | VideoPrediction | VideoFailed


def predict(
    videos: Sequence[str | Path],
    run: str | Path,
    output: str | Path,
    store: str | Path | None = None,
    *,
    options: PredictOptions | None = None,
) -> Iterator[PredictEvent]:
    """What happens while videos (files, folders, globs, or ids in the store) are scored by a run, in order.

    run: a run's folder, or a folder of runs, which score together.
    store: read and filled; None: OUTPUT/features, or memory where names are replaced; MEMORY: nothing is kept.
    Each video ends in a VideoPrediction or a VideoFailed; `Outputs` writes them. A closed generator leaves what is
    stored as it is. Errors: InputError and its kinds, before the first event and before anything is made on disk.
    """
    options = options or PredictOptions()
    private = options.key_file is not None
    location = str(store) if store is not None else MEMORY if private else str(Path(output) / "features")
    device = resolve_device(options.device)
    words = [str(video) for video in videos]
    yield from _predict(words, load_runs(run, device), location, replace(options, device=device))


def predict_frame(
    video: str | Path,
    run: str | Path | Run,
    *,
    store: str | Path = MEMORY,
    stride: int | None = None,
    subject: str | None = None,
    device: str = "auto",
) -> "pd.DataFrame":
    """Scores of one video by a run, a row a clip: the same rows `predict` writes to predictions.csv.

    video: a file, or an id in the store; run: a folder as for `predict`, or what `load_run` gave, for many videos.
    Nothing is written, but for features where a store is named.
    Errors: AffectError and its kinds.
    """
    import pandas as pd

    prediction = predict_video(video, run, store=store, stride=stride, subject=subject, device=device)
    rows = [clip_rows(prediction.video, person, prediction.targets) for person in prediction.persons]
    return pd.concat(rows, ignore_index=True)


def predict_video(
    video: str | Path,
    run: str | Path | Run,
    *,
    store: str | Path = MEMORY,
    stride: int | None = None,
    subject: str | None = None,
    device: str = "auto",
) -> VideoPrediction:
    """Scores of one video by a run, as arrays. Errors: AffectError and its kinds."""
    device = resolve_device(device)
    runs = [run] if isinstance(run, Run) else load_runs(run, device)
    options = PredictOptions(stride, subject, device)
    found: VideoPrediction | None = None
    for event in _predict([str(video)], runs, str(store), options):
        if isinstance(event, ScoresPlanned) and len(event.videos) != 1:
            raise InputError(f"{video} is {len(event.videos)} videos; expected one: a file, or an id in the store")
        if isinstance(event, VideoFailed):
            raise AffectError(event.reason)
        if isinstance(event, VideoPrediction):
            found = event
    assert found is not None, "each video ends in a prediction or a failure"
    return found


def _predict(words: Sequence[str], runs: Sequence[Run], location: str, options: PredictOptions) -> Iterator[PredictEvent]:
    """As `predict`, with loaded runs and a device that is there."""
    scorer = Scorer(runs, options.device, options.subject, options.stride)
    locations = store_locations(runs, location)
    inputs = find_inputs(words, locations[0])
    check_features(runs, locations, inputs.sources, options.device, overwrite=options.overwrite)
    if not inputs.sources:
        open_stores(locations)  # nothing will be extracted: what is not there now will not be
    yield ScoresPlanned(
        videos=tuple(inputs.all_ids),
        run=str(runs[0].path),
        recipe_digest=runs[0].card.recipe.digest,
        models=scorer.models,
        targets=scorer.targets,
        training_means=scorer.training_means,
        subject=str(scorer.subject),
        clip_frames=scorer.clips.length,
        stride_frames=scorer.stride,
    )
    if inputs.sources:
        for where, run in dict(zip(locations, runs, strict=True)).items():
            if where != locations[0]:
                # A video that fails here has no entry in this store, so it fails again where it is scored.
                yield from _extract(inputs.sources, where, run, options)
    for word in inputs.missing:
        yield VideoFailed(word, Path(word), f"{word} does not exist")
    for entry in inputs.stored:
        yield from _score(scorer, open_stores(locations), entry, None)
    if inputs.sources and location == MEMORY:
        yield from _extract_and_forget(inputs.sources, scorer)
    elif inputs.sources:
        paths = {source.id: source.path for source in inputs.sources}
        for event in _extract(inputs.sources, locations[0], runs[0], options):
            yield event
            if isinstance(event, VideoOutcome) and event.stored:
                yield from _score(scorer, open_stores(locations), event.id, paths[event.id])
            elif isinstance(event, VideoOutcome):
                yield VideoFailed(event.id, paths[event.id], event.reason)


def _extract(
    sources: Sequence[Source], location: str, run: Run, options: PredictOptions
) -> Iterator[Planned | Moved | VideoOutcome]:
    """The videos' features into a store, as the run needs them."""
    for event in extract(
        sources,
        location,
        features_config(run),
        store_format=options.store_format,
        device=options.device,
        workers=Workers(options.jobs),
        overwrite=options.overwrite,
    ):
        if not isinstance(event, ExtractionSummary):
            yield event


def _extract_and_forget(sources: Sequence[Source], scorer: Scorer) -> Iterator[PredictEvent]:
    """Extract and score one video after another, keeping no features."""
    extractor = held_extractor(features_config(scorer.runs[0]), scorer.device, Workers().threads)
    yield Planned(len(sources))
    for source in sources:
        store = MemoryStore(extractor.recipe)
        for event in extract_into(store, source, extractor):
            yield event
            if isinstance(event, VideoOutcome) and event.stored:
                yield from _score(scorer, [store] * len(scorer.runs), source.id, source.path)
            elif isinstance(event, VideoOutcome):
                yield VideoFailed(source.id, source.path, event.reason)


def _score(
    scorer: Scorer, stores: Sequence[Store], entry: str, source: Path | None
) -> Iterator[ClipsScored | VideoPrediction | VideoFailed]:
    from .overlay import clock_offset_s

    try:
        for event in scorer.score(stores, entry, source):
            if isinstance(event, VideoPrediction) and source is not None:
                yield replace(event, clock_offset_s=clock_offset_s(source))
            else:
                yield event
    except (AffectError, OSError) as error:
        yield VideoFailed(entry, source, error.message if isinstance(error, AffectError) else str(error))
