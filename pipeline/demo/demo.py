"""`affect demo`: the whole chain on small videos made here, through the same code as the commands."""

import contextlib
import json
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...cache.json_files import read_json, write_json
from ...cache.metrics import Metrics
from ...configs.load import load_config
from ...errors import FoldError, InputError, VideoError
from ..events import Step, within
from ..extract.extract import ExtractionSummary, extract
from ..extract.videos import find_videos
from ..workers import Workers
from .film import DemoDataConfig, make_demo_data

MARK = "demo.json"  # says that a folder is the demo's, and which one


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


def demo(
    output: str | Path,
    seed: int = 0,
    *,
    device: str = "auto",
    jobs: int = 1,
    data: DemoDataConfig | None = None,
    overrides: tuple[str, ...] = (),
) -> Generator[Any, None, None]:
    """Videos, features, a trained run and a held-out subject's predictions under `output`; finished steps are kept.

    The events of all the commands it runs, each begun by a Step, and last a DemoSummary. `overrides`: `key=value`
    words on top of the preset `demo`.
    Errors: InputError for a folder of something else; VideoError, FoldError for a step that fails.
    """
    from ..predict.outputs import Outputs
    from ..predict.predict import PredictOptions, predict
    from ..train.train import TrainingSummary, train

    output, data = Path(output), data or DemoDataConfig()
    config = load_config("demo", (f"training.seed={seed}", *overrides))
    claim(output, seed, data)
    store, run, predictions = output / "features", output / "run", output / "predictions"
    seconds: dict[str, float] = {}
    with _timed("data", seconds):
        yield Step("1/4 videos of a face whose expression is known")
        labels = output / "labels.csv"
        if not labels.exists():
            make_demo_data(output, seed, data)
    with _timed("features", seconds):
        yield Step("2/4 affect extract-features")
        sources = find_videos([str(output / "videos")])
        extracting = extract(sources, str(store), config.features, device=device, workers=Workers(jobs))
        extraction = yield from within(extracting, ExtractionSummary)
    for outcome in extraction.of("failed"):
        raise VideoError(f"{outcome.path}: {outcome.reason}")
    with _timed("training", seconds):
        yield Step("3/4 affect train-temporal")
        training = train(str(store), labels, run, config, device=device, resume=run.exists())
        trained = yield from within(training, TrainingSummary)
    for fold in trained.failed:
        raise FoldError(fold.reason)
    with _timed("prediction", seconds), Outputs(predictions) as outputs:
        yield Step("4/4 affect predict")
        video = output / "videos" / f"{data.held_out}.mp4"
        options = PredictOptions(stride=1, device=device)
        with contextlib.closing(predict([video], run, predictions, store, options=options)) as events:
            for event in events:
                outputs.add(event)
                yield event
    for result in outputs.summary.failed:
        raise VideoError(f"{result.video}: {result.reason}")
    yield DemoSummary(
        output / "videos", labels, store, run, predictions, predictions / "viewer.html", trained.metrics, seconds
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


@contextlib.contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[step] = time.monotonic() - started
