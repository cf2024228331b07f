"""The picture of one person's scores: what is drawn where."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from affect.cache.description import Description
from affect.cache.predictions import PersonPrediction, RangeCheck, VideoPrediction
from affect.cache.records import Target
from affect.stages.views.plot import plot_person
from affect.stages.views.rules import COLOURS, rgb

Person = Callable[..., PersonPrediction]
Made = Callable[..., VideoPrediction]


def test_a_picture_shows_curve_band_and_gap(person: Person, prediction: Made) -> None:
    import cv2

    made = prediction(person(1))
    picture = plot_person(made, made.persons[0])
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and image.shape[1] > 1000
    blue = np.array(rgb(COLOURS[0])[::-1])
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


def drawn_figure(monkeypatch: pytest.MonkeyPatch, made: VideoPrediction) -> Any:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *words, **more: drawn.append(figure))
    plot_person(made, made.persons[0])
    return drawn[0]


def test_scores_beyond_their_scale_are_counted_in_words_beside_the_end_of_the_scale(
    person: Person, prediction: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prediction(person(1))
    made.persons[0].clips.mean[[0, 2], 0] = -1.23, 1.3
    figure = drawn_figure(monkeypatch, made)
    assert figure.axes[0].get_title(loc="right") == "2 beyond the scale of \N{MINUS SIGN}1 to 1"
    assert figure.axes[1].get_title(loc="right") == ""


def test_where_no_clip_has_a_score_the_picture_is_a_sentence(
    person: Person, prediction: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prediction(person(1))
    clips = made.persons[0].clips
    clips.mean[:], clips.std[:], clips.reason[:] = np.nan, np.nan, 1
    figure = drawn_figure(monkeypatch, made)
    assert figure.axes == [] and figure.get_size_inches()[1] < 1.5
    words = "There is no curve to draw: no face in the clip (1:00 of recording)."
    assert words in [text.get_text() for text in figure.texts]


def test_twenty_measures_without_scales_are_drawn_with_their_units_inside_the_picture(
    person: Person, prediction: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = person(1)
    mean = np.repeat(one.clips.mean[:, :1], 20, 1) * 30
    nothing = np.full(len(mean), np.nan, np.float32)
    clips = replace(one.clips, mean=mean, std=np.full_like(mean, np.nan), distance=nothing)
    targets = tuple(Target(f"measure {k}", unit="of the picture's height") for k in range(20))
    made = prediction()
    made = replace(made, targets=targets, training_means=(None,) * 20, models=1, persons=(replace(one, clips=clips),))
    made = replace(made, description=Description((), ()))
    figure = drawn_figure(monkeypatch, made)
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_ylim()
    assert -30 < low < high < 30 and figure.get_size_inches()[1] > 20
    for axes in figure.axes[:20]:
        assert axes.yaxis.label.get_window_extent().height <= axes.get_window_extent().height * 1.3
    legend = figure.legends[0]
    words = [text.get_text() for text in legend.get_texts()]
    assert "value, at the middle of its stretch of time" in words and not any("training" in word for word in words)


def test_the_whole_legend_is_in_the_picture(person: Person, prediction: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn_figure(monkeypatch, replace(prediction(person(1)), range_check=RangeCheck(6, 0.034)))
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and len(figure.legends[0].get_texts()) == 5
