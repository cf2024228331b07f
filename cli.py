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
    from .pipeline.extract import ExtractionSummary
    from .pipeline.launch import Workers
    from .pipeline.sweep import SweepSummary
    from .stages.features.check import VideoCheck

METHODS = {"model": "model", "ridge": "ridge regression", "mean": "training mean"}
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
    from .pipeline.extract import extract_videos, plan_only
    from .pipeline.progress import extraction_bar
    from .pipeline.sources import find_videos

    flags = {"backbone": backbone, "weights": weights, "faces.detector": faces, "sample_fps": sample_fps}
    words = [f"features.{key}={value}" for key, value in flags.items() if value is not None]
    settings = _load(config, [*words, *overrides]).features
    sources = find_videos(videos)
    if dry_run:
        rows = plan_only(sources, store, overwrite=overwrite)
        _print_json({"videos": rows}) if as_json else _print_table(["video", "would be"], rows)
        return
    with extraction_bar(enabled=not as_json) as listener:
        summary = extract_videos(
            sources, store, settings, store_format=store_format, device=device,
            workers=_workers(jobs, backend, scheduler), overwrite=overwrite, verify=verify, listener=listener,
        )  # fmt: skip
    _report_extraction(summary, as_json)


def _report_extraction(summary: "ExtractionSummary", as_json: bool) -> NoReturn:
    failed = summary.of("failed")
    failures = [(outcome.id, outcome.path, outcome.reason) for outcome in failed]
    if "://" not in summary.store:
        _write_failures(Path(summary.store), failures)
    if as_json:
        _print_json({"store": summary.store, "seconds": round(summary.seconds, 3),
                     "videos": [asdict(outcome) for outcome in summary.outcomes]})  # fmt: skip
        sys.exit(1 if failed else 0)
    done = summary.of("done")
    rows = [(item.id, str(item.frames), str(item.rows), f"{item.face_share:.1%}") for item in done]
    if rows:
        _print_table(["stored", "frames", "rows", "with a face"], rows)
    reasons: dict[str, list[str]] = {}
    for item in summary.of("skipped"):
        reasons.setdefault(item.reason, []).append(item.id)
    for reason, ids in reasons.items():
        names = ", ".join(ids) if len(ids) <= 5 else f"{', '.join(ids[:3])}, ... {ids[-1]}"
        click.echo(f"skipped {len(ids)}: {reason} ({names})")
    for item in done:
        for warning in item.warnings:
            click.echo(f"warning: {item.id}: {warning}")
    for item in failed:
        click.echo(f"failed: {item.id}: {item.reason}", err=True)
    click.echo(f"{len(done)} stored, {len(summary.of('skipped'))} skipped, {len(failed)} failed "
               f"in {summary.seconds:.1f} s; features in {summary.store}")  # fmt: skip
    sys.exit(1 if failed else 0)


def _load(config: str | None, words: Sequence[str]) -> Config:
    from .configs.load import load_config

    return load_config(config, words)


def _workers(jobs: int, backend: str, scheduler: str | None) -> "Workers":
    from .pipeline.launch import Workers

    return Workers(jobs, backend, scheduler)  # type: ignore[arg-type]  # click.Choice has checked the word


def _write_failures(folder: Path, rows: Sequence[tuple[str, ...]]) -> None:
    """`failures.csv`, or none where nothing failed."""
    path = folder / "failures.csv"
    if not rows:
        path.unlink(missing_ok=True)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "path", "reason"), *rows])


