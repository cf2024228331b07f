"""Who lives and who is a picture: posters, slides, frozen tiles, a shaken camera, noise, people who keep still."""

import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from affect.cache.people import Person, kind_of, people, pictures, rivals
from affect.cache.records import Array, FrameFeatures
from affect.configs.schema import FacesConfig, FeaturesConfig
from affect.stages.features.faces.detect import CenterFace
from affect.stages.features.faces.follow import Follower, KeptFrame
from affect.stages.features.faces.motion import Camera, change
from affect.stages.features.stream import FeatureExtractor
from affect.stages.film.moved_face import load_face

RATE, FRAMES = 5.0, 40
WIDTH, HEIGHT = 640, 360
HEAD = slice(20, 200), slice(135, 315)  # in the photograph
EYES_PX = ((67.5, 81.5), (112.0, 83.5))  # there
At = Callable[[int], Array]  # a picture at each look


@pytest.fixture(scope="session")
def detector() -> CenterFace:
    return CenterFace()


@pytest.fixture(scope="session")
def ground() -> Array:
    """A wall that shows where it is: blurred noise, brighter to one side."""
    noise = np.random.default_rng(5).normal(0, 1, (HEIGHT + 40, WIDTH + 40, 3)).astype(np.float32)
    wall = 130 + 120 * cv2.GaussianBlur(noise, (0, 0), 6) + np.linspace(-40, 40, WIDTH + 40)[None, :, None]
    return np.clip(wall, 0, 255).astype(np.uint8)


def head(picture: Array, side: int) -> Array:
    return cv2.resize(picture[HEAD], (side, side), interpolation=cv2.INTER_AREA)


def talking(side: int, seed: float = 0.0) -> At:
    """A face whose mouth and eyes move."""
    face = load_face()
    return lambda n: head(face.express(np.sin(0.9 * n + seed), np.sin(1.7 * n + seed)), side)


def portrait(side: int, mirrored: bool = False) -> At:
    """A photograph of somebody else."""
    picture = head(load_face().photograph, side)[..., ::-1]
    shade = np.linspace(0.45, 1.1, side)[None, :, None]
    made = np.clip((picture[:, ::-1] if mirrored else picture) * shade, 0, 255).astype(np.uint8)
    return lambda n: made


def sitting_still(side: int) -> At:
    """A face that does nothing but blink, at two of fifteen looks, and breathe."""
    opened = head(load_face().photograph, 180)
    closed = opened.astype(np.float32)
    for x, y in EYES_PX:
        mask: Array = np.zeros(opened.shape[:2], np.float32)
        cv2.ellipse(mask, (round(x), round(y)), (12, 6), 0, 0, 360, 1.0, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), 1.0)[..., None]
        skin = opened[round(y) + 12 : round(y) + 16, round(x) - 4 : round(x) + 4].reshape(-1, 3).mean(0)
        closed = closed * (1 - mask) + mask * skin

    def at(number: int) -> Array:
        picture = closed if number % 15 in (7, 8) else opened.astype(np.float32)
        breath = np.array([[1, 0, 0], [0, 1, 0.8 * np.sin(number / 3)]], np.float32)
        moved = cv2.warpAffine(picture, breath, (180, 180), borderMode=cv2.BORDER_REPLICATE)
        return cv2.resize(moved.astype(np.uint8), (side, side), interpolation=cv2.INTER_AREA)

    return at


