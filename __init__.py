"""Affect recognition in long in-the-wild videos: cached face features, a clip Transformer, context attention.

    import affect

    affect.extract_features("interviews", store="features")
    affect.train_temporal(store="features", labels="labels.csv", run="runs/first")
    scores = affect.predict("new.mp4", run="runs/first", store="features")

docs/library.md has more. Nothing is loaded until a function is called.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from os import PathLike

    from .cache.score_table import FaceTable, ScoreTable
    from .cache.store import Store
    from .configs.schema import Method
    from .pipeline.extract.extract import ExtractionSummary
    from .pipeline.train.train import TrainingSummary

    Place = str | PathLike[str]
    Videos = Place | Iterable[Place]

__version__: str
__all__ = ["__version__", "describe_faces", "extract_features", "open_store", "predict", "train_temporal"]

if not TYPE_CHECKING:  # where types are checked, a name that is not here is an error

    def __getattr__(name: str) -> str:
        if name == "__version__":
            from importlib.metadata import version

            return version("affect")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def extract_features(
    videos: "Videos",
    *,
    store: "Place",
    config: "Place | None" = None,
    settings: Mapping[str, Any] | None = None,
    store_format: Literal["zarr", "hdf5"] | None = None,
    picture_fps: "float | str | None" = None,
    device: str = "auto",
    jobs: int = 1,
    overwrite: bool = False,
    verify: bool = False,
    progress: bool = True,
) -> "ExtractionSummary":
    """Store the features of every face in every kept frame; what is stored already is skipped.

    videos: files and folders. config: a preset's name or a YAML file; settings: by their names, as
    `{"features.sample_fps": 10}`. jobs: processes. progress: whether bars are drawn on the error stream.
    Given back: what became of each video; one that fails does not stop the others. Errors: AffectError and its kinds.
    """
    from .pipeline.events import summary_of
    from .pipeline.extract.extract import ExtractionSummary, extract
    from .pipeline.extract.videos import search_videos
    from .pipeline.terminal.bars import bars
    from .pipeline.workers import Workers

    search = search_videos(_listed(videos), picture_fps)
    events = extract(
        search.sources, str(store), _config(config, settings).features, store_format=store_format, device=device,
        workers=Workers(jobs), overwrite=overwrite, verify=verify,
    )  # fmt: skip
    summary = summary_of(bars(events, enabled=progress), ExtractionSummary)
    summary.warnings += search.left_out
    return summary


def train_temporal(
    *,
    store: "Place",
    labels: "Place",
    run: "Place",
    config: "Place | None" = None,
    settings: Mapping[str, Any] | None = None,
    mirrored: "Place | None" = None,
    device: str = "auto",
    jobs: int = 1,
    resume: bool = False,
    progress: bool = True,
) -> "TrainingSummary":
    """Train on stored features and a label table, and judge the models on people that they have not seen.

    run: a new folder, or with `resume` one of a run that was stopped. The other arguments: as in `extract_features`.
    Given back: what the run came to; it shows itself as a table. Errors: AffectError and its kinds.
    """
    from .pipeline.events import summary_of
    from .pipeline.terminal.bars import bars
    from .pipeline.train.train import TrainingSummary, train
    from .pipeline.workers import Workers

    events = train(
        str(store), str(labels), str(run), _config(config, settings), device=device, workers=Workers(jobs),
        resume=resume, mirrored=_typed(mirrored),
    )  # fmt: skip
    return summary_of(bars(events, enabled=progress), TrainingSummary)


def predict(
    videos: "Videos",
    *,
    run: "Place",
    store: "Place | None" = None,
    output: "Place | None" = None,
    settings: Mapping[str, Any] | None = None,
    stride: int | None = None,
    subject: str | None = None,
    method: "Method | None" = None,
    backbone: str | None = None,
    weights: str | None = None,
    picture_fps: "float | str | None" = None,
    device: str = "auto",
    jobs: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> "ScoreTable":
    """Scores of videos by a run: a pandas DataFrame with a row for each clip, as `affect predict` writes it.

    videos: files, folders, patterns, or ids in the store. run: its folder, or a folder of runs, which score together.
    store: features to read and add to; without one, or an output, they are dropped. output: a folder for all that the
    command writes. settings: those that a run has not decided, as `{"clips.min_valid": 0.5}`. stride: kept frames from
    clip to clip. subject: main, largest, track:N or all. method: blend, model or ridge. backbone, weights: typed again
    where the run's word is not enough. `attrs` of the table say what the scores are worth on new people.
    Errors: AffectError and its kinds, also where no video can be scored; where some cannot, warnings name them.
    """
    from contextlib import closing, nullcontext

    from .configs.changes import choices
    from .pipeline.predict.outputs import Outputs
    from .pipeline.predict.predict import MEMORY, PredictOptions
    from .pipeline.predict.predict import predict as events_of
    from .pipeline.predict.tables import score_table
    from .pipeline.terminal.bars import bars

    options = PredictOptions(
        **choices(_words(settings), stride=stride, subject=subject, method=method), device=device, jobs=jobs,
        overwrite=overwrite, backbone=backbone, weights=weights, picture_fps=picture_fps,
    )  # fmt: skip
    outputs = None if output is None else Outputs(str(output), options)
    where = MEMORY if store is None and output is None else _typed(store)
    events = bars(events_of(_listed(videos), str(run), str(output), where, options=options), enabled=progress)
    with outputs or nullcontext(), closing(events):
        return score_table(events, outputs.add if outputs else None)


def describe_faces(
    videos: "Videos",
    *,
    store: "Place | None" = None,
    output: "Place | None" = None,
    config: "Place | None" = None,
    settings: Mapping[str, Any] | None = None,
    weights: "Place | None" = None,
    window_s: float = 1.0,
    picture_fps: "float | str | None" = None,
    device: str = "auto",
    jobs: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> "FaceTable":
    """Who is in videos, how heads turn and move, and who moves with whom, without labels or a run: a pandas DataFrame.

    A row for each person; `.windows` has a row for each of them and window of `window_s` seconds, `.pairs` one for each
    two people. weights: face-api's, a folder or archive, for the measures that they give. The other arguments: as in
    `extract_features` and `predict`.
    Errors: AffectError and its kinds, also where no video can be described; where some cannot, warnings name them.
    """
    from contextlib import closing, nullcontext

    from .pipeline.describe.describe import POINTED, describe_faces
    from .pipeline.describe.tables import FaceOutputs, face_table
    from .pipeline.predict.inputs import MEMORY, PredictOptions
    from .pipeline.terminal.bars import bars

    words = dict(settings or {})
    if weights is not None:
        words = {"features.backbone": POINTED, "features.weights": str(weights)} | words
    features = _config(config, words).features if config is not None or words else None
    options = PredictOptions(device=device, jobs=jobs, overwrite=overwrite, picture_fps=picture_fps)
    outputs = None if output is None else FaceOutputs(str(output), options)
    where = MEMORY if store is None and output is None else _typed(store)
    said = describe_faces(_listed(videos), str(output), where, features, window_s=window_s, options=options)
    with outputs or nullcontext(), closing(bars(said, enabled=progress)) as events:
        return face_table(events, outputs.add if outputs else None)


def open_store(path: "Place") -> "Store":
    """A store of features that is there: `ids()`, `info(id)`, `read(id)` as arrays, `to_frame(id)` as a DataFrame.

    Errors: StoreError where there is none.
    """
    from .cache.opening import open_store as open_it

    return open_it(str(path))


def _config(config: "Place | None", settings: Mapping[str, Any] | None) -> Any:
    from .configs.load import load_config

    return load_config(_typed(config), _words(settings))


def _words(settings: Mapping[str, Any] | None) -> list[str]:
    """Settings as they would be typed."""
    import json

    def plain(value: Any) -> Any:
        return value.item() if hasattr(value, "item") else str(value)  # a number of numpy, or a path

    return [f"{key}={json.dumps(value, default=plain)}" for key, value in (settings or {}).items()]


def _typed(place: "Place | None") -> str | None:
    """A place as it would be typed."""
    return None if place is None else str(place)


def _listed(videos: "Videos") -> list[str]:
    from os import PathLike

    return [str(videos)] if isinstance(videos, str | PathLike) else [str(video) for video in videos]
