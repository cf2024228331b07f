"""A face that changes is told from one that only turns, comes nearer, or is somebody else's."""

import numpy as np

from affect.stages.description.expressivity import ROWS_AT_ONCE, expressivity
from affect.stages.description.series import MOVEMENT, NOD, SIZE, TILT, TURN

FRAMES, SIZE_D = 3000, 40


def places(random: np.random.Generator, frames: int = FRAMES) -> dict[str, np.ndarray]:
    """How a head is held, frame by frame."""
    turn, nod, tilt = (np.cumsum(random.normal(0, 2, frames)) for _ in range(3))
    return {TURN: turn, NOD: nod, TILT: tilt, SIZE: np.exp(random.normal(-1, 0.1, frames)), MOVEMENT: np.zeros(frames)}


def features(random: np.random.Generator, place: dict[str, np.ndarray], mood: np.ndarray) -> np.ndarray:
    """A usual face, moved by how the head is held, and by a mood along a direction of its own."""
    usual, of_turn, of_nod, of_mood = random.normal(size=(4, SIZE_D))
    held = np.outer(place[TURN] / 20, of_turn) + np.outer(place[NOD] / 20, of_nod)
    noise = 0.05 * random.normal(size=(len(mood), SIZE_D))
    return np.asarray(3 * usual + held + np.outer(mood, of_mood) + noise)


def found_of(values: np.ndarray, people: list[tuple[np.ndarray, dict[str, np.ndarray]]]) -> list[np.ndarray]:
    return expressivity(lambda start, stop: values[start:stop].astype(np.float16), len(values), people, over="usual")


def test_it_follows_what_the_face_does_and_not_how_the_head_is_held() -> None:
    random = np.random.default_rng(0)
    place, mood = places(random), np.repeat(random.uniform(-1, 1, FRAMES // 10), 10)
    values = features(random, place, mood)
    (found,) = found_of(values, [(np.arange(FRAMES), place)])
    moved = np.abs(mood - mood.mean())
    assert np.corrcoef(found, moved)[0, 1] > 0.95
    assert abs(np.corrcoef(found, np.abs(place[TURN] - place[TURN].mean()))[0, 1]) < 0.25


def test_a_still_face_that_turns_has_nearly_none() -> None:
    random = np.random.default_rng(1)
    place = places(random)
    (still,) = found_of(features(random, place, np.zeros(FRAMES)), [(np.arange(FRAMES), place)])
    (lively,) = found_of(features(random, place, random.uniform(-1, 1, FRAMES)), [(np.arange(FRAMES), place)])
    assert still.mean() < 0.2 * lively.mean()


def test_two_people_of_one_video_are_each_compared_with_themselves() -> None:
    """Their rows lie among each other; each has the numbers that they would have alone."""
    random = np.random.default_rng(2)
    one, other = places(random), places(random)
    first, second = features(random, one, np.zeros(FRAMES)), features(random, other, random.uniform(-1, 1, FRAMES))
    both = np.stack([first, second], 1).reshape(2 * FRAMES, SIZE_D)
    assert len(both) > 0 and ROWS_AT_ONCE > 0
    found = found_of(both, [(2 * np.arange(FRAMES), one), (2 * np.arange(FRAMES) + 1, other)])
    for together, (values, place) in zip(found, ((first, one), (second, other)), strict=True):
        np.testing.assert_allclose(together, found_of(values, [(np.arange(FRAMES), place)])[0], rtol=1e-5)


def test_pieces_make_no_difference() -> None:
    random = np.random.default_rng(3)
    many = 2 * ROWS_AT_ONCE + 17
    place = places(random, many)
    values = features(random, place, random.uniform(-1, 1, many))
    row = np.arange(many)
    row[::7] = -1  # not seen there
    seen = np.flatnonzero(row >= 0)
    (found,) = found_of(values, [(row, place)])
    assert np.isnan(found[::7]).all() and np.isfinite(found[seen]).all()
    terms = np.stack([place[TURN], place[NOD], place[TILT], np.log(place[SIZE]), place[TURN] ** 2, place[NOD] ** 2], 1)[
        seen
    ]
    terms = np.hstack([np.ones((len(seen), 1)), (terms - terms.mean(0)) / terms.std(0)])
    own = values[seen].astype(np.float16).astype(np.float64)
    apart = own - terms @ np.linalg.lstsq(terms, own, rcond=None)[0]
    expected = np.sqrt((apart**2).mean(1)) / np.sqrt((own.mean(0) ** 2).mean())
    np.testing.assert_allclose(found[seen], expected, rtol=1e-3)


def test_nobody_and_a_single_frame() -> None:
    place = places(np.random.default_rng(4), 5)
    row = np.array([-1, 0, -1, -1, -1])
    nobody, once = found_of(np.ones((1, 4)), [(np.full(5, -1), place), (row, place)])
    assert np.isnan(nobody).all()
    assert once[1] == 0 and np.isnan(once[[0, 2, 3, 4]]).all()
