"""Marks of a report's pictures as they are rendered: seen on their ground, and clear of the words."""

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from affect.cache.metrics import Score
from affect.cache.records import Array
from affect.stages.views.charts import MOST_POINTS, bland_altman, scatter
from affect.stages.views.forest import IntervalRow, interval_figure
from affect.stages.views.html import figure, page, pictures

from .test_colours import contrast

# Of each picture, where its dots are; but for those under words, which lie over dots on a ground of their own.
DOTS = """() => [...document.querySelectorAll('svg')].map(svg => {
  const words = [...svg.querySelectorAll('text')].map(item => item.getBoundingClientRect());
  const marks = [...svg.querySelectorAll('.dots')].flatMap(path => path.getAttribute('d').split('M').filter(Boolean));
  return marks.map(at => {
    const [x, y] = at.split(/[ h]/).map(Number), place = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
    return [place.x, place.y]; }).filter(([x, y]) => !words.some(box =>
      x > box.left - 5 && x < box.right + 5 && y > box.top - 5 && y < box.bottom + 5)); })"""
CROSSED = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
  const lines = [...svg.querySelectorAll('.zero, .grid')].map(item => item.getBoundingClientRect());
  return [...svg.querySelectorAll('text.strong')].filter(text => { const a = text.getBoundingClientRect();
    return lines.some(b => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top < a.bottom - 2); })
    .map(text => text.textContent); })"""


def opened(browser: Any, path: Path, parts: list[str], width: int = 1400, scheme: str = "light") -> Any:
    path.write_text(page("pictures", [f"<main>{pictures(parts, 'pairs')}</main>"]), "utf-8")
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab.goto(path.as_uri())
    return tab


def dots(tab: Any) -> list[tuple[Array, list[tuple[float, float]]]]:
    """The whole page (H, W, 3) from 0 to 1, and where in it each picture's dots are."""
    image = np.asarray(Image.open(BytesIO(tab.screenshot(full_page=True))).convert("RGB")) / 255
    return [(image, places) for places in tab.evaluate(DOTS)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("many", [12, MOST_POINTS], ids=["few", "many"])
def test_every_dot_is_seen_at_three_to_one(browser: Any, tmp_path: Path, many: int, width: int, scheme: str) -> None:
    label = np.linspace(-1, 1, many)
    prediction = label[np.random.default_rng(0).permutation(many)]
    parts = [scatter("valence", label, prediction), bland_altman("valence", label, prediction)]
    tab = opened(browser, tmp_path / "page.html", [figure("one", part) for part in parts], width, scheme)
    for image, places in dots(tab):
        ground = image[2, 2]
        assert len(places) > 0.9 * many
        for x, y in places:
            column, row = int(x), int(y)
            near = image[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3)
            assert max(contrast(colour, ground) for colour in near) >= 3.0, (x, y)
    tab.close()


BOUNDED = [Score(0.961, -0.944, 1.0), Score(0.02, -0.2, 0.3), Score(-0.4, -0.9, 0.1)]


@pytest.mark.parametrize("width", [1400, 390])
def test_no_line_of_a_forest_plot_crosses_a_word(browser: Any, tmp_path: Path, width: int) -> None:
    rows = [IntervalRow(f"a method with a name of some length {n}", score, "model") for n, score in enumerate(BOUNDED)]
    rows.append(IntervalRow("mean", Score(math.nan, reason="predictions are constant"), "plain"))
    tab = opened(browser, tmp_path / "page.html", [interval_figure("valence: CCC", rows, "95 %", label="CCC")], width)
    assert tab.locator("svg .zero").count() == 4 and tab.locator("svg text.strong").count() == 4
    assert tab.evaluate(CROSSED) == []
    tab.close()


def test_a_caption_promises_an_interval_only_where_there_is_one_and_else_says_why() -> None:
    rows = [IntervalRow("model", score, "model") for score in BOUNDED]
    assert "<figcaption>CCC with its 95 % interval</figcaption>" in interval_figure("CCC", rows, "95 %", label="CCC")
    alone = [IntervalRow("model", Score(0.5, no_interval="one subject: no interval"), "model")]
    said = interval_figure("CCC", alone, "95 %", label="CCC")
    assert "<figcaption>CCC (no interval: one subject)</figcaption>" in said and "95 %" not in said
    assert "(no interval)</figcaption>" in interval_figure(
        "CCC", [IntervalRow("x", Score(0.1), "model")], "95 %", label=""
    )


def test_a_name_of_a_hundred_letters_ends_inside_its_picture_and_is_whole_under_the_mouse(
    browser: Any, tmp_path: Path
) -> None:
    name, values = "blunted_affect_" * 7, np.linspace(0, 1, 5)
    parts = [scatter(name, values, values), bland_altman(name, values, values)]
    parts += [interval_figure(name, [IntervalRow(name, BOUNDED[0], "model")], "95 %", label="CCC")]
    tab = opened(browser, tmp_path / "page.html", [figure(name, part) for part in parts[:2]] + parts[2:], 390)
    outside = """() => [...document.querySelectorAll('svg text')].filter(text => {
      const a = text.getBoundingClientRect(), b = text.ownerSVGElement.getBoundingClientRect();
      return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
    }).map(text => text.textContent)"""
    assert tab.evaluate(outside) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    lines = "() => [...document.querySelectorAll('figcaption')].map(item => item.clientHeight / 22)"
    assert max(tab.evaluate(lines)) <= 2.5
    tab.locator("figcaption").first.hover()
    assert max(tab.evaluate(lines)) > 2.5
    assert any(name in words for words in tab.locator("svg text title").all_text_contents())
    tab.close()
