"""A picture of every target over time, with its band, its gaps and how much of each clip showed a face."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...cache.predictions import PersonPrediction, Target, VideoPrediction
from ...cache.records import Array

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

COLOURS = ("#0067a8", "#c24e00", "#00805c", "#a8487f", "#8a6100", "#5e4bb6", "#33383f")  # the viewer's
DOTS_UP_TO = 150  # clips; beyond, dots would hide the line...
BOLD_UP_TO = 1000  # ...and beyond this a bold line would be a block of colour
BAND = 0.25  # opacity
DASHES = (0, (5, 4))
MARGIN = 0.03  # of a lane's height, above and below
ODD = "#e0a100"
JOINED_WITHIN = 1.75  # typical steps between clips; further apart the line is broken


def plot_person(prediction: VideoPrediction, person: PersonPrediction, path: Path) -> None:
    """Write a PNG of one person's targets over time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lanes = len(prediction.targets)
    figure = Figure(figsize=(11, 1.5 + 1.5 * lanes), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(lanes + 1, 1, height_ratios=[1] * lanes + [0.22])
    axes = [figure.add_subplot(grid[number]) for number in range(lanes + 1)]
    for number, target in enumerate(prediction.targets):
        axes[number].sharex(axes[-1])
        axes[number].tick_params(labelbottom=False)
        _draw_target(axes[number], person, number, target)
    _draw_coverage(axes[-1], person)
    axes[-1].set_xlim(0, max(prediction.duration_s, 1e-3))
    axes[-1].xaxis.set_major_formatter(lambda value, _: clock_text(value))
    axes[-1].xaxis.set_major_locator(_clock_locator(prediction.duration_s))
    axes[-1].set_xlabel("time in the recording")
    title = prediction.video if len(prediction.persons) < 2 else f"{prediction.video}, {person.label}"
    figure.suptitle(f"{title}  ({_what(prediction, person)})", fontsize=10)
    figure.align_ylabels(axes)
    figure.legend(handles=_legend(prediction), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def clock_text(time_s: float) -> str:
    """h:mm:ss, or m:ss under an hour."""
    whole = round(time_s)
    minutes, seconds = divmod(whole, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"


def _what(prediction: VideoPrediction, person: PersonPrediction) -> str:
    clips = len(person.start_s)
    if clips == 0:
        return "no clip could be formed"
    spread = f"mean ± spread of {prediction.models} models" if prediction.models > 1 else "one model, no spread known"
    scored = int((~np.isnan(person.mean)).any(1).sum())
    odd = int(person.out_of_range.sum())
    return f"{spread}; {scored} of {clips} clips scored" + (f", {odd} unlike the training recordings" if odd else "")


def _legend(prediction: VideoPrediction) -> "list[Artist]":
    """What the marks mean: a picture is passed on without its page."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    colour = COLOURS[0]
    marks: list[Artist] = [Line2D([], [], color=colour, lw=1.5, label="score, at the middle of its clip")]
    if prediction.models > 1:
        marks.append(Patch(color=colour, alpha=BAND, lw=0, label="± one standard deviation over the models"))
    if any(target.training_mean is not None for target in prediction.targets):
        marks.append(Line2D([], [], color="0.35", lw=0.8, ls=DASHES, label="mean of the training labels"))
    marks.append(Patch(facecolor="none", edgecolor="0.7", hatch="////", lw=0, label="nothing to say"))
    marks.append(Patch(color=ODD, alpha=BAND, lw=0, label="unlike the training recordings"))
    return marks


def _draw_target(axes: "Axes", person: PersonPrediction, number: int, target: Target) -> None:
    from matplotlib.ticker import MaxNLocator

    colour = COLOURS[number % len(COLOURS)]
    time_s, mean, std = _with_breaks(person, number)
    under, over = mean - np.nan_to_num(std), mean + np.nan_to_num(std)
    axes.fill_between(time_s, under, over, color=colour, alpha=BAND, lw=0)
    clips = len(person.start_s)
    axes.plot(
        time_s, mean, color=colour, lw=1.5 if clips <= BOLD_UP_TO else 0.5, marker="o" * (clips <= DOTS_UP_TO), ms=3
    )
    if target.training_mean is not None:
        axes.axhline(target.training_mean, color="0.35", lw=0.8, ls=DASHES)
    if target.low < 0 < target.high:
        axes.axhline(0, color="0.6", lw=0.8)
    _shade(axes, person)
    said = ~np.isnan(mean)  # what lies outside the scale is shown, not cut off
    low, high = min([target.low, *under[said]]), max([target.high, *over[said]])
    axes.set_ylim(low - (high - low) * MARGIN, high + (high - low) * MARGIN)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.set_ylabel(f"{target.name}\n({target.unit})" if target.unit else target.name, color=colour)
    axes.grid(axis="y", color="0.9", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _with_breaks(person: PersonPrediction, number: int) -> tuple[Array, Array, Array]:
    """Middle of each clip, its mean and spread, with NaN between clips too far apart to be joined."""
    middle = (person.start_s + person.end_s) / 2
    if len(middle) < 2:
        return middle, person.mean[:, number], person.std[:, number]
    steps = np.diff(middle)
    breaks = np.flatnonzero(steps > JOINED_WITHIN * np.median(steps)) + 1
    spaced = [
        np.insert(values.astype(np.float64), breaks, np.nan)
        for values in (person.mean[:, number], person.std[:, number])
    ]
    return np.insert(middle, breaks, middle[breaks - 1]), spaced[0], spaced[1]


def _shade(axes: "Axes", person: PersonPrediction) -> None:
    """Hatched where there is nothing to say, tinted where the features are unlike the training recordings."""
    left, right = person.edges_s()
    unsaid = np.isnan(person.mean).all(1)
    for start, stop in _stretches(np.asarray(unsaid), left, right):
        axes.axvspan(start, stop, facecolor="none", edgecolor="0.7", hatch="////", lw=0)
    for start, stop in _stretches(person.out_of_range, left, right):
        axes.axvspan(start, stop, color=ODD, alpha=BAND, lw=0)


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
        axes.fill_between(edges, np.repeat(person.coverage, 2), color="#0067a8", lw=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "100 %"], fontsize=7)
    axes.set_ylabel("face", rotation=0, ha="right", va="center")
    axes.spines[["top", "right"]].set_visible(False)


def _clock_locator(duration_s: float) -> "Locator":
    from matplotlib.ticker import MultipleLocator

    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
    return MultipleLocator(next((step for step in steps if duration_s / step <= 12), 14400))
