"""The `affect` command: what a user types, words in, words out, exit codes. No arrays, no torch at import."""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from click.shell_completion import CompletionItem

from .configs.changes import CHANGEABLE, choices
from .configs.plain_text import command_line, encodable, sentence, spelled
from .configs.schema import MOST_SEED, PUBLISHED_EDGES, ClipsConfig, Config
from .errors import UNNAMED, AffectError, OutputError, named
from .pipeline.prepare_labels import DATA_SETS, REDUCTIONS, SPAN_S, TIME_UNITS, Reading
from .pipeline.workers import Workers, cores

if TYPE_CHECKING:
    from .pipeline.extract.extract import ExtractionSummary
    from .pipeline.extract.videos import Source
    from .pipeline.predict.outputs import Outputs
    from .pipeline.terminal.text import Text
    from .pipeline.terminal.told import LogFile

Command = TypeVar("Command", bound=Callable[..., Any])
Event = TypeVar("Event")
MOST_STRIDE = 1_000_000  # kept frames: days of video
MOST_JOBS = 10_000
# As a shell says of a program that a signal ended: 128 and its number. SIGPIPE is the reader that has gone.
INTERRUPTED, READER_GONE, TERMINATED = 130, 141, 143
GO_ON = {"extract-features", "import-features", "export-features", "predict", "describe-faces", "demo"}
ONE = Workers()  # one process here: the default of every command
READING = Reading()  # labels as they are usually read


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a cluster sends it: the work ends as with Ctrl-C."""


@dataclass(slots=True)
class Talk:
    """What a command says besides its result, and where; and how it is typed again."""

    words: tuple[str, ...] = ()  # as they were typed
    verbose: bool = False
    quiet: bool = False
    as_json: bool = False
    log: "LogFile | None" = None
    logs_prints: bool = True  # not where names must not be in the log: what is printed may hold some
    goes_on: bool = False  # when it is typed again; else it begins again
    resumable: Path | None = None  # where this is there, --resume goes on

    def tell(self, line: str) -> None:
        """A line of --verbose and --log."""
        self.to_log(line)
        if self.verbose:
            _echo(line, err=True)

    def to_log(self, line: str) -> None:
        """A line of --log. Where it cannot be written, that is said once, and the work goes on."""
        if self.log is not None and not self.log.trouble:
            self.log.write(line)
            if self.log.trouble:
                _echo(f"warning: the log ends here: {self.log.trouble}", err=True)

    def begin(self, context: click.Context) -> None:
        """Take in what a command was given. Errors: InputError for a log that cannot be one."""
        given, said = context.params, context.meta
        self.verbose, self.quiet = said.get("verbose", False), said.get("quiet", False)
        if self.verbose and self.quiet:
            raise click.UsageError("--verbose says more and --quiet less; expected one of them")
        self.as_json, self.logs_prints = given.get("as_json", False), given.get("pseudonymise") is None
        forgets = given.get("overwrite") or not (self.logs_prints or given.get("store"))
        self.goes_on = bool(given.get("resume")) or (context.info_name in GO_ON and not forgets)
        self.resumable = Path(given["run"]) if given.get("resume") is False else None
        if not (self.verbose or said.get("log")):
            return
        from .pipeline.terminal.told import open_log, versions

        if said.get("log"):
            places = [str(given[name]) for name in ("store", "run", "output") if given.get(name)]
            self.log = open_log(said["log"], [place for place in places if "://" not in place])
        self.tell(versions())
        if self.logs_prints:
            self.tell(f"typed: {self.typed()}")

    def typed(self, *more: str) -> str:
        """The command as it is typed again. more: options that it gets besides."""
        return command_line([*_program(), *self.words[:1], *more, *self.words[1:]], windows=os.name == "nt")

    def end(self, code: object) -> None:
        """The last line of the log."""
        self.to_log(f"ended with exit code {code or 0}")
        if self.log is not None:
            self.log.close()


def _talk() -> Talk:
    context = click.get_current_context(silent=True)
    return (context and context.find_object(Talk)) or Talk()


def _program() -> list[str]:
    """How this program was started."""
    started = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    if started[-2:-1] == ["-m"]:
        return started
    name = Path(sys.argv[0]).name
    found = shutil.which(name)
    return [name if found is not None and Path(found).resolve() == Path(sys.argv[0]).resolve() else sys.argv[0]]


class AffectCommand(click.Command):
    """A command with --verbose, --quiet and --log, of which its own function knows nothing."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        said = {
            "verbose": "Say what is settled, and what becomes of each video or fold, on the error stream.",
            "quiet": "Only the result, and on the error stream errors, failures and warnings that change its meaning.",
            "log": "Append to this file, with times, what --verbose says and what is printed.",
        }
        for name, words in said.items():
            kind: dict[str, Any] = {"metavar": "FILE"} if name == "log" else {"is_flag": True}
            self.params.append(click.Option([f"--{name}"], help=words, expose_value=False, callback=_kept, **kind))

    def invoke(self, context: click.Context) -> Any:
        _talk().begin(context)
        return super().invoke(context)


def _kept(context: click.Context, option: click.Parameter, value: Any) -> None:
    context.meta[str(option.name)] = value


