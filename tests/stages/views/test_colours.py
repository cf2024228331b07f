"""The colours of all pictures and pages: told apart by whoever looks, on every ground that they lie on."""

import re
from itertools import combinations

import numpy as np
import pytest

from affect.cache.records import Array
from affect.stages.views import rules
from affect.stages.views.rules import COLOURS, COLOURS_DARK, DASHES, OUT_OF_RANGE, THEME, TINT

LEAST_DIFFERENCE = 16.0  # CIE dE 2000; about 1 is just seen side by side
# Linear RGB as it is seen without red, or without green cones.
# Source: Machado, Oliveira & Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE
# TVCG 15(6), 2009, severity 1.0.
SIGHT = {
    "all cones": np.eye(3),
    "no red cones": np.array([
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ]),
    "no green cones": np.array([
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ]),
}  # fmt: skip
THEMES = {"light": (COLOURS, 0), "dark": (COLOURS_DARK, 1)}


def linear(colour: Array) -> Array:
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def encoded(colour: Array) -> Array:
    kept = np.clip(colour, 0, 1)
    return np.where(kept <= 0.0031308, kept * 12.92, 1.055 * kept ** (1 / 2.4) - 0.055)


def shares(colour: str) -> Array:
    return np.array(rules.rgb(colour)) / 255


def contrast(one: Array, other: Array) -> float:
    """As WCAG 2.2 defines it."""
    light, dark = sorted((float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", THEMES)
def test_any_two_targets_are_told_apart_by_whoever_looks(theme: str, sight: str) -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    seen = {name: rgb2lab(encoded(linear(shares(name)) @ SIGHT[sight].T)) for name in THEMES[theme][0]}
    apart = {(a, b): float(deltaE_ciede2000(seen[a], seen[b])) for a, b in combinations(seen, 2)}
    assert len(apart) == 21 and min(apart.values()) >= LEAST_DIFFERENCE, min(apart.items(), key=lambda item: item[1])


@pytest.mark.parametrize("theme", THEMES)
def test_every_colour_is_readable_as_text_and_seen_as_a_line_on_the_mark_of_doubt(theme: str) -> None:
    colours, dark = THEMES[theme]
    ground = {name: shares(values[dark]) for name, values in THEME.items()}
    doubt = (1 - TINT) * ground["page"] + TINT * ground["odd"]
    for colour in colours:
        assert contrast(shares(colour), ground["page"]) >= 4.5, colour
        assert contrast(shares(colour), ground["panel"]) >= 4.5, colour
        assert contrast(shares(colour), doubt) >= 3.0, colour
    for ink in ("ink", "quiet", "accent", "other"):
        assert contrast(ground[ink], ground["page"]) >= 4.5 and contrast(ground[ink], ground["panel"]) >= 4.5, ink
    assert contrast(ground["warn-ink"], ground["warn"]) >= 4.5
    assert THEME["odd"][0] == OUT_OF_RANGE


def test_curves_that_share_a_plot_differ_by_more_than_their_colour() -> None:
    looks = [(number % len(COLOURS), number % len(DASHES)) for number in range(30)]
    assert len(set(looks)) == 30 and len(set(DASHES)) == len(DASHES) >= 5
    assert all(DASHES[number % len(DASHES)] != DASHES[(number + 1) % len(DASHES)] for number in range(30))


def test_a_colour_is_said_in_one_place() -> None:
    from importlib import resources

    folder = resources.files("affect.stages.views")
    files = [*folder.iterdir(), *(folder / "viewer_page").iterdir()]
    said = {file.name: re.findall(r"#[0-9a-fA-F]{6}\b", file.read_text("utf-8")) for file in files if "." in file.name}
    assert said.pop("rules.py") and len(said) > 15
    assert {name: colours for name, colours in said.items() if colours} == {}
