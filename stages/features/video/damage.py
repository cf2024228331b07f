"""Which pictures are built on something that is missing, how long that lasts, and what gives no picture at all."""

from fractions import Fraction

_JUMP_BACK_S = Fraction(1)  # a key frame whose time lies this far before the damage is of another recording, joined on
_HEALS_S = 2.0  # after a bad packet pictures are taken as they are again, at the latest
# Packets in a row that a decoder may take without a picture: it holds back up to 16 pictures of two fields each, and
# frames that are only referred to come one by one.
_MOST_HELD = 50
_REPEATS_BYTES = 16  # a packet up to this size may say no more than that the picture stays as it is


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


class Swallowed:
    """Packets that gave neither a picture nor an error, as those of another codec may."""

    def __init__(self) -> None:
        self.packets = 0
        self.from_s = 0.0  # where the first of them lie
        self._run = 0  # since the last picture

    def note(self, size: int, pictures: int, time_s: float) -> None:
        """A packet that was decoded without an error; `time_s`: where the recording has got to."""
        if pictures:
            self._run = 0
        elif size > _REPEATS_BYTES:
            self._run += 1
            if self._run == _MOST_HELD:
                self.from_s = self.from_s if self.packets else time_s
                self.packets += _MOST_HELD
            elif self._run > _MOST_HELD:
                self.packets += 1
