"""What is said while a command works, in words: how far it is, how fast it goes, how long it will still take."""

from .pace import Pace, Part
from .rules import clock_text

GETTING_READY = "getting ready: looking at what there is, loading what is needed"
SECONDS, EPOCHS, COUNT = "of video", "epochs", ""  # what work is counted in


def amount(done: float, total: float | None, unit: str) -> str:
    """`1:12:30 of 9:40:00 of video`, `34 of 250 epochs`."""
    show = clock_text if unit == SECONDS else lambda value: f"{value:.0f}"
    return f"{show(done)} of {'an unknown length' if total is None else show(total)} {unit}".rstrip()


def speed(rate: float | None, unit: str) -> str:
    """How fast, or nothing as long as that is not known."""
    if rate is None or not unit:
        return ""
    if unit == SECONDS:
        return f"{rate:.1f} s of video a second"
    return f"{rate:.1f} epochs a second" if rate >= 1 else f"{1 / rate:.1f} s an epoch"


def left(left_s: float | None, at_most: bool = False) -> str:
    """How long it will still take."""
    if left_s is None:
        return "time left not known yet"
    return f"{'at most ' if at_most else ''}{clock_text(max(1.0, left_s))} left"


def whole(what: str, pace: Pace, unit: str, now_s: float, *, at_most: bool = False) -> str:
    """All of a command's work: `3 of 24 videos, 1:12:30 of 9:40:00 of video, 3.1 s of video a second, 2:45:10 left`."""
    words = [f"{pace.ended} of {pace.parts} {what}"]
    if unit:
        words.append(amount(pace.done, pace.total, unit))
    if pace.parts > pace.ended:
        words += [speed(pace.rate, unit), left(pace.left_s(now_s), at_most)]
        if not pace.running and not pace.ended:
            words[-1] = "none has begun yet"
    return ", ".join(filter(None, words))


def single(part: Part, unit: str, note: str) -> str:
    """One video or fold: `2:20 of 10:00, 9.4 frames/s`."""
    return ", ".join(filter(None, ["reading again" if part.again else amount(part.done, part.size, unit), note]))


def took(seconds: float) -> str:
    """How long something has taken."""
    return clock_text(seconds) if seconds >= 60 else f"{seconds:.1f} s"
