"""Which pictures are built on something that is missing, and how long that lasts."""

from fractions import Fraction

_JUMP_BACK_S = Fraction(1)  # a key frame whose time lies this far before the damage is of another recording, joined on
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
