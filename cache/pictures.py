"""Pictures that are the frames of a recording: which files of a folder belong together, and the number of each."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import VideoError

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
LIST_SUFFIXES = frozenset({".csv", ".tsv", ".xlsx"})  # of a table of pictures and their times
FEWEST = 2  # pictures of a series
_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})(\.[^.]+)", re.DOTALL | re.ASCII)
_PLACE = re.compile(r"%0?[0-9]{0,2}d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Series:
    """Pictures of one folder whose names differ in their number alone, as `shot_0001.jpg`, `shot_0002.jpg`, ..."""

    folder: Path
    prefix: str  # what stands before the number
    suffix: str  # behind it, as the first picture has it
    files: Mapping[int, str]  # number -> name, ascending

    @property
    def path(self) -> Path:
        """What names this series and no other: its folder and the pattern of its names."""
        return self.folder / f"{self.prefix.replace('%', '%%')}%d{self.suffix}"

    @property
    def name(self) -> str:
        """What tells it from other series of its folder; a pattern of numbers alone has none."""
        return self.prefix.rstrip(" ._-")


def series_in(folder: Path, names: Iterable[str]) -> list[Series]:
    """The series among the names of a folder's files, by prefix; hidden files, and pictures without others, are none.

    Errors: VideoError for a number that stands twice, as in `1.jpg` and `01.jpg`.
    """
    groups: dict[tuple[str, str], dict[int, str]] = {}
    for name in names:
        found = _NUMBERED.fullmatch(name)
        if found is None or name.startswith(".") or found[3].lower() not in PICTURE_SUFFIXES:
            continue
        group = groups.setdefault((found[1], found[3].lower()), {})
        other = group.setdefault(int(found[2]), name)
        if other != name:
            raise VideoError(
                f"{folder}: {other} and {name} have the same number; expected pictures that are numbered once",
                hint="move one of them away, or list pictures and times in a CSV",
            )
    return [
        Series(folder, prefix, Path(next(iter(group.values()))).suffix, dict(sorted(group.items())))
        for (prefix, _), group in sorted(groups.items())
        if len(group) >= FEWEST
    ]


def is_pattern(path: Path) -> bool:
    """Whether a path stands for numbered pictures, as `faces/%05d.jpg` does, and is no file itself."""
    return len(_PLACE.findall(path.name.replace("%%", ""))) == 1 and not os.path.lexists(path)


def is_list(path: Path) -> bool:
    """Whether a file is a table of pictures, by its ending."""
    return path.suffix.lower() in LIST_SUFFIXES and not path.is_dir()


def are_pictures(path: Path) -> bool:
    """Whether a recording is given as pictures: a folder of them, a pattern of their names, or a list."""
    return path.is_dir() or is_pattern(path) or is_list(path)


def is_animated_webp(path: Path) -> bool:
    """Whether a file is a WebP of several pictures, which FFmpeg does not read. Errors: OSError."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & 2)


def series_at(path: Path) -> Series:
    """The series of a folder, or that of a pattern.

    Errors: VideoError for a folder without one or with several, a pattern that no two pictures have, a number that
    stands twice, or a folder that cannot be listed.
    """
    folder = path if path.is_dir() else path.parent
    try:
        found = series_in(folder, sorted(file.name for file in folder.iterdir()))
    except OSError as error:
        raise VideoError(f"{folder} cannot be listed ({error.strerror}); expected a folder of pictures") from error
    if path != folder:
        before, after = (part.replace("%%", "%") for part in _PLACE.split(path.name.replace("%%", "\0")))
        before, after = before.replace("\0", "%"), after.replace("\0", "%")
        found = [series for series in found if (series.prefix, series.suffix.lower()) == (before, after.lower())]
        if not found:
            raise VideoError(f"{path}: no two pictures have names of this pattern; expected some", hint="%05d.jpg")
    if not found:
        raise VideoError(
            f"{path} is a folder without numbered pictures; expected a video file, or such a folder",
            hint="list pictures and times in a CSV, with the columns path and time_s",
        )
    if len(found) > 1:
        patterns = ", ".join(str(series.path) for series in found[:4])
        raise VideoError(f"{path} holds {len(found)} series of pictures; expected one", hint=f"name one: {patterns}")
    return found[0]
