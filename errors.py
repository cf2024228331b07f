"""Every error a user can meet, with the exit code it leads to.

AffectError
├── InputError            exit 2: what the user gave cannot be used; nothing was started
│   ├── ConfigError           an unknown key, or a value outside its range
│   ├── ManifestError         a label table that cannot be read as one
│   ├── StoreError            a folder that is no store, or a store of another recipe
│   ├── WeightsError          a file of weights that does not fit, or is not safe to read
│   ├── DeviceError           a device this machine does not have
│   └── RunError              a run folder that is missing, damaged, or made for other features
├── VideoError            exit 1: one video cannot be read; the others go on
├── EntryError            exit 1: one stored entry is stale or damaged; the others go on
│   ├── BusyError             another live process is writing the entry
│   └── UnreadableError       it cannot be read now, or not from there; nothing is known to be wrong with it
└── FoldError             exit 1: one fold of an experiment failed; the others go on
"""


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


def first_line(error: BaseException, most: int = 200) -> str:
    """The first line of what a library said, at most that many characters; the error's kind where it said nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:most]
