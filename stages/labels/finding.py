"""What lies below a data set's folder: its recordings, its annotation files, and in sentences what was passed over."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...cache.walk import VIDEO_SUFFIXES, Walk
from ...errors import AffectError, InputError, named
from .registry import Reader
from .tables import VideoFiles

NAMED = 4  # tables in a message
HINT = "--table FILE names the annotation file"


@dataclass(frozen=True, slots=True)
class Found:
    """The annotation files and the recordings of a data set."""

    tables: list[Path]
    videos: VideoFiles
    notes: tuple[str, ...]  # folders that cannot be listed, files that are no tables, hidden ones, links to nowhere


def find(
    data_set: str,
    reader: Reader,
    root: Path,
    *,
    folder: Path,
    start: Path,
    table: Path | None,
    own: Sequence[Path],
    pictures: bool = False,
) -> Found:
    """What a reader needs. folder: that of the recordings; start: that of the manifest, which names them from there.

    pictures: whether folders of numbered pictures are recordings too.
    table: the annotation file, searched for below `root` where it is None; own: files that the call is going to write,
    and that an earlier one may have left.
    Errors: InputError for no annotation file, or too many to tell.
    """
    walk = Walk.of(
        folder, {*VIDEO_SUFFIXES, *reader.suffixes, ".yaml"}
    )  # the last beside a manifest, as of an older call
    recordings = [file for file in sorted(walk.files) if file.suffix.lower() in VIDEO_SUFFIXES]
    paths = {
        file.relative_to(folder).as_posix(): Path(os.path.relpath(file.resolve(), start.resolve())).as_posix()
        for file in recordings
        if file.is_file()
    }
    if pictures:
        paths |= {
            place.relative_to(folder).as_posix(): Path(os.path.relpath(place.resolve(), start.resolve())).as_posix()
            for place in dict.fromkeys(series.folder for series in walk.series)
            if place != folder
        }
    broken = [f"{file} is a link that leads nowhere" for file in recordings if not file.is_file()]
    unread = () if pictures else walk.unread_pictures
    notes = [
        *_unlisted(walk),
        *unread,
        *walk.other_endings(),
        *walk.unusual,
        *broken,
    ]
    if table is not None:
        return Found([table], VideoFiles(paths), tuple(notes))
    below = walk if root == folder else Walk.of(root, reader.suffixes)
    tables, passed = _find_tables(data_set, reader, below, own)
    return Found(tables, VideoFiles(paths), tuple(dict.fromkeys([*notes, *passed])))


def _find_tables(data_set: str, reader: Reader, walk: Walk, own: Sequence[Path]) -> tuple[list[Path], list[str]]:
    root, mine = walk.folder, {file.resolve() for file in own}
    notes = [*_unlisted(walk), *walk.unusual]
    found, unread, looked = [], [], 0
    for file in sorted(file for file in walk.files if file.suffix.lower() in reader.suffixes):
        if file.is_file() and file.resolve() in mine:
            continue
        looked += 1
        try:
            if reader.fits(file):
                found.append(file)
        except (AffectError, OSError) as error:
            unread.append(f"passed over: {named(error, file).message}")
    if not found:
        raise InputError(
            f"{root} holds no annotations of {data_set}; looked into {looked} files for {reader.expected}"
            + "".join(f"; {words}" for words in [*unread[:NAMED], *_unlisted(walk)[:NAMED], *walk.unusual]),
            hint=HINT,
        )
    if len(found) > 1 and not reader.many:
        raise InputError(
            f"{root} holds {len(found)} tables that may be meant: {', '.join(str(file) for file in found[:NAMED])}",
            hint=HINT,
        )
    return found, [*notes, *unread]


def _unlisted(walk: Walk) -> list[str]:
    return [f"{folder.path} cannot be listed ({folder.reason}); what is in it is left out" for folder in walk.unlisted]
