"""What a recording contains, as one short text: the same for a renamed file, another for a changed one."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ...cache.pictures import are_pictures, is_list, series_at
from ...errors import VideoError

_CHUNK_BYTES = 1 << 20


def fingerprint(path: Path, *part: str) -> str:
    """sha256 of the file's size and every byte: reading takes a small part of the time that decoding does.

    part: words for which rows of a table of features are meant, and how they are read. Of pictures: of each of them
    with its name, in order.
    Errors: VideoError for a file that cannot be read.
    """
    digest = hashlib.sha256()
    pictures = are_pictures(path) and not part
    for file in _files(path, *part):
        try:
            with file.open("rb") as opened:
                name = f"{file.name}\n" if pictures and not is_list(file) else ""
                digest.update(f"{name}{file.stat().st_size}\n".encode("utf-8", "surrogateescape"))
                while chunk := opened.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except OSError as error:
            what = "a picture" if pictures else "a video file"
            raise VideoError(f"{file}: cannot be read ({error.strerror or error}); expected {what}") from error
    for word in part:
        digest.update(b"\0" + word.encode("utf-8", "surrogateescape"))
    return f"sha256:{digest.hexdigest()}"


def stamp(path: Path, *part: str) -> tuple[int, int]:
    """Bytes of a recording and when it was changed last, in nanoseconds. Errors: OSError, VideoError."""
    stats = [file.stat() for file in _files(path, *part)]
    return sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)


def trace(path: Path, *part: str) -> list[tuple[int, ...]]:
    """What a file system knows of a recording's files: while it stays as it is, so do they.

    Size and time of change alone are those of another file too, where a copy or a tool has set its time back.
    Errors: OSError, VideoError.
    """
    stats = [file.stat() for file in _files(path, *part)]
    return [(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for stat in stats]


def _files(path: Path, *part: str) -> Sequence[Path]:
    """The files that a recording consists of, the table of its pictures too; no link that leads nowhere, no pipe.

    Errors: VideoError for pictures that are none.
    """
    if part or not are_pictures(path):
        return [path]
    if is_list(path):
        from .video.picture_list import picture_list  # reads tables

        files = [path, *(file for file in picture_list(path).files if file is not None)]
    else:
        series = series_at(path)
        files = [series.folder / name for name in series.files.values()]
    return [file for file in files if file.is_file()]
