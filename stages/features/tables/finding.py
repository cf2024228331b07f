"""Which tables are meant, what is understood of them together, and the id that each video in them has in a store."""

import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from ....cache.cell_values import TimeUnit
from ....cache.ids import entry_id
from ....cache.parquet import SUFFIXES as PARQUET
from ....cache.parquet import is_parquet, read_parquet
from ....cache.records import Recipe
from ....cache.tables import Table, few, read_table
from ....cache.walk import VIDEO_SUFFIXES, Walk
from ....errors import UNNAMED, AffectError, InputError, listed, named, shown
from .columns import MOST_BYTES, are_words, head_of, videos_of
from .importer import ImportConfig
from .kinds import KINDS, REPEATED, KindName, Roles, TimeSource, chosen, fits, kind_of, roles_of

SUFFIXES = (".csv", ".tsv", ".xlsx", *PARQUET)  # only decides what a folder's walk picks up
MOST_VIDEOS = 10_000  # in one table
MOST_NAMES = 200_000  # characters of all columns that a recipe names
KIND_WORDS = ("auto", *KINDS)
NAMED = 5


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a user says of the tables."""

    kind: KindName | Literal["auto"] = "auto"
    columns: tuple[str, ...] = ()  # names and regular expressions; empty: what each kind usually gives
    time: TimeSource = field(default_factory=TimeSource)
    sample_fps: float | Literal["source"] = 5.0
    min_confidence: float = 0.5

    def __post_init__(self) -> None:
        """Errors: InputError for what is out of bounds, or a word that is none of those that are known."""
        if self.kind not in KIND_WORDS:
            raise InputError(f"--kind is {shown(self.kind)}; expected {', '.join(KIND_WORDS)}")
        if self.time.unit not in get_args(TimeUnit):
            raise InputError(f"--time-unit is {shown(self.time.unit)}; expected {', '.join(get_args(TimeUnit))}")
        if not 0 <= self.min_confidence <= 1:  # also for what is no number
            raise InputError(f"--min-confidence is {self.min_confidence:g}; expected 0 to 1")
        rates = (("fps", self.time.fps), ("sample-fps", self.sample_fps))
        for name, rate in rates:
            if not (rate is None or rate == "source" or (not isinstance(rate, str) and 0 < rate <= 1000)):
                raise InputError(f"--{name} is {shown(rate)}; expected frames a second, above 0 to 1000")


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """One video in a table, and the id of its entry."""

    path: Path
    id: str
    part: tuple[str, str]  # the video as the table calls it, empty for all of its rows; where its times come from


@dataclass(frozen=True, slots=True)
class FoundTables:
    """All tables of a call."""

    videos: tuple[FoundVideo, ...]  # sorted by id; also of tables that cannot be read, which then fails alone
    config: ImportConfig
    understood: tuple[str, ...]  # a line for all tables that are alike
    left_out: tuple[str, ...]  # in sentences: what lies in their folders and is no table


@dataclass(frozen=True, slots=True)
class _Seen:
    """A table by its first rows."""

    name: str  # relative to the folder that was given
    roles: Roles
    columns: tuple[str, ...]
    words: tuple[str, ...]  # columns of words
    layout: tuple[str, ...]


def find_tables(words: Sequence[str], options: ImportOptions, stored: Recipe | None = None) -> FoundTables:
    """The tables of files and folders, and what their features are. stored: the recipe of the store that they go to.

    Of columns that differ, the store's are taken, or else those that most tables have; a table without one of them
    fails when it is read.
    Errors: InputError for a path that is missing, a folder without tables, two videos of one id, or where no table can
    be used; nothing is kept then.
    """
    files, left_out = _files(words)
    seen: dict[Path, _Seen] = {}
    errors: list[AffectError] = []
    for path, name in files.items():
        try:
            seen[path] = _look(path, name, options)
        except (AffectError, *UNNAMED) as error:
            errors.append(named(error, path))
    if not seen:
        more = f" (and {len(errors) - 1} more tables cannot be used)" if len(errors) > 1 else ""
        raise InputError(f"{errors[0].message}{more}", errors[0].hint)
    config = _stored(stored, options) or _config(list(seen.values()), options)
    videos: dict[str, FoundVideo] = {}
    for path, name in files.items():
        for video in _videos(path, name, seen.get(path), config):
            other = videos.setdefault(video.id, video)
            if other is not video:
                raise InputError(
                    f"{other.path} and {path} would both be stored as {video.id}",
                    hint="give the folder above both, so that their paths tell them apart; of two tables of one video, "
                    "name the one that is meant",
                )
    understood = _understood(list(seen.values()), config)
    return FoundTables(tuple(videos[name] for name in sorted(videos)), config, understood, left_out)


def _files(words: Sequence[str]) -> tuple[dict[Path, str], tuple[str, ...]]:
    """Path -> name of each table, relative to the folder it was found in."""
    files: dict[Path, str] = {}
    left_out: dict[str, None] = {}
    for word in words:
        path = Path(word)
        if not path.is_dir():
            if not path.exists():
                raise InputError(f"{path} does not exist; expected a table or a folder of tables")
            files.setdefault(path, path.name)
            continue
        walk = Walk.of(path, SUFFIXES)
        left_out |= dict.fromkeys(walk.left_out)
        left_out |= dict.fromkeys(f"{item.path} cannot be listed ({item.reason})" for item in walk.unlisted)
        if not walk.files:
            raise InputError(
                f"{path} holds no table; looked at any depth for files ending in {' '.join(SUFFIXES)}",
                hint="; ".join(left_out) or None,
            )
        for file in walk.files:
            files.setdefault(file, file.relative_to(path).as_posix())
    return files, tuple(left_out)


def _look(path: Path, name: str, options: ImportOptions) -> _Seen:
    head = head_of(path)
    kind = kind_of(head.names) if options.kind == "auto" else options.kind
    roles = roles_of(head.names, kind, options.time, str(path))
    columns = chosen(roles, options.columns)
    words: tuple[str, ...] = ()
    if kind == "table" and not options.columns:
        wordy = {column for column in columns if are_words(head, column)}
        words = tuple(column for column in columns if column in wordy)
        columns = tuple(column for column in columns if column not in wordy)
    if not columns:
        raise InputError(
            f"{path}: none of its columns becomes a feature; it has {few(roles.candidates)}",
            hint="--columns NAME,REGEX names them" if not options.columns else "--columns takes names as they stand",
        )
    return _Seen(name, roles, columns, words, head.layout)


def _config(seen: Sequence[_Seen], options: ImportOptions) -> ImportConfig:
    """What most tables have in common."""
    kind, columns = Counter((table.roles.kind, table.columns) for table in seen).most_common(1)[0][0]
    if sum(map(len, columns)) > MOST_NAMES:
        raise InputError(
            f"{len(columns)} columns have names of more than {MOST_NAMES} characters together",
            hint="--columns takes fewer of them",
        )
    alike = [table for table in seen if table.roles.kind == kind]
    points = all(table.roles.points for table in alike)
    return ImportConfig(kind, columns, points, options.sample_fps, options.min_confidence, options.time)


def _stored(recipe: Recipe | None, options: ImportOptions) -> ImportConfig | None:
    """The columns of a store that is there, unless a user names others; that these differ is for the store to say."""
    if recipe is None or options.columns:
        return None
    kind, columns, points = (recipe.fields.get(name) for name in ("source", "columns", "points"))
    usable = isinstance(columns, list) and columns and all(isinstance(name, str) for name in columns)
    if kind not in KINDS or options.kind not in ("auto", kind) or not usable or not isinstance(points, bool):
        return None
    assert isinstance(columns, list)
    return ImportConfig(kind, tuple(columns), points, options.sample_fps, options.min_confidence, options.time)


def _videos(path: Path, name: str, seen: _Seen | None, config: ImportConfig) -> list[FoundVideo]:
    stem = PurePosixPath(name).with_suffix("").as_posix()
    how = repr((config.time.column, config.time.unit, config.time.fps))
    whole = [FoundVideo(path, entry_id(stem), ("", how))]
    if seen is None or not seen.roles.video:
        return whole
    try:
        videos = videos_of(_video_column(path, seen.roles.video), seen.roles)
    except (AffectError, *UNNAMED):
        return whole  # which says why when it is read
    # What py-feat was given may be the pictures of one recording; and its paths are those of another machine.
    films = all(PurePosixPath(_slashes(video)).suffix.lower() in VIDEO_SUFFIXES for video in videos)
    if videos == ("",) or (seen.roles.kind == "py-feat" and (len(videos) == 1 or not films)):
        return whole
    if len(videos) > MOST_VIDEOS:
        raise InputError(f"{path}: column {seen.roles.video!r} names {len(videos)} videos; at most {MOST_VIDEOS}")
    shared = _shared_folder(videos)
    return [
        FoundVideo(path, entry_id(_relative(video, shared) or f"{stem}/without a name"), (video, how))
        for video in videos
    ]


def _video_column(path: Path, name: str) -> Table:
    if is_parquet(path):
        return read_parquet(path, lambda column: column == name)
    return read_table(path, fits, keep=lambda column: column == name, most_bytes=MOST_BYTES, repeated=REPEATED)


def _slashes(video: str) -> str:
    return video.replace("\\", "/")


def _shared_folder(videos: Sequence[str]) -> str:
    """The folder that absolute paths of one table have in common: where they lay on somebody's machine."""
    paths = [_slashes(video) for video in videos]
    if not all(re.match(r"/|[A-Za-z]:/", path) for path in paths):
        return ""
    return posixpath.commonpath([posixpath.dirname(path) for path in paths])


