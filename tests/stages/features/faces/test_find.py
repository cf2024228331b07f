"""Small faces are found where a picture is wide, and large ones stay exactly as one look at 320 pixels has them."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from affect.cache.records import Array
from affect.configs.schema import FacesConfig
from affect.stages.features.faces.detect import LONGEST_PX, CenterFace, Detections
from affect.stages.features.faces.find import Finder, Glance, advice, detail_width, merge

AUTO, FIXED = FacesConfig(), FacesConfig(input_width_px=320)


@pytest.fixture(scope="session")
def detector() -> CenterFace:
    return CenterFace()


def picture(width: int, height: int) -> Array:
    """A wall with something on it."""
    noise = np.random.default_rng(7).integers(60, 190, (height // 60, width // 60, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def put(image: Array, head: Array, left: int, top: int, side: int) -> Array:
    image[top : top + side, left : left + side] = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
    return image


def gallery(head: Array, tiles: int, width: int, height: int) -> Array:
    """Tiles of a call: in each a head before a wall."""
    image, wide, high = picture(width, height), width // tiles, height // tiles
    side = round(0.72 * high)
    for number in range(tiles**2):
        row, column = divmod(number, tiles)
        put(image, head, column * wide + (wide - side) // 2, row * high + (high - side) // 2, side)
    return image


def sure(found: Detections) -> int:
    return int((found.score >= AUTO.start_score).sum())


def looks(detector: CenterFace, config: FacesConfig, images: list[Array], every_s: float = 0.2) -> list[Detections]:
    finder = Finder(detector, config)
    return found_by(finder, [Glance(image, number * every_s) for number, image in enumerate(images)])


def found_by(finder: Finder, glances: Sequence[Glance]) -> list[Detections]:
    return [finder.find(glance, usual) for glance, usual in zip(glances, finder.usual(glances), strict=True)]


@pytest.mark.parametrize(("tiles", "size"), [(5, (1280, 720)), (5, (640, 360)), (3, (1280, 720)), (3, (640, 480))])
def test_everybody_in_a_gallery_call_is_found(
    detector: CenterFace, astronaut: Array, tiles: int, size: tuple[int, int]
) -> None:
    (found,) = looks(detector, AUTO, [gallery(astronaut, tiles, *size)])
    assert sure(found) == tiles**2
    assert np.all(np.diff(found.score) <= 0)
    one = found.box_px[:, None, :]  # nobody is there twice
    centres = (found.box_px[:, :2] + found.box_px[:, 2:]) / 2
    assert np.all((centres >= one[..., :2]) & (centres <= one[..., 2:]), axis=2).sum() == len(found)


@pytest.mark.parametrize("width", [1920, 3840])
def test_a_face_of_seventy_pixels_is_found_in_a_wide_picture(
    detector: CenterFace, astronaut: Array, width: int
) -> None:
    image = put(picture(width, width * 9 // 16), astronaut, width // 3, width // 4, 145)
    (usual,), (found,) = (looks(detector, config, [image]) for config in (FIXED, AUTO))
    assert (sure(usual), sure(found)) == (0, 1)
    assert 60 < found.box_px[0, 2] - found.box_px[0, 0] < 85


@pytest.mark.parametrize("width", [1280, 1920])
def test_the_inlay_of_a_screen_share_is_found(detector: CenterFace, astronaut: Array, width: int) -> None:
    screen = np.full((width * 9 // 16, width, 3), 245, np.uint8)
    for row in range(40, len(screen) - 20, 28):
        cv2.putText(screen, "the quick brown fox 08 @ {}" * 3, (30, row), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (40, 40, 40))
    inlay = put(picture(160, 120), astronaut, 40, 20, 90)
    screen[10:130, -170:-10] = inlay
    (usual,), (found,) = (looks(detector, config, [screen]) for config in (FIXED, AUTO))
    assert (sure(usual), sure(found)) == (0, 1)
    assert found.box_px[0, 0] > width - 170


@pytest.mark.parametrize(("width", "side"), [(1920, 700), (1280, 400), (640, 260)])
def test_a_large_face_is_as_one_look_at_320_has_it(
    detector: CenterFace, astronaut: Array, width: int, side: int
) -> None:
    images = [put(picture(width, width * 9 // 16), astronaut, 50 + 5 * n, 20, side) for n in range(3)]
    for one, other in zip(looks(detector, AUTO, images, 2.5), looks(detector, FIXED, images, 2.5), strict=True):
        assert sure(one) == 1
        for name in ("box_px", "score", "landmarks_px"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_pictures_in_which_320_sees_nearly_everything_are_looked_at_once() -> None:
    sizes = [(320, 240), (400, 300), (420, 240), (240, 426), (160, 120)]
    assert [detail_width(*size) for size in sizes] == [0] * 5
    wide = [(640, 360), (1280, 720), (1920, 1080), (3840, 2160), (1080, 1920), (512, 512)]
    assert [detail_width(*size) for size in wide] == [640, 640, 960, 1280, 640, 512]


class Counting(CenterFace):
    """Counts the looks in detail."""

    closer = 0

    def detect(
        self, images: Sequence[Array], input_width_px: int | None = None, longest_px: int = LONGEST_PX
    ) -> list[Detections]:
        self.closer += input_width_px != 320
        return super().detect(images, input_width_px, longest_px)


def test_a_look_in_detail_is_rare_where_it_finds_no_more_and_constant_where_it_does(astronaut: Array) -> None:
    detector = Counting()
    large = put(picture(1280, 720), astronaut, 300, 100, 500)
    looks(detector, AUTO, [large] * 51)
    assert detector.closer == 3  # at 0, 5 and 10 s
    detector.closer = 0
    looks(detector, AUTO, [picture(1280, 720)] * 26)
    assert detector.closer == 6  # every second: nobody is there
    detector.closer = 0
    small = put(picture(1280, 720), astronaut, 900, 100, 100)
    looks(detector, AUTO, [small] * 10)
    assert detector.closer == 10
    detector.closer = 0
    found_by(Finder(detector, AUTO), [Glance(large, 0.2 * n, cut=n == 3) for n in range(8)])
    assert detector.closer == 2
    detector.closer = 0
    looks(detector, FIXED, [small] * 3)
    assert detector.closer == 0


def test_a_finder_from_its_state_goes_on_alike(detector: CenterFace, astronaut: Array) -> None:
    small, empty = gallery(astronaut, 5, 640, 360), picture(640, 360)
    images = [small, empty, empty, small, small, *[empty] * 12, small]
    whole, finder = looks(detector, AUTO, images), Finder(detector, AUTO)
    for number, image in enumerate(images):
        (found,) = found_by(finder, [Glance(image, number * 0.2)])
        np.testing.assert_allclose(found.box_px, whole[number].box_px, atol=1e-2)
        finder = Finder.from_state(detector, AUTO, finder.state())
    assert finder.state() == Finder.from_state(detector, AUTO, finder.state()).state()


def detections(*faces: tuple[float, float, float, float]) -> Detections:
    """Left, top, width and score of faces."""
    boxes = np.array([[x, y, x + side, y + 1.3 * side] for x, y, side, _ in faces], np.float32).reshape(-1, 4)
    score = np.array([face[3] for face in faces], np.float32)
    return Detections(boxes, score, np.zeros((len(faces), 5, 2), np.float32))


def test_large_faces_are_taken_from_the_usual_look_and_small_ones_from_the_one_in_detail() -> None:
    usual = detections((100, 100, 200, 0.9), (600, 100, 60, 0.4))  # large; small, and unsure
    close = detections(
        (102, 101, 198, 0.95), (601, 101, 59, 0.8), (900, 300, 50, 0.7), (160, 160, 40, 0.6), (700, 400, 120, 0.6)
    )
    found, added = merge(usual, close, 320 / 1280)
    np.testing.assert_allclose(found.score, [0.9, 0.8, 0.7])  # none in a large face, none large that 320 missed
    np.testing.assert_allclose(found.box_px[:, 0], [100, 601, 900])
    np.testing.assert_allclose(added, [0.8, 0.7])


def test_what_would_find_smaller_faces_is_said_with_what_it_gains() -> None:
    assert advice(320, 1280, 720) == (
        "--set features.faces.input_width_px=auto finds faces that are 40 px wide, 320 those of 80 px"
    )
    assert advice(640, 1280, 720).startswith("--set features.faces.input_width_px=1280 finds faces that are 20 px wide")
    assert advice("auto", 1280, 720).startswith("--set features.faces.input_width_px=1280")
    assert advice(320, 320, 240) == advice("auto", 400, 300) == advice("auto", 3840, 2160) == ""


def test_faces_at_the_limit_are_a_word_and_a_single_one_among_many_is_none(
    detector: CenterFace, astronaut: Array
) -> None:
    image = gallery(astronaut, 5, 1280, 720)
    fixed = Finder(detector, replace(FIXED, continue_score=0.25, start_score=0.5))
    found_by(fixed, [Glance(image, 0.0)])
    (said,) = fixed.problems()
    assert said.startswith("small faces: ") and "input_width_px=auto" in said
    auto = Finder(detector, AUTO)
    found_by(auto, [Glance(image, 0.0)])
    assert auto.problems() == []
