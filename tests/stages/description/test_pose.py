"""Turn, nod and tilt from five points, against heads whose turn is known: nobody's head is the average one."""

import numpy as np
import pytest

from affect.stages.description.pose import HEAD, head_pose


def rotation(turn: float, nod: float, tilt: float) -> np.ndarray:
    """The head's own axes (right, down, away) in the picture's: tilt first, then nod, then turn. Degrees."""
    t, n, r = np.radians([turn, nod, tilt])
    about_away = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    about_right = np.array([[1, 0, 0], [0, np.cos(n), np.sin(n)], [0, -np.sin(n), np.cos(n)]])
    about_down = np.array([[np.cos(t), 0, -np.sin(t)], [0, 1, 0], [np.sin(t), 0, np.cos(t)]])
    return np.asarray(about_down @ about_right @ about_away)


def seen(head: np.ndarray, turn: float, nod: float, tilt: float, distance: float = 1e6) -> np.ndarray:
    """Its five points in the picture, from `distance` eye distances away."""
    points = (head - head.mean(0)) @ rotation(turn, nod, tilt).T
    return np.asarray(points[:, :2] / (1 + points[:, 2:] / distance))


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (30, 0, 0), (-30, 0, 0), (0, 20, 0), (0, -20, 0), (0, 0, 25), (25, -15, 10)]
)
def test_the_average_head_has_its_own_angles(angles: tuple[float, float, float]) -> None:
    at = seen(HEAD, *angles) * 40 + [100, 80]
    np.testing.assert_allclose(head_pose(at[None])[0], angles, atol=0.01)


def test_which_way_is_positive() -> None:
    right, up, falling = (seen(HEAD, *angles) for angles in ((30, 0, 0), (0, 20, 0), (0, 0, 20)))
    middle = HEAD[:2].mean(0)[:2]
    assert (right[2] - right[:2].mean(0))[0] > 0.1, "the nose goes to the right of the picture"
    assert (up[2] - up[:2].mean(0))[1] < (HEAD[2, :2] - middle)[1], "the nose goes up"
    assert falling[1, 1] > falling[0, 1], "the eye on the right is lower"


def test_heads_of_other_people_are_off_by_a_constant_and_followed_in_their_turns() -> None:
    random = np.random.default_rng(0)
    turns, nods = random.uniform(-35, 35, 200), random.uniform(-20, 20, 200)
    slopes, offsets = [], []
    for _ in range(100):
        head = HEAD + random.normal(0, 0.03, HEAD.shape)  # of an eye distance: 2 mm
        points = np.stack([seen(head, turn, nod, 0, distance=12) for turn, nod in zip(turns, nods, strict=True)])
        points += random.normal(0, 0.01, points.shape)  # of the detector
        found = head_pose(points)
        slopes.append(np.corrcoef(found[:, 0], turns)[0, 1])
        offsets.append([np.median(found[:, 0] - turns), np.median(found[:, 1] - nods)])
    assert np.min(slopes) > 0.98
    half, most = np.percentile(np.abs(offsets), [50, 95], axis=0)
    assert half.max() < 4 and most.max() < 10, "as docs/describe.md says"


def test_a_missing_point_or_no_view_of_a_head_has_no_angle() -> None:
    whole = seen(HEAD, 10, 0, 0)
    missing, one_point, line = whole.copy(), np.zeros((5, 2)), whole * [1, 0]
    missing[3] = np.nan
    found = head_pose(np.stack([whole, missing, one_point, line]))
    assert np.isfinite(found[0]).all() and np.isnan(found[1:]).all()
    assert head_pose(np.zeros((0, 5, 2))).shape == (0, 3)
