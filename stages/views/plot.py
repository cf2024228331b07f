"""A picture of every target over time, with its band, its gaps and how much of each clip showed a face."""

import warnings
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from ...cache.predictions import PersonPrediction, RangeCheck, ScoreReason, VideoPrediction
from ...cache.records import Array, Target
from ...configs.plain_text import shortened, spelled
from .rules import COLOURS, JOINED_WITHIN, OUT_OF_RANGE, THEME, TINT, clock_text, clock_ticks, number_text, value_ticks
from .scales import limits, shown_range

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_UP_TO = 150  # clips; beyond, dots would hide the line...
BOLD_UP_TO = 1000  # ...and beyond this a bold line would be a block of colour
BAND = 0.25  # opacity of the spread
QUIET, RULE, HATCH = THEME["quiet"][0], THEME["rule"][0], THEME["gap"][0]
DASHED = (0, (5, 4))
DOTTED = (0, (1, 3))
TALL_UP_TO = 8  # lanes; more of them are lower
MOST_LABEL = 24  # characters beside an axis
MOST_NAME = 60  # characters of a name; a longer one would leave no room for the curves
MARGIN = 0.03  # of a lane's height, above and below


def plot_person(prediction: VideoPrediction, person: PersonPrediction) -> bytes:
    """A PNG of one person's targets over time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if np.isnan(person.clips.mean).all():
        return _plain_words(prediction, person)
    lanes = len(prediction.targets)
    figure = Figure(figsize=(11, 1.5 + (1.5 if lanes <= TALL_UP_TO else 1.15) * lanes), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(lanes + 1, 1, height_ratios=[1] * lanes + [0.22])
    axes = [figure.add_subplot(grid[number]) for number in range(lanes + 1)]
    for number in range(lanes):
        axes[number].sharex(axes[-1])
        axes[number].tick_params(labelbottom=False)
        _draw_target(axes[number], prediction, person, number)
    _draw_coverage(axes[-1], person)
    duration_s = max(prediction.duration_s, 1e-3)
    axes[-1].set_xlim(0, duration_s)
    axes[-1].set_xticks(ticks := clock_ticks(0, duration_s), [clock_text(tick) for tick in ticks])
    axes[-1].set_xlabel("time in the recording")
    figure.suptitle(f"{_title(prediction, person)}  ({_what(prediction, person)})", fontsize=10)
    figure.align_ylabels(axes)
    figure.legend(handles=_legend(prediction, person), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return _png(figure)


def _plain_words(prediction: VideoPrediction, person: PersonPrediction) -> bytes:
    """A PNG of one sentence: there is no curve to draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    reasons = [ScoreReason(int(number)).sentence for number in dict.fromkeys(person.clips.reason.tolist()) if number]
    why = "; ".join(reasons) or "no clip could be formed"
    figure = Figure(figsize=(11, 1.0))
    FigureCanvasAgg(figure)
    words = f"There is no curve to draw: {why} ({clock_text(prediction.duration_s)} of recording)."
    figure.text(0.02, 0.68, _title(prediction, person), fontsize=10)
    figure.text(0.02, 0.28, words, fontsize=11)
    return _png(figure)


def _title(prediction: VideoPrediction, person: PersonPrediction) -> str:
    return _name(prediction.video) + (f", {person.label}" if len(prediction.persons) > 1 else "")


def _png(figure: "Figure") -> bytes:
    """The figure drawn, its texts as they are: a name is no formula, and a letter that no font has is no warning."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
        text.set_usetex(False)
    picture = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph|Matplotlib currently does not support", UserWarning)
        figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def _name(text: str) -> str:
    return shortened(spelled(text), MOST_NAME)


def _what(prediction: VideoPrediction, person: PersonPrediction) -> str:
    clips = len(person.clips)
    scored = int((~np.isnan(person.clips.mean)).any(1).sum())
    if prediction.description is not None:
        return f"{scored} of {clips} stretches of time measured"
    spread = f"mean ± spread of {prediction.models} models" if prediction.models > 1 else "one model, no spread known"
    odd = int(person.clips.out_of_range.sum())
    words = f"{spread}; {scored} of {clips} clips scored"
    if odd == scored and odd:
        return f"{words}, all unlike the training recordings"
    return words + (f", {odd} unlike the training recordings" if odd else "")


def _legend(prediction: VideoPrediction, person: PersonPrediction) -> "list[Artist]":
    """What the marks mean: a picture is passed on without its page."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    colour = COLOURS[0]
    what, of = ("score", "clip") if prediction.description is None else ("value", "stretch of time")
    marks: list[Artist] = [Line2D([], [], color=colour, lw=1.5, label=f"{what}, at the middle of its {of}")]
    if prediction.models > 1:
        marks.append(
            Patch(
                color=colour,
                alpha=BAND,
                lw=0,
                label="± one standard deviation over the models; it does not rank errors",
            )
        )
    if any(mean is not None for mean in prediction.training_means):
        marks.append(Line2D([], [], color=QUIET, lw=0.8, ls=DASHED, label="mean of the training labels"))
    marks.append(Patch(facecolor="none", edgecolor=HATCH, hatch="////", lw=0, label="nothing to say"))
    if prediction.range_check is not None or person.clips.judged.any():
        marks.append(Patch(color=OUT_OF_RANGE, alpha=TINT, lw=0, label=_range_label(prediction.range_check)))
    return marks