def _print_metrics(metrics: dict[str, Any]) -> None:
    """Held-out scores of the model beside its baselines, over labelled spans, in the targets' own units."""
    if not metrics:
        return
    rows = []
    for target in metrics["targets"]:
        for method in ("model", "ridge", "mean"):
            scores = metrics["spans"][method][target]
            interval = [scores["ccc"].get("low"), scores["ccc"].get("high")]
            between = "-" if None in interval else f"{interval[0]:.3f} to {interval[1]:.3f}"
            values = [_number(scores[name]["value"]) for name in ("ccc", "pcc", "rmse", "mae", "icc")]
            rows.append([target if method == "model" else "", METHODS[method], values[0], between, *values[1:]])
    level = metrics["spans"]
    click.echo(f"held out: {level['rows']} spans of {level['subjects']} subjects")
    _print_table(["target", "", "CCC", metrics["interval"].split(",")[0], "PCC", "RMSE", "MAE", "ICC"], rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns lined up: the first to the left, the others to the right."""
    widths = [max(len(str(row[i])) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, *rows]:
        first = str(row[0]).ljust(widths[0])
        others = [str(item).rjust(width) for item, width in zip(row[1:], widths[1:], strict=True)]
        click.echo("  ".join([first, *others]).rstrip())


@main.command("inspect-cache")
@click.argument("store", metavar="STORE")
@click.option("--tracks", is_flag=True, help="List every track: when, whose, how large, how much of the video.")
@click.option("--verify", is_flag=True, help="Check every checksum; name what is damaged and exit with 1.")
@json_option
def inspect_cache(*, store: str, tracks: bool, verify: bool, as_json: bool) -> None:
    """What a store holds, what made it, and whether it is whole.

    Example: affect inspect-cache features --verify
    """
    from .pipeline.inspect import inspect_store

    report = inspect_store(store, tracks=tracks, verify=verify)
    if as_json:
        _print_json(asdict(report))
        sys.exit(1 if report.damaged else 0)
    hours = sum(video.end_s for video in report.videos) / 3600
    click.echo(f"{report.location}: {report.format}, {len(report.videos)} videos, {hours:.2f} hours, "
               f"{sum(video.rows for video in report.videos)} rows; recipe {report.digest[:12]}")  # fmt: skip
    for key, value in report.recipe.items():
        click.echo(f"  {key}: {json.dumps(value, ensure_ascii=False)}")
    mixed = {package: found for package, found in report.versions.items() if len(found) > 1}
    for package, found in report.versions.items():
        click.echo(f"  written with {package} {', '.join(found)}")
    for package in mixed:
        click.echo(f"warning: entries were written with different versions of {package}")
    if tracks:
        columns = ["video", "track", "person", "from s", "to s", "rows", "share", "size px"]
        rows = [(t.id, str(t.track), str(t.person), f"{t.start_s:.2f}", f"{t.end_s:.2f}", str(t.rows),
                 f"{t.share:.1%}", f"{t.size_px:.0f}") for t in report.tracks]  # fmt: skip
    else:
        columns = ["video", "frames", "rows", "with a face", "people", "last s", "header", "decoded"]
        rows = [(v.id, str(v.frames), str(v.rows), f"{v.face_share:.1%}", str(v.people), f"{v.end_s:.2f}",
                 "-" if v.header_frames is None else str(v.header_frames), str(v.decoded_frames))
                for v in report.videos]  # fmt: skip
    _print_table(columns, rows)
    for video in report.videos:
        for warning in video.warnings:
            click.echo(f"warning: {video.id}: {warning}")
    for entry, problems in report.damaged.items():
        for problem in problems:
            click.echo(f"damaged: {entry}: {problem}", err=True)
    if report.damaged:
        click.echo(
            f"Hint: affect extract-features VIDEOS --store {store} --verify extracts the damaged again", err=True
        )
        sys.exit(1)
    if verify:
        click.echo("every checksum holds")


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
    from .pipeline.check import check_videos
    from .pipeline.progress import counting_bar
    from .pipeline.sources import find_videos

    sources = find_videos(videos)
    with counting_bar("videos read", len(sources), enabled=not as_json) as count:
        checks = check_videos(
            sources, _load(config, overrides).features, workers=_workers(jobs, "loky", None),
            finished=lambda check: count(),
        )  # fmt: skip
    troubled = [check for check in checks if check.problems]
    if as_json:
        _print_json({"videos": [asdict(check) for check in checks]})
    else:
        _print_checks(checks)
    sys.exit(1 if troubled else 0)


def _print_checks(checks: Sequence["VideoCheck"]) -> None:
    readable = [check for check in checks if check.readable]
    columns = ["video", "size", "turned", "s", "fps", "header", "decoded", "kept", "faces", "time", "memory", "disk"]
    rows = [
        [
            Path(check.path).name, f"{check.width_px}x{check.height_px}", str(check.rotation_deg),
            f"{check.decoded_s:.1f}", ("~" if check.variable_rate else "") + f"{check.average_fps or 0:.4g}",
            "-" if check.header_frames is None else str(check.header_frames), str(check.decoded_frames),
            str(check.kept_frames), "-" if check.face_rate is None else f"{check.face_rate:.0%}",
            f"{check.projected_s:.0f} s", f"{check.projected_memory_bytes / 1e9:.1f} GB",
            f"{check.projected_disk_bytes / 1e6:.1f} MB",
        ]
        for check in readable
    ]  # fmt: skip
    if rows:
        _print_table(columns, rows)
    for check in checks:
        for note in check.notes:
            click.echo(f"note: {check.path}: {note}")
    for check in checks:
        for problem in check.problems:
            click.echo(f"problem: {check.path}: {problem}", err=True)
    hours = sum(check.projected_s for check in readable) / 3600
    disk = sum(check.projected_disk_bytes for check in readable) / 1e9
    click.echo(f"{len(readable)} of {len(checks)} can be read; extraction would take about {hours:.2f} hours "
               f"with one job here, and {disk:.3f} GB")  # fmt: skip


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
    from .pipeline.progress import training_bar
    from .pipeline.sweep import expand_grid, sweep
    from .pipeline.train import train_temporal as train

    if len(expand_grid(overrides)) > 1:
        _report_sweep(
            sweep(
                store, labels, run, config, overrides, device=device, workers=_workers(jobs, backend, scheduler),
                resume=resume, mirrored=mirrored,
            ),
            as_json,
        )  # fmt: skip
    with training_bar(enabled=not as_json) as listener:
        summary = train(
            store, labels, run, _load(config, overrides), device=device,
            workers=_workers(jobs, backend, scheduler), resume=resume, mirrored=mirrored, listener=listener,
        )  # fmt: skip
    failed = [(item.name, item.reason) for item in summary.failed]
    if as_json:
        _print_json({"run": str(summary.run), "seconds": round(summary.seconds, 3), "metrics": summary.metrics,
                     "failed": dict(failed)})  # fmt: skip
        sys.exit(1 if failed else 0)
    for warning in summary.warnings:
        click.echo(f"warning: {warning}")
    _print_metrics(summary.metrics)
    for where, video, reason in summary.skipped[:10]:
        click.echo(f"not used: {where} ({video}): {reason}")
    if len(summary.skipped) > 10:
        click.echo(f"not used: {len(summary.skipped) - 10} more spans, listed in {summary.run}/skipped.csv")
    for name, reason in failed:
        click.echo(f"failed: fold {name}: {reason}", err=True)
    click.echo(f"{len(summary.outcomes) - len(failed)} folds trained, {len(summary.resumed)} done before, "
               f"{len(failed)} failed in {summary.seconds:.1f} s; run in {summary.run}")  # fmt: skip
    sys.exit(1 if failed else 0)


def _report_sweep(summary: "SweepSummary", as_json: bool) -> NoReturn:
    chosen = summary.chosen
    failed = [item for item in summary.outcomes if item.reason]
    if as_json:
        _print_json(json.loads((summary.folder / "sweep.json").read_text("utf-8")))
        sys.exit(1 if failed else 0)
    for warning in dict.fromkeys(warning for item in summary.outcomes for warning in item.warnings):
        click.echo(f"warning: {warning}")
    rows = [[" ".join(item.words), f"{item.validation_ccc:.3f}", *(_number(item.held_out.get(name))
             for name in ("ccc", "pcc", "rmse")), "<- chosen" if item is chosen else ""]
            for item in summary.outcomes]  # fmt: skip
    _print_table(["setting", "validation CCC", "held-out CCC", "PCC", "RMSE", ""], rows)
    for item in failed:
        click.echo(f"failed: {item.name}: {item.reason}", err=True)
    if chosen is not None:
        click.echo(f"chosen on validation: {chosen.run}")
    sys.exit(1 if failed else 0)


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
    from .pipeline.predict import PredictListener, PredictOptions, predict
    from .pipeline.progress import extraction_bar

    options = PredictOptions(
        stride=stride, subject=subject, device=device, jobs=jobs, store_format=store_format, overwrite=overwrite,
        overlay=overlay, exports=exports, with_video=not no_video, key_file=pseudonymise,  # type: ignore[arg-type]
    )  # fmt: skip
    with extraction_bar(enabled=not as_json) as listener:
        summary = predict(videos, run, output, store, options=options, listener=PredictListener(extraction=listener))
    if as_json:
        _print_json(asdict(summary))
        sys.exit(1 if summary.failed else 0)
    done = [item for item in summary.results if item.status == "done"]
    rows = [[item.video, str(item.persons), str(item.clips), str(item.scored), f"{item.coverage:.1%}",
             str(item.out_of_range)] for item in done]  # fmt: skip
    if rows:
        _print_table(["video", "people", "clips", "scored", "coverage", "out of range"], rows)
    for item in done:
        for warning in item.warnings:
            click.echo(f"warning: {item.video}: {warning}")
    for item in summary.failed:
        click.echo(f"failed: {item.video}: {item.reason}", err=True)
    click.echo(f"{len(done)} scored, {len(summary.failed)} failed in {summary.seconds:.1f} s; "
               f"open {summary.output}/viewer.html")  # fmt: skip
    sys.exit(1 if summary.failed else 0)


@main.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--output", metavar="FILE.html", help="For several runs; RUN/report.html holds a single one's.")
def report_command(*, runs: tuple[str, ...], output: str | None) -> None:
    """A run as one page; several runs side by side, with paired differences and their intervals.

    Example: affect report runs/full runs/no-context --output compared.html
    """
    from .pipeline.report import compare_runs, write_report

    if len(runs) == 1:
        click.echo(f"report in {write_report(runs[0])}")
    else:
        click.echo(f"report in {compare_runs(runs, output or 'compared.html')}")
