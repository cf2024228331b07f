"""The `affect` command: what a user types, words in, words out, exit codes. No arrays, no torch at import."""

import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from .configs.schema import Config
from .errors import AffectError

if TYPE_CHECKING:
    from .pipeline.extract.extract import ExtractionSummary
    from .pipeline.terminal.text import Words
    from .pipeline.workers import Workers

Command = TypeVar("Command", bound=Callable[..., Any])


class AffectGroup(click.Group):
    """Turns our errors into one message, its hint and the right exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except AffectError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Stopped. What was committed is kept; the same command goes on from there.", err=True)
            sys.exit(130)


@click.group(cls=AffectGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="affect")
def main() -> None:
    """Affect over time from long videos: cached face features, then a temporal model.

    \b
    affect check-videos interviews/
    affect extract-features interviews/ --store features
    affect train-temporal --store features --labels labels.csv --run runs/first
    affect predict new.mp4 --run runs/first --output out
    """
    from .pipeline.workers import own_process

    own_process()


def config_options(command: Command) -> Command:
    """`--config` and `--set`."""
    command = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting, as training.epochs=20. Repeatable."
    )(command)
    return click.option("--config", metavar="PRESET|FILE", help="A preset's name or a YAML file.")(command)


def worker_options(command: Command) -> Command:
    """`--device`, `--jobs`, `--backend`, `--scheduler`."""
    command = click.option("--scheduler", metavar="ADDRESS", help="Of a running Dask scheduler or Ray head.")(command)
    command = click.option(
        "--backend", type=click.Choice(["loky", "dask", "ray"]), default="loky", show_default=True,
        help="Who runs the jobs: processes here, or a cluster.",
    )(command)  # fmt: skip
    command = click.option("--jobs", default=1, show_default=True, metavar="N", help="Processes at once.")(command)
    return click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")(command)


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")(command)


@main.command("extract-features")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO_OR_FOLDER...")
@click.option("--store", required=True, metavar="DIR|s3://...", help="Where the features go; made when missing.")
@click.option("--format", "store_format", type=click.Choice(["zarr", "hdf5"]), help="Of a new store; zarr unless said.")
@click.option("--backbone", metavar="NAME", help="efficientnet-lite0, resnet50-vggface2, any torchvision name, ...")
@click.option("--weights", metavar="FILE", help="The backbone's weights; their sha256 becomes part of the recipe.")
@click.option("--faces", type=click.Choice(["centerface", "none"]), help="none: whole frames, or ready-made crops.")
@click.option("--sample-fps", metavar="FPS|source", help="Frames kept a second, 3.125 by default; source: all.")
@worker_options
@config_options
@click.option("--overwrite", is_flag=True, help="Extract again what is stored already.")
@click.option("--verify", is_flag=True, help="Check every stored checksum, and extract again what is damaged.")
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
@json_option
def extract_features(
    *,
    videos: tuple[str, ...],
    store: str,
    store_format: str | None,
    backbone: str | None,
    weights: str | None,
    faces: str | None,
    sample_fps: str | None,
    device: str,
    jobs: int,
    backend: str,
    scheduler: str | None,
    config: str | None,
    overrides: tuple[str, ...],
    overwrite: bool,
    verify: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Stage one: a row of features for every face and kept frame, stored once.

    Runs again at once over what is stored, and goes on inside a video where it was stopped.

    Example: affect extract-features interviews/ --store features --jobs 2
    """
    from .pipeline.extract.extract import extract_videos
    from .pipeline.extract.plan import plan_only
    from .pipeline.extract.videos import find_videos
    from .pipeline.terminal import text as words
    from .pipeline.terminal.bars import extraction_bar

    flags = {"backbone": backbone, "weights": weights, "faces.detector": faces, "sample_fps": sample_fps}
    given = [f"features.{key}={value}" for key, value in flags.items() if value is not None]
    settings = _load(config, [*given, *overrides]).features
    sources = find_videos(videos)
    if dry_run:
        rows = plan_only(sources, store, overwrite=overwrite)
        _say(words.Words(tuple(words.table(["video", "would be"], rows))), as_json, {"videos": rows})
    with extraction_bar(enabled=not as_json) as listener:
        summary = extract_videos(
            sources, store, settings, store_format=store_format, device=device,
            workers=_workers(jobs, backend, scheduler), overwrite=overwrite, verify=verify, listener=listener,
        )  # fmt: skip
    _write_failures(summary)
    outcomes = [asdict(outcome) for outcome in summary.outcomes]
    _say(words.of_extraction(summary), as_json, {"store": store, "seconds": summary.seconds, "videos": outcomes})