def _range_label(check: RangeCheck | None) -> str:
    if check is None:
        return "unlike the training recordings"
    if check.rate is None:
        return "unlike the training recordings: not known here"
    return f"unlike the training recordings (by chance: {100 * check.rate:.0f} % of a new person's clips)"


def _draw_target(axes: "Axes", prediction: VideoPrediction, person: PersonPrediction, number: int) -> None:
    target, training_mean = prediction.targets[number], prediction.training_means[number]
    colour = COLOURS[number % len(COLOURS)]
    time_s, mean, std = _with_breaks(person, number)
    under, over = mean - np.nan_to_num(std), mean + np.nan_to_num(std)
    axes.fill_between(time_s, under, over, color=colour, alpha=BAND, lw=0)
    width = 1.5 if len(person.clips) <= BOLD_UP_TO else 0.5
    axes.plot(time_s, mean, color=colour, lw=width, marker="o" if len(person.clips) <= DOTS_UP_TO else "", ms=3)
    if training_mean is not None:
        axes.axhline(training_mean, color=QUIET, lw=0.8, ls=DASHED)
    low, high = shown_range(target, under, over)  # what lies outside the scale is shown, not cut off
    if low < 0 < high:
        axes.axhline(0, color=HATCH, lw=0.8)
    _shade(axes, person)
    low, high = low - (high - low) * MARGIN, high + (high - low) * MARGIN
    axes.set_ylim(low, high)
    axes.set_yticks(ticks := value_ticks(low, high, 4), [number_text(tick) for tick in ticks])
    _say_beyond(axes, target, person.clips.mean[:, number])
    most, size = (MOST_LABEL, 10) if len(prediction.targets) <= TALL_UP_TO else (MOST_LABEL - 4, 8)
    name, unit = (shortened(spelled(text), most) for text in (target.name, target.unit))
    axes.set_ylabel(f"{name}\n({unit})" if unit else name, color=colour, fontsize=size)
    axes.grid(axis="y", color=RULE, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _say_beyond(axes: "Axes", target: Target, mean: Array) -> None:
    """Lines at the ends of a scale that the curve leaves, and in words how often it does."""
    low, high = limits(target)
    sides = ((mean < low, target.low), (mean > high, target.high))
    for side, end in sides:
        if side.any():
            axes.axhline(end, color=QUIET, lw=1.0, ls=DOTTED)
    if out := int(sum(side.sum() for side, _ in sides)):
        scale = f"{number_text(target.low)} to {number_text(target.high)}"
        axes.set_title(f"{out} beyond the scale of {scale}", loc="right", fontsize=8, color=QUIET, pad=2)


def _with_breaks(person: PersonPrediction, number: int) -> tuple[Array, Array, Array]:
    """Middle of each clip, its mean and spread, with NaN between clips too far apart to be joined."""
    middle = (person.start_s + person.end_s) / 2
    mean, std = person.clips.mean[:, number], person.clips.std[:, number]
    if len(middle) < 2:
        return middle, mean, std
    steps = np.diff(middle)
    breaks = np.flatnonzero(steps > JOINED_WITHIN * np.median(steps)) + 1
    mean, std = (np.insert(values.astype(np.float64), breaks, np.nan) for values in (mean, std))
    return np.insert(middle, breaks, middle[breaks - 1]), mean, std


def _shade(axes: "Axes", person: PersonPrediction) -> None:
    """Hatched where there is nothing to say, tinted where the features are unlike the training recordings."""
    left, right = person.edges_s()
    unsaid = np.isnan(person.clips.mean).all(1)
    for start, stop in _stretches(np.asarray(unsaid), left, right):
        axes.axvspan(start, stop, facecolor="none", edgecolor=HATCH, hatch="////", lw=0)
    for start, stop in _stretches(person.clips.out_of_range, left, right):
        axes.axvspan(start, stop, color=OUT_OF_RANGE, alpha=TINT, lw=0)


def _stretches(flag: Array, left: Array, right: Array) -> list[tuple[float, float]]:
    """Runs of flagged clips as (start, end) in seconds."""
    if not flag.any():
        return []
    change = np.diff(np.concatenate([[0], flag.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(change == 1), np.flatnonzero(change == -1) - 1
    return [(float(left[start]), float(right[stop])) for start, stop in zip(starts, stops, strict=True)]


def _draw_coverage(axes: "Axes", person: PersonPrediction) -> None:
    left, right = person.edges_s()
    if len(left):
        # One outline: a bar a clip takes seconds where clips are dense.
        edges = np.stack([left, right], 1).ravel()
        axes.fill_between(edges, np.repeat(person.clips.coverage, 2), color=COLOURS[0], lw=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "100 %"], fontsize=7)
    axes.set_ylabel("face", rotation=0, ha="right", va="center")
    axes.spines[["top", "right"]].set_visible(False)
