"""Which files are meant by the words a user typed, and the id each has in a store."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...cache.ids import entry_id
from ...errors import InputError

# Only decides what a folder's walk picks up; a file named on the command line is always tried.
VIDEO_SUFFIXES = {
    *(".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mxf", ".webm", ".wmv"),
    *(
        ".264",
        ".h264",
        ".h265",
        ".hevc",
        ".m2ts",
        ".m2v",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ogm",
        ".ogv",
        ".ts",
        ".vob",
        ".y4m",
    ),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A video file and the id of its entry."""

    path: Path
    id: str


def find_videos(words: Sequence[str]) -> list[Source]:
    """Videos of files and folders, sorted by id. In a folder: every file with a video's suffix, at any depth, and every
    folder that does not say what is in it, which then fails as a video would.

    Ids are paths relative to the folder given, or a file's own name.
    Errors: InputError for a path that is missing, a folder without videos, or two files with one id.
    """
    found: dict[str, Source] = {}
    for word in words:
        for path, relative in _expand(Path(word)):
            source = Source(path, entry_id(relative))
            other = found.setdefault(source.id, source)
            # realpath, since a link that leads to itself makes Path.resolve fail
            if other is not source and os.path.realpath(other.path) != os.path.realpath(path):
                raise InputError(
                    f"{other.path} and {path} would both be stored as {source.id}",
                    hint="give the folder above both, so that their paths tell them apart",
                )
    return sorted(found.values(), key=lambda source: source.id)


def _expand(path: Path) -> list[tuple[Path, str]]:
    if path.is_dir():
        found = [(file, file.relative_to(path).as_posix()) for file in _walk(path)]
        if not found:
            raise InputError(
                f"{path} holds no video; looked at any depth for files ending in {' '.join(sorted(VIDEO_SUFFIXES))}"
            )
        return found
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a video file or a folder of videos")
    return [(path, path.name)]


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()  # a symlink may lead back to a folder above it
    unread: list[OSError] = []
    for name, folders, files in os.walk(folder, onerror=unread.append, followlinks=True):
        identity = Path(name).stat()
        if (identity.st_dev, identity.st_ino) in seen:
            folders.clear()
            continue
        seen.add((identity.st_dev, identity.st_ino))
        folders[:] = sorted(item for item in folders if not item.startswith("."))
        for file in sorted(files):
            path = Path(name, file)
            if _is_file(path) and path.suffix.lower() in VIDEO_SUFFIXES and not file.startswith("."):
                yield path
    for error in unread:
        if Path(error.filename) == folder:
            raise InputError(f"{folder} cannot be listed ({error.strerror}); expected a folder of videos")
        yield Path(error.filename)


def _is_file(path: Path) -> bool:
    """Whether a file is there, or something that a user expects to be one: that is listed as failed, not left out."""
    try:
        return path.is_file() or (path.is_symlink() and not path.exists())
    except OSError:
        return True