def scenes(
    ground: Array,
    *faces: tuple[At, int, int],
    shake_px: float = 0,
    noise: float = 0,
    when: Sequence[Callable[[int], bool]] = (),
    frames: int = FRAMES,
) -> list[Array]:
    """Pictures of faces with their upper left corners before a wall; the camera may shake, the sensor add noise."""
    random, made = np.random.default_rng(1), []
    for number in range(frames):
        frame = ground[20 : 20 + HEIGHT, 20 : 20 + WIDTH].copy()
        for place, (at, left, top) in enumerate(faces):
            if place < len(when) and not when[place](number):
                continue
            picture = at(number)
            frame[top : top + len(picture), left : left + len(picture)] = picture
        if shake_px:
            turn = cv2.getRotationMatrix2D(
                (WIDTH / 2, HEIGHT / 2), 0.6 * np.sin(number), 1 + 0.005 * np.sin(2.3 * number)
            )
            turn[:, 2] = turn[:, 2] + shake_px * np.sin([1.9 * number, 2.7 * number + 1]) + random.normal(0, 0.3, 2)
            frame = cv2.warpAffine(frame, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        if noise:
            frame = np.clip(frame + random.normal(0, noise, frame.shape), 0, 255).astype(np.uint8)
        made.append(frame)
    return made


def seen(detector: CenterFace, images: Sequence[Array]) -> tuple[list[Person], dict[int, float]]:
    """Everybody, the main person first; the left edge of each track's first face."""
    follower = Follower(FacesConfig(), detector, 112)
    frames = [KeptFrame(n, n, n / RATE, image, cut=False) for n, image in enumerate(images)]
    with ThreadPoolExecutor(1) as pool:
        begun = [follower.begin(frames[start : start + 8], pool) for start in range(0, len(frames), 8)]
        done = [frame for chunk in begun for frame in follower.follow(chunk)]
    done += follower.finish()
    left: dict[int, float] = {}
    for frame in done:
        for face in frame.faces:
            left.setdefault(face.track, float(face.box_px[0]))
    known = follower.facts()
    rows = sum(len(frame.faces) for frame in done)
    assert sum(of.frames for of in known.values()) == rows
    return people({track: of.frames for track, of in known.items()}, follower.persons(), known), left


def kinds(detector: CenterFace, images: Sequence[Array]) -> list[tuple[str, str]]:
    """Where each person is, left or right, and what kind; the main person first."""
    found, left = seen(detector, images)
    return [("left" if left[person.track] < WIDTH / 2 else "right", person.kind) for person in found]


LIVE_AND_POSTER = [("right", "live"), ("left", "still")]


@pytest.mark.parametrize("side", [90, 150, 260])
def test_a_live_face_is_meant_and_a_poster_is_none_however_large(
    detector: CenterFace, ground: Array, side: int
) -> None:
    assert kinds(detector, scenes(ground, (portrait(side), 20, 20), (talking(140), 420, 150))) == LIVE_AND_POSTER


def test_a_face_there_for_three_fifths_is_meant_before_a_poster_there_throughout(
    detector: CenterFace, ground: Array
) -> None:
    images = scenes(
        ground, (portrait(150), 20, 20), (talking(140), 420, 150), when=[lambda n: True, lambda n: n < 24]
    )  # fmt: skip
    assert kinds(detector, images) == LIVE_AND_POSTER


@pytest.mark.parametrize("flat", [False, True])
def test_in_a_shaken_picture_the_poster_keeps_still(detector: CenterFace, ground: Array, flat: bool) -> None:
    behind = np.full_like(ground, 110) if flat else ground
    images = scenes(behind, (portrait(170), 40, 60), (talking(140), 420, 150), shake_px=5)
    assert kinds(detector, images) == LIVE_AND_POSTER


def test_a_camera_that_drifts_slowly_moves_no_poster(detector: CenterFace, ground: Array) -> None:
    images = scenes(ground, (portrait(170), 40, 60), (talking(140), 420, 150))
    moved = [
        cv2.warpAffine(image, np.array([[1, 0, n / 3], [0, 1, n / 5]]), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        for n, image in enumerate(images)
    ]
    assert kinds(detector, moved) == LIVE_AND_POSTER


@pytest.mark.parametrize("shake_px", [0, 4])
def test_who_only_blinks_and_breathes_is_no_picture(detector: CenterFace, ground: Array, shake_px: float) -> None:
    images = scenes(ground, (portrait(170), 40, 60), (sitting_still(170), 420, 130), shake_px=shake_px)
    assert kinds(detector, images) == LIVE_AND_POSTER


def test_two_live_people_of_one_size_are_rivals(detector: CenterFace, ground: Array) -> None:
    found, _ = seen(detector, scenes(ground, (talking(150), 40, 100), (talking(150, seed=2.0), 430, 100)))
    assert [person.kind for person in found] == ["live", "live"]
    (said,) = rivals(found)
    assert "track 0" in said and "track 1" in said
    assert pictures(found) == []


@pytest.mark.parametrize("every", [10, 20])
def test_a_slide_that_is_changed_is_not_meant(detector: CenterFace, ground: Array, every: int) -> None:
    slides = [portrait(230), lambda n: head(load_face().photograph, 230), portrait(230, mirrored=True)]

    def slide(number: int) -> Array:
        return slides[number // every % 3](number)

    found, left = seen(detector, scenes(ground, (slide, 20, 60), (talking(130), 470, 20)))
    assert left[found[0].track] > WIDTH / 2
    assert found[0].kind == "live"
    assert all(person.kind != "live" for person in found[1:])


def test_a_photograph_that_is_carried_through_a_picture_is_left_in_doubt(detector: CenterFace, ground: Array) -> None:
    def carried(number: int) -> list[tuple[At, int, int]]:
        return [(portrait(100), 20, 20), (portrait(120, mirrored=True), 400 + 2 * number, 150)]

    images = [scenes(ground, *carried(number), frames=1)[0] for number in range(FRAMES)]
    assert kinds(detector, images) == LIVE_AND_POSTER


def test_a_person_cut_off_by_a_frozen_picture_is_live_and_one_frozen_throughout_is_not(
    detector: CenterFace, ground: Array
) -> None:
    moving, frozen = talking(150), talking(150, seed=3.0)(17)
    images = scenes(ground, (lambda n: frozen, 40, 100), (lambda n: moving(min(n, 20)), 430, 100))
    assert kinds(detector, images) == LIVE_AND_POSTER


@pytest.mark.parametrize(("noise", "crf"), [(0, 38), (5, 26)])
def test_compression_and_noise_bring_no_poster_to_life(tmp_path: Path, ground: Array, noise: float, crf: int) -> None:
    images = scenes(ground, (portrait(170), 40, 60), (talking(140), 420, 150), noise=noise)
    raw = b"".join(np.ascontiguousarray(image).tobytes() for image in images for _ in range(5))
    words = f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r 25 -i - -c:v libx264 -preset veryfast -crf {crf}"
    video = tmp_path / "room.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *words.split(), str(video)]
    subprocess.run(command, input=raw, check=True, timeout=120)
    with FeatureExtractor(FeaturesConfig("pixels")).stream(video) as stream:
        features = FrameFeatures.concatenate([block for block, _ in stream])
        info = stream.info("mark")
    poster = int(features.track[np.argmin(features.box_px[:, 0])])
    assert kind_of(info.tracks[poster]) == "still"
    assert kind_of(info.tracks[1 - poster]) == "live"
    assert any(f"track {poster} (" in said and f"main is track {1 - poster}" in said for said in info.warnings)


def test_of_one_portrait_laid_over_another_the_slip_is_found_and_the_change_is_none() -> None:
    before = cv2.cvtColor(head(load_face().photograph, 64), cv2.COLOR_RGB2GRAY)
    turn = cv2.getRotationMatrix2D((32, 32), 4, 1.03)
    turn[:, 2] = turn[:, 2] + (1.5, -1.0)
    after = cv2.warpAffine(before, turn, (64, 64), borderMode=cv2.BORDER_REPLICATE)
    changed, warp = change(before, np.clip(after * 0.9 + 12, 0, 255).astype(np.uint8))
    assert changed < 0.4
    np.testing.assert_allclose(warp[:2], turn, atol=0.05)
    smile = cv2.cvtColor(head(load_face().express(1, 0), 64), cv2.COLOR_RGB2GRAY)
    assert change(before, smile)[0] > 2 * changed
    assert change(before, smile)[0] > 0.7


def test_the_camera_keeps_still_while_people_move_and_moves_with_the_wall(ground: Array) -> None:
    faces = (talking(140), 420, 150)
    boxes = np.array([[450.0, 190, 530, 280]])
    camera = Camera()
    assert {camera.position(image, boxes, []) for image in scenes(ground, faces, noise=4)} == {1}
    moved = np.roll(scenes(ground, faces, frames=1)[0], 2, axis=1)
    assert camera.position(moved, boxes, []) == 2
    flat = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    camera = Camera()
    assert camera.position(flat, boxes, []) == 1
    assert camera.position(flat, boxes, [np.array([4.0, 2.0])]) == 1  # one face alone may well have moved itself
    assert camera.position(flat, boxes, [np.array([4.0, 2.0]), np.array([0.1, 0.2])]) == 1
    assert camera.position(flat, boxes, [np.array([4.0, 2.0]), np.array([4.3, 1.8])]) == 2