def _load(config: str | None, words: Sequence[str]) -> Config:
    from .configs.load import load_config

    return load_config(config, words)


def _workers(jobs: int, backend: str, scheduler: str | None) -> "Workers":
    from .pipeline.workers import Workers

    return Workers(jobs, backend, scheduler)  # type: ignore[arg-type]  # click.Choice has checked the word


def _write_failures(summary: "ExtractionSummary") -> None:
    """`failures.csv` in a local store, or none where nothing failed. The same reasons are printed in any case."""
    path = Path(summary.store, "failures.csv")
    rows = [(outcome.id, outcome.path, outcome.reason) for outcome in summary.of("failed")]
    if "://" in summary.store or not (rows or path.exists()):
        return
    try:
        if not rows:
            path.unlink()
            return
        with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            csv.writer(file).writerows([("id", "path", "reason"), *rows])
    except OSError as error:
        click.echo(f"warning: {path} could not be written: {error.strerror}", err=True)


def _say(said: "Words", as_json: bool, value: dict[str, Any]) -> NoReturn:
    """Print a summary, as words or as JSON, and end with 1 where something failed."""
    if as_json:
        click.echo(_printable(json.dumps(value, ensure_ascii=False, default=str)))
    else:
        for line in said.lines[:-1]:
            click.echo(_printable(line))
        for line in said.failures:
            click.echo(_printable(line), err=True)
        for line in said.lines[-1:]:
            click.echo(_printable(line))
    sys.exit(1 if said.failures else 0)


def _printable(text: str) -> str:
    """`text` with the bytes of file names that are no UTF-8 spelled out, as they cannot be encoded."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@main.command("inspect-cache")
@click.argument("store", metavar="STORE")
@click.option("--tracks", is_flag=True, help="List every track: when, whose, how large, how much of the video.")
@click.option("--verify", is_flag=True, help="Check every checksum; name what is damaged and exit with 1.")
@json_option
def inspect_cache(*, store: str, tracks: bool, verify: bool, as_json: bool) -> None:
    """What a store holds, what made it, and whether it is whole.

    Example: affect inspect-cache features --verify
    """
    from .pipeline.extract.inspect import inspect_store
    from .pipeline.terminal import text as words

    report = inspect_store(store, tracks=tracks, verify=verify)
    _say(words.of_store(report, verified=verify, tracks=tracks), as_json, asdict(report))


@main.command("check-videos")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO_OR_FOLDER...")
@click.option("--jobs", default=1, show_default=True, metavar="N", help="Videos at once.")
@config_options
@json_option
def check_videos_command(
    *, videos: tuple[str, ...], jobs: int, config: str | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Read videos through once and say what would go wrong, before a ten-hour run.

    Exits with 1 when something would. Example: affect check-videos interviews/
    """
    from .pipeline.extract.check import check_videos
    from .pipeline.extract.videos import find_videos
    from .pipeline.terminal import text as words
    from .pipeline.terminal.bars import counting_bar

    sources = find_videos(videos)
    with counting_bar("videos read", len(sources), enabled=not as_json) as count:
        checks = check_videos(
            sources, _load(config, overrides).features, workers=_workers(jobs, "loky", None),
            finished=lambda check: count(),
        )  # fmt: skip
    _say(words.of_checks(checks), as_json, {"videos": [asdict(check) for check in checks]})


