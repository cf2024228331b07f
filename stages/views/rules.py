"""What every picture, page and table shares: colours, gaps, ticks, text of pages, names and order of the metrics."""

import math
from html import escape

from ...cache.metrics import Score
from ...configs.plain_text import spelled

# Target by target, on a light and on a dark ground: as unlike as they can be also without red or green cones.
COLOURS = ("#0872cb", "#d8046d", "#027f78", "#543c00", "#547c00", "#0903cf", "#4e2931")
COLOURS_DARK = ("#2d8efb", "#ff3b88", "#05aca4", "#cd7600", "#4cff00", "#e4cbfe", "#ffebcb")
# Target by target, lengths of line and gap where several curves share a plot: colours are never all that tells.
DASHES: tuple[tuple[float, ...], ...] = ((), (7, 3), (2, 2), (9, 3, 2, 3), (4, 5))
OUT_OF_RANGE = "#e0a100"  # clips unlike the training recordings...
TINT = 0.25  # ...and how opaque that is over a plot's ground
FACE_BOXES = ("#ffd24a", "#ffffff", "#62b6f2", "#ec9fca")  # over any picture: the chosen person, the others
THEME = {  # what a page is made of: name -> in a light and in a dark page
    "page": ("#ffffff", "#14171b"),
    "panel": ("#f5f6f8", "#1d2127"),
    "ink": ("#1a1d21", "#eceff3"),
    "quiet": ("#5b6470", "#a5aebb"),
    "rule": ("#d8dce2", "#363d47"),
    "gap": ("#8a93a0", "#76808d"),
    "accent": ("#0b5cad", "#6bb3f7"),
    "other": ("#ad5600", "#ffac5c"),  # what is held against it
    "odd": (OUT_OF_RANGE, "#f2b632"),
    "warn": ("#fff4d6", "#3d2f0b"),
    "warn-ink": ("#5c3d00", "#ffe3a3"),
}
JOINED_WITHIN = 1.75  # typical steps between clips, or between sightings of a face; further apart a line is broken
METRICS = {  # in the order they are shown
    "ccc": "CCC", "pcc": "PCC", "rmse": "RMSE", "mae": "MAE", "icc": "ICC(3,1)", "icc21": "ICC(2,1)"
}  # fmt: skip
METHODS = {"blend": "blend", "model": "model", "ridge": "ridge regression", "mean": "training mean"}
PEOPLE_SHARED = "The test sides share people with the other sides: these numbers say nothing about new people."
VALUE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)  # between ticks, times a power of ten
MORE_TICKS = 6  # that are asked for, one by one, until there are two
SLACK = 0.0025  # of a scale: less beyond it is not seen in a number that is shown
CLOCK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def escaped(words: str) -> str:
    """Words as a page shows them, line by line: no tag, no control character, no turn of the writing direction."""
    return escape("\n".join(spelled(line) for line in words.split("\n")))


def css(*, dark: bool) -> str:
    """The colours as CSS variables: `--page`, ..., and `--t0`, `--t1`, ... target by target."""
    named = {name: colours[dark] for name, colours in THEME.items()}
    named |= {f"t{number}": colour for number, colour in enumerate(COLOURS_DARK if dark else COLOURS)}
    return " ".join(f"--{name}: {colour};" for name, colour in named.items())


def rgb(colour: str) -> tuple[int, int, int]:
    """A colour `#rrggbb` as its red, green and blue, 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def score_text(value: float, *, signed: bool = False) -> str:
    """A metric to three places, with a true minus sign."""
    if not math.isfinite(value):
        return "not defined"
    return f"{value:{'+' if signed else ''}.3f}".replace("-", "\N{MINUS SIGN}")


def score_words(score: Score) -> str:
    """A metric with its interval, or why it has none; where it says nothing, why."""
    if not score.told:
        return score.reason or score_text(score.value)
    between = f"[{score_text(score.low)}, {score_text(score.high)}]" if score.bounded else f"({score.no_interval})"
    return score_text(score.value) + (f" {between}" if score.bounded or score.no_interval else "")


def named_score(name: str, score: Score) -> str:
    """The same after a name."""
    return f"{name} {score_words(score)}" if score.told else f"{name}: {score_words(score)}"


def number_text(value: float) -> str:
    """A number to four digits, with a true minus sign."""
    return f"{value:z.4g}".replace("-", "\N{MINUS SIGN}")


def clock_text(time_s: float) -> str:
    """h:mm:ss, or m:ss under an hour."""
    hours, rest = divmod(abs(round(time_s)), 3600)
    start = f"{hours}:{rest // 60:02d}" if hours else f"{rest // 60}"
    return f"{'-' if round(time_s) < 0 else ''}{start}:{rest % 60:02d}"


def value_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values in [low, high]."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []
    ticks: list[float] = []
    for number in range(count, count + MORE_TICKS):
        rough = (high - low) / number
        size = 10.0 ** math.floor(math.log10(rough))
        ticks = _multiples(next(item for item in VALUE_STEPS if item * size >= rough * 0.999) * size, low, high)
        if len(ticks) > 1:  # one alone tells no scale
            break
    return ticks


def clock_ticks(low_s: float, high_s: float, count: int = 12) -> list[float]:
    """At most about `count` times in [low_s, high_s] that are round in seconds, minutes or hours."""
    if not (math.isfinite(low_s) and math.isfinite(high_s)):
        return []
    step_s = next((step for step in CLOCK_STEPS_S if (high_s - low_s) / step <= count), 2 * CLOCK_STEPS_S[-1])
    return _multiples(step_s, low_s, high_s)


def _multiples(step: float, low: float, high: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]
