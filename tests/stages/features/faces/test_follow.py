"""Who is who: crossing faces, missed looks, cuts, occlusions, and what a frame without a row is called."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from affect.cache.records import Array, FrameStatus
from affect.configs.schema import FacesConfig
from affect.stages.features.faces.crop import crop_matrix, cut_out, describe
from affect.stages.features.faces.cuts import CutFinder
from affect.stages.features.faces.detect import CenterFace, input_size
from affect.stages.features.faces.follow import FollowedFrame, Follower, KeptFrame

Scene = list[tuple[Array, int, int]]  # pictures with their upper left corners
WIDTH, HEIGHT = 420, 240


@pytest.fixture(scope="session")
def detector() -> CenterFace:
    return CenterFace()


def draw(scene: Scene, ground: int = 110) -> Array:
    frame = np.full((HEIGHT, WIDTH, 3), ground, np.uint8)
    for picture, left, top in scene:
        frame[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return frame


def follow(
    detector: CenterFace,
    scenes: Sequence[Scene | None],
    rate: float = 3.125,
    config: FacesConfig | None = None,
    through_state: bool = False,
) -> tuple[list[FollowedFrame], dict[int, int]]:
    """Frames of the scenes (None: damaged), followed in chunks of eight, the next of which is begun already."""
    config = config or FacesConfig()
    follower, cuts, done = Follower(config, detector, 224), CutFinder(config.cut_threshold), []
    frames = []
    for number, scene in enumerate(scenes):
        image = None if scene is None else draw(scene)
        cut = False
        if image is not None:
            thumbnail: Array = image[::10, :: WIDTH // 32, 0]
            cuts.see(thumbnail.copy)
            cut = cuts.keep()
        frames.append(KeptFrame(number, number, number / rate, image, scene is None, cut))
    with ThreadPoolExecutor(2) as pool:
        begun = deque([follower.begin(frames[:8], pool)])
        for start in range(8, len(frames) + 8, 8):
            begun.append(follower.begin(frames[start : start + 8], pool))
            done += follower.follow(begun.popleft())
            if through_state:
                follower = Follower.from_state(config, detector, 224, follower.state())
                done += follower.follow(follower.begin(frames[len(done) : start], pool))
                begun = deque([follower.begin(frames[start : start + 8], pool)])
    done += follower.finish()
    assert [frame.kept.number for frame in done] == list(range(len(scenes)))
    return done, follower.persons()


def tracks(frames: Sequence[FollowedFrame]) -> list[list[int]]:
    return [[face.track for face in frame.faces] for frame in frames]


def test_faces_are_found_where_they_are(detector: CenterFace, astronaut: Array, stranger: Array) -> None:
    found = detector.detect([draw([(astronaut, 20, 60), (stranger, 260, 60)]), draw([])])
    assert [len(one) for one in found] == [2, 0]
    order = np.argsort(found[0].box_px[:, 0])
    centres = (found[0].box_px[order, :2] + found[0].box_px[order, 2:]) / 2
    np.testing.assert_allclose(centres, [[80, 120], [320, 120]], atol=15)
    eyes = found[0].landmarks_px[order][:, :2]
    assert (eyes[:, 0, 0] < eyes[:, 1, 0]).all()
    assert (found[0].landmarks_px[:, 2:, 1].min(1) > found[0].landmarks_px[:, :2, 1].max(1)).all()


def test_a_batch_finds_what_single_pictures_do(detector: CenterFace, astronaut: Array) -> None:
    pictures = [draw([(astronaut, 30 * n, 50)]) for n in range(4)] + [astronaut]
    for together, alone in zip(detector.detect(pictures), [detector.detect([p])[0] for p in pictures], strict=True):
        np.testing.assert_allclose(together.box_px, alone.box_px, atol=1e-2)
        np.testing.assert_allclose(together.score, alone.score, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "expected"), [((1920, 1080), (320, 192)), ((1080, 1920), (320, 576)), ((100, 4000), (32, 640))]
)
def test_the_input_is_320_wide_and_no_side_over_640(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert input_size(*size, 320)[1] == expected


def test_one_face_is_one_track_over_a_missed_second(detector: CenterFace, astronaut: Array) -> None:
    scenes: list[Scene | None] = [[(astronaut, 100 + 5 * n, 60)] for n in range(12)]
    scenes[4:7] = [[], [], []]
    frames, _ = follow(detector, scenes)
    assert tracks(frames) == [[0]] * 4 + [[]] * 3 + [[0]] * 5
    assert [frame.status for frame in frames[3:8]] == [0, 1, 1, 1, 0]


def test_a_face_gone_for_longer_than_two_seconds_is_a_new_track_of_the_same_person(
    detector: CenterFace, astronaut: Array
) -> None:
    scenes: list[Scene | None] = [[(astronaut, 100 + 3 * n, 60)] for n in range(24)]
    scenes[8:16] = [[]] * 8
    frames, persons = follow(detector, scenes)
    assert tracks(frames)[7] == [0]
    assert tracks(frames)[16] == [1]
    assert persons == {1: 0}


def test_someone_else_in_the_same_place_is_never_the_same_track(
    detector: CenterFace, astronaut: Array, stranger: Array
) -> None:
    for gap in (0, 1, 3):
        scenes: list[Scene | None] = [*[[(astronaut, 100, 60)]] * 6, *[[]] * gap, *[[(stranger, 100, 60)]] * 6]
        frames, persons = follow(detector, scenes)
        assert {track for row in tracks(frames)[:6] for track in row} == {0}
        assert {track for row in tracks(frames)[6 + gap :] for track in row} == {1}
        assert persons == {}


@pytest.mark.parametrize("rate", [3.125, 25.0])
def test_faces_that_cross_keep_their_tracks(
    detector: CenterFace, astronaut: Array, stranger: Array, rate: float
) -> None:
    steps = int(4 * rate)
    scenes: list[Scene | None] = [
        [(astronaut, 10 + 280 * n // steps, 20), (stranger, 290 - 280 * n // steps, 100)] for n in range(steps)
    ]
    frames, persons = follow(detector, scenes, rate)
    first = {face.track: face.box_px[1] < 90 for face in frames[0].faces}
    assert sorted(first.values()) == [False, True]
    above = {track for track, is_above in first.items() if is_above}
    for frame in frames:
        for face in frame.faces:
            person = persons.get(face.track, face.track)
            assert (person in above) == (face.landmarks_px[0, 1] < 90), frame.kept.number


def test_two_on_screen_at_once_are_never_one_person(detector: CenterFace, astronaut: Array) -> None:
    scenes: list[Scene | None] = [[(astronaut, 20, 60), (astronaut, 260, 60)]] * 10
    frames, persons = follow(detector, scenes)
    assert tracks(frames) == [[0, 1]] * 10
    assert persons == {}


def test_a_person_is_linked_across_a_cut_and_another_is_not(
    detector: CenterFace, astronaut: Array, stranger: Array
) -> None:
    wall = np.full((HEIGHT, WIDTH, 3), 230, np.uint8)
    scenes: list[Scene | None] = [
        *[[(astronaut, 100, 60)]] * 8,
        *[[(wall, 0, 0), (stranger, 100, 60)]] * 8,
        *[[(astronaut, 150, 80)]] * 8,
        *[[(wall, 0, 0), (stranger, 90, 70)]] * 8,
    ]  # fmt: skip
    frames, persons = follow(detector, scenes)
    shots = [{track for row in tracks(frames)[start : start + 8] for track in row} for start in (0, 8, 16, 24)]
    assert shots == [{0}, {1}, {2}, {3}]
    assert persons == {2: 0, 3: 1}


def test_between_looks_boxes_are_interpolated(detector: CenterFace, astronaut: Array) -> None:
    scenes: list[Scene | None] = [[(astronaut, 40 + 4 * n, 60)] for n in range(50)]
    frames, _ = follow(detector, scenes, rate=25)
    assert tracks(frames) == [[0]] * 50
    left = np.array([frame.faces[0].box_px[0] for frame in frames])
    np.testing.assert_allclose(np.diff(left), 4, atol=1.5)
    np.testing.assert_allclose(left[4:8] - left[4], np.arange(4) * (left[8] - left[4]) / 4, atol=1e-9)


def test_both_sides_of_a_cut_have_their_faces_at_full_rate(detector: CenterFace, astronaut: Array) -> None:
    wall = np.full((HEIGHT, WIDTH, 3), 230, np.uint8)
    scenes: list[Scene | None] = [*[[(astronaut, 100, 60)]] * 22, *[[(wall, 0, 0), (astronaut, 60, 60)]] * 21]
    frames, persons = follow(detector, scenes, rate=25)
    assert tracks(frames) == [[0]] * 22 + [[1]] * 21
    assert persons == {1: 0}


def test_a_frame_without_a_row_says_why(detector: CenterFace, astronaut: Array) -> None:
    small = FacesConfig(min_face_px=200)
    frames, _ = follow(detector, [[(astronaut, 100, 60)]] * 2, config=small)
    assert [frame.status for frame in frames] == [FrameStatus.TOO_SMALL] * 2
    unsure = FacesConfig(start_score=0.99)
    frames, _ = follow(detector, [[(astronaut, 100, 60)], []], config=unsure)
    assert [frame.status for frame in frames] == [FrameStatus.LOW_CONFIDENCE, FrameStatus.NO_FACE]
    frames, _ = follow(detector, [[(astronaut, 100, 60)], None, [(astronaut, 100, 60)], None, None])
    assert [frame.status for frame in frames] == [0, 4, 0, 4, 4]


def test_a_follower_from_its_state_goes_on_alike(detector: CenterFace, astronaut: Array, stranger: Array) -> None:
    scenes: list[Scene | None] = [
        [(astronaut, 10 + 3 * n, 20), (stranger, 290 - 3 * n, 100)] if n % 30 < 24 else [] for n in range(80)
    ]
    for rate in (3.125, 25.0):
        plain, persons = follow(detector, scenes, rate)
        resumed, again = follow(detector, scenes, rate, through_state=True)
        assert persons == again
        for one, other in zip(plain, resumed, strict=True):
            assert one.status == other.status
            assert [(f.track, f.score) for f in one.faces] == [(f.track, f.score) for f in other.faces]
            for face, same in zip(one.faces, other.faces, strict=True):
                np.testing.assert_array_equal(face.box_px, same.box_px)
                np.testing.assert_array_equal(face.landmarks_px, same.landmarks_px)


def test_aligned_crops_undo_turning_and_scale(detector: CenterFace, astronaut: Array) -> None:
    image = draw([(astronaut, 100, 60)])
    found = detector.detect([image])[0]
    box, marks = found.box_px[0].astype(float), found.landmarks_px[0].astype(float)
    reference = cut_out(image, crop_matrix("aligned", box, marks, 112), 112)[20:100, 25:87].astype(float)
    for angle, scale in ((20, 1.0), (-25, 0.7)):
        turn = cv2.getRotationMatrix2D((160, 120), angle, scale)
        turned = cv2.warpAffine(image, turn, (WIDTH, HEIGHT))
        there = marks @ turn[:, :2].T + turn[:, 2]
        crop = cut_out(turned, crop_matrix("aligned", box * scale, there, 112), 112)[20:100, 25:87]
        assert np.corrcoef(reference.ravel(), crop.astype(float).ravel())[0, 1] > 0.97
        seen = detector.detect([turned])[0].landmarks_px[0]
        assert np.abs(seen - there).max() < 8


def test_crops_of_large_faces_are_averaged_down() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    box = np.array([100, 100, 1100, 1100], float)
    crop = cut_out(noise, crop_matrix("box", box, np.zeros((5, 2)), 100), 100)
    assert crop.std() < 12  # a hundred pixels or more are averaged: 74 / 10
    ramp = np.repeat(np.linspace(0, 240, 1200).astype(np.uint8)[None, :, None], 1200, 0).repeat(3, 2)
    small = cut_out(ramp, crop_matrix("box", box, np.zeros((5, 2)), 100), 100)[50, :, 0].astype(float)
    at = 100 + 500 - 650 + (np.arange(100) + 0.5) * 13
    inside = (at > 20) & (at < 1180)
    np.testing.assert_allclose(small[inside], at[inside] * 240 / 1199, atol=3)


def test_descriptors_tell_people_apart(detector: CenterFace, astronaut: Array, stranger: Array) -> None:
    found = [detector.detect([draw([(face, 100 + d, 60)])])[0] for face in (astronaut, stranger) for d in (0, 7)]
    images = [draw([(face, 100 + d, 60)]) for face in (astronaut, stranger) for d in (0, 7)]
    looks = np.stack([describe(i, f.box_px[0], f.landmarks_px[0]) for i, f in zip(images, found, strict=True)])
    likeness = looks @ looks.T
    assert likeness[0, 1] > 0.95
    assert likeness[2, 3] > 0.95
    assert likeness[:2, 2:].max() < 0.6
