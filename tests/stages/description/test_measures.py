"""Points of a face become measures that do not depend on where, how large and how tilted it is."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from affect.cache.records import Array
from affect.stages.description.measures import MEASURES, eye_distance, measures
from affect.stages.features.faces.crop import crop_matrix
from affect.stages.features.faces.points import MIRROR, points_in_frame

# A drawn face, y downwards: eyes 10 wide at x = -20 and 20, lids 4 apart, brows 12 above, a mouth 30 wide, open by 6.
EYE = [(-5, 0), (-2, -2), (2, -2), (5, 0), (2, 2), (-2, 2)]
OUTER = [(-15, 0), (-9, -4), (-4, -5), (0, -4), (4, -5), (9, -4), (15, 0), (9, 5), (4, 7), (0, 8), (-4, 7), (-9, 5)]
INNER = [(-12, 0), (-4, -3), (0, -3), (4, -3), (12, 0), (4, 3), (0, 3), (-4, 3)]


def face() -> Array:
    jaw = [(30 * np.cos(angle), 10 + 45 * np.sin(angle)) for angle in np.linspace(np.pi, 0, 17)]
    brows = [(x + side, -12.0) for side in (-20, 20) for x in (-8, -4, 0, 4, 8)]
    nose = [(0, 5.0 * step) for step in range(4)] + [(x, 22.0) for x in (-6, -3, 0, 3, 6)]
    eyes = [(x + side, y) for side in (-20, 20) for x, y in EYE]
    mouth = [(x, y + 35) for x, y in (*OUTER, *INNER)]
    return np.array([jaw + brows + nose + eyes + mouth], float)


def test_the_measures_of_a_drawn_face_are_its_lengths_over_the_distance_of_its_eyes() -> None:
    points = face()
    assert points.shape == (1, 68, 2)
    assert eye_distance(points) == pytest.approx([40])
    found = {name: float(values[0]) for name, values in measures(points).items()}
    assert found == pytest.approx(
        {
            "mouth_opening": 6 / 40, "mouth_width": 30 / 40, "corner_lift": 0, "brow_raise": 12 / 40,
            "eye_opening": 4 / 40,
        },
        abs=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "part", "step", "change"),
    [
        ("mouth_opening", [66], (0, 4), 4 / 40),
        ("mouth_width", [54], (4, 0), 4 / 40),
        ("corner_lift", [48, 54], (0, -4), 4 / 40),  # upwards
        ("corner_lift", [48, 54], (0, 4), -4 / 40),
        ("brow_raise", range(17, 27), (0, -4), 4 / 40),
        ("eye_opening", [40, 41, 46, 47], (0, 2), 2 / 40),
    ],
)
def test_each_measure_follows_its_movement_and_its_sign(
    name: str, part: list[int], step: tuple[float, float], change: float
) -> None:
    moved = face()
    moved[:, list(part)] += step
    difference = {key: measures(moved)[key][0] - measures(face())[key][0] for key in MEASURES}
    assert difference[name] == pytest.approx(change, rel=0.03)  # lids lowered move the eye's centre a little


def test_place_size_and_tilt_change_no_measure() -> None:
    turn = cv2.getRotationMatrix2D((3, 8), 35, 4.2)
    turned = face() @ turn[:, :2].T + turn[:, 2] + [300, -40]
    for name, values in measures(turned).items():
        assert values == pytest.approx(measures(face())[name], abs=1e-9), name


def test_a_face_without_a_distance_of_eyes_has_no_measures() -> None:
    points = np.concatenate([np.zeros((1, 68, 2)), face()])
    for values in measures(points).values():
        assert np.isnan(values).tolist() == [True, False]
    assert all(values.shape == (0,) for values in measures(np.zeros((0, 68, 2))).values())


@pytest.mark.parametrize("crop", ["aligned", "box"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_points_of_a_crop_come_back_to_their_place_in_the_frame(crop: str, mirrored: bool) -> None:
    boxes = np.array([[100, 80, 220, 230], [10, 20, 60, 90]], np.float32)
    eyes = np.array([[[130, 130], [190, 120], [0, 0], [0, 0], [0, 0]], [[20, 50], [45, 52], [0, 0], [0, 0], [0, 0]]])
    wanted = np.array([[[150, 150], [130, 130], [100, 80]], [[30, 60], [20, 50], [60, 90]]], float)
    matrices = [crop_matrix(crop, box, marks, 112) for box, marks in zip(boxes, eyes, strict=True)]
    seen = np.stack([p @ m[:, :2].T + m[:, 2] for p, m in zip(wanted, matrices, strict=True)]) / 112
    if mirrored:
        seen[..., 0] = 1 - seen[..., 0]
    found = points_in_frame(seen, boxes, eyes.astype(np.float32), crop, mirrored=mirrored)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_a_mirrored_face_has_the_same_points_and_measures() -> None:
    assert sorted(MIRROR) == list(range(68)) and [MIRROR[MIRROR[point]] for point in range(68)] == list(range(68))
    raised = face()
    raised[:, 48:60, 1] -= 3
    mirrored = (raised * [-1, 1])[:, MIRROR]
    np.testing.assert_allclose(np.delete(mirrored, range(27, 36), 1), np.delete(raised, range(27, 36), 1), atol=1e-9)
    for name, values in measures(mirrored).items():
        assert values == pytest.approx(measures(raised)[name], abs=1e-12), name


def test_points_of_a_whole_frame_lie_in_its_square() -> None:
    box, none = np.array([[40, 0, 140, 100]], np.float32), np.full((1, 5, 2), np.nan, np.float32)
    found = points_in_frame(np.array([[[0, 0], [0.5, 0.25], [1, 1]]]), box, none, "aligned")
    assert found.tolist() == [[[40, 0], [90, 25], [140, 100]]]


def test_the_golden_points_are_faces(root: Path) -> None:
    file = root.parent / "shared" / "reference" / "face_api.npz"
    if not file.is_file():
        pytest.skip("the reference is not here")
    points = np.load(file)["landmarks/output"].reshape(-1, 68, 2)
    found = measures(points)
    assert (found["brow_raise"] > 0.1).all() and (found["mouth_width"] > 0.3).all() and (found["eye_opening"] > 0).all()
