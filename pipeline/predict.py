"""`affect predict`: new videos, or stored ones, to scores over time that say how far they may be trusted.

from affect.pipeline.predict import predict_frame
scores = predict_frame("interview.mp4", "runs/first")
scores.plot(x="start_s", y="valence")
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..cache.contract import Store
from ..cache.store import open_store, store_exists
from ..errors import AffectError, InputError
from .extract import VideoOutcome, extract_videos
from .launch import Workers, resolve_device
from .prediction.ensemble import Ensemble, store_locations
from .prediction.inputs import MEMORY, check_output, find_inputs
from .prediction.predictions import VideoPrediction
from .prediction.pseudonyms import Pseudonyms
from .prediction.scoring import Scorer, extract_in_memory, features_config
from .prediction.session import Export, PredictListener, PredictOptions, PredictSummary, Session, VideoResult
from .prediction.tables import clip_rows
from .run_folder import Run, load_run, load_runs
from .sources import Source

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
    scorers = tuple(Scorer(loaded, device, options.subject, options.stride) for loaded in runs)
    scorer = scorers[0] if len(scorers) == 1 else Ensemble(scorers, locations)
    location = locations[0]
    inputs = find_inputs([str(video) for video in videos], location)
    check_output(output, {names.of(entry) for entry in inputs.all_ids})
    for loaded, where in zip(runs, locations, strict=True):
        if where != MEMORY and store_exists(where):
            loaded.card.check_features(open_store(where).recipe, where, str(loaded.path))
    for loaded, where in list(zip(runs, locations, strict=True))[1:]:
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

    video: a file, or an id in the store; run: a folder, or what `load_run` gave, for many videos.
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
    loaded = run if isinstance(run, Run) else load_run(run, device)
    scorer = Scorer(loaded, device, subject, stride)
    location = str(store)
    inputs = find_inputs([str(video)], location)
    if inputs.stored:
        opened = open_store(location)
        loaded.card.check_features(opened.recipe, location, str(loaded.path))
        return scorer.score(opened, inputs.stored[0])
    if inputs.missing or len(inputs.sources) != 1:
        raise InputError(
            f"{video} is not one video; expected a file" + ("" if location == MEMORY else " or a stored id")
        )
    source = inputs.sources[0]
    opened, outcome = _extract_one(source, loaded, location, device)
    if outcome.status not in {"done", "skipped"}:
        raise AffectError(outcome.reason)
    return replace(scorer.score(opened, source.id), source=source.path)


def _extract_one(source: Source, run: Run, location: str, device: str) -> tuple[Store, VideoOutcome]:
    """A store that holds the video, and what became of it."""
    config = features_config(run)
    if location != MEMORY:
        outcome = extract_videos([source], location, config, device=device).outcomes[0]
        opened = open_store(location)
        run.card.check_features(opened.recipe, location, str(run.path))
        return opened, outcome
    return extract_in_memory(run, source, device)
