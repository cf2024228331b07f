"""When a frame is shown: the container's own times, with what cannot be true among them repaired and named.

A time is judged by its neighbours, of which the next few are known before it is given out; nothing depends on where a
resumed extraction goes on, since decoding always begins at the first frame. Three kinds of faults are told apart:

- An outlier: most frames behind it go on from the frame before it. It takes a time between its neighbours.
- A step: the frames behind it go on from it. Back: it is closed, so that times go on one step behind the frame before.
  Ahead: up to `LONGEST_PAUSE_S` it is kept, as the pause of a recording; a longer one is closed.
- No times: none, or frames that follow each other at more than `MOST_FPS`. They are counted from the rate.

A leap in front of the very last frame has no frame behind it as a witness. It is kept where the frame before is said to
last so long, or where the clock was uneven before; otherwise that frame is an outlier.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise, product
from typing import Protocol

from av.video.stream import VideoStream as VideoTrack

from .faults import Faults


class Item(Protocol):
    """What has times, in ticks of its track's time base: a picture, or a packet."""

    @property
    def pts(self) -> int | None: ...
    @property
    def dts(self) -> int | None: ...
    @property
    def duration(self) -> int | None: ...


Ahead = Callable[[int], Item | None]  # the first, second ... item behind one; None: no more
Ticks = int | Fraction  # of the track's time base

# Kinds of containers with one time for a frame: of decoding, which serves as frames come in order; or of showing
WITHOUT_PRESENTATION_TIMES = ("avi",)
WITHOUT_DECODING_TIMES = ("matroska,webm",)
LOOK_AHEAD = 8  # items whose times are asked at most; so a run of up to four outliers is told from a step
MOST_FPS = 1000  # no recording is faster: frames closer than this on average have no usable time
USUAL = Fraction(5, 2)  # steps; a gap up to this is nothing to look into
# A gap is called a pause from the longer of these two on: a slow recording's steps are none.
PAUSE_S, PAUSE_STEPS = 1, 4
# A meeting may be interrupted for as long as this. Recordings that are joined, and clocks that are set anew, jump by
# hours, days or years. No container's duration is asked: whoever wrote it had only the same times to write it from.
LONGEST_PAUSE_S = 3600
# A first frame this far before all others is of another clock. Browsers' recordings begin with one picture and a wait
# of seconds for the camera, so a shorter gap is kept where the others come as unevenly as theirs do.
LONGEST_WAIT_S = 60
EVEN = 1.1  # longest step over the shortest: those of a fixed rate, rounded to milliseconds
CLAIM = (0.98, 1.02)  # of a container's duration: how well what it was made from has to fit
# Times in a unit that is not the one declared: milliseconds for seconds, ticks of 1/90000 s for milliseconds ...
SLIPS = (90, 1000, 90_000, 1_000_000)
SLIP_TOLERANCE = 0.02
SLIPPED_STEP_S = 2  # steps from this on are compared with the rate that is declared ...
USUAL_FPS = (5, 240)  # ... where that is a camera's
MOST_WRONG = 1000  # impossible times that are held against the container's duration


