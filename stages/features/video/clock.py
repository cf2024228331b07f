"""When a frame is shown, which frames are kept, and how long damage lasts."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as VideoTrack

_JUMP_BACK_S = Fraction(1)  # a clock that falls back further than this was restarted; less is jitter
_SAMPLING_TOLERANCE_S = 0.0005
_HEALS_S = 2.0  # after a bad packet pictures are taken as they are again, at the latest


class Damage:
    """Which pictures are built on something that is missing: those from a bad packet to the next key frame."""

    def __init__(self) -> None:
        self._lasts = False
        self._first: Fraction | None = None  # container time of the first bad packet since it last healed
        self._last: Fraction | None = None
        self._noted_s = 0.0  # time of the frame before the last bad packet

    def note(self, stamp: Fraction | None, time_s: float) -> None:
        """A bad packet with that time on the container's clock, if it has one, behind the frame at `time_s`."""
        if not self._lasts:
            self._first = stamp
        self._lasts, self._last, self._noted_s = True, stamp, time_s

    def reaches(self, stamp: Fraction | None, time_s: float, *, key_frame: bool) -> bool:
        """Whether the next picture, with these times, is built on what is missing. Ask for every one, in order.

        key_frame: it is one, and whole.
        """
        if self._lasts and self._heals(stamp, time_s, key_frame=key_frame):
            self._lasts = False
        # A picture that comes out late may be shown before the damage.
        return self._lasts and (stamp is None or self._first is None or stamp >= self._first)

    def _heals(self, stamp: Fraction | None, time_s: float, *, key_frame: bool) -> bool:
        if time_s > self._noted_s + _HEALS_S:
            return True
        if stamp is None or self._first is None or self._last is None:
            return key_frame
        return key_frame and (stamp > self._last or stamp < self._first - _JUMP_BACK_S)


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
        self.invented = 0  # frames without a time of their own
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
        if stamp is None and (self._last is None or not self._decoding_times):
            self.invented += 1
        if self._last is None:
            time = Fraction(0)
        elif stamp is None:
            time = self._last + self.step
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

    fps: float | Literal["source"]  # "source": every frame
    _next: int = 0  # the first grid time that no frame was kept for

    def keeps(self, time_s: float) -> bool:
        """Whether the frame at this time is kept; times must not decrease."""
        if self.fps == "source":
            return True
        grid = int((time_s + _SAMPLING_TOLERANCE_S) * self.fps + 1e-9)
        if grid < self._next:
            return False
        self._next = grid + 1
        return True