class AffectGroup(click.Group):
    """Turns our errors into one message, its hint and the right exit code."""

    command_class = AffectCommand

    def make_context(self, info_name: str | None, args: list[str], *arguments: Any, **more: Any) -> click.Context:
        talk = Talk(tuple(args))
        with _plain_usage_errors(), _our_errors(talk):
            context = super().make_context(info_name, args, *arguments, **more)
            context.obj = talk
            return context

    def invoke(self, context: click.Context) -> Any:
        talk, code = context.obj, None
        try:
            with _our_errors(talk), _plain_usage_errors():
                return super().invoke(context)
        except (SystemExit, click.ClickException) as ended:
            code = ended.code if isinstance(ended, SystemExit) else ended.exit_code
            raise
        finally:
            talk.end(code)


@contextlib.contextmanager
def _our_errors(talk: Talk) -> Iterator[None]:
    """An error of ours, or one that the system names, ends the command with its message and exit code."""
    try:
        yield
    except BrokenPipeError:  # who read this has gone, as with `| head`
        _silence()
        sys.exit(READER_GONE)
    except (AffectError, *UNNAMED) as error:
        said = _refused_output(error) or named(error)
        _print(f"Error: {sentence(said.message)}", err=True)
        if said.hint:
            _print(f"Hint: {sentence(said.hint)}", err=True)
        sys.exit(said.exit_code)
    except KeyboardInterrupt as stop:
        for line in _to_go_on(talk):
            _print(line, err=True)
        sys.exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED)


def _to_go_on(talk: Talk) -> list[str]:
    """What is to be typed after Ctrl-C."""
    if _is_rank():
        return ["Stopped. What was committed is kept; the same torchrun command with --resume goes on from there."]
    if talk.resumable is not None and talk.resumable.exists():
        return ["Stopped. What was committed is kept; this goes on from there:", talk.typed("--resume")]
    if talk.goes_on:
        return ["Stopped. What was committed is kept; the same command goes on from there:", talk.typed()]
    return ["Stopped. This begins again:", talk.typed()]


def _is_rank() -> bool:
    """Whether torchrun has started this process, among others."""
    size = os.environ.get("WORLD_SIZE", "1")
    return size.isdecimal() and int(size) > 1


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM is raised as Terminated, but in ranks, which may hang in each other, and where somebody else has it."""
    ours = threading.current_thread() is threading.main_thread() and not _is_rank()
    if not ours or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def terminate(*_: object) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _refused_output(error: BaseException) -> OutputError | None:
    """That standard output was not taken, if the error comes from there; the system's own words name no file."""
    if not isinstance(error, OSError):
        return None
    if not any(frame.f_code is click.echo.__code__ for frame, _ in traceback.walk_tb(error.__traceback__)):
        return None
    _silence()
    return OutputError(
        f"standard output cannot be written ({error.strerror})",
        hint="what the command had done is kept; print to a place with room, and run it again",
    )


def _silence() -> None:
    """Nothing more is printed: at its end, Python would try once more and fail in its own words."""
    sys.stdout = io.StringIO()


@contextlib.contextmanager
def _plain_usage_errors() -> Iterator[None]:
    """Click's own errors repeat what was typed; it is spelled out."""
    try:
        yield
    except click.ClickException as error:
        words = sentence(error.format_message())
        error.format_message = lambda: words  # type: ignore[method-assign]
        raise


def _print(line: str, err: bool = False) -> None:
    """One line to the terminal, and to the log unless names must not be there."""
    talk = _talk()
    if talk.logs_prints:
        talk.to_log(line)
    _echo(line, err)


def _note(line: str) -> None:
    """A line that --quiet leaves out."""
    if _talk().quiet:
        _talk().to_log(line)
    else:
        _print(line, err=True)


def _result(line: str) -> None:
    """A line of a result: with --quiet no notes, and on the error stream the warnings that change its meaning."""
    from .pipeline.terminal.text import matters

    if not _talk().quiet or not line.startswith(("warning: ", "note: ")):
        _print(line)
    elif line.startswith("warning: ") and matters(line):
        _print(line, err=True)
    else:
        _note(line)


def _shown(events: Generator[Event, None, None], outputs: "Outputs | None" = None) -> Generator[Event, None, None]:
    """A command's events: drawn, said and logged as was asked for. outputs: which say what videos are called."""
    from .pipeline.terminal.bars import bars

    talk, names = _talk(), outputs.names if outputs else None
    named = names.of if names else str
    if not (talk.verbose or talk.log):
        return bars(events, enabled=not (talk.quiet or talk.as_json), named=named)
    from .pipeline.terminal.told import Story, told

    story = Story()

    def tell(event: Any) -> bool:
        for line in told(story, event, names):
            talk.tell(line)
        return talk.verbose

    enabled = talk.verbose or not (talk.quiet or talk.as_json)
    return bars(events, enabled=enabled, named=named, told=tell)


def _echo(line: str, err: bool = False) -> None:
    """Everything that this program prints comes through here."""
    stream = sys.stderr if err else sys.stdout
    click.echo(encodable(spelled(line), getattr(stream, "encoding", None)), err=err)