class Clock:
    """Presentation times from the first frame. Call `begin`, then `read` for every item in order."""

    def __init__(self, track: VideoTrack, kind: str) -> None:
        """`kind`: FFmpeg's name for that of the container."""
        self._decoding_times = kind in WITHOUT_PRESENTATION_TIMES
        self._two_times = not self._decoding_times and kind not in WITHOUT_DECODING_TIMES
        self._unit = Fraction(track.time_base or 1)
        said = [track.average_rate, track.guessed_rate, track.codec_context.framerate]
        rates = [_rate(fps) for fps in said]
        self._rated = any(rates)
        self._too_fast = max((fps for fps in said if fps), default=Fraction(0))  # said, where no rate can be
        self._declared = [rate for rate in rates if USUAL_FPS[0] <= rate <= USUAL_FPS[1]]
        self.step = next((1 / rate for rate in rates if rate), Fraction(1, 25))  # seconds
        # A raw stream's average is made up before it is read, a guess is not.
        self._counted_step = 1 / rates[1] if rates[1] else self.step
        self.closed_s = 0.0  # taken out of the container's own time by steps ahead that were closed
        self.faults = Faults()
        self._number = 0
        self._origin: Ticks = 0  # what the clock shows at time zero
        self._last: Ticks = 0  # on the container's clock, as repaired
        self._stamp = 0  # of the item before, as it was
        self._lasts = 0  # how long that item is said to last
        self._standing = False
        self._steady = True  # no gap so far
        self._early_s = 0.0  # how far before time zero the first frame's own time lies, where it was not believed
        self._wrong_s: list[float] = []  # times that were not believed, on the container's clock from time zero
        self._gaps: deque[Ticks] = deque(maxlen=LOOK_AHEAD + 1)  # the latest that were believed
        self._measure()

    def stamp(self, item: Item) -> Fraction | None:
        """Seconds on the container's own clock."""
        ticks = self._ticks(item)
        return None if ticks is None else ticks * self._unit

    @property
    def origin_s(self) -> float:
        """What the container's own clock shows at time zero."""
        return float(self._origin * self._unit)

    def begin(self, item: Item, ahead: Ahead) -> None:
        """Find time zero. Call it once, with the first item."""
        stamp, coming = self._ticks(item), self._near(ahead, 1)
        if stamp is None:
            near = self._near(ahead)
            self._origin = near[0][1] - near[0][0] * self._step if near else 0
        elif coming and not 0 <= coming[0][1] - stamp <= min(self._usual, int(SLIPPED_STEP_S / self._unit)):
            near = self._near(ahead)
            self._set_scale([stamp, *(other for _, other in near)])
            self._origin = self._first(stamp, near, item, ahead)
        else:
            self._origin = stamp
        self._last, self._stamp = self._origin, stamp or 0

    def read(self, item: Item, ahead: Ahead) -> float:
        """Seconds from the first frame; never fewer than for the item before."""
        stamp = self._ticks(item)
        if self._number == 0:
            self.faults.counted += stamp is None
        elif stamp is None:
            self.faults.counted += not self._decoding_times
            self._last += self._counted
        else:
            gap, coming = stamp - self._last, ahead(1)
            behind = None if coming is None else self._ticks(coming)
            if self._least <= gap <= self._usual and (behind is None or behind >= stamp):
                self._last, self._standing = stamp, False
                self._gaps.append(gap)
            else:
                self._find_usual()
                self._last = self._judged(stamp, item, self._near(ahead))
            self._stamp = stamp
        self._number += 1
        self._lasts = item.duration or 0
        return self._seconds(self._last)

    def explains(self, duration_s: float, end_s: float) -> bool:
        """Whether a container's duration is that of a recording that ends at `end_s`, with a time that was wrong."""
        ends = [end_s, *(wrong_s + float(self.step) for wrong_s in self._wrong_s)]
        spans = [end + early for end, early in product(ends, (0.0, self._early_s))]
        return any(CLAIM[0] * duration_s <= span <= CLAIM[1] * duration_s for span in spans)

    def notes(self) -> list[str]:
        """What was wrong, and what was done about it, in sentences."""
        declared = self._declared[0] if self.faults.slow_s else 1 / self.step
        counted = f"{float(1 / self._counted_step):g} a second"
        if self._rated:
            how = f"theirs is counted from the rate, {counted}"
        elif self._too_fast:
            how = f"{counted} are assumed, as the {float(self._too_fast):g} that are declared are not believed"
        else:
            how = f"{counted} are assumed, as no rate is declared"
        return self.faults.notes(declared=float(declared), how=how)

    def _ticks(self, item: Item) -> int | None:
        return item.dts if self._decoding_times else item.pts

    def _seconds(self, ticks: Ticks) -> float:
        return float((ticks - self._origin) * self._numerator / self._denominator)

    def _measure(self) -> None:
        """The thresholds in ticks."""
        self._numerator, self._denominator = self._unit.numerator, self._unit.denominator
        self._step, self._counted = self.step / self._unit, self._counted_step / self._unit
        self._find_usual()
        self._least = math.ceil(1 / (MOST_FPS * self._unit))
        self._crowded = 3 / (MOST_FPS * self._unit)

    def _find_usual(self) -> None:
        """What a step is here, of late, and from where on a gap is something else."""
        declared = min([self.step, *(1 / rate for rate in self._declared)]) / self._unit
        self._usual_step: Ticks = sorted(self._gaps)[len(self._gaps) // 2] if len(self._gaps) >= 3 else declared
        self._usual = int(USUAL * self._usual_step)
        self._pause = int(max(PAUSE_S / self._unit, PAUSE_STEPS * self._usual_step))

    def _near(self, ahead: Ahead, count: int = LOOK_AHEAD) -> list[tuple[int, int]]:
        """(how far ahead, time) of the next items that have one."""
        found = []
        for distance in range(1, count + 1):
            item = ahead(distance)
            if item is None:
                break
            if (stamp := self._ticks(item)) is not None:
                found.append((distance, stamp))
        return found

    def _even_step_s(self, stamps: Sequence[int]) -> float:
        """The mean step between items if all steps are alike; else 0."""
        steps = [after - before for before, after in pairwise(stamps)]
        even = len(steps) > 1 and 0 < max(steps) <= EVEN * min(steps)
        return float(sum(steps) * self._unit / len(steps)) if even else 0.0

    def _set_scale(self, stamps: Sequence[int]) -> None:
        """Read the clock in another unit where even steps are that of the declared rate but for such a slip."""
        mean_s = self._even_step_s(stamps)
        if len(stamps) <= LOOK_AHEAD or mean_s < SLIPPED_STEP_S:
            return
        for rate, slip in product(self._declared, SLIPS):
            if abs(mean_s * rate / slip - 1) <= SLIP_TOLERANCE:
                self.faults.slip, self._unit = slip, self._unit / slip
                self.step = self._counted_step = 1 / rate
                self._measure()
                return
        self.faults.slow_s = mean_s if self._declared else 0.0
        self._gaps.extend(after - before for before, after in pairwise(stamps))
        self._find_usual()

    def _first(self, stamp: int, near: list[tuple[int, int]], item: Item, ahead: Ahead) -> Ticks:
        """The first item's time, in ticks, by those of the next ones."""
        others = [other for _, other in near]
        distance, witness = next(pair for place, pair in enumerate(near) if _lead(others[place:]))
        gap = witness - stamp
        if 2 * sum(other < stamp for other in others) <= len(others):
            waits = gap * self._unit <= LONGEST_WAIT_S and not self._only_first(gap, item, near, ahead)
            if gap <= self._pause or waits:
                return stamp
        steps = sorted(after - before for before, after in pairwise(others))
        step = steps[len(steps) // 2] if steps else self._usual_step
        first = witness - distance * step
        self._early_s = max(0.0, float((first - stamp) * self._unit))
        self._name_outlier(0, stamp, first)
        return first

    def _only_first(self, gap: int, item: Item, near: list[tuple[int, int]], ahead: Ahead) -> bool:
        """Whether nothing but the first item's time speaks for the gap behind it.

        Decoding times know of none; or, where the container has no such times, the others come at the declared rate.
        """
        last, first = ahead(near[-1][0]), item.dts
        if self._two_times and first is not None and last is not None and last.dts is not None:
            return last.dts - first < gap / 2
        step_s = self._even_step_s([stamp for _, stamp in near])
        return any(abs(step_s * rate - 1) < EVEN - 1 for rate in self._declared)

    def _judged(self, stamp: int, item: Item, near: list[tuple[int, int]]) -> Ticks:
        """The time, in ticks, of an item whose own does not simply follow. May move the origin."""
        self._standing = self._stands(stamp, [other for _, other in near])
        if self._standing:
            self.faults.counted += 1
            return self._last + self._counted
        gap = stamp - self._last
        later = [pair for pair in near if pair[1] >= self._last]
        if gap < 0:
            if 2 * len(later) >= len(near):
                return self._outlier(stamp, later)
            return self._closed(stamp, item)
        between = [pair for pair in later if pair[1] < stamp]
        if between and 2 * len(between) >= len(later):
            return self._outlier(stamp, between)
        if gap > self._pause:
            alone = not later and self._number >= LOOK_AHEAD and self._steady
            if alone and 2 * self._lasts < gap:
                return self._outlier(stamp, [])
            if gap * self._unit > LONGEST_PAUSE_S:
                return self._closed(stamp, item)
            self._name_jump(gap, closed=False)
        self._steady &= gap <= self._usual
        if gap:
            self._gaps.append(gap)
        return stamp

    def _stands(self, stamp: int, others: list[int]) -> bool:
        """Whether the clock stands still here, or all but does."""
        if self._standing and 0 <= stamp - self._stamp <= self._least:
            return True
        if len(others) < 2:
            return False
        return self._stamp <= stamp <= others[0] <= others[1] < self._stamp + self._crowded

    def _outlier(self, stamp: int, later: list[tuple[int, int]]) -> Ticks:
        """A time between the item before and the first of the later ones; one step on where there are none."""
        distance, other = min(later, key=lambda pair: pair[1], default=(0, self._last + self._usual_step))
        time = self._last + Fraction(other - self._last) / (distance + 1)
        self._name_outlier(self._number, stamp, time)
        return time

    def _name_outlier(self, number: int, stamp: int, time: Ticks) -> None:
        self.faults.add_outlier(number, (stamp - time) * self._unit)
        if len(self._wrong_s) < MOST_WRONG:
            self._wrong_s.append(float((stamp - self._origin) * self._unit))

    def _closed(self, stamp: int, item: Item) -> Ticks:
        """The item's own time, with the origin moved so that it is one step behind the item before."""
        jump = stamp - self._last - (item.duration or self._step)
        self._name_jump(stamp - self._last, closed=True)
        self._origin += jump
        self.closed_s += max(0.0, float(jump * self._unit))
        return stamp

    def _name_jump(self, gap: Ticks, *, closed: bool) -> None:
        """Name a gap behind the item before, without the step that there is anyway."""
        at_s = self._seconds(self._last + self._usual_step)
        self.faults.add_jump((gap - self._usual_step) * self._unit, at_s, closed=closed)


def _rate(fps: Fraction | None) -> Fraction:
    """A rate that can be, else 0."""
    return Fraction(fps) if fps and 0 < fps <= MOST_FPS else Fraction(0)


def _lead(stamps: Sequence[int]) -> bool:
    """Whether at least half of the times behind the first are later than it."""
    return 2 * sum(stamp > stamps[0] for stamp in stamps[1:]) >= len(stamps) - 1
