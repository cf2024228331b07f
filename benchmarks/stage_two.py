"""Leave-one-subject-out in AMIGOS's shape with the defaults that size themselves: how long would all 40 folds take?

    python benchmarks/stage_two.py DATA [--sample-fps 3.125] [--jobs 1 2] [--folds 3] [--preset full]

40 people, 16 videos each of 51 to 150 s, 2,827 labelled segments of 20 s: at 3.125 frames a second 11,308 clips of 16
frames, at 5 (the default rate) 19,789. Features are generated, as many as the default backbone has; DATA keeps them for
the next call. Folds go through `train`, which is left after the first few; no epoch is left out.
"""

import argparse
import contextlib
import json
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affect.benchmarks.hardware import hardware, median, peak_rss_mb, write_result
from affect.benchmarks.train_step import Step, flops
from affect.configs.load import load_config
from affect.configs.schema import Config
from affect.pipeline.events import FoldOutcome, FoldsPlanned
from affect.pipeline.train.fold import ONE_THREAD_WIDTH, spec_of
from affect.pipeline.train.sizes import sized
from affect.pipeline.train.train import train
from affect.pipeline.train.training_set import build_training_set
from affect.pipeline.workers import Workers
from affect.stages.features.one_thread import one_thread
from affect.stages.temporal.batches import epoch_batches
from affect.stages.temporal.fit import build_model
from affect.stages.temporal.products import quick_products
from affect.tests.generated import GeneratedData, generated_features

PEOPLE, VIDEOS, FEATURES = 40, 16, 2560
Within = Callable[[], AbstractContextManager[None]]  # how products are made there
# Frames a second -> frames of a video, of a stretch of equal affect, stretches of a segment, and the seed that makes
# 2,827 segments of all of it.
SHAPES = {3.125: ((159, 460), 31, 2, 193), 5.0: ((255, 750), 25, 4, 290)}