@click.group(cls=AffectGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="affect")
@click.pass_context
def main(context: click.Context) -> None:
    """Affect over time from long videos: stored face features, then a model on top of them.

    \b
    affect check-videos interviews/
    affect extract-features interviews/ --store features
    affect train-temporal --store features --labels labels.csv --run runs/first
    affect predict new.mp4 --run runs/first --output out
    """
    from .pipeline.workers import own_process

    own_process()
    context.with_resource(_ended_by_sigterm())


def config_options(command: Command) -> Command:
    """`--config` and `--set`."""
    command = set_option("A setting, e.g. training.epochs=20; affect settings lists them. Repeatable.")(command)
    return click.option(
        "--config", metavar="PRESET|FILE", help="The name of a preset, or a YAML file.", shell_complete=_presets
    )(command)


def set_option(what: str) -> Callable[[Command], Command]:
    """`--set`."""
    return click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help=what, shell_complete=_settings_to_type
    )


def _presets(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """What a shell may complete: presets, and files."""
    from .configs.load import preset_names

    found = [CompletionItem(name) for name in preset_names() if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]


def _settings(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """What a shell may complete: names of settings."""
    from .configs.manual import manual

    return [CompletionItem(item.key, help=item.meaning) for item in manual() if item.key.startswith(begun)]


def _settings_to_type(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    return [CompletionItem(f"{item.value}=", help=item.help) for item in _settings(context, option, begun)]


def picture_option(command: Command) -> Command:
    """`--picture-fps`."""
    return click.option(
        "--picture-fps", metavar="FPS|FILE", help="Read folders of numbered pictures too: so many a second."
    )(command)


def jobs_option(what: str) -> Callable[[Command], Command]:
    """`--jobs`."""
    return click.option(
        "--jobs", type=click.IntRange(1, MOST_JOBS), default=ONE.jobs, show_default=True, metavar="N", help=what
    )


def worker_options(command: Command) -> Command:
    """`--device`, `--jobs`, `--backend`, `--scheduler`."""
    command = click.option("--scheduler", metavar="ADDRESS", help="Of a running Dask scheduler or Ray head.")(command)
    command = click.option(
        "--backend", type=click.Choice(["loky", "dask", "ray"]), default=ONE.backend, show_default=True,
        help="Where jobs run. loky: processes on this machine; dask, ray: a cluster.",
    )(command)  # fmt: skip
    command = jobs_option("Parallel processes.")(command)
    return click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")(command)


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")(command)


@main.command("extract-features")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO_OR_FOLDER...")
@click.option("--store", required=True, metavar="DIR|s3://...", help="The store for the features; new or not.")
@click.option(
    "--format", "store_format", type=click.Choice(["zarr", "hdf5"]), help="Format of a new store; zarr by default."
)
@click.option("--backbone", metavar="NAME", help="efficientnet-lite0, resnet50-vggface2, any torchvision name, ...")
@click.option("--weights", metavar="FILE", help="The backbone's weights; their sha256 becomes part of the recipe.")
@click.option("--faces", type=click.Choice(["centerface", "none"]), help="Face detector; none: use whole frames.")
@click.option("--sample-fps", metavar="FPS|source", help="Kept frames a second; 5 by default; source: all.")
@picture_option
@worker_options
@config_options
@click.option("--overwrite", is_flag=True, help="Extract stored videos again.")
@click.option(
    "--verify",
    is_flag=True,
    help="Check all stored checksums, and all bytes of the videos; extract what is damaged again.",
)
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
    picture_fps: str | None,
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
    """Stage one: store features of every face in every kept frame.

    Videos that are stored already are skipped. A video that was interrupted continues where it stopped.

    Example: affect extract-features interviews/ --store features --jobs 2
    """
    from .pipeline.events import summary_of
    from .pipeline.extract.extract import ExtractionSummary, extract

    flags = {"faces.detector": faces, "sample_fps": sample_fps}
    given = [f"features.{key}={value}" for key, value in flags.items() if value is not None]
    settings = _load(config, [*_typed(backbone, weights), *given, *overrides]).features
    sources = _found(videos, picture_fps)
    if dry_run:
        _would_be(sources, store, overwrite, as_json)
    events = extract(
        sources, store, settings, store_format=store_format, device=device,
        workers=_workers(jobs, backend, scheduler), overwrite=overwrite, verify=verify,
    )  # fmt: skip
    _end_of_extraction(summary_of(_shown(events), ExtractionSummary), as_json, {})


def _would_be(
    sources: "Sequence[Source]", store: str, overwrite: bool, as_json: bool, understood: Sequence[str] = ()
) -> NoReturn:
    """List what a command would do with each video, and end."""
    from .pipeline.extract.plan import plan_only

    _say_plan(plan_only(sources, store, overwrite=overwrite), store, as_json, understood)


def _say_plan(
    rows: Sequence[tuple[str, str]],
    store: str,
    as_json: bool,
    understood: Sequence[str] = (),
    failed: Sequence[str] = (),
) -> NoReturn:
    """Say what would become of each video, and end."""
    from .pipeline.terminal import text

    value: dict[str, Any] = {"store": store, "videos": [{"id": name, "would_be": words} for name, words in rows]}
    value |= {"understood": understood} if understood else {}
    sys.exit(_say(text.of_plan(rows, understood, failed), as_json, value))


def _end_of_extraction(summary: "ExtractionSummary", as_json: bool, more: dict[str, Any]) -> NoReturn:
    """Say what became of each video, and end."""
    videos = [asdict(outcome) for outcome in summary.outcomes]
    value = {"store": summary.store, "seconds": summary.seconds, **more, "videos": videos}
    sys.exit(_say(summary.text(), as_json, value))


def _found(words: Sequence[str], picture_fps: str | None) -> "list[Source]":
    """The recordings that are meant; what lies beside them and is left out is said."""
    from .pipeline.extract.videos import search_videos

    search = search_videos(words, picture_fps)
    for left_out in search.left_out:
        _note(f"note: {left_out}")
    return search.sources


def _load(config: str | None, words: Sequence[str]) -> Config:
    from .configs.load import load_config

    return load_config(config, words)


def _typed(backbone: str | None, weights: str | None) -> list[str]:
    """The words of both flags as they are typed, whatever YAML would make of them."""
    names = {"backbone": backbone, "weights": weights}
    return [f"features.{key}={json.dumps(value)}" for key, value in names.items() if value is not None]


def _workers(jobs: int, backend: str, scheduler: str | None) -> Workers:
    return Workers(_jobs(jobs) if backend == "loky" else jobs, backend, scheduler)  # type: ignore[arg-type]  # click.Choice has checked the word


def _jobs(jobs: int) -> int:
    """As many as this machine has cores; a larger number is said to be one."""
    if jobs > cores():
        _note(f"note: --jobs {jobs}, and {cores()} cores here: {cores()} at a time")
    return min(jobs, cores())


def _say(said: "Text", as_json: bool, value: dict[str, Any]) -> int:
    """Print a summary, as text or as JSON; the exit code, 1 where something failed."""
    if as_json:
        _print_json(value)
    else:
        for line in said.lines[:-1]:
            _result(line)
        for line in said.failures:
            _print(line, err=True)
        for line in said.lines[-1:]:
            _result(line)
    return 1 if said.failures else 0


def _say_line(line: str, as_json: bool, value: dict[str, Any]) -> None:
    """Print what a command has to say in a line, or as JSON."""
    if as_json:
        _print_json(value)
    else:
        _print(line)


def _print_json(value: dict[str, Any]) -> None:
    from .pipeline.terminal.text import as_json

    _echo(as_json(value))


@main.command("import-features")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE_OR_FOLDER...")
@click.option("--store", required=True, metavar="DIR|s3://...", help="The store for the features; new or not.")
@click.option(
    "--format", "store_format", type=click.Choice(["zarr", "hdf5"]), help="Format of a new store; zarr by default."
)
@click.option(
    "--kind", type=click.Choice(["auto", "openface", "py-feat", "table"]), default="auto", show_default=True,
    help="Whose tables; auto: as their columns say.",
)  # fmt: skip
@click.option(
    "--columns", multiple=True, metavar="NAME,REGEX",
    help="Columns that become features. Repeatable. By default action units, gaze, pose and emotions; of a table of "
    "no known tool, every column of numbers.",
)  # fmt: skip
@click.option("--time-column", default="", metavar="NAME", help="The column of times, or of numbers of frames.")
@click.option("--time-unit", type=click.Choice(TIME_UNITS), default="auto", show_default=True, help="Of that column.")
@click.option("--fps", type=float, metavar="N", help="Of the videos, where tables have numbers of frames alone.")
@click.option(
    "--min-confidence", type=click.FloatRange(0, 1), default=0.5, show_default=True,
    help="A face of which the tool is less sure has no features (status 2).",
)  # fmt: skip
@click.option("--sample-fps", metavar="FPS|source", help="Kept frames a second; 5 by default; source: all.")
@jobs_option("Tables read in parallel.")
@click.option("--overwrite", is_flag=True, help="Import again what is stored.")
@click.option("--verify", is_flag=True, help="Check all stored checksums; import damaged entries again.")
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
@json_option
def import_features_command(
    *, tables: tuple[str, ...], store: str, store_format: str | None, kind: str, columns: tuple[str, ...],
    time_column: str, time_unit: str, fps: float | None, min_confidence: float, sample_fps: str | None, jobs: int,
    overwrite: bool, verify: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make a store out of tables that OpenFace 2, py-feat or another tool has made, where the videos are gone.

    CSV, Excel or Parquet: a row for each face and frame. A table is named after its video, or has a column video.

    Example: affect import-features openface/ --store features
    """
    from .pipeline.events import summary_of
    from .pipeline.extract.extract import ExtractionSummary
    from .pipeline.extract.import_features import ImportOptions, TimeSource, find, import_features

    given = [] if sample_fps is None else [f"features.sample_fps={sample_fps}"]
    rate = _load(None, given).features.sample_fps
    times = TimeSource(time_column, time_unit, fps)  # type: ignore[arg-type]  # click checked the word
    options = ImportOptions(kind, columns, times, rate, min_confidence)  # type: ignore[arg-type]  # likewise
    found, sources = find(tables, store, options)
    for left_out in found.left_out:
        _note(f"note: {left_out}")
    if dry_run:
        _would_be(sources, store, overwrite, as_json, found.understood)
    events = import_features(
        found, sources, store, store_format=store_format, workers=_workers(jobs, "loky", None), overwrite=overwrite,
        verify=verify,
    )  # fmt: skip
    summary = summary_of(_shown(events), ExtractionSummary)
    _end_of_extraction(summary, as_json, {"understood": found.understood})


@main.command("inspect-cache")
@click.argument("store", metavar="STORE")
@click.option("--tracks", is_flag=True, help="List every track: time, person, face size, share of the video.")
@click.option("--verify", is_flag=True, help="Check every checksum; list what is damaged, and exit with 1.")
@json_option
def inspect_cache(*, store: str, tracks: bool, verify: bool, as_json: bool) -> None:
    """Show what is in a store, how it was made, and whether it is intact.

    Example: affect inspect-cache features --verify
    """
    from .pipeline.extract.inspect import inspect_store
    from .pipeline.terminal import text

    report = inspect_store(store, tracks=tracks, verify=verify)
    sys.exit(_say(text.of_store(report, verified=verify, tracks=tracks), as_json, asdict(report)))


@main.command("edit-cache")
@click.argument("store", metavar="STORE")
@click.argument("action", type=click.Choice(["remove", "rename", "merge"]))
@click.argument("words", nargs=-1, required=True, metavar="ID... | OLD NEW | OTHER_STORE")
@click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing.")
@json_option
def edit_cache_command(*, store: str, action: str, words: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Remove recordings from a store, rename one, or copy those of another store of the same recipe into it.

    \b
    affect edit-cache STORE remove ID...
    affect edit-cache STORE rename OLD NEW
    affect edit-cache STORE merge OTHER_STORE

    A recording that is being extracted is refused. Who reads the store sees it as it was before, or as it is after.

    Example: affect edit-cache features rename anna.mp4 S01.mp4
    """
    from .pipeline.events import summary_of
    from .pipeline.extract.edit_cache import EditSummary, edit, plan_edit
    from .pipeline.terminal import text

    changes = plan_edit(store, action, words, dry_run=dry_run)
    if dry_run:
        failed = [change.id for change in changes if change.fails]
        _say_plan([(change.id, change.what) for change in changes], store, as_json, failed=failed)
    summary = summary_of(_shown(edit(store, changes)), EditSummary)
    sys.exit(_say(text.of_edit(summary), as_json, asdict(summary)))


@main.command("export-features")
@click.argument("store", metavar="STORE")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option(
    "--output",
    required=True,
    metavar="DIR|FILE",
    help="A folder: a file a recording; FILE.parquet, FILE.csv: one of all.",
)
@click.option(
    "--format", "kind", type=click.Choice(["parquet", "csv", "npz"]),
    help="parquet by default; csv: for a spreadsheet; npz: arrays for numpy.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Write files of an earlier export again; they are kept otherwise.")
@json_option
def export_features_command(
    *, store: str, ids: tuple[str, ...], output: str, kind: str | None, overwrite: bool, as_json: bool
) -> None:
    """Write what a store holds as tables: a row for each face and kept frame, and for each frame without a face.

    Example: affect export-features features --output tables --format csv
    """
    from .pipeline.events import summary_of
    from .pipeline.extract.export_features import ExportSummary, export_features
    from .pipeline.terminal import text

    events = export_features(store, ids, output, kind, overwrite=overwrite)  # type: ignore[arg-type]  # click checked it
    summary = summary_of(_shown(events), ExportSummary)
    sys.exit(_say(text.of_export(summary), as_json, asdict(summary)))


@main.command("check-videos")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO_OR_FOLDER...")
@picture_option
@jobs_option("Videos read in parallel.")
@config_options
@json_option
def check_videos_command(
    *, videos: tuple[str, ...], picture_fps: str | None, jobs: int, config: str | None, overrides: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Read every video once and list what would go wrong, before a long extraction.

    The exit code is 1 if something would go wrong. Example: affect check-videos interviews/
    """
    from .pipeline.events import Planned
    from .pipeline.extract.check import check_videos
    from .pipeline.terminal import text

    sources = _found(videos, picture_fps)
    settings = _load(config, overrides).features
    events = check_videos(sources, settings, workers=_workers(jobs, "loky", None))
    with contextlib.closing(_shown(events)) as drawn:
        found = {event.path: event for event in drawn if not isinstance(event, Planned)}
    checks = [found[str(source.path)] for source in sources]
    sys.exit(_say(text.of_checks(checks), as_json, {"videos": [asdict(check) for check in checks]}))


@main.command("check-backbone")
@click.argument("name", metavar="NAME")
@click.option("--weights", metavar="FILE|random", help="The backbone's weights; random will do to see its layers.")
@click.option("--all", "every", is_flag=True, help="List the layers inside of layers too.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@config_options
@json_option
def check_backbone_command(
    *, name: str, weights: str | None, every: bool, device: str, config: str | None, overrides: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """List the layers of a backbone for features.taps: what each gives, and the time until then for a face.

    Example: affect check-backbone efficientnet-lite0
    """
    from .pipeline.extract.check_backbone import check_backbone
    from .pipeline.terminal import text

    report = check_backbone(_load(config, [*_typed(name, weights), *overrides]).features, device=device)
    sys.exit(_say(text.of_backbone(report, every=every), as_json, report.to_json()))


@main.command("train-temporal")
@click.option("--store", required=True, metavar="DIR|s3://...", help="The features, from extract-features.")
@click.option("--labels", required=True, metavar="FILE", help="The label table (CSV or .xlsx): who, when, targets.")
@click.option("--run", required=True, metavar="DIR", help="A new folder for the run.")
@click.option("--mirrored", metavar="DIR", help="Train also on this store, made with features.view=hflip.")
@click.option("--resume", is_flag=True, help="Continue a run that was stopped.")
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
    """Stage two: train a clip Transformer with context attention and relational loss on stored features.

    Several values in --set train all combinations; the best on validation is chosen: --set model.layers=1,2

    Example: affect train-temporal --store features --labels labels.csv --run runs/first
    """
    from .pipeline.events import summary_of
    from .pipeline.terminal import text
    from .pipeline.train.sweep import SweepSummary, expand_grid, sweep
    from .pipeline.train.train import TrainingSummary, train

    if len(expand_grid(overrides)) > 1:
        settings = sweep(
            store, labels, run, config, overrides, device=device, workers=_workers(jobs, backend, scheduler),
            resume=resume, mirrored=mirrored,
        )  # fmt: skip
        table = summary_of(_shown(settings), SweepSummary)
        sys.exit(_say(text.of_sweep(table), as_json, {"sweep": [asdict(outcome) for outcome in table.outcomes]}))
    events = train(
        store, labels, run, _load(config, overrides), device=device, workers=_workers(jobs, backend, scheduler),
        resume=resume, mirrored=mirrored,
    )  # fmt: skip
    summary = summary_of(_shown(events), TrainingSummary)
    failed = {item.name: item.reason for item in summary.failed}
    metrics = summary.metrics.to_json() if summary.metrics else {}
    value = {"run": run, "seconds": summary.seconds, "metrics": metrics, "failed": failed}
    sys.exit(_say(summary.text(), as_json, value))


@main.command("predict")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO|FOLDER|GLOB|ID...")
@click.option("--run", required=True, metavar="DIR", help="A run, or a folder of runs to average.")
@click.option("--output", required=True, metavar="DIR", help="For tables, plots and the viewer.")
@click.option("--store", metavar="DIR|s3://...", help="Features to read and add to; OUTPUT/features by default.")
@click.option(
    "--format", "store_format", type=click.Choice(["zarr", "hdf5"]), help="Format of a new store; zarr by default."
)
@click.option("--stride", type=click.IntRange(1, MOST_STRIDE), metavar="FRAMES", help="Kept frames from clip to clip.")
@click.option("--subject", metavar="WHO", help="main, largest, track:N or all; by default as trained.")
@click.option("--method", type=click.Choice(["blend", "model", "ridge"]), help="Whose scores; by default as trained.")
@click.option("--overlay", type=click.Path(path_type=Path), metavar="FILE|DIR", help="A copy with boxes and curves.")
@click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Choice(["eaf", "vtt", "bids"]),
    help="For ELAN; as captions; as tables of events with names of BIDS.",
)
@click.option("--no-video", is_flag=True, help="Leave the recording out of the viewer: curves only.")
@click.option("--pseudonymise", type=click.Path(path_type=Path), metavar="KEYFILE", help="Replace names by hashes.")
@click.option("--overwrite", is_flag=True, help="Extract stored videos again.")
@click.option("--backbone", metavar="NAME", help="The run's own, typed again where it names code or a graph of yours.")
@click.option("--weights", metavar="FILE", help="The backbone's weights, where they are not in the run's folder.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@picture_option
@jobs_option("Videos extracted in parallel.")
@set_option(f"What the run has not decided: {', '.join(CHANGEABLE)}. Repeatable.")
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
    method: str | None,
    overlay: Path | None,
    exports: tuple[str, ...],
    no_video: bool,
    pseudonymise: Path | None,
    overwrite: bool,
    backbone: str | None,
    weights: str | None,
    device: str,
    picture_fps: str | None,
    jobs: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Score new videos, or videos of a store, over time; with what you need to trust or reject each score.

    Example: affect predict interview.mp4 --run runs/first --output out
    """
    from .pipeline.predict.outputs import Outputs
    from .pipeline.predict.predict import PredictOptions, predict
    from .pipeline.terminal import text

    options = PredictOptions(
        **choices(overrides, stride=stride, subject=subject, method=method),
        device=device, jobs=_jobs(jobs), store_format=store_format, overwrite=overwrite,
        overlay=overlay, exports=exports, with_video=not no_video, key_file=pseudonymise,
        backbone=backbone, weights=weights, picture_fps=picture_fps,
    )  # fmt: skip
    outputs = Outputs(output, options)
    scored = predict(videos, run, output, store, options=options)
    events = _shown(scored, outputs)
    with outputs, contextlib.closing(events):
        for event in events:
            outputs.add(event)
    sys.exit(_say(text.of_prediction(outputs.summary), as_json, asdict(outputs.summary)))


@main.command("describe-faces")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO|FOLDER|GLOB|ID...")
@click.option("--output", required=True, metavar="DIR", help="For tables, plots and the viewer.")
@click.option("--store", metavar="DIR|s3://...", help="Features to read and add to; OUTPUT/features by default.")
@click.option("--backbone", metavar="NAME", help="As of extract-features; by default as of the store.")
@click.option("--weights", metavar="FILE", help="The backbone's weights; alone, those of face-api, for named measures.")
@click.option("--sample-fps", metavar="FPS|source", help="Kept frames a second; 5 by default; source: all.")
@click.option("--window-s", type=float, default=1.0, show_default=True, metavar="S", help="Length of a row of time.")
@click.option(
    "--export", "exports", multiple=True, type=click.Choice(["eaf", "vtt", "bids"]),
    help="For ELAN; as captions; as tables of events with names of BIDS.",
)  # fmt: skip
@click.option("--no-video", is_flag=True, help="Leave the recording out of the viewer: curves only.")
@click.option("--pseudonymise", type=click.Path(path_type=Path), metavar="KEYFILE", help="Replace names by hashes.")
@click.option("--overwrite", is_flag=True, help="Extract stored videos again.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@picture_option
@jobs_option("Videos extracted in parallel.")
@config_options
@json_option
def describe_faces_command(
    *, videos: tuple[str, ...], output: str, store: str | None, backbone: str | None, weights: str | None,
    sample_fps: str | None, window_s: float, exports: tuple[str, ...], no_video: bool, pseudonymise: Path | None,
    overwrite: bool, device: str, picture_fps: str | None, jobs: int, config: str | None, overrides: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Describe the faces in videos without any label: who is there, how heads turn and move, who moves with whom.

    Example: affect describe-faces interviews/ --output faces
    """
    from .pipeline.describe.describe import POINTED, describe_faces
    from .pipeline.describe.tables import FaceOutputs
    from .pipeline.predict.inputs import PredictOptions
    from .pipeline.terminal import text

    options = PredictOptions(
        device=device, jobs=_jobs(jobs), overwrite=overwrite, exports=exports, with_video=not no_video,
        key_file=pseudonymise, picture_fps=picture_fps,
    )  # fmt: skip
    words = _typed(backbone or (POINTED if weights else None), weights)
    words += [f"features.sample_fps={sample_fps}"] if sample_fps is not None else []
    settings = _load(config, [*words, *overrides]).features if config or words or overrides else None
    outputs = FaceOutputs(output, options)
    described = describe_faces(videos, output, store, settings, window_s=window_s, options=options)
    with outputs, contextlib.closing(_shown(described, outputs)) as events:
        for event in events:
            outputs.add(event)
    sys.exit(_say(text.of_description(outputs.summary), as_json, asdict(outputs.summary)))


@main.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--output", metavar="FILE.html", help="For several runs. One run has RUN/report.html.")
@json_option
def report_command(*, runs: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """Show a run as one page, or compare several runs, with paired differences and their intervals.

    Example: affect report runs/full runs/no-context --output compared.html
    """
    from .pipeline.report.report import compare_runs, write_report

    page = write_report(runs[0]) if len(runs) == 1 else compare_runs(runs, output or "compared.html")
    _say_line(f"report in {page}", as_json, {"report": str(page), "runs": runs})


@main.command("import-checkpoint")
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="pid_X.pth.tar...")
@click.option("--run", required=True, type=click.Path(path_type=Path), metavar="DIR", help="A new folder for the run.")
@click.option(
    "--context-edges", type=click.Choice(["wrap", "mask"]), default=PUBLISHED_EDGES, show_default=True,
    help="Neighbours beyond a video's ends. wrap: from its other end, as published; mask: none.",
)  # fmt: skip
@click.option(
    "--clip-length",
    type=click.IntRange(1, 1000),
    metavar="FRAMES",
    help="16 for valence and arousal, else 32, as published.",
)
@click.option(
    "--context",
    type=click.IntRange(0, 64),
    default=ClipsConfig().context,
    show_default=True,
    metavar="CLIPS",
    help="Neighbours on each side.",
)
@click.option(
    "--targets", metavar="NAME,NAME", help="Names of the read-outs in their order, if they are not the published ones."
)
@config_options
@json_option
def import_checkpoint(
    *,
    checkpoints: tuple[Path, ...],
    run: Path,
    context_edges: str,
    clip_length: int | None,
    context: int,
    targets: str | None,
    config: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Turn checkpoints of the paper's code into a run for predict; several become an ensemble.

    A head of two is taken for (arousal, valence), as published: no checkpoint says what its read-outs are.

    No code in the files is run. Example: affect import-checkpoint pid_1.pth.tar --run runs/published
    """
    from .pipeline.runs.import_checkpoint import import_checkpoints

    summary = import_checkpoints(
        checkpoints, run, context_edges=context_edges, clip_length=clip_length, context=context,
        targets=[name.strip() for name in targets.split(",")] if targets is not None else (),
        features=_load(config, ["features.preprocessing=paper", *overrides]).features,
    )  # fmt: skip
    recipes = ", ".join(digest[:12] for digest in summary.digests)
    said = (
        f"{len(summary.checkpoints)} models for {', '.join(summary.targets)} on {summary.backbone} (recipes {recipes})"
    )
    _say_line(f"{said}; run in {summary.run}", as_json, asdict(summary))


@main.command("demo")
@click.option("--output", default="demo", show_default=True, metavar="DIR", help="For everything that is made.")
@click.option(
    "--seed", type=click.IntRange(0, MOST_SEED), default=0, show_default=True, help="For the videos and for training."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@jobs_option("Videos extracted in parallel.")
@json_option
def demo(*, output: str, seed: int, device: str, jobs: int, as_json: bool) -> None:
    """Run everything on small videos that are made here: the face of a photograph, moved in known ways.

    Example: affect demo --output demo
    """
    from .pipeline.demo.demo import DemoSummary
    from .pipeline.demo.demo import demo as run_demo
    from .pipeline.events import summary_of
    from .pipeline.terminal import text

    events = run_demo(output, seed, device=device, jobs=_jobs(jobs))
    summary = summary_of(_shown(events), DemoSummary)
    metrics = summary.metrics.to_json() if summary.metrics else {}
    sys.exit(_say(text.of_demo(summary), as_json, asdict(summary) | {"metrics": metrics}))


@main.command("prepare-labels")
@click.argument("data_set", type=click.Choice(DATA_SETS))
@click.argument("root", metavar="ROOT")
@click.option("--output", required=True, metavar="FILE.csv", help="The label table; ranges and units go beside it.")
@click.option("--videos", metavar="DIR", help="The folder of recordings; ROOT by default.")
@click.option("--table", metavar="FILE", help="The annotation file; searched for under ROOT by default.")
@click.option("--sheet", default="", metavar="NAME", help="Of a workbook; by default the one with the right columns.")
@click.option(
    "--span-s", type=float, metavar="S", help=f"Span length, if every frame has a label; {SPAN_S:g} by default."
)
@click.option("--step-s", type=float, metavar="S", help="From span to span; its length by default. Of `spans` alone.")
@click.option(
    "--reduce",
    type=click.Choice(REDUCTIONS),
    default=READING.reduction,
    show_default=True,
    help="What a span gets of its labels. Of `spans` alone.",
)
@click.option(
    "--time-unit",
    type=click.Choice(TIME_UNITS),
    default=READING.time_unit,
    show_default=True,
    help="Of times. auto: as their column says, or the only one that fits. Of `spans` alone.",
)
@picture_option
@click.option("--stream", type=click.IntRange(0, 1000), metavar="N", help="Of the recordings, as features.stream.")
@json_option
def prepare_labels_command(
    *, data_set: str, root: str, output: str, videos: str | None, table: str | None, sheet: str, span_s: float | None,
    step_s: float | None, reduce: str, time_unit: str, picture_fps: str | None, stream: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a label table from the annotation files of a data set, and list what is missing on disk.

    `spans` takes labels of your own in time: tables of time,TARGET,... or start,end,TARGET,... (one for each video,
    named after it, or with a column video), and ELAN documents (.eaf).

    `ness` writes one for each instrument where the table holds PANSS and CAINS: FILE-panss.csv and FILE-cains.csv.

    Example: affect prepare-labels amigos AMIGOS/ --output labels.csv
    """
    from .pipeline.prepare_labels import prepare_labels
    from .pipeline.terminal import text

    reading = Reading(span_s, step_s, reduce, time_unit, sheet)  # type: ignore[arg-type]  # click checked the words
    summary = prepare_labels(
        data_set, root, output, videos=videos, table=table, reading=reading,
        picture_fps=picture_fps, stream="auto" if stream is None else stream,
    )  # fmt: skip
    sys.exit(_say(text.of_labels(summary), as_json, asdict(summary)))


@main.command("settings")
@click.argument("word", required=False, metavar="[KEY|SECTION|WORD|PRESET]", shell_complete=_settings)
@click.option("--markdown", is_flag=True, help="Print all of them as docs/settings.md.")
@json_option
def settings_command(*, word: str | None, markdown: bool, as_json: bool) -> None:
    """Show what --set takes: each setting's default, what it takes and means, and what each preset makes of it.

    Example: affect settings training.epochs
    """
    from .configs import manual

    if markdown and (as_json or word is not None):
        raise click.UsageError("--markdown prints every setting; it goes with no WORD and no --json")
    found = manual.find(word)
    if as_json:
        _print_json(manual.to_json(found))
        return
    for line in manual.page().splitlines() if markdown else manual.lines(found):
        _print(line)


@main.command("info")
@json_option
def info_command(*, as_json: bool) -> None:
    """Show versions, devices, engines, extras, and where weights are looked for: what a report of a fault needs.

    Example: affect info
    """
    from .pipeline.info.info import info
    from .pipeline.terminal import text

    found = info()
    sys.exit(_say(text.of_info(found), as_json, asdict(found)))