def _relative(video: str, shared: str) -> str:
    path = posixpath.normpath(_slashes(video)) if video else ""
    return (path[len(shared) :] if shared and path.startswith(shared) else path).lstrip("/")


def _understood(seen: Sequence[_Seen], config: ImportConfig) -> tuple[str, ...]:
    """A line for all tables that are alike."""
    alike: dict[str, list[str]] = {}
    for table in seen:
        alike.setdefault(_words(table, config), []).append(table.name)
    return tuple(f"{listed(names, NAMED)}: {words}" for words, names in alike.items())


def _words(table: _Seen, config: ImportConfig) -> str:
    parts: list[str] = [f"a table of {table.roles.kind}" if table.roles.kind != "table" else "a table"]
    parts += [f"{len(config.columns)} features: {few(config.columns)}", *table.roles.words, *table.layout]
    if table.roles.time and config.time.fps is not None:
        parts.append(f"--fps not used, as {table.roles.time} tells the time")
    if table.roles.kind == "table" and table.roles.unused:
        parts.append(f"not used: {few(table.roles.unused)}")
    if table.words:
        parts.append(f"columns of words left out: {few(table.words)}")
    if table.roles.kind == config.kind and (more := [name for name in table.columns if name not in config.columns]):
        parts.append(f"columns that others lack left out: {few(more)}")
    return "; ".join(parts)
