"""One picture of an overlay: what is drawn where."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from affect.cache.predictions import PersonPrediction, VideoPrediction
from affect.cache.records import Array, Target
from affect.stages.views import overlay_picture
from affect.stages.views.overlay_picture import CURVES, MOST_LANES, OverlayPicture

Person = Callable[..., PersonPrediction]
Made = Callable[..., VideoPrediction]
FRAME = np.zeros((480, 640, 3), np.uint8)
LANE, FOOTER, CURVE_FROM = 60, 22, 216  # of a picture 640 wide


def like(image: Array, colour: tuple[int, ...]) -> Array:
    """(H, W) where a picture has about this colour."""
    return np.asarray(np.abs(image.astype(int) - np.array(colour)).sum(2) < 60)


def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is drawn from now on."""
    texts: list[str] = []
    write = overlay_picture._write

    def listen(image: Array, text: str, place: tuple[int, int], scale: float, colour: tuple[int, ...]) -> None:
        texts.append(text)
        write(image, text, place, scale, colour)

    monkeypatch.setattr(overlay_picture, "_write", listen)
    return texts


def test_a_score_outside_its_scale_stays_in_its_lane_and_doubts_have_words(person: Person, prediction: Made) -> None:
    made = prediction(person(1), person(2))
    made.persons[0].clips.mean[:, 1] = 9  # of 1 to 7
    made.persons[0].clips.out_of_range[0] = True
    drawing = OverlayPicture(made, 640, 480)
    doubtful, sure = (drawing.draw(FRAME, time_s).astype(int) for time_s in (2.5, 12.5))
    rows = np.flatnonzero(like(sure[-FOOTER - LANE : -FOOTER, CURVE_FROM:], CURVES[1]).any(1))
    assert len(rows) and 2 <= rows.min() <= 12  # the curve, not the rim
    header = slice(480, drawing.height_px - 2 * LANE - FOOTER)
    amber = [int(((image[header, 150:, 0] > 180) & (image[header, 150:, 2] < 80)).sum()) for image in (doubtful, sure)]
    assert amber[0] > 50 and amber[1] == 0


@pytest.mark.parametrize("time_s", [0.0, 2.5, 30.0, 59.9])
def test_the_curve_fills_its_lane_also_at_both_ends_of_the_recording(
    person: Person, prediction: Made, time_s: float
) -> None:
    one = person(1)
    one.clips.mean[:] = 0.5, 3
    picture = OverlayPicture(prediction(one), 640, 480).draw(FRAME, time_s)
    columns = np.flatnonzero(like(picture[-FOOTER - LANE : -FOOTER], CURVES[1]).any(0))
    columns = columns[columns >= CURVE_FROM]
    # The first and last clip's middle are 2.5 s from the ends, of a window of 30 s.
    assert columns.min() <= CURVE_FROM + 60 and columns.max() >= 640 - 60


def test_a_lane_has_values_a_zero_line_and_the_length_of_its_window(
    person: Person, prediction: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = written(monkeypatch)
    one = person(1)
    one.clips.mean[:, 0] = -0.5
    one.clips.std[:] = np.nan
    picture = OverlayPicture(prediction(one), 640, 480).draw(FRAME, 10.0)
    assert {"-1", "0", "1", "2", "4", "6", "window: 30 s", "0:10", "0:20"} <= set(texts)
    lane = picture[-FOOTER - 2 * LANE : -FOOTER - LANE, CURVE_FROM + 2 : 630]
    bright = np.flatnonzero((lane.min(2) > 120).mean(1) > 0.8)
    assert len(bright) == 1 and abs(int(bright[0]) - LANE // 2) <= 1
    assert "-0.50" in texts


def test_a_score_beyond_its_scale_is_said(person: Person, prediction: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = written(monkeypatch)
    one = person(1)
    one.clips.mean[0], one.clips.std[:] = (-1.23, 7.5), np.nan
    OverlayPicture(prediction(one), 640, 480).draw(FRAME, 1.0)
    assert "-1.23 below its scale" in texts and "7.5 points above its scale" in texts


def test_many_targets_have_a_few_lanes_and_long_names_end_before_the_curve(
    person: Person, prediction: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = written(monkeypatch)
    one = person(1)
    mean = np.repeat(one.clips.mean[:, :1], 20, 1)
    one = replace(one, clips=replace(one.clips, mean=mean, std=np.full_like(mean, np.nan)))
    targets = tuple(Target(f"a measure with a long name {k}", unit="eye distances") for k in range(20))
    made = replace(prediction(), targets=targets, training_means=(None,) * 20, models=1, persons=(one,))
    drawing = OverlayPicture(made, 640, 480)
    picture = drawing.draw(FRAME, 10.0)
    assert drawing.height_px < 480 + (MOST_LANES + 1) * LANE + FOOTER
    assert f"the first {MOST_LANES} of 20; the viewer has all" in texts
    lane = picture[-FOOTER - LANE : -FOOTER]
    assert like(lane[:, :180], CURVES[(MOST_LANES - 1) % len(CURVES)]).any()  # its name
    assert lane[2:30, 184:190].max() < 100  # ends before the numbers of the axis


def test_names_of_people_close_together_do_not_lie_on_one_another(
    person: Person, prediction: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = written(monkeypatch)
    people = []
    for number, track in enumerate((0, 3, 4, 7, 12)):
        one = person(track)
        box = np.array([[20 + 12 * number, 60, 30 + 12 * number, 90]], np.float32)
        people.append(replace(one, face_box_px=np.repeat(box, len(one.face_time_s), 0)))
    OverlayPicture(prediction(*people), 640, 480).draw(FRAME, 10.0)
    assert "person 0" in texts and "person 3" not in texts
