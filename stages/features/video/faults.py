"""What was wrong with a clock, in words: it goes into the notes of a check and of a stored video."""

from fractions import Fraction

_NAMED = 3  # faults of a kind that are named one by one


class _Kind:
    """Faults of one kind: how many, and the first few in words."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def __str__(self) -> str:
        more = self.count - len(self._first)
        return ", ".join(self._first) + (f" and {more} more" if more else "")

    def add(self, words: str) -> None:
        self.count += 1
        if len(self._first) < _NAMED:
            self._first.append(words)


class Faults:
    """The faults of one recording's clock, added as they are found."""

    def __init__(self) -> None:
        self.counted = 0  # frames whose time is counted from the rate
        self.slip = 1  # how many times too slow the clock ran
        self.slow_s = 0.0  # from frame to frame, where they come evenly and far slower than is declared
        self._outliers = _Kind()
        self._closed = _Kind()
        self._kept = _Kind()

    def add_outlier(self, number: int, amount_s: Fraction) -> None:
        """Frame `number` bears a time that is so much after the one it got."""
        self._outliers.add(f"frame {number} ({_direction(amount_s)})")

    def add_jump(self, amount_s: Fraction, at_s: float, *, closed: bool) -> None:
        """The clock jumps by that amount at that time of the recording; closed, or kept as a pause."""
        (self._closed if closed else self._kept).add(f"{_direction(amount_s)} at {at_s:.2f} s")

    def notes(self, *, declared: float, how: str) -> list[str]:
        """A sentence for each kind that there is. declared: frames a second; how: whence times are counted."""
        found = []
        if self.slip != 1:
            found.append(
                f"the clock runs {self.slip} times slower than the {declared:g} frames a second that are declared; its "
                "times are divided by that"
            )
        if self.slow_s:
            found.append(
                f"a frame comes every {self.slow_s:.2f} s, though {declared:g} a second are declared; the times are "
                "kept"
            )
        if self._outliers.count:
            found.append(
                f"{_carry(self._outliers.count)} an impossible time, and got one from the frames beside: "
                f"{self._outliers}"
            )
        if self._closed.count:
            found.append(f"the clock jumps {self._closed}; closed, so that times go on from the frame before")
        if self._kept.count:
            found.append(f"the clock jumps {self._kept}; kept, as a recording may pause")
        if self.counted:
            found.append(f"{_carry(self.counted)} no usable time; {how}")
        return found


def _carry(count: int) -> str:
    return f"{count} frames carry" if count != 1 else "1 frame carries"


def _direction(amount_s: Fraction) -> str:
    return f"{float(abs(amount_s)):.2f} s {'ahead' if amount_s >= 0 else 'back'}"
