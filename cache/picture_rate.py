"""How many numbered pictures there are in a second: what `--picture-fps` says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .walk import without_video_suffix

MOST_FPS = 1000.0


@dataclass(frozen=True, slots=True)
class PictureRate:
    """How many numbered pictures there are in a second: of all recordings, or of each by its name."""

    fps: float | None = None
    of_name: Mapping[str, float] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether numbered pictures are to be read at all."""
        return self.fps is not None or bool(self.of_name)

    def of(self, entry: str) -> float | None:
        """That of an entry: of its id, or else of the one name that differs in folders and a video's ending alone."""
        if entry in self.of_name:
            return self.of_name[entry]
        found = [fps for name, fps in self.of_name.items() if _bare(name) == _bare(entry)]
        return found[0] if len(found) == 1 else self.fps


def _bare(name: str) -> str:
    return without_video_suffix(name.replace("\\", "/").rpartition("/")[2])


def picture_rate(word: str | float | None) -> PictureRate:
    """The rate that `--picture-fps` says: a number, or the file of a table with the columns video and fps.

    Errors: InputError for neither; ManifestError for a table that cannot be read.
    """
    if word is None:
        return PictureRate()
    try:
        return PictureRate(_rate(float(word), "--picture-fps"))
    except ValueError:
        pass
    path = Path(str(word))
    if not path.exists():
        raise InputError(f"--picture-fps {word} is no number and no file; expected the pictures in a second",
                         hint="25, or a CSV with the columns video and fps")  # fmt: skip
    from .cell_values import decimal_sign, numbers
    from .tables import read_table

    table = read_table(path, {"video", "fps"}.issubset)
    if not {"video", "fps"} <= set(table.names):
        raise InputError(
            f"{table.place} has the columns {', '.join(table.names)}; expected video and fps",
            hint="first line: video,fps",
        )
    rates = numbers(table, "fps", decimal_sign(table, ["fps"])).tolist()
    found: dict[str, float] = {}
    for row, (name, rate) in enumerate(zip(table.texts("video"), rates, strict=True)):
        if not name or name in found:
            what = f"{name!r} stands twice" if name else "column 'video' is empty"
            raise InputError(f"{table.where(row)}: {what}; expected a recording in each row", hint="take the row out")
        found[name] = _rate(rate, table.where(row))
    return PictureRate(None, found)


def _rate(fps: float, where: str) -> float:
    if not 0 < fps <= MOST_FPS:
        raise InputError(
            f"{where}: {fps:g} pictures a second; expected more than 0, at most {MOST_FPS:g}", hint="such as 25"
        )
    return fps
