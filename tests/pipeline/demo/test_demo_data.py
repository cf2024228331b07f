from pathlib import Path

import av
import numpy as np
import pytest

from affect.cache.manifest import check_targets_vary, read_manifest, shared_subjects
from affect.cache.records import Target
from affect.errors import InputError
from affect.pipeline.demo.demo import claim
from affect.pipeline.demo.film import DemoDataConfig, make_demo_data
from affect.stages.film.moved_face import EYES, LOWER_LIP, MOUTH_CORNERS, PATCH, Face, load_face
from affect.stages.film.scene import Waves

SMALL = DemoDataConfig(splits=(("train", 1), ("validation", 1), ("test", 1)), seconds=4.0)


@pytest.fixture(scope="session")
def face() -> Face:
    return load_face()


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo_data(tmp_path_factory.mktemp("demo"), 3, SMALL)


def test_no_expression_folds_or_tears_the_picture(face: Face) -> None:
    for valence in (-1.15, 0.0, 1.15):
        for arousal in (-1.15, 0.0, 1.15):
            shift = face.corner_lift * (valence - 0.35) + face.opening * (arousal + 0.15)
            (xx_y, xx_x), (yy_y, yy_x) = (np.gradient(shift[..., axis]) for axis in (0, 1))
            area = (1 - xx_x) * (1 - yy_y) - xx_y * yy_x  # of a pixel's source: negative where the picture folds
            assert area.min() > 0
            edge = np.concatenate([shift[0], shift[-1], shift[:, 0], shift[:, -1]])
            assert np.abs(edge).max() < 1.0


def test_valence_lifts_the_mouth_s_corners_and_arousal_opens_mouth_and_eyes(face: Face) -> None:
    def at(field: np.ndarray, point: tuple[float, float], below: float = 0.0) -> np.ndarray:
        return np.asarray(field[round(point[1] + below) - PATCH[1], round(point[0]) - PATCH[0]])

    for corner in MOUTH_CORNERS:
        assert at(face.corner_lift, corner)[1] < -4
        assert abs(at(face.opening, corner)[1]) < 2.5
    assert at(face.opening, LOWER_LIP)[1] > 4
    for eye in EYES:
        assert at(face.opening, eye, -4)[1] < -0.8 and at(face.opening, eye, 4)[1] > 0.8
        assert np.abs(at(face.corner_lift, eye)).max() < 0.1


def test_an_expression_changes_the_face_and_nothing_else(face: Face) -> None:
    calm, glad = face.express(-0.5, -0.5), face.express(0.8, 0.8)
    x0, y0, x1, y1 = PATCH
    changed = np.abs(calm.astype(int) - glad).max(axis=-1)
    assert changed[y0:y1, x0:x1].max() > 60
    changed[y0:y1, x0:x1] = 0
    assert changed.max() == 0


def test_the_same_seed_makes_the_same_files(labels: Path, tmp_path: Path) -> None:
    again = make_demo_data(tmp_path / "again", 3, SMALL)
    assert again.read_bytes() == labels.read_bytes()
    for video in sorted((labels.parent / "videos").iterdir()):
        assert (again.parent / "videos" / video.name).read_bytes() == video.read_bytes()
    other = make_demo_data(tmp_path / "other", 4, SMALL)
    assert other.read_bytes() != labels.read_bytes()


def test_the_videos_are_as_long_as_their_labels_and_look_different(labels: Path) -> None:
    manifest = read_manifest(labels)
    assert shared_subjects(manifest) == {}
    check_targets_vary(manifest, np.array([split == "train" for split in manifest.splits or []]))
    assert manifest.end_s.max() <= SMALL.seconds
    assert manifest.targets == (Target("valence", -1, 1), Target("arousal", -1, 1))
    means = []
    for name in dict.fromkeys(manifest.videos):
        frames = frames_of(labels.parent / name)
        assert len(frames) == round(SMALL.seconds * SMALL.fps)
        means.append(frames[0].mean(axis=(0, 1)))
    assert np.ptp(np.stack(means), axis=0).max() > 5


def test_a_span_s_label_is_the_mean_of_what_its_frames_show() -> None:
    waves = Waves.draw(np.random.default_rng(0), 2, (4.0, 11.0), 0.75)
    values = waves.at(np.arange(0, 60, 0.1))
    assert np.abs(values).max() < 1
    assert values.std(axis=0).min() > 0.3
    assert np.abs(np.diff(values, axis=0)).max() < 0.4  # smooth: no jump between frames


def test_a_folder_that_is_not_this_demo_s_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is no demo's folder"):
        claim(tmp_path, 0, SMALL)
    claim(tmp_path / "demo", 0, SMALL)
    claim(tmp_path / "demo", 0, SMALL)
    with pytest.raises(InputError, match="holds a demo of seed 0, this one is of seed 1"):
        claim(tmp_path / "demo", 1, SMALL)
