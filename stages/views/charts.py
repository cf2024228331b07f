"""The pictures of a report, each from arrays to one SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array
from ...configs.plain_text import shortened
from .rules import number_text, score_text
from .svg import MOST_NAME, WIDTH, Axes, curve, legend, line, padded, points, rectangle, steps, svg, text

MOST_POINTS = 4000  # of a scatter; more are thinned evenly, and the picture says so
MOST_LEVELS = 1500  # of a line over time; more are averaged


@dataclass(frozen=True, slots=True)
class Strip:
    """One target over a video of n clips."""

    name: str
    label: Array  # (n,)
    prediction: Array  # (n,)
    span: tuple[float, float] | None = None  # of the values shown; None: what the video needs


@dataclass(frozen=True, slots=True)
class Curve:
    """A number that is known of some epochs."""

    epoch: Array  # (E,)
    value: Array  # (E,), NaN where it is not defined


def scatter(name: str, label: Array, prediction: Array, *, unit: str = "", note: str = "") -> str:
    """Predicted against true, with the line where both agree."""
    used = np.isfinite(label) & np.isfinite(prediction)
    x, y, thinned = _thin(label[used], prediction[used])
    span = padded(label[used], prediction[used])
    axes = Axes(span, span, height=300, left=50)
    middle = float(axes.px(span[0])), float(axes.py(span[0])), float(axes.px(span[1])), float(axes.py(span[1]))
    return svg(
        310,
        f"{name}: predicted against true",
        f"{int(used.sum())} held-out spans; {note}. On the diagonal both agree.{thinned}",
        [
            axes.grid(f"true {name}{_in(unit)}", f"predicted {name}"),
            line(*middle, "agree"),
            points(axes.px(x), axes.py(y), "model"),
        ],
    )


def bland_altman(name: str, label: Array, prediction: Array, *, unit: str = "") -> str:
    """Difference against mean, with the bias and the 95 % limits of agreement. Source: Bland & Altman 1986."""
    used = np.isfinite(label) & np.isfinite(prediction)
    difference, mean = prediction[used] - label[used], (prediction[used] + label[used]) / 2
    bias = float(difference.mean()) if len(difference) else math.nan
    spread = 1.96 * float(difference.std(ddof=1)) if len(difference) > 1 else math.nan
    levels = [(bias + spread, "+1.96 SD"), (bias, "bias"), (bias - spread, "\N{MINUS SIGN}1.96 SD")]
    x, y, thinned = _thin(mean, difference)
    axes = Axes(padded(mean), padded(difference, np.array([level for level, _ in levels])), height=300, left=50)
    parts = [
        axes.grid(f"mean of predicted and true {name}{_in(unit)}", "predicted \N{MINUS SIGN} true"),
        points(axes.px(x), axes.py(y), "model"),
    ]
    for level, words in levels:
        if math.isfinite(level):
            height = float(axes.py(level))
            parts.append(line(axes.left, height, WIDTH - axes.right, height, "bias" if words == "bias" else "limit"))
            parts.append(
                text(WIDTH - axes.right - 3, height - 4, f"{words} {_near(level, spread)}", "tick halo", "end")
            )
    limits = f"{_near(bias - spread, spread)} to {_near(bias + spread, spread)}"
    words = f"bias {_near(bias, spread)}, 95 % limits of agreement {limits}"
    return svg(310, f"{name}: Bland-Altman plot", f"{len(difference)} held-out spans; {words}.{thinned}", parts)


def over_time(video: str, start_s: Array, end_s: Array, strips: Sequence[Strip]) -> str:
    """Label and prediction over a video, one strip under another."""
    strip, gap, foot = 74.0, 20.0, 50.0
    height = len(strips) * (strip + gap) + foot
    order = np.argsort(start_s, kind="stable")
    first = np.arange(0, len(order), max(-(-len(order) // MOST_LEVELS), 1))
    start, end = start_s[order][first], np.maximum.reduceat(end_s[order], first)
    span = (min(float(start.min()), 0.0), float(np.nanmax(end)))
    parts = []
    for number, one in enumerate(strips):
        top = number * (strip + gap) + gap
        values = one.span or padded(one.label, one.prediction, share=0.1)
        axes = Axes(span, values, height=strip, top=top, bottom=0.0)
        parts.append(axes.grid(x_clock=True, x_values=number == len(strips) - 1, y_ticks=3))
        parts.append(text(axes.left, top - 4, one.name, "strip", most=MOST_NAME))
        for column, kind in ((one.label, "true"), (one.prediction, "model")):
            level = axes.py(_means(column[order], first))
            parts.append(steps(axes.px(start), axes.px(end), level, kind))
    parts.append(text((46 + WIDTH - 10) / 2, height - 22, "time in the video", "name", "middle"))
    parts.append(legend(height - 7, (("true", "true"), ("model", "predicted")), 110))
    names = ", ".join(one.name for one in strips)
    return svg(height, f"{video}: true and predicted over time", f"{len(start_s)} clips of {names}.", parts)


def learning_curves(title: str, folds: Mapping[str, Curve], chosen: Mapping[str, int], y: str) -> str:
    """A line per fold, with a dot at the epoch that was chosen."""
    epochs, values = [one.epoch for one in folds.values()], [one.value for one in folds.values()]
    axes = Axes(padded(*epochs, share=0.02), padded(*values), height=220, left=50)
    parts = [axes.grid("epoch", y)]
    parts += [curve(axes.px(one.epoch), axes.py(one.value), "fold") for one in folds.values()]
    for name, epoch in chosen.items():
        here = np.flatnonzero(folds[name].epoch == epoch)
        if len(here):
            x, height = axes.px(folds[name].epoch[here]), axes.py(folds[name].value[here])
            parts.append(points(x, height, "chosen"))
    words = f"{len(folds)} folds; epoch chosen: {_range(list(chosen.values()))}." if chosen else f"{len(folds)} folds."
    return svg(230, title, words, parts)


def bars(title: str, names: Sequence[str], values: Array, *, reference: float = math.nan, unit: str = "") -> str:
    """A horizontal bar per name, longest first, with its value; a dashed line at `reference`."""
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
    row = 15.0
    height = len(names) * row + 34
    widest = min(max((len(name) for name in names), default=0), 18)
    low, high = padded(values, np.array([0.0, reference]), share=0.02)
    axes = Axes((low, high), (0, 1), height=height, top=0.0, left=14 + 6.0 * widest, right=44.0, bottom=24.0)
    parts = [_column_grid(axes, unit)]
    zero = float(axes.px(0.0))
    for place, number in enumerate(order):
        y, value = place * row + 4, float(values[number])
        parts.append(text(axes.left - 6, y + 9, shortened(names[number], 18), "tick", "end"))
        if math.isfinite(value):
            end = float(axes.px(value))
            parts.append(rectangle(min(zero, end), y, abs(end - zero), row - 4, "bar"))
        words = score_text(value) if math.isfinite(value) else "undefined"
        parts.append(text(WIDTH - 4, y + 9, words, "tick", "end"))
    if math.isfinite(reference):
        x = float(axes.px(reference))
        parts.append(line(x, 0, x, height - 24, "limit"))
    known = values[np.isfinite(values)]
    words = (
        f"{len(names)} subjects, from {number_text(known.min())} to {number_text(known.max())}."
        if len(known)
        else "No value."
    )
    return svg(height, title, words, parts)


def _column_grid(axes: Axes, label: str) -> str:
    """Vertical lines and their values alone."""
    blank = Axes(axes.x, (math.nan, math.nan), axes.height, axes.top, axes.left, axes.right, axes.bottom)
    return blank.grid(label)


def _means(values: Array, first: Array) -> Array:
    """Means over runs that begin at `first`; NaN where a run has no value."""
    known = np.isfinite(values)
    total = np.add.reduceat(np.where(known, values, 0.0), first)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.add.reduceat(known, first, dtype=np.int64))


def _thin(x: Array, y: Array) -> tuple[Array, Array, str]:
    if len(x) <= MOST_POINTS:
        return x, y, ""
    chosen = np.linspace(0, len(x) - 1, MOST_POINTS).astype(np.int64)
    return x[chosen], y[chosen], f" {MOST_POINTS} of them are drawn."


def _in(unit: str) -> str:
    return f" ({unit})" if unit else ""


def _range(values: Sequence[int]) -> str:
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"


def _near(value: float, size: float) -> str:
    """The value to about three digits of `size`."""
    if not (math.isfinite(value) and math.isfinite(size)):
        return "not defined"
    digits = max(0, 2 - math.floor(math.log10(size))) if size > 0 else 3
    return f"{value:.{min(digits, 6)}f}".replace("-", "\N{MINUS SIGN}")
