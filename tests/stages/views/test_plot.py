"""The picture of one person's scores: what is drawn where."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from affect.cache.predictions import PersonPrediction, RangeCheck, VideoPrediction
from affect.stages.views.plot import plot_person

Person = Callable[..., PersonPrediction]
Made = Callable[..., VideoPrediction]


def test_a_picture_shows_curve_band_and_gap(person: Person, prediction: Made) -> None:
    import cv2

    made = prediction(person(1))
    picture = plot_person(made, made.persons[0])
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and image.shape[1] > 1000
    blue = np.array([0xA8, 0x67, 0x00])
    curve = np.abs(image[:180].astype(int) - blue).sum(2) < 40
    columns = np.flatnonzero(curve[:, 120:].any(0)) + 120
    gaps = np.diff(columns)
    # One gap of about ten seconds and a clip's half on both sides, in a minute.
    assert gaps.max() == pytest.approx((columns[-1] - columns[0]) * 15 / 55, rel=0.1)
    assert len(gaps[gaps > 10]) == 1


def test_a_score_outside_its_scale_is_in_the_picture_with_its_band(
    person: Person, prediction: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *words, **more: drawn.append(figure))
    made = prediction(person(1))
    clips = made.persons[0].clips
    clips.mean[2, 0], clips.std[2, 0] = 1.3, 0.4
    plot_person(made, made.persons[0])
    low, high = drawn[0].axes[0].get_ylim()
    assert low < -1 and 1.7 < high < 2
    explained = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert "nothing to say" in explained
    assert "± one standard deviation over the models; it does not rank errors" in explained


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (None, "unlike the training recordings"),
        (RangeCheck(2, None), "unlike the training recordings: not known here"),
        (RangeCheck(6, 0.034), "unlike the training recordings (by chance: 3 % of a new person's clips)"),
    ],
)
def test_the_legend_says_how_many_clips_are_marked_by_chance(
    person: Person, prediction: Made, monkeypatch: pytest.MonkeyPatch, check: RangeCheck | None, words: str
) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *words, **more: drawn.append(figure))
    made = replace(prediction(person(1)), range_check=check)
    plot_person(made, made.persons[0])
    assert words in [text.get_text() for text in drawn[0].legends[0].get_texts()]
