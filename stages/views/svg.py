"""Axes, marks and their SVG: pictures that stand in a page, follow its theme, and speak to a screen reader.

Every picture is 360 units wide, so that its text is as large on a phone as in a column of a wide page. Colours are
classes of the page's style sheet, never values.

Why not matplotlib, which the package has: a report holds a picture for every held-out video. Measured on a scatter of
600 points, this file's SVG is 9.6 kB and takes 17 ms, matplotlib's 98 kB and 343 ms; and matplotlib's has fixed colours
in place of the page's theme and no aria-label.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.records import Array
from ...configs.plain_text import shortened
from .rules import clock_text, clock_ticks, escaped, number_text, value_ticks

WIDTH = 360
MOST_NAME = 36  # characters of a name in a picture; the whole of a longer one shows where the mouse rests
MOST_TEXT = 62  # and of any words


@dataclass(frozen=True, slots=True)
class Axes:
    """A rectangle of a picture and the values its edges stand for."""

    x: tuple[float, float]
    y: tuple[float, float]
    height: float = 240.0
    top: float = 10.0
    left: float = 46.0
    right: float = 10.0
    bottom: float = 36.0

    def px(self, values: Array | float) -> Array:
        """Where x values lie in the picture."""
        return self._place(values, self.x, self.left, WIDTH - self.right)

    def py(self, values: Array | float) -> Array:
        """Where y values lie in the picture."""
        return self._place(values, self.y, self.top + self.height - self.bottom, self.top)

    def grid(
        self, x_label: str = "", y_label: str = "", *, x_clock: bool = False, x_values: bool = True, y_ticks: int = 5
    ) -> str:
        """Grid lines, their values, and the names of both axes."""
        floor, wall = self.top + self.height - self.bottom, WIDTH - self.right
        parts = []
        for value in clock_ticks(*self.x, count=5) if x_clock else value_ticks(*self.x):
            x = float(self.px(value))
            parts.append(line(x, self.top, x, floor, "grid"))
            if x_values:
                parts.append(
                    text(x, floor + 13, clock_text(value) if x_clock else number_text(value), "tick", "middle")
                )
        for value in value_ticks(*self.y, count=y_ticks):
            y = float(self.py(value))
            parts.append(line(self.left, y, wall, y, "grid"))
            parts.append(text(self.left - 5, y + 3.5, number_text(value), "tick", "end"))
        if x_label:
            parts.append(text((self.left + wall) / 2, floor + 28, x_label, "name", "middle", most=MOST_NAME + 10))
        if y_label:
            x, y = 11.0, (self.top + floor) / 2
            parts.append(text(x, y, y_label, "name", "middle", most=MOST_NAME, transform=f"rotate(-90 {x:g} {y:.1f})"))
        return "".join(parts)

    @staticmethod
    def _place(values: Array | float, span: tuple[float, float], start: float, stop: float) -> Array:
        low, high = span
        share = (np.asarray(values, np.float64) - low) / ((high - low) or 1.0)
        return start + np.clip(share, -0.05, 1.05) * (stop - start)


def svg(height: float, title: str, description: str, parts: Iterable[str]) -> str:
    """One picture, named and described for those who do not see it."""
    words = escaped(f"{title}. {description}")
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{words}">{"".join(parts)}</svg>'


def line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    """A straight line."""
    return f'<path class="{kind}" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'


def text(
    x: float, y: float, words: str, kind: str, anchor: str = "start", *, transform: str = "", most: int = MOST_TEXT
) -> str:
    """Words at a place; of many, the beginning and the end."""
    whole = f"<title>{escaped(words)}</title>" if len(words) > most else ""
    turned = f' transform="{transform}"' if transform else ""
    shown = escaped(shortened(words, most)) + whole
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>{shown}</text>'


def points(x: Array, y: Array, kind: str) -> str:
    """Dots, as strokes without length: thousands of them stay a small file.

    Within one path colours do not add up. Many dots are dealt out to several, so that crowded places are darker.
    """
    layers = min(-(-len(x) // 500), 8)
    many = " many" if layers > 1 else ""
    return "".join(
        f'<path class="{kind} dots{many}" d="'
        f'{"".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[layer::layers], y[layer::layers], strict=True))}"/>'
        for layer in range(layers)
    )


def curve(x: Array, y: Array, kind: str) -> str:
    """A line through the points; it breaks where y is not a number, and a lone point becomes a dash."""
    parts: list[str] = []
    known = np.isfinite(y)
    for number in np.flatnonzero(known):
        after_gap = number == 0 or not known[number - 1]
        alone = after_gap and (number + 1 == len(y) or not known[number + 1])
        place = f"{x[number]:.1f} {y[number]:.1f}"
        parts.append(f"M{place}h.1" if alone else f"{'M' if after_gap else 'L'}{place}")
    return f'<path class="{kind}" d="{"".join(parts)}"/>' if parts else ""


def steps(start: Array, end: Array, y: Array, kind: str) -> str:
    """A level from start to end for each finite value, joined where the next begins at once."""
    parts: list[str] = []
    last = math.nan
    for a, b, level in zip(start, end, y, strict=True):
        if not math.isfinite(level):
            last = math.nan
            continue
        parts.append(f"{'L' if abs(a - last) < 0.5 else 'M'}{a:.1f} {level:.1f}L{b:.1f} {level:.1f}")
        last = b
    return f'<path class="{kind}" d="{"".join(parts)}"/>' if parts else ""


def rectangle(x: float, y: float, width: float, height: float, kind: str) -> str:
    """A filled rectangle."""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"/>'


def legend(y: float, names: Sequence[tuple[str, str]], left: float) -> str:
    """Names with their marks, in a row; (class, name)."""
    parts, x = [], left
    for kind, name in names:
        parts += [line(x, y, x + 16, y, kind), text(x + 20, y + 3.5, name, "tick")]
        x += 34 + 5.8 * len(name)
    return "".join(parts)


def padded(*columns: Array, share: float = 0.04) -> tuple[float, float]:
    """The range of all finite values and a little more; (0, 1) where there is none."""
    values = np.concatenate([np.asarray(column, np.float64).ravel() for column in columns])
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = (high - low) * share or max(abs(low), 1.0) * 0.1
    return low - margin, high + margin
