from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from affect.cache import open_store
from affect.cache.manifest import match_videos, read_manifest
from affect.errors import ConfigError
from affect.stages.temporal.metrics import mean_ccc
from affect.tests.generated import Generated, GeneratedData, generated_features, generated_in_memory

from .conftest import DATA


def test_what_is_stored_is_what_is_made_in_memory(generated: tuple[Path, Generated]) -> None:
    folder, made = generated
    store, (videos, again) = open_store(str(folder / "store")), generated_in_memory(DATA)
    assert store.ids() == sorted(videos) and len(videos) == 12
    for name, features in videos.items():
        stored = store.read(name)
        for array in ("time_s", "values", "frame", "status"):
            np.testing.assert_array_equal(getattr(stored, array), getattr(features, array))
    assert store.recipe.digest == made.recipe.digest == again.recipe.digest
    manifest = read_manifest(folder / "labels.csv")
    assert match_videos(manifest, store.ids()) == manifest.videos == again.manifest.videos
    np.testing.assert_allclose(manifest.labels, again.manifest.labels)
    last = {name: videos[name].time_s[-1] for name in videos}
    assert all(start < last[name] for name, start in zip(manifest.videos, manifest.start_s, strict=True))


def test_hdf5_and_several_processes_change_nothing(generated: tuple[Path, Generated], tmp_path: Path) -> None:
    folder, made = generated
    again = generated_features(tmp_path / "store", tmp_path / "labels.csv", DATA, store_format="hdf5", jobs=2)
    np.testing.assert_array_equal(again.answer, made.answer)
    assert (tmp_path / "labels.csv").read_bytes() == (folder / "labels.csv").read_bytes()
    name = open_store(str(tmp_path / "store")).ids()[-1]
    first, second = (open_store(str(place / "store")).read(name).values for place in (tmp_path, folder))
    np.testing.assert_array_equal(first, second)


def test_another_view_is_the_same_affect_under_other_noise(generated: tuple[Path, Generated]) -> None:
    _, made = generated
    plain, _ = generated_in_memory(DATA)
    mirrored, other = generated_in_memory(DATA, view="hflip")
    np.testing.assert_array_equal(other.manifest.labels, made.manifest.labels)
    assert set(other.recipe.differences(made.recipe)) == {"view"}
    name = "s0000/v000"
    np.testing.assert_array_equal(plain[name].status, mirrored[name].status)
    assert np.corrcoef(plain[name].values.ravel(), mirrored[name].values.ravel())[0, 1] < 0.95


def test_features_tell_the_answer_and_the_answer_tells_the_labels() -> None:
    data = replace(DATA, subjects=20, subject_effect=0.1, video_frames=(128, 128), missing=0.0)
    videos, made = generated_in_memory(data)
    rows = [values for name in videos for values in _clip_means(videos[name].values, videos[name].frame, data)]
    features = np.column_stack([np.array(rows), np.ones(len(rows))])
    half = len(rows) // 2
    weights, *_ = np.linalg.lstsq(features[:half], made.answer[:half], rcond=None)
    assert mean_ccc(features[half:] @ weights, made.answer[half:]) > 0.8
    assert mean_ccc(made.answer, made.manifest.labels) > 0.95


def _clip_means(values: np.ndarray, frame: np.ndarray, data: GeneratedData) -> list[np.ndarray]:
    clip = frame // data.clip_frames
    return [values[clip == number].astype(float).mean(0) for number in range(int(clip.max()) + 1)]


def test_labels_take_the_share_of_their_neighbours_that_is_asked_for() -> None:
    base = GeneratedData(
        subjects=2, videos=1, video_frames=(4000, 4000), drift=0.0, label_noise=0, targets=("a",), rank=1
    )
    own = np.arctanh(generated_in_memory(base)[1].answer[:, 0])
    mixed = np.arctanh(generated_in_memory(replace(base, neighbours=1.0, reach=1))[1].answer[:, 0])
    np.testing.assert_allclose(mixed[5], (own[4] + own[6]) / 2, atol=1e-9)
    np.testing.assert_allclose(mixed[0], own[1], atol=1e-9)  # a video's first clip has one neighbour


def test_low_rank_relates_the_targets_and_full_rank_does_not() -> None:
    targets = ("a", "b", "c", "d")
    data = GeneratedData(subjects=10, videos=1, video_frames=(3200, 3200), drift=0.0, targets=targets, rank=4)
    related, apart = (
        np.corrcoef(generated_in_memory(replace(data, rank=rank))[1].answer.T)[np.triu_indices(4, 1)] for rank in (2, 4)
    )
    assert np.abs(apart).max() < 0.1
    assert np.abs(related).max() > 0.5


def test_faces_are_missing_as_often_as_asked() -> None:
    videos, made = generated_in_memory(GeneratedData(missing=0.3, video_frames=(1500, 1500)))
    seen = sum(len(video.frame) for video in videos.values())
    assert seen / made.frames == pytest.approx(0.7, abs=0.03)


def test_settings_that_mean_nothing_are_refused() -> None:
    for wrong in ({"subjects": 0}, {"neighbours": 1.5}, {"video_frames": (8, 4)}, {"drift": 1.0}):
        with pytest.raises(ConfigError):
            GeneratedData(**wrong)
