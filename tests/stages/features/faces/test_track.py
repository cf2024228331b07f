"""When a sighting goes on with a track: the six numbers that were calibrated, each from both sides."""

import json

import numpy as np
import pytest

from affect.configs.schema import FacesConfig
from affect.stages.features.faces.track import Sighting, Tracker

STEP_S = 0.32
Box = tuple[float, float, float, float]
BOX = (100.0, 100.0, 140.0, 140.0)


def sighting(likeness: float = 1.0, box: Box = BOX, score: float = 0.9) -> Sighting:
    """A face whose appearance has that dot product with the appearance of `sighting()`."""
    appearance = np.zeros(768, np.float32)
    appearance[:2] = likeness, np.sqrt(1 - likeness**2)
    return Sighting(np.array(box), np.zeros((5, 2)), score, appearance)


def goes_on(second: Sighting, missed: int = 0) -> bool:
    """Whether `second` goes on with the track of `sighting()`, after so many looks that found nobody."""
    tracker = Tracker(FacesConfig())
    looks = [[sighting()], *[[]] * missed, [second]]
    owners = [tracker.update(look, look * STEP_S, seen, cut=False) for look, seen in enumerate(looks)]
    assert owners[0] == [0]
    assert owners[-1] in ([0], [1])
    return owners[-1] == [0]


def beside(distance: float, scale: float = 1.0) -> Box:
    """A box whose centre lies that many sides of `BOX` to its right, and whose side is `scale` times as long."""
    centre, half = 120 + 40 * distance, 20 * scale
    return centre - half, 120 - half, centre + half, 120 + half


@pytest.mark.parametrize(("likeness", "expected"), [(0.61, True), (0.59, False)])
def test_a_face_in_the_same_place_one_look_later_may_have_changed_by_two_fifths(
    likeness: float, expected: bool
) -> None:
    assert goes_on(sighting(likeness)) == expected


@pytest.mark.parametrize("missed", [1, 3])
@pytest.mark.parametrize(("likeness", "expected"), [(0.71, True), (0.69, False), (0.61, False)])
def test_after_a_missed_look_it_must_be_more_alike_for_someone_else_may_be_there(
    likeness: float, expected: bool, missed: int
) -> None:
    assert goes_on(sighting(likeness), missed) == expected


@pytest.mark.parametrize(("likeness", "expected"), [(0.76, True), (0.74, False)])
def test_a_face_that_moved_aside_must_be_most_alike(likeness: float, expected: bool) -> None:
    assert goes_on(sighting(likeness, beside(1.2))) == expected


@pytest.mark.parametrize(("distance", "expected"), [(1.9, True), (2.1, False)])
def test_a_face_moves_two_sides_of_its_box_at_most(distance: float, expected: bool) -> None:
    assert goes_on(sighting(box=beside(distance))) == expected


@pytest.mark.parametrize(("scale", "expected"), [(1.55, True), (1.65, False), (1 / 1.55, True), (1 / 1.65, False)])
def test_a_face_that_moved_aside_stays_about_as_large(scale: float, expected: bool) -> None:
    assert goes_on(sighting(box=beside(1.5, scale))) == expected


def test_a_faint_face_goes_on_with_a_track_and_starts_none() -> None:
    tracker = Tracker(FacesConfig(start_score=0.5, continue_score=0.35))
    assert tracker.update(0, 0.0, [sighting(score=0.45)], cut=False) == [None]
    assert tracker.update(1, STEP_S, [sighting()], cut=False) == [0]
    assert tracker.update(2, 2 * STEP_S, [sighting(score=0.36)], cut=False) == [0]
    assert tracker.update(3, 3 * STEP_S, [sighting(score=0.34)], cut=False) == [None]


def doubts(likeness: float, gap: int = 0) -> list[str]:
    """What is said of ten looks at a face and ten at one that is so much like it, the tracker stored in between."""
    tracker = Tracker(FacesConfig())
    looks = [[sighting()]] * 10 + [[]] * gap + [[sighting(likeness)]] * 10
    for look, seen in enumerate(looks):
        owners = tracker.update(look, look * STEP_S, seen, cut=False)
        assert owners == [0] * len(seen)
        tracker = Tracker.from_state(FacesConfig(), json.loads(json.dumps(tracker.state())))
    return tracker.doubts()


@pytest.mark.parametrize(("likeness", "gap"), [(0.75, 0), (0.83, 0), (0.83, 3)])
def test_a_track_that_goes_over_to_somebody_alike_is_doubted_from_that_time_on(likeness: float, gap: int) -> None:
    (said,) = doubts(likeness, gap)
    assert f"track 0 from {(10 + gap) * STEP_S:.1f} s on" in said and "two people" in said


def test_a_face_that_changes_less_or_comes_back_is_not_doubted() -> None:
    assert doubts(0.95) == []
    tracker = Tracker(FacesConfig())
    said = []
    for look in range(60):
        hidden = 20 <= look < 30  # a hand is before the face
        tracker.update(look, look * STEP_S, [sighting(0.65 if hidden else 1.0)], cut=False)
        said.append(bool(tracker.doubts()))
    assert any(said[20:30]) and not any(said[30:]), "as long as it may be somebody else"