@main.command("train-temporal")
@click.option("--store", required=True, metavar="DIR|s3://...", help="Features, from extract-features.")
@click.option("--labels", required=True, metavar="FILE.csv", help="The manifest: video, subject, span, targets.")
@click.option("--run", required=True, metavar="DIR", help="The run folder; made here.")
@click.option("--mirrored", metavar="DIR", help="A store of the same videos with features.view=hflip, mixed in.")
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
@worker_options
@config_options
@json_option
def train_temporal(
    *,
    store: str,
    labels: str,
    run: str,
    mirrored: str | None,
    resume: bool,
    device: str,
    jobs: int,
    backend: str,
    scheduler: str | None,
    config: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Stage two: clip Transformer, context attention and relational loss on stored features.

    A list of values in --set runs the grid and chooses on validation: --set loss.relational_weight=0,0.5,1

    Example: affect train-temporal --store features --labels labels.csv --run runs/first
    """
    from .pipeline.terminal import text as words
    from .pipeline.terminal.bars import training_bar
    from .pipeline.train.sweep import expand_grid, sweep
    from .pipeline.train.train import train_temporal as train

    if len(expand_grid(overrides)) > 1:
        table = sweep(
            store, labels, run, config, overrides, device=device, workers=_workers(jobs, backend, scheduler),
            resume=resume, mirrored=mirrored,
        )  # fmt: skip
        _say(words.of_sweep(table), as_json, {"sweep": [asdict(outcome) for outcome in table.outcomes]})
    with training_bar(enabled=not as_json) as listener:
        summary = train(
            store, labels, run, _load(config, overrides), device=device,
            workers=_workers(jobs, backend, scheduler), resume=resume, mirrored=mirrored, listener=listener,
        )  # fmt: skip
    failed = {item.name: item.reason for item in summary.failed}
    value = {"run": run, "seconds": summary.seconds, "metrics": summary.metrics, "failed": failed}
    _say(words.of_training(summary), as_json, value)


@main.command("predict")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO|FOLDER|GLOB|ID...")
@click.option("--run", required=True, metavar="DIR", help="A trained or imported run.")
@click.option("--output", required=True, metavar="DIR", help="Where tables, plots and the viewer go.")
@click.option("--store", metavar="DIR|s3://...", help="Features to read and fill; OUTPUT/features unless said.")
@click.option("--format", "store_format", type=click.Choice(["zarr", "hdf5"]), help="Of a new store.")
@click.option("--stride", type=click.IntRange(min=1), metavar="FRAMES", help="Kept frames between clips; 1 is dense.")
@click.option("--subject", metavar="WHO", help="main, largest, track:N or all; as the run was trained unless said.")
@click.option("--overlay", type=click.Path(path_type=Path), metavar="FILE|DIR", help="A video with boxes and curves.")
@click.option("--export", "exports", multiple=True, type=click.Choice(["eaf", "vtt"]), help="For ELAN, or as captions.")
@click.option("--no-video", is_flag=True, help="The viewer shows the curves alone.")
@click.option("--pseudonymise", type=click.Path(path_type=Path), metavar="KEYFILE", help="Keyed hashes for names.")
@click.option("--overwrite", is_flag=True, help="Extract again what is stored already.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--jobs", default=1, show_default=True, metavar="N", help="Videos extracted at once.")
@json_option
def predict_command(
    *,
    videos: tuple[str, ...],
    run: str,
    output: str,
    store: str | None,
    store_format: str | None,
    stride: int | None,
    subject: str | None,
    overlay: Path | None,
    exports: tuple[str, ...],
    no_video: bool,
    pseudonymise: Path | None,
    overwrite: bool,
    device: str,
    jobs: int,
    as_json: bool,
) -> None:
    """Scores over time for new videos, or for ids in a store, with what is needed to trust or reject them.

    Example: affect predict interview.mp4 --run runs/first --output out
    """
    from .pipeline.predict.predict import PredictListener, PredictOptions, predict
    from .pipeline.terminal import text as words
    from .pipeline.terminal.bars import extraction_bar

    options = PredictOptions(
        stride=stride, subject=subject, device=device, jobs=jobs, store_format=store_format, overwrite=overwrite,
        overlay=overlay, exports=exports, with_video=not no_video, key_file=pseudonymise,  # type: ignore[arg-type]
    )  # fmt: skip
    with extraction_bar(enabled=not as_json) as listener:
        summary = predict(videos, run, output, store, options=options, listener=PredictListener(extraction=listener))
    _say(words.of_prediction(summary), as_json, asdict(summary))


@main.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--output", metavar="FILE.html", help="For several runs; RUN/report.html holds a single one's.")
def report_command(*, runs: tuple[str, ...], output: str | None) -> None:
    """A run as one page; several runs side by side, with paired differences and their intervals.

    Example: affect report runs/full runs/no-context --output compared.html
    """
    from .pipeline.report.report import compare_runs, write_report

    if len(runs) == 1:
        click.echo(f"report in {write_report(runs[0])}")
    else:
        click.echo(f"report in {compare_runs(runs, output or 'compared.html')}")


@main.command("import-checkpoint")
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="pid_X.pth.tar...")
@click.option("--run", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The run folder; made here.")
@click.option(
    "--context-edges", type=click.Choice(["wrap", "mask"]), default="wrap", show_default=True,
    help="wrap: as published; mask: nothing lies before a video's beginning.",
)  # fmt: skip
@click.option("--clip-length", type=int, metavar="FRAMES", help="16 for valence and arousal, else 32, as published.")
@click.option("--context", default=2, show_default=True, metavar="CLIPS", help="On each side.")
@config_options
def import_checkpoint(
    *,
    checkpoints: tuple[Path, ...],
    run: Path,
    context_edges: str,
    clip_length: int | None,
    context: int,
    config: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Checkpoints of the paper's code to a run that predict can use; several make an ensemble.

    Nothing in the files is executed. Example: affect import-checkpoint pid_1.pth.tar --run runs/published
    """
    from .pipeline.runs.import_checkpoint import import_checkpoints

    summary = import_checkpoints(
        checkpoints, run, context_edges=context_edges, clip_length=clip_length, context=context,
        features=_load(config, ["features.preprocessing=paper", *overrides]).features,
    )  # fmt: skip
    recipes = ", ".join(digest[:12] for digest in summary.digests)
    click.echo(f"{len(summary.checkpoints)} models for {', '.join(summary.targets)} on {summary.backbone} "
               f"(recipes {recipes}); run in {summary.run}")  # fmt: skip


@main.command("demo")
@click.option("--output", default="demo", show_default=True, metavar="DIR", help="Everything the demo makes.")
@click.option("--seed", default=0, show_default=True, help="Of the videos and of training.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--jobs", default=1, show_default=True, metavar="N", help="Videos extracted at once.")
@json_option
def demo(*, output: str, seed: int, device: str, jobs: int, as_json: bool) -> None:
    """The whole chain on small videos made here: a real photograph's face, moved in known ways.

    Example: affect demo --output demo
    """
    from .pipeline.demo.demo import DemoListener, run_demo
    from .pipeline.terminal import text as words
    from .pipeline.terminal.bars import extraction_bar, training_bar

    listener = DemoListener()
    if not as_json:
        listener = DemoListener(
            step=lambda what: click.echo(what, err=True),
            extraction=lambda: extraction_bar(enabled=True),
            training=lambda: training_bar(enabled=True),
        )
    summary = run_demo(output, seed, device=device, jobs=jobs, listener=listener)
    _say(words.of_demo(summary), as_json, asdict(summary))


@main.command("prepare-labels")
@click.argument("data_set", type=click.Choice(["amigos", "omg", "ness", "panss", "cains", "aff-wild2"]))
@click.argument("root", metavar="ROOT")
@click.option("--output", required=True, metavar="FILE.csv", help="The manifest; its sidecar goes beside it.")
@click.option("--videos", metavar="DIR", help="The folder of recordings; ROOT unless said.")
@click.option("--table", metavar="FILE", help="The annotation file; looked for under ROOT unless said.")
@click.option("--span-s", default=2.0, show_default=True, metavar="S", help="Of a span, where every frame has a label.")
@json_option
def prepare_labels_command(
    *, data_set: str, root: str, output: str, videos: str | None, table: str | None, span_s: float, as_json: bool
) -> None:
    """A data set's own annotation files to one manifest; what is missing on disk is listed.

    Example: affect prepare-labels amigos AMIGOS/ --output labels.csv
    """
    from .pipeline.prepare_labels import prepare_labels
    from .pipeline.terminal import text as words

    summary = prepare_labels(data_set, root, output, videos=videos, table=table, span_s=span_s)  # type: ignore[arg-type]
    _say(words.of_labels(summary), as_json, asdict(summary))
