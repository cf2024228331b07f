"""When a frame is shown, which frames are kept, and how long damage lasts."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as VideoTrack

_JUMP_BACK_S = Fraction(1)  # a clock that falls back further than this was restarted; less is jitter
_HEALS_S = 2.0  # after a bad packet pictures are taken as they are again, at the latest


@dataclass(frozen=True, slots=True)
class Damage:
    """Bad packets since the last key frame."""

    first: Fraction | None  # container time
    last: Fraction | None
    noted_s: float  # time of the frame before the last of them

    def heals(self, stamp: Fraction | None, time_s: float, *, key_frame: bool) -> bool:
        if time_s > self.noted_s + _HEALS_S:
            return True
        if stamp is None or self.first is None or self.last is None:
            return key_frame
        return key_frame and (stamp > self.last or stamp < self.first - _JUMP_BACK_S)


class Clock:
    """Presentation times from the first frame, in exact fractions of a second.

    A frame without a time gets the previous one's plus its step. A clock that falls back by more than a second was
    restarted (files joined together): it goes on one step behind the frame before. A smaller step back is jitter: the
    frame gets the time of the frame before it.
    """

    def __init__(self, track: VideoTrack, *, decoding_times: bool) -> None:
        """`decoding_times`: the container has no others; frames come in order, so they serve."""
        self._decoding_times = decoding_times
        rate = track.average_rate or track.guessed_rate
        self.step = 1 / Fraction(rate) if rate else Fraction(1, 25)
        self.unit = Fraction(track.time_base or 1)
        self.restarts = 0
        self.invented = 0
        self._origin = Fraction(0)
        self._last: Fraction | None = None

    def stamp(self, item: "VideoFrame | Packet[Any]") -> Fraction | None:
        """Seconds on the container's own clock."""
        ticks = item.dts if self._decoding_times else item.pts
        return None if ticks is None else ticks * self.unit

    def start(self, picture: VideoFrame) -> None:
        self._origin = self.stamp(picture) or Fraction(0)

    def read(self, picture: VideoFrame) -> Fraction:
        stamp = self.stamp(picture)
        step = self.step
        if picture.duration and stamp is not None:
            step = picture.duration * self.unit
        if self._last is None:
            time = Fraction(0)
            self.invented += stamp is None
        elif stamp is None:
            time = self._last + self.step
            self.invented += not self._decoding_times
        else:
            time = stamp - self._origin
            if time < self._last - _JUMP_BACK_S:
                self._origin = stamp - self._last - step
                self.restarts += 1
                time = stamp - self._origin
            time = max(time, self._last)
        self._last = time
        return time


@dataclass(slots=True)
class Sampler:
    """Which frames are kept: the first at or after each grid time k / fps, or every one.

    Half a millisecond is forgiven, so that 25 frames a second at 3.125 keep exactly every eighth.
    """

    fps: float | None  # None: every frame
    _next: int = 0

    def keeps(self, time_s: float) -> bool:
        """Whether the frame at this time is kept; times must not decrease."""
        if self.fps is None:
            return True
        grid = int((time_s + 0.0005) * self.fps + 1e-9)
        if grid < self._next:
            return False
        self._next = grid + 1
        return True
