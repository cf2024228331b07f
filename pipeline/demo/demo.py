"""`affect demo`: the whole chain on small videos made here, through the same code as the commands."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...cache.predictions import Metrics
from ...configs.load import load_config
from ...errors import FoldError, InputError, VideoError
from ..extract.extract import Listener, extract_videos
from ..extract.videos import find_videos
from ..runs.files import read_json, write_json
from ..workers import Workers
from .film import DemoDataConfig, make_demo_data

if TYPE_CHECKING:
    from ..train.train import TrainingListener

MARK = "demo.json"  # says that a folder is the demo's, and which one


@dataclass(frozen=True, slots=True)
class DemoListener:
    """What a caller may want to hear of while it goes."""

    step: Callable[[str], None] = lambda what: None
    extraction: Callable[[], AbstractContextManager[Listener]] = lambda: nullcontext(Listener())
    training: "Callable[[], AbstractContextManager[TrainingListener | None]]" = lambda: nullcontext(None)


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """Where everything lies, and how well held-out subjects were scored."""

    videos: Path
    labels: Path
    store: Path
    run: Path
    predictions: Path
    viewer: Path
    metrics: Metrics | None  # of the run
    seconds: dict[str, float]  # step -> time


def run_demo(
    output: str | Path,
    seed: int = 0,
    *,
    device: str = "auto",
    jobs: int = 2,
    data: DemoDataConfig | None = None,
    overrides: tuple[str, ...] = (),
    listener: DemoListener | None = None,
) -> DemoSummary:
    """Videos, features, a trained run and a held-out subject's predictions under `output`; finished steps are kept.

    `overrides`: `key=value` words on top of the preset `demo`.
    Errors: InputError for a folder of something else.
    """
    from ..predict.predict import PredictListener, PredictOptions, predict
    from ..train.train import train_temporal

    output, listener, data = Path(output), listener or DemoListener(), data or DemoDataConfig()
    config = load_config("demo", (f"training.seed={seed}", *overrides))
    claim(output, seed, data)
    store, run, predictions = output / "features", output / "run", output / "predictions"
    seconds: dict[str, float] = {}
    with _timed("data", seconds):
        listener.step("1/4 videos of a face whose expression is known")
        labels = output / "labels.csv"
        if not labels.exists():
            make_demo_data(output, seed, data)
    with _timed("features", seconds), listener.extraction() as heard:
        listener.step("2/4 affect extract-features")
        sources = find_videos([str(output / "videos")])
        extraction = extract_videos(
            sources, str(store), config.features, device=device, workers=Workers(jobs), listener=heard
        )
    for outcome in extraction.of("failed"):
        raise VideoError(f"{outcome.path}: {outcome.reason}")
    with _timed("training", seconds), _one_thread(), listener.training() as told:
        listener.step("3/4 affect train-temporal")
        training = train_temporal(str(store), labels, run, config, device=device, resume=run.exists(), listener=told)
    for fold in training.failed:
        raise FoldError(fold.reason)
    with _timed("prediction", seconds), listener.extraction() as heard:
        listener.step("4/4 affect predict")
        options, told_of = PredictOptions(stride=1, device=device), PredictListener(extraction=heard)
        video = output / "videos" / f"{data.held_out}.mp4"
        predicted = predict([video], run, predictions, store, options=options, listener=told_of)
    for result in predicted.failed:
        raise VideoError(f"{result.video}: {result.reason}")
    return DemoSummary(
        output / "videos", labels, store, run, predictions, predictions / "viewer.html", training.metrics, seconds
    )


def claim(output: Path, seed: int, data: DemoDataConfig) -> None:
    """Mark the folder as this demo's. Errors: InputError for a folder of anything else."""
    mine = {"seed": seed, "data": json.loads(json.dumps(asdict(data)))}
    mark = output / MARK
    if mark.is_file():
        if read_json(mark) != mine:
            raise InputError(
                f"{output} holds a demo of seed {read_json(mark).get('seed')}, this one is of seed {seed}",
                hint=f"affect demo --output {output}-{seed} --seed {seed}",
            )
        return
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(
            f"{output} exists and is no demo's folder; expected a new or an empty one", hint="affect demo --output NEW"
        )
    output.mkdir(parents=True, exist_ok=True)
    write_json(mark, mine)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The demo's model is so small that on a busy machine a second thread costs ten times what it brings."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[step] = time.monotonic() - started
