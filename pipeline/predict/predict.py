"""`affect predict`: new videos, or stored ones, to scores over time that say how far they may be trusted.

from affect.pipeline.predict.predict import predict_frame
scores = predict_frame("interview.mp4", "runs/first")
scores.plot(x="start_s", y="valence")
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...cache.opening import open_store, store_exists
from ...cache.predictions import VideoPrediction
from ...cache.store import Store
from ...errors import AffectError, InputError
from ..extract.extract import extract_videos
from ..extract.videos import Source
from ..runs.folder import Run, load_runs
from ..workers import Workers, resolve_device
from .ensemble import Ensemble, store_locations
from .inputs import MEMORY, check_output, find_inputs
from .outputs import Export, PredictListener, PredictOptions, PredictSummary, Session, VideoResult
from .pseudonyms import Pseudonyms
from .scorer import Scorer, extract_in_memory, features_config
from .tables import clip_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MEMORY",
    "Export",
    "PredictListener",
    "PredictOptions",
    "PredictSummary",
    "VideoResult",
    "predict",
    "predict_frame",
    "predict_video",
]


def predict(
    videos: Sequence[str | Path],
    run: str | Path,
    output: str | Path,
    store: str | Path | None = None,
    *,
    options: PredictOptions | None = None,
    listener: PredictListener | None = None,
) -> PredictSummary:
    """Scores of videos (files, folders, globs, or ids in the store) by a run, written to the folder `output`.

    run: a run's folder, or a folder of runs, which score together.
    store: read and filled; None: OUTPUT/features, or memory where names are replaced; MEMORY: nothing is kept.
    One video's failure does not stop the others. Ctrl-C leaves what is done readable, and rises.
    Errors: InputError and its kinds, before anything is written.
    """
    options, listener = options or PredictOptions(), listener or PredictListener()
    names = Pseudonyms.from_file(options.key_file)
    output = Path(output)
    location = str(store) if store is not None else MEMORY if names.active else str(output / "features")
    device = resolve_device(options.device)
    runs = load_runs(run, device)
    locations = store_locations(runs, location)
    scorer = _scorer(runs, locations, device, options.subject, options.stride)
    location = locations[0]
    inputs = find_inputs([str(video) for video in videos], location)
    check_output(output, {names.of(entry) for entry in inputs.all_ids})
    _check_stores(runs, locations)
    others = {where: loaded for where, loaded in zip(locations, runs, strict=True) if where != location}
    for where, loaded in others.items():
        # A video that fails here fails again below, where it is listed.
        extract_videos(inputs.sources, where, features_config(loaded), store_format=options.store_format, device=device,
                       workers=Workers(options.jobs), overwrite=options.overwrite)  # fmt: skip
    with Session(output, scorer, options, listener) as session:
        session.several = len(inputs.all_ids) > 1
        for word in inputs.missing:
            session.fail(word, Path(word), f"{word} does not exist")
        for entry in inputs.stored:
            session.score(open_store(location), entry, None)
        if inputs.sources and location == MEMORY:
            session.extract_and_forget(inputs.sources)
        elif inputs.sources:
            session.extract(inputs.sources, location)
        session.summary.complete = True
    return session.summary


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
    locations = store_locations(runs, str(store))
    scorer = _scorer(runs, locations, device, subject, stride)
    inputs = find_inputs([str(video)], locations[0])
    _check_stores(runs, locations)
    if inputs.stored:
        return scorer.score(open_store(locations[0]), inputs.stored[0])
    if inputs.missing or len(inputs.sources) != 1:
        place = "" if locations[0] == MEMORY else " or a stored id"
        raise InputError(f"{video} is not one video; expected a file{place}")
    source = inputs.sources[0]
    needed = dict(zip(locations, runs, strict=True))
    stores = {where: _extract_one(source, loaded, where, device) for where, loaded in needed.items()}
    return replace(scorer.score(stores[locations[0]], source.id), source=source.path)


def _scorer(
    runs: Sequence[Run], locations: tuple[str, ...], device: str, subject: str | None, stride: int | None
) -> Scorer | Ensemble:
    """The run's scorer, or that of several together."""
    scorers = tuple(Scorer(run, device, subject, stride) for run in runs)
    return scorers[0] if len(scorers) == 1 else Ensemble(scorers, locations)


def _check_stores(runs: Sequence[Run], locations: Sequence[str]) -> None:
    """Errors: RunError for a store that is there and holds other features than its run was trained on."""
    for run, where in zip(runs, locations, strict=True):
        if where != MEMORY and store_exists(where):
            run.card.check_features(open_store(where).recipe, where, str(run.path))


def _extract_one(source: Source, run: Run, location: str, device: str) -> Store:
    """A store that holds the video. Errors: AffectError where it cannot be extracted."""
    if location == MEMORY:
        opened, outcome = extract_in_memory(run, source, device)
    else:
        outcome = extract_videos([source], location, features_config(run), device=device).outcomes[0]
        opened = open_store(location)
        run.card.check_features(opened.recipe, location, str(run.path))
    if outcome.status not in {"done", "skipped"}:
        raise AffectError(outcome.reason)
    return opened
