"""`affect predict`: new videos, or stored ones, to scores over time that say how far they may be trusted."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from ...cache.memory_store import MemoryStore
from ...cache.opening import open_store, store_exists
from ...cache.output_folder import default_store
from ...cache.predictions import VideoPrediction
from ...cache.store import Store
from ...configs.schema import FeaturesConfig
from ...errors import UNNAMED, AffectError, named
from ..devices import passed_over, resolve_device
from ..events import ClipsScored, Planned, ScoresPlanned, Step, VideoFailed, VideoOutcome, within
from ..extract.extract import Doing, ExtractionSummary, extract, extract_into, extractor_of
from ..extract.plan import Todo, lengths_s, plan
from ..extract.videos import Source
from ..runs.folder import Run, load_runs
from ..workers import Workers
from .features import check_features, features_config, open_stores, store_locations
from .inputs import MEMORY, Inputs, PredictOptions, find_inputs
from .scorer import Scorer

__all__ = ["MEMORY", "PredictEvent", "PredictOptions", "predict"]

Scoring = ClipsScored | VideoPrediction | VideoFailed
PredictEvent = ScoresPlanned | Doing | Scoring


def predict(
    videos: Sequence[str | Path],
    run: str | Path,
    output: str | Path,
    store: str | Path | None = None,
    *,
    options: PredictOptions | None = None,
) -> Generator[PredictEvent, None, None]:
    """What happens while videos (files, folders, globs, or ids in the store) are scored by a run, in order.

    run: a run's folder, or a folder of runs, which score together.
    store: read and filled; None: OUTPUT/features, or memory where names are replaced; MEMORY: nothing is kept.
    Each video ends in a VideoPrediction or a VideoFailed; `Outputs` writes them. A closed generator leaves what is
    stored as it is. Errors: InputError and its kinds, before the first event and before anything is made on disk.
    """
    options = options or PredictOptions()
    location = str(store) if store is not None else MEMORY if options.key_file else default_store(Path(output))
    device, notes = resolve_device(options.device), passed_over(options.device)
    jobs = 1 if location == MEMORY else options.jobs  # there one video follows the other
    words = [str(video) for video in videos]
    yield from _predict(words, load_runs(run, device), location, replace(options, device=device, jobs=jobs), notes)


def _predict(
    words: Sequence[str], runs: Sequence[Run], location: str, options: PredictOptions, notes: Sequence[str] = ()
) -> Generator[PredictEvent, None, None]:
    """As `predict`, with loaded runs and a device that is there."""
    scorer = Scorer(runs, options.device, options.subject, options.stride, options.method, min_valid=options.min_valid)
    locations = store_locations(runs, location)
    inputs = find_inputs(words, locations[0], options.picture_fps)
    check_features(runs, locations, inputs.sources, options)
    yield ScoresPlanned(
        videos=tuple(inputs.all_ids),
        run=str(runs[0].path),
        recipe_digest=runs[0].card.recipe.digest,
        models=scorer.models,
        method=scorer.method,
        worth=scorer.worth,
        targets=scorer.targets,
        training_means=scorer.training_means,
        subject=str(scorer.subject),
        clip_frames=scorer.clips.length,
        stride_frames=scorer.stride,
        min_valid=scorer.min_valid,
        sources=tuple(source.path for source in inputs.sources),
        missing=scorer.missing,
        warnings=scorer.warnings,
        range_check=scorer.range_check,
    )
    left_out = inputs.left_out if options.key_file is None else ()  # else names are not shown
    yield from (Step(f"note: {words}") for words in (*notes, *left_out))
    configs = [partial(features_config, run, options) for run in runs]
    yield from score_all(scorer, inputs, locations, configs, options)


class Scores(Protocol):
    """What makes something of a stored video."""

    def score(self, stores: Sequence[Store], entry: str, source: Path | None = None) -> Iterator[Scoring]:
        """What is said of the video, piece by piece. stores: of each location; source: the recording."""


def score_all(
    scorer: Scores,
    inputs: Inputs,
    locations: Sequence[str],
    configs: Sequence[Callable[[], FeaturesConfig]],
    options: PredictOptions,
) -> Generator[PredictEvent, None, None]:
    """Every video of a call: its features into each location, made as that location's settings say, and its scores.

    configs: of each location; asked for only where a video has to be extracted.
    """
    for where, config in dict(zip(locations, configs, strict=True)).items():
        if where != locations[0]:
            # A video that fails here has no entry in this store, so it fails again where it is scored.
            yield from _extract(inputs.sources, where, config, options)
    for word in inputs.missing:
        yield VideoFailed(word, Path(word), f"{word} does not exist")
    for entry in inputs.stored:
        yield from _score(scorer, open_stores(locations), entry, None)
    known = {source.id: source for source in inputs.sources}
    if locations[0] != MEMORY:
        with closing(_extract(inputs.sources, locations[0], configs[0], options)) as events:
            for event in events:
                yield event
                if isinstance(event, VideoOutcome):
                    yield from _score_outcome(scorer, open_stores(locations), event, known[event.id])
        return
    yield Planned(len(inputs.sources), lengths_s(inputs.sources))
    for source in inputs.sources:
        extractor = extractor_of(configs[0](), options.device, Workers(options.jobs).threads)
        memory = MemoryStore(extractor.recipe)
        with closing(extract_into(memory, source, extractor)) as moves:
            for move in moves:
                yield move
                if isinstance(move, VideoOutcome):
                    yield from _score_outcome(scorer, [memory] * len(locations), move, source)


def _extract(
    sources: Sequence[Source], location: str, config: Callable[[], FeaturesConfig], options: PredictOptions
) -> Generator[Doing, None, None]:
    """The videos' features into a store, as they are needed; what is stored needs no detector and no backbone."""
    if store_exists(location):
        steps = plan(open_store(location), sources, overwrite=options.overwrite, verify=False)
        sources = []
        for step in steps:
            if isinstance(step, Todo):
                sources.append(step.source)
            else:
                yield step
    if not sources:
        return
    events = extract(
        sources, location, config(), store_format=options.store_format, device=options.device,
        workers=Workers(options.jobs), overwrite=options.overwrite,
    )  # fmt: skip
    yield from within(events, ExtractionSummary)


def _score_outcome(
    scorer: Scores, stores: Sequence[Store], outcome: VideoOutcome, source: Source
) -> Generator[Scoring, None, None]:
    if outcome.stored:
        yield from _score(scorer, stores, outcome.id, source)
    else:
        yield VideoFailed(outcome.id, source.path, outcome.reason)


def _score(
    scorer: Scores, stores: Sequence[Store], entry: str, source: Source | None
) -> Generator[Scoring, None, None]:
    from ...stages.features.video.times import clock_offset_s

    path = None if source is None else source.path
    try:
        for event in scorer.score(stores, entry, path):
            if isinstance(event, VideoPrediction) and source is not None:
                offset_s = clock_offset_s(source.path, event.stream)
                yield replace(event, clock_offset_s=offset_s, picture_fps=source.picture_fps)
            else:
                yield event
    except (AffectError, *UNNAMED) as error:
        yield VideoFailed(entry, path, named(error, path or entry).message)
