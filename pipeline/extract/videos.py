"""Which files are meant by the words a user typed, and the id each has in a store."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...cache.ids import entry_id
from ...cache.walk import VIDEO_SUFFIXES, Walk
from ...errors import InputError


@dataclass(frozen=True, slots=True)
class Source:
    """A video file, or a table of features, and the id of its entry."""

    path: Path
    id: str
    part: tuple[str, ...] = ()  # of a table: whose rows, and how they are read


@dataclass(frozen=True, slots=True)
class Search:
    """What the words of a call mean."""

    sources: list[Source]  # sorted by id
    left_out: tuple[str, ...]  # in sentences: what lies in their folders and is not among the sources


def find_videos(words: Sequence[str]) -> list[Source]:
    """The sources of `search_videos`."""
    return search_videos(words).sources


def search_videos(words: Sequence[str]) -> Search:
    """Videos of files and folders. In a folder: every file with a video's suffix, at any depth, and every folder that
    does not say what is in it, which then fails as a video would.

    Ids are paths relative to the folder given, or a file's own name.
    Errors: InputError for a path that is missing, a folder without videos, or two files with one id.
    """
    found: dict[str, Source] = {}
    left_out: dict[str, None] = {}
    for word in words:
        files, sentences = _expand(Path(word))
        left_out |= dict.fromkeys(sentences)
        for path, relative in files:
            source = Source(path, entry_id(relative))
            other = found.setdefault(source.id, source)
            # realpath, since a link that leads to itself makes Path.resolve fail
            if other is not source and os.path.realpath(other.path) != os.path.realpath(path):
                raise InputError(
                    f"{other.path} and {path} would both be stored as {source.id}",
                    hint="give the folder above both, so that their paths tell them apart",
                )
    return Search(sorted(found.values(), key=lambda source: source.id), tuple(left_out))


def _expand(path: Path) -> tuple[list[tuple[Path, str]], tuple[str, ...]]:
    if not path.is_dir():
        if not os.path.lexists(path):  # a link that leads nowhere fails as a video would
            raise InputError(f"{path} does not exist; expected a video file or a folder of videos")
        return [(path, path.name)], ()
    walk = Walk.of(path, VIDEO_SUFFIXES)
    for folder in walk.unlisted:
        if folder.path == path:
            raise InputError(f"{path} cannot be listed ({folder.reason}); expected a folder of videos")
    found = [*walk.files, *(folder.path for folder in walk.unlisted)]
    if not found:
        raise InputError(
            f"{path} holds no video; looked at any depth for files ending in {' '.join(sorted(VIDEO_SUFFIXES))}",
            hint="; ".join(walk.left_out) or None,
        )
    return [(file, file.relative_to(path).as_posix()) for file in found], walk.left_out
