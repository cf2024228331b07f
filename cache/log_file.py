"""A log that grows: lines with their times, appended to a file that is new or was begun as one."""

import os
import re
import stat
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ..configs.plain_text import spelled
from ..errors import UNNAMED, InputError, named
from .system import READ, open_file

BEGINS = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d affect ")
OTHER = "name a new file, or one that --log has made before"
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class LogFile:
    """Lines in UTF-8, each written at once, so that several commands may share a file. What is there is kept."""

    def __init__(self, path: Path, places: Iterable[Path]) -> None:
        """places: of this command, in which nothing else may lie.

        Errors: InputError for a file that is no log, or lies in a store or run; DiskError where it cannot be written.
        """
        self.path = path
        try:
            self._check(path, [*places])
            self._handle = open_file(path, APPEND)
        except OSError as error:
            raise named(error, path) from error
        self.trouble = ""  # why it is no longer written

    def write(self, line: str) -> None:
        """Append a line; where that fails, nothing more is written, and `trouble` says why."""
        when = datetime.now().astimezone().isoformat(timespec="seconds")
        if self.trouble:
            return
        try:
            os.write(self._handle, f"{when} {spelled(line)}\n".encode("utf-8", "backslashreplace"))
        except UNNAMED as error:
            self.trouble = named(error, self.path).message

    def close(self) -> None:
        """End it."""
        os.close(self._handle)

    def _check(self, path: Path, places: Iterable[Path]) -> None:
        """Errors: InputError, OSError."""
        whole = path.resolve()
        for place in places:
            if whole == place or place in whole.parents:
                raise InputError(f"--log {path} lies in {place}, where this command writes or reads", hint=OTHER)
        for folder in whole.parents:
            run = (folder / "environment.json").is_file() and (folder / "folds").is_dir()
            if run or (folder / "store.json").is_file():
                kind = "a run" if run else "a store"
                raise InputError(f"--log {path} lies in {kind}, {folder}, which holds nothing else", hint=OTHER)
        if not whole.parent.is_dir():
            raise InputError(f"--log {path}: there is no folder {path.parent}", hint=f"mkdir -p {path.parent}")
        if not os.path.lexists(path):
            return
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if path.is_dir() else "no regular file"
            raise InputError(f"--log {path} is {kind}; expected a file for lines", hint=OTHER)
        handle = open_file(path, READ)
        try:
            first = os.read(handle, 100)
        finally:
            os.close(handle)
        if first and not BEGINS.match(first):
            raise InputError(f"--log {path} is no log of affect; nothing was written to it", hint=OTHER)
