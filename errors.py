"""Every error a user can meet, with the exit code it leads to.

AffectError
├── InputError            exit 2: what the user gave cannot be used; nothing was started
│   ├── ConfigError           an unknown key, or a value outside its range
│   ├── ManifestError         a label table that cannot be read as one
│   ├── StoreError            a folder that is no store, or a store of another recipe
│   ├── WeightsError          a file of weights that does not fit, or is not safe to read
│   ├── DeviceError           a device this machine does not have
│   └── RunError              a run folder that is missing, damaged, or made for other features
├── DiskError             exit 2: the system refuses a file: no space, no right, a link where none may be
├── OutputError           exit 1: what a command prints is not taken: a full disk behind `>`
├── MemoryLimitError      exit 1: more memory or depth than there is; one video of several, or the command
├── VideoError            exit 1: one video cannot be read; the others go on
├── EntryError            exit 1: one stored entry is stale or damaged; the others go on
│   ├── BusyError             another live process is writing the entry
│   └── UnreadableError       it cannot be read now, or not from there; nothing is known to be wrong with it
└── FoldError             exit 1: one fold of an experiment failed; the others go on
"""

import errno
import os
import reprlib
from collections.abc import Sequence

_QUOTES = reprlib.Repr()
_QUOTES.maxstring = _QUOTES.maxother = _QUOTES.maxlong = 120
_QUOTES.maxlevel = 3


class AffectError(Exception):
    """What happened, with which value or path, and what was expected; `hint` is the command that helps."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type["AffectError"], tuple[str, str | None]]:
        # Errors cross process borders; the default would lose the hint.
        return type(self), (self.message, self.hint)


class InputError(AffectError):
    """What the user gave cannot be used; nothing was started."""

    exit_code = 2


class ConfigError(InputError):
    """An unknown setting, or a value outside its range."""


class ManifestError(InputError):
    """A label table that cannot be read as one."""


class StoreError(InputError):
    """A folder that is no store, or a store of another recipe."""


class WeightsError(InputError):
    """Weights that do not fit, or are not safe to read."""


class DeviceError(InputError):
    """A device this machine does not have."""


class RunError(InputError):
    """A run folder that is missing, damaged, or made for other features."""


class VideoError(AffectError):
    """One video cannot be read; the others go on."""


class EntryError(AffectError):
    """One stored entry is stale or damaged; the others go on."""


class BusyError(EntryError):
    """Another live process is writing this entry."""


class UnreadableError(EntryError):
    """This entry cannot be read now, or not from there; nothing is known to be wrong with it, so it is not replaced."""


class FoldError(AffectError):
    """One fold of an experiment failed; the others go on."""


class DiskError(AffectError):
    """A file that cannot be written or read now. What was there before is kept. It costs one video where it can."""

    exit_code = 2


class OutputError(AffectError):
    """What a command prints is not taken; what it had done by then is kept."""


class MemoryLimitError(AffectError):
    """Something needs more memory, or is nested deeper, than this machine and interpreter allow."""


NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}
NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}  # a folder is asked for, or to be made, where a file is
UNNAMED = (OSError, MemoryError, RecursionError)  # what the system and the interpreter refuse, in their own words


def named(error: BaseException, path: object = None) -> AffectError:
    """One of UNNAMED as an error of ours, with the path that it is about; an error of ours as it is."""
    if isinstance(error, AffectError):
        return error
    if isinstance(error, RecursionError):
        return MemoryLimitError(
            "something that was read is nested too deeply", hint="is it what its name says? Look at it in an editor"
        )
    if not isinstance(error, OSError):
        words = str(error).strip().splitlines()
        return MemoryLimitError(
            f"not enough memory{f' ({words[0][:200]})' if words else ''}",
            hint="close other programs, use fewer --jobs, or a machine with more memory",
        )
    place = path if path is not None else error.filename if error.filename is not None else "a file"
    said = os.strerror(error.errno) if error.errno else first_line(error)
    if error.errno in NO_SPACE:
        return DiskError(f"no space left for {place} ({said})", hint="free some space and run the same command again")
    if error.errno in NO_RIGHT:
        return DiskError(
            f"{place} may not be written or read ({said})",
            hint="give this user the right to do so, or name another place",
        )
    if error.errno in NO_FOLDER:
        return DiskError(
            f"{place} cannot be written or read: a part of its path is a file, where a folder is expected ({said})",
            hint="name another place",
        )
    if error.errno == errno.EBUSY:
        return DiskError(
            f"{place} is in use ({error.strerror})", hint="close it in other programs, and run the same command again"
        )
    return DiskError(
        f"{place} cannot be written or read ({said})", hint="check the path and the disk, then run the same command"
    )


def first_line(error: BaseException, most: int = 200) -> str:
    """The first line of what a library said, at most that many characters; the error's kind where it said nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:most]


def shown(value: object, most: int = 200) -> str:
    """A value as a message quotes it: like `repr`, but its size is bounded, however large or deep the value is."""
    try:
        text = _QUOTES.repr(value)
    except (ValueError, RecursionError):  # a number too long to be written, or nesting too deep
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def listed(words: Sequence[str], most: int, between: str = ", ") -> str:
    """The first words, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more
