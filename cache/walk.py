"""The files below a folder that a command is meant to read, and in sentences what else was met there and left out."""

import os
import posixpath
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import VideoError, listed
from .pictures import Series, series_in

# Only decides what a folder's walk picks up; a file named on the command line is always tried.
VIDEO_SUFFIXES = frozenset(
    {
        *(".264", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m2v"),
        *(
            ".m4v",
            ".mjpeg",
            ".mjpg",
            ".mkv",
            ".mov",
            ".mp4",
            ".mpeg",
            ".mpg",
            ".mts",
            ".mxf",
            ".ogm",
            ".ogv",
            ".ts",
            ".vob",
            ".webm",
        ),
        *(".wmv", ".y4m"),
    }
)
NAMED = 6  # names in a sentence


def without_video_suffix(path: str) -> str:
    """A path without the ending of a video's file; other endings stay."""
    stem, suffix = posixpath.splitext(path)
    return stem if suffix.lower() in VIDEO_SUFFIXES else path


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A folder whose names cannot be read."""

    path: Path
    reason: str


@dataclass(slots=True)
class _Names:
    """How many there are of a kind, and the first of their names."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append(name)

    def __str__(self) -> str:
        more = f" and {self.count - NAMED} more" if self.count > NAMED else ""
        return ", ".join(self.first) + more


@dataclass(slots=True)
class Walk:
    """What lies below a folder, at any depth; links are followed, and no folder is entered twice."""

    folder: Path
    suffixes: Collection[str]  # in lower case, with their dot
    files: list[Path] = field(default_factory=list)  # those with a suffix, also links of such a name that lead nowhere
    unlisted: list[Unlisted] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)  # of pictures, in folders without a file of those suffixes
    _kinds: Counter[str] = field(default_factory=Counter)
    _other: _Names = field(default_factory=_Names)
    _hidden: _Names = field(default_factory=_Names)
    _hidden_folders: _Names = field(default_factory=_Names)
    _broken: _Names = field(default_factory=_Names)
    _no_files: _Names = field(default_factory=_Names)

    @classmethod
    def of(cls, folder: Path, suffixes: Collection[str]) -> "Walk":
        """Walk through a folder, in the order of names. Hidden files and folders are left out."""
        found = cls(folder, suffixes)
        seen: set[tuple[int, int]] = set()  # a link may lead back to a folder above it
        errors: list[OSError] = []
        for name, folders, files in os.walk(folder, onerror=errors.append, followlinks=True):
            identity = Path(name).stat()
            if (identity.st_dev, identity.st_ino) in seen:
                folders.clear()
                continue
            seen.add((identity.st_dev, identity.st_ino))
            for item in sorted(folders):
                if item.startswith("."):
                    found._hidden_folders.add(found._relative(Path(name, item)))
            folders[:] = sorted(item for item in folders if not item.startswith("."))
            framed = found._add_series(Path(name), files)
            for item in sorted(files):
                if item not in framed:
                    found._add(Path(name, item))
        found.unlisted += [Unlisted(Path(error.filename), error.strerror or str(error)) for error in errors]
        return found

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence for each kind of thing that is in neither of the lists of this walk."""
        return (*self.other_endings("; a file that is named itself is always tried"), *self.unusual)

    @property
    def unread_pictures(self) -> tuple[str, ...]:
        """A sentence on the series of pictures, for those who do not read them."""
        if not self.series:
            return ()
        names = [f"{self._relative(series.folder)} ({len(series.files)} pictures)" for series in self.series]
        what = f"folder{'s' if len(names) > 1 else ''} of numbered pictures, left out"
        return (f"{self.folder}: {len(names)} {what}: {listed(names, NAMED)}; --picture-fps 25 reads them as videos",)

    def other_endings(self, advice: str = "") -> tuple[str, ...]:
        """A sentence on the files without a suffix of `suffixes`, where there are some."""
        if not self._other.count:
            return ()
        kinds = ", ".join(f"{count} {suffix or 'without one'}" for suffix, count in self._kinds.most_common(NAMED))
        rest = f", {len(self._kinds) - NAMED} other endings" if len(self._kinds) > NAMED else ""
        return (f"{self.folder}: left out by their ending: {kinds}{rest} ({self._other}){advice}",)

    @property
    def unusual(self) -> tuple[str, ...]:
        """A sentence each on hidden files with a suffix, hidden folders, links that lead nowhere, and pipes."""
        kinds = (
            (self._hidden, "left out as hidden"),
            (self._hidden_folders, "hidden folders, not entered"),
            (self._broken, "links that lead nowhere"),
            (self._no_files, "left out, since they are no regular files"),
        )
        return tuple(f"{self.folder}: {what}: {names.count} ({names})" for names, what in kinds if names.count)

    def _add_series(self, folder: Path, files: Collection[str]) -> set[str]:
        """Note the series of one folder; the names of their pictures."""
        if any(Path(name).suffix.lower() in VIDEO_SUFFIXES.intersection(self.suffixes) for name in files):
            return set()  # pictures beside a video are of something else: its thumbnail, a plot
        try:
            found = series_in(folder, sorted(files))
        except VideoError:
            return set()
        self.series += found
        return {name for series in found for name in series.files.values()}

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _add(self, path: Path) -> None:
        wanted, broken = path.suffix.lower() in self.suffixes, False
        try:
            usual = path.is_file()
            broken = not usual and path.is_symlink() and not path.exists()
        except OSError:
            usual = True  # whoever opens it will say why it cannot be read
        if path.name.startswith((".", "~$")):  # the second: what Excel leaves beside a workbook that is open
            if wanted:
                self._hidden.add(self._relative(path))
        elif wanted and (usual or broken):
            self.files.append(path)
        elif broken:
            self._broken.add(f"{self._relative(path)} -> {path.readlink()}")
        elif usual:
            self._kinds[path.suffix.lower()] += 1
            self._other.add(self._relative(path))
        else:
            self._no_files.add(self._relative(path))
