"""The unit of times that are numbers, told by the videos that they have to lie in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.cell_values import TimeUnit
from ...cache.records import Array
from ...errors import ManifestError

INSIDE = 0.9  # least share of the times that lie in their videos
COVERS = 0.1  # least share of a video, up to its last time, that labels of it are expected to cover
SHORTEST_MS = {False: 5.0, True: 100.0}  # usual step between points, and length of spans, that milliseconds would have
WORDS = {"s": "seconds", "ms": "milliseconds", "frame": "numbers of frames", "hms": "hh:mm:ss"}


@dataclass(frozen=True, slots=True)
class Times:
    """The times of one video's labels, as they stand in its table."""

    start: Array  # (n,) float64
    end: Array | None  # (n,) of spans; None for points
    length_s: float  # of the video
    frames: int  # of the video

    @property
    def last(self) -> Array:
        """(n,): the times that have to lie in the video."""
        return self.start if self.end is None else (self.start + self.end) / 2

    def shares(self, unit: TimeUnit) -> Array:
        """(n,) share of the video that is over at each time."""
        whole: float = {"s": self.length_s, "ms": 1000 * self.length_s, "frame": self.frames}[unit]
        shares: Array = self.last / max(whole, 1e-9)
        return shares


def choose_unit(found: Sequence[Times], said: TimeUnit, place: str) -> tuple[TimeUnit, bool]:
    """The unit of all these times, and whether it was guessed. said: by their column's name, or `auto`.

    Errors: ManifestError where no unit fits the videos, or several do.
    """
    whole = all(_whole(times.start) and (times.end is None or _whole(times.end)) for times in found)
    units: tuple[TimeUnit, ...] = ("s", "ms", "frame") if whole else ("s", "ms")
    shares = {unit: np.concatenate([times.shares(unit) for times in found]) for unit in units}
    inside = {unit: float((share <= 1 + 1e-6).mean()) for unit, share in shares.items()}
    if said != "auto" and inside.get(said, 0.0) >= 0.5:
        return said, False
    covered = {unit: float(np.median([times.shares(unit).max() for times in found])) for unit in units}
    fitting = [unit for unit in units if inside[unit] >= INSIDE]
    good = [unit for unit in fitting if covered[unit] >= COVERS]
    if "s" in good and said == "auto" and not (whole and _may_be_ms(found)):
        return "s", True
    if len(good) == 1 and good != ["s"]:
        return good[0], True
    if not fitting:
        raise ManifestError(
            f"{place}: times up to {max(float(times.last.max()) for times in found):g}, in videos of up to "
            f"{max(times.length_s for times in found):.1f} s and {max(times.frames for times in found)} frames; "
            "expected times that lie in them",
            hint="--time-unit s, ms, hms or frame; --videos DIR, if these are the wrong recordings",
        )
    words = " or ".join(WORDS[unit] for unit in fitting)
    raise ManifestError(
        f"{place}: its times may be {words}; expected to be told the unit",
        hint=f"--time-unit {', or '.join(fitting)}; or let the column's name end in it, as time_ms",
    )


def _whole(values: Array) -> bool:
    return bool((values == np.round(values)).all())


def _may_be_ms(found: Sequence[Times]) -> bool:
    """Whether times are as far apart, or spans as long, as milliseconds of labels are."""
    spans = any(times.end is not None for times in found)
    measure: Callable[[Times], Array] = lambda times: (  # noqa: E731
        times.end - times.start if times.end is not None else np.diff(np.unique(times.start))
    )
    sizes = np.concatenate([measure(times) for times in found])
    return len(sizes) > 0 and float(np.median(sizes)) >= SHORTEST_MS[spans]
