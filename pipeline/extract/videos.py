"""Which recordings are meant by the words a user typed, and the id each has in a store."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...cache.ids import differ_in_case, entry_id
from ...cache.picture_rate import PictureRate, picture_rate
from ...cache.pictures import are_pictures, is_list, is_pattern, series_at
from ...cache.walk import VIDEO_SUFFIXES, Walk
from ...errors import InputError, VideoError

RATED = frozenset({".mjpeg", ".mjpg"})  # files of pictures without times
PICTURES_HINT = "pictures that are numbered: --picture-fps 25; others: a CSV with the columns path and time_s"


@dataclass(frozen=True, slots=True)
class Source:
    """A recording, or a table of features, and the id of its entry."""

    path: Path  # a video file; or pictures: their folder, the pattern of their names, or a table of them
    id: str
    picture_fps: float | None = None  # of numbered pictures
    part: tuple[str, ...] = ()  # of a table of features: whose rows, and how they are read

    @property
    def of_pictures(self) -> bool:
        """Whether it is given as pictures."""
        return not self.part and are_pictures(self.path)

    @property
    def is_there(self) -> bool:
        """Whether it may be opened: a pipe would be waited for."""
        return self.of_pictures or self.path.is_file()

    @property
    def how(self) -> tuple[str, ...]:
        """How it is read, as words: those of a table, or the rate of pictures."""
        return self.part if self.picture_fps is None else (str(self.picture_fps),)


@dataclass(frozen=True, slots=True)
class Search:
    """What the words of a call mean."""

    sources: list[Source]  # sorted by id
    left_out: tuple[str, ...]  # in sentences: what lies in their folders and is not a source; what to know of those


def find_videos(words: Sequence[str]) -> list[Source]:
    """The sources of `search_videos`."""
    return search_videos(words).sources


def search_videos(words: Sequence[str], picture_fps: str | float | None = None) -> Search:
    """Recordings of files, folders and patterns. In a folder: every file with a video's suffix, at any depth, and every
    folder that does not say what is in it, which then fails as a video would.

    A pattern such as `faces/%05d.jpg` and a table of pictures with their times are one recording each. picture_fps, as
    `--picture-fps` says it: with it, every folder of numbered pictures is one too.
    Ids are paths relative to the folder given, or a file's own name.
    Errors: InputError for a path that is missing, a folder without videos, or two recordings with one id.
    """
    rate = picture_rate(picture_fps)
    found: dict[str, Source] = {}
    left_out: dict[str, None] = {}
    for word in words:
        files, sentences = _expand(Path(word), rate)
        left_out |= dict.fromkeys(sentences)
        for path, relative in files:
            entry = entry_id(relative)
            # a folder, also one that does not say what is in it; isdir never fails
            numbered = os.path.isdir(path) or is_pattern(path) or path.suffix.lower() in RATED  # noqa: PTH112
            source = Source(path, entry, rate.of(relative) if numbered else None)
            other = found.setdefault(source.id, source)
            # realpath, since a link that leads to itself makes Path.resolve fail
            if other is not source and os.path.realpath(other.path) != os.path.realpath(path):
                raise InputError(
                    f"{other.path} and {path} would both be stored as {source.id}",
                    hint="give the folder above both, so that their paths tell them apart",
                )
    for entry, twin in differ_in_case(found).items():
        words = f"{twin} and {entry} differ in case alone: a store of both cannot be copied to macOS or Windows"
        left_out[words] = None
    return Search(sorted(found.values(), key=lambda source: source.id), tuple(left_out))


def _expand(path: Path, rate: PictureRate) -> tuple[list[tuple[Path, str]], tuple[str, ...]]:
    if is_pattern(path):
        if not rate.known:
            raise InputError(f"{path} stands for numbered pictures; expected to know their rate", hint=PICTURES_HINT)
        try:
            series = series_at(path)
        except VideoError as error:
            raise InputError(error.message, hint=error.hint) from error
        return [(path, "/".join(filter(None, [_own_name(series.folder), series.name])))], ()
    if not path.is_dir():
        if not os.path.lexists(path):  # a link that leads nowhere fails as a video would
            raise InputError(f"{path} does not exist; expected a video file or a folder of videos")
        return [(path, path.stem if is_list(path) else path.name)], ()
    walk = Walk.of(path, VIDEO_SUFFIXES)
    for folder in walk.unlisted:
        if folder.path == path:
            raise InputError(f"{path} cannot be listed ({folder.reason}); expected a folder of videos")
    found = [(file, file.relative_to(path).as_posix()) for file in walk.files]
    found += [(folder.path, folder.path.relative_to(path).as_posix()) for folder in walk.unlisted]
    found += _pictures(walk) if rate.known else []
    left_out = (*(() if rate.known else walk.unread_pictures), *walk.left_out)
    if not found:
        raise InputError(
            f"{path} holds no video; looked at any depth for files ending in {' '.join(sorted(VIDEO_SUFFIXES))}",
            hint="; ".join(left_out) or None,
        )
    return found, left_out


def _pictures(walk: Walk) -> Iterator[tuple[Path, str]]:
    """Each series of a walk with its name: that of its folder, and its own where the folder has several."""
    folders = [series.folder for series in walk.series]
    for series in walk.series:
        inside = series.folder.relative_to(walk.folder).as_posix()
        place = _own_name(walk.folder) if inside == "." else inside
        if folders.count(series.folder) == 1:
            yield series.folder, place
        else:
            yield series.path, "/".join(filter(None, [place, series.name]))


def _own_name(folder: Path) -> str:
    """The name of a folder, also of one that is given as `.`."""
    return folder.name or folder.resolve().name
