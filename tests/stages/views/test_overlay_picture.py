"""One picture of an overlay: what is drawn where."""

from collections.abc import Callable

import numpy as np

from affect.cache.predictions import PersonPrediction, VideoPrediction
from affect.stages.views.overlay_picture import OverlayPicture

Person = Callable[..., PersonPrediction]
Made = Callable[..., VideoPrediction]


def test_a_score_outside_its_scale_stays_in_its_lane_and_doubts_have_words(person: Person, prediction: Made) -> None:
    made = prediction(person(1), person(2))
    made.persons[0].clips.mean[:, 1] = 9  # of 1 to 7
    made.persons[0].clips.out_of_range[0] = True
    drawing = OverlayPicture(made, 640, 480)
    doubtful, sure = (drawing.draw(np.zeros((480, 640, 3), np.uint8), time_s).astype(int) for time_s in (2.5, 12.5))
    lane = sure[-60:, 320:]
    orange = np.flatnonzero(((lane[..., 0] > 180) & (lane[..., 2] < 120)).any(1))
    assert len(orange) and 2 <= orange.min() <= 12  # the curve, not the rim
    header = slice(480, drawing.height_px - 2 * 60)
    amber = [int(((image[header, 150:, 0] > 180) & (image[header, 150:, 2] < 80)).sum()) for image in (doubtful, sure)]
    assert amber[0] > 50 and amber[1] == 0