def make(folder: Path, sample_fps: float) -> tuple[Path, Path]:
    """Where the store and the labels lie; generated where they do not."""
    frames, stretch, stretches, seed = SHAPES[sample_fps]
    store, labels = folder / f"store-{sample_fps:g}", folder / f"labels-{sample_fps:g}.csv"
    if not labels.exists():
        shape = GeneratedData(
            subjects=PEOPLE, videos=VIDEOS, video_frames=frames, feature_size=FEATURES, clip_frames=stretch,
            span_clips=stretches, sample_fps=sample_fps, noise=2.0, clip_noise=1.0, label_noise=0.2, neighbours=0.5,
            subject_effect=0.7, subject_bias=0.15, curvature=0.5, seed=seed,
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        generated_features(store, labels, shape)
    return store, labels


def folds(store: Path, labels: Path, config: Config, jobs: int, count: int) -> dict[str, Any]:
    """The first folds, as `train-temporal --jobs` trains them: seconds, epochs, and the hours that all would take."""
    each: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        with contextlib.closing(train(str(store), labels, run, config, device="cpu", workers=Workers(jobs))) as events:
            for event in events:
                now = time.perf_counter(), time.process_time()
                if isinstance(event, FoldsPlanned):
                    started = before = now
                if isinstance(event, FoldOutcome):
                    if event.reason:
                        raise RuntimeError(f"fold {event.name}: {event.reason}")
                    each.append(_fold(run, event, now[0] - before[0], now[1] - before[1] if jobs == 1 else None))
                    before = now
                if len(each) == count:
                    break
    seconds = before[0] - started[0]
    found = {"folds": each, "minutes_a_fold": jobs * seconds / count / 60}
    found["hours_for_all"] = seconds / count * PEOPLE / 3600
    if jobs > 1:
        return found | {"peak_rss_mb_of_a_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}
    cpu = [one["cpu_seconds"] for one in each]
    epochs = sum(one["epochs"] for one in each)
    outside = sum(one["outside_epochs_seconds"] for one in each)
    share = (seconds - outside) / seconds  # of the time, that epochs take
    to_the_end = (sum(cpu) * share / epochs * config.training.epochs + sum(cpu) * (1 - share) / count) * PEOPLE
    return found | {
        "core_minutes_a_fold": sum(cpu) / count / 60,
        "core_hours_for_all": sum(cpu) / count * PEOPLE / 3600,
        "core_hours_if_no_fold_stopped_early": to_the_end / 3600,
        "peak_rss_mb": peak_rss_mb(),
    }


def _fold(run: Path, outcome: FoldOutcome, seconds: float, cpu_seconds: float | None) -> dict[str, Any]:
    """What a fold's files say of it; seconds since the fold before it."""
    folder = run / "folds" / outcome.name
    epochs = [json.loads(line)["seconds"] for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    ridge = json.loads((folder / "fold.json").read_text("utf-8"))["ridge"]
    return {
        "name": outcome.name,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "epochs": outcome.epochs,
        "median_epoch_seconds": median(epochs),
        "outside_epochs_seconds": seconds - sum(epochs) if cpu_seconds is not None else None,
        "validation_ccc": outcome.validation_ccc,
        "ridge": ridge,
    }


def step(store: Path, labels: Path, config: Config, repeats: int) -> dict[str, Any]:
    """A training step, and what share of the fastest matrix multiplication it reaches, with oneDNN's and MKL's."""
    data = build_training_set(str(store), labels, config, "cpu")
    spans = len(np.unique(data.clips.span))
    chosen, said = sized(config, spans, PEOPLE - 1)
    spec, size = spec_of(data, chosen), chosen.training.batch_size
    alone = spec.width <= ONE_THREAD_WIDTH
    one = Step(build_model(spec, 0, "cpu"), torch.from_numpy(data.scaling.to_training(data.labels)).float())
    batches = epoch_batches(np.arange(len(data.clips)), size, np.random.default_rng(0))
    numbers = next(batch for batch in batches if len(batch) == size)
    with one_thread() if alone else contextlib.nullcontext():
        one(data.clips, numbers)  # to warm up
        work = flops(lambda: one(data.clips, numbers))
        products: dict[str, Within] = {"mkl": contextlib.nullcontext, "quick": quick_products}
        taken = {name: _timed(within, lambda: one(data.clips, numbers), repeats) for name, within in products.items()}
        rates = {name: _matmul_rate(within, max(5, repeats // 4)) for name, within in products.items()}
        threads = torch.get_num_threads()
    shape = {"people": PEOPLE, "videos": PEOPLE * VIDEOS, "segments": spans, "clips": len(data.clips)}
    found: dict[str, Any] = {
        "shape": shape | {"features": FEATURES, "frames": spec.clip_length, "held_frames": len(data.clips.table)},
        "size": said,
        "features_are_in": data.clips.table.place,
        "threads": threads,
        "batch": size,
        "step_gflop": work / 1e9,
    }
    for name in products:
        found[name] = {
            "step_cpu_ms": 1000 * median(taken[name]),
            "best_step_cpu_ms": 1000 * min(taken[name]),
            "matmul_gflops_a_core": rates[name] / 1e9,
            "share_of_matmul_rate": work / min(taken[name]) / rates[name],
        }
    return found


def _timed(within: Within, job: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of all cores that each repeat took: on a busy machine the clock on the wall says little."""
    seconds = []
    with within():
        for _ in range(repeats):
            started = time.process_time()
            job()
            seconds.append(time.process_time() - started)
    return seconds


def _matmul_rate(within: Within, repeats: int) -> float:
    """Floating point operations in a second of a core of a large square product, best of the repeats."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    out = torch.empty_like(a)
    return 2 * len(a) ** 3 / min(_timed(within, lambda: torch.mm(a, b, out=out), repeats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sample-fps", type=float, choices=sorted(SHAPES), default=3.125)
    parser.add_argument("--jobs", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--folds", type=int, default=3, help="to measure; with several jobs, one more for each")
    parser.add_argument("--preset", help="in place of the defaults, such as full")
    parser.add_argument("--repeats", type=int, default=30, help="of a step")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--beside", default="nothing", help="what else the machine did; goes into the result")
    args = parser.parse_args()
    machine = hardware()
    store, labels = make(args.data, args.sample_fps)
    words = ("evaluation.protocol=leave-one-subject-out", "training.seeds=1", *args.set)
    config = load_config(args.preset, words)
    found = {
        "preset": args.preset,
        "words": list(words),
        "beside": args.beside,
        **step(store, labels, config, args.repeats),
    }
    name = f"stage-two-{args.preset or 'defaults'}-{args.sample_fps:g}-fps"
    write_result(name, found, machine)
    for jobs in args.jobs:
        found[f"jobs_{jobs}"] = folds(store, labels, config, jobs, args.folds + (jobs - 1))
        write_result(name, found, machine)


if __name__ == "__main__":
    main()
