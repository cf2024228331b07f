"""Blocks of features: exact resume, what the recipe holds, how threads end."""

import json
import threading
import time
from collections.abc import Generator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect.cache.people import frames_of
from affect.cache.records import Array, FrameFeatures, FrameStatus, VideoInfo
from affect.configs.schema import FacesConfig, FeaturesConfig
from affect.errors import InputError, VideoError
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.background import Background
from affect.stages.features.embed import Embedder
from affect.stages.features.faces.crop import crop_matrix
from affect.stages.features.faces.detect import Detections
from affect.stages.features.faces.points import MIRROR
from affect.stages.features.stream import FeatureExtractor

SHARED = Path(__file__).parents[4] / "shared" / "videos"
NO_FACES = FacesConfig(detector="none")


class MeanColour(Embedder):
    """In the place of a backbone: the mean colour of nine fields of the crop."""

    def __init__(self) -> None:
        self.size_px = 36
        self.feature_size = 27

    def notes(self) -> list[str]:
        return []

    def embed(self, crops: Array) -> Array:
        means: Array = crops.reshape(len(crops), 3, 12, 3, 12, 3).astype(np.float32).mean((2, 4))
        features: Array = means.reshape(len(crops), 27).astype(np.float16)
        return features


def extractor(config: FeaturesConfig) -> FeatureExtractor:
    made = FeatureExtractor(config)
    made.embedder = MeanColour()
    made.feature_size = 27
    return made


def read(
    source: FeatureExtractor, path: Path, state: bytes = b"", frames: int = 0
) -> tuple[list[tuple[FrameFeatures, bytes]], VideoInfo]:
    with source.stream(path, state, frames) as stream:
        return list(stream), stream.info("mark")


def same(one: FrameFeatures, other: FrameFeatures) -> bool:
    return all(
        getattr(one, item.name).tobytes() == getattr(other, item.name).tobytes() for item in fields(FrameFeatures)
    )


@pytest.mark.parametrize(
    "config",
    [FeaturesConfig(sample_fps="source"), FeaturesConfig(sample_fps="source", faces=NO_FACES)],
    ids=["faces", "whole"],
)
def test_resuming_behind_any_block_gives_the_same_blocks(meeting: Path, config: FeaturesConfig) -> None:
    source = extractor(config)
    blocks, info = read(source, meeting)
    assert len(blocks) >= 3
    frames = 0
    for number, (block, state) in enumerate(blocks):
        frames += len(block.time_s)
        rest, again = read(source, meeting, state, frames)
        assert [s for _, s in rest] == [s for _, s in blocks[number + 1 :]]
        assert all(same(one, other) for (one, _), (other, _) in zip(rest, blocks[number + 1 :], strict=True))
        assert again == info
    assert frames == info.decoded_frames == 125


def test_several_threads_seek_faces_ahead_and_find_what_one_finds(meeting: Path) -> None:
    config = FeaturesConfig(sample_fps="source")
    alone, several = extractor(config), extractor(config)
    several.threads = 3
    assert several.detector is not None
    detect, seekers = several.detector.detect, set()

    def noted(*words: Any) -> list[Detections]:
        seekers.add(threading.current_thread().name.split()[0])
        time.sleep(0.05)  # the next chunk is begun meanwhile
        return detect(*words)

    several.detector.detect = noted  # type: ignore[method-assign, assignment]
    (one, _), (other, _) = read(alone, meeting), read(several, meeting)
    assert [state for _, state in one] == [state for _, state in other]
    assert all(same(first, second) for (first, _), (second, _) in zip(one, other, strict=True))
    assert "compute" in seekers, "the pool seeks"


def test_rows_statuses_and_persons_tell_what_is_seen(meeting: Path) -> None:
    blocks, info = read(extractor(FeaturesConfig(sample_fps=12.5)), meeting)
    features = FrameFeatures.concatenate([block for block, _ in blocks])
    np.testing.assert_allclose(features.time_s, np.arange(63) * 0.08, atol=1e-9)
    assert features.index.tolist() == list(range(0, 125, 2))
    nobody = (features.index >= 60) & (features.index < 75)
    assert (features.status[nobody] == FrameStatus.NO_FACE).all()
    assert (features.status == FrameStatus.OK).mean() > 0.8
    assert sorted(set(features.frame.tolist())) == np.flatnonzero(features.status == FrameStatus.OK).tolist()
    person = [info.persons.get(track, track) for track in features.track.tolist()]
    for index in (40, 50):
        both = features.frame == index // 2
        assert both.sum() == 2
        order = np.argsort(features.box_px[both, 0])
        assert np.array(person)[both][order].tolist() == [0, 1]
    assert set(np.array(person)[features.index[features.frame] >= 100]) == {1}
    assert set(np.array(person)[features.index[features.frame] < 30]) == {0}
    assert np.isfinite(features.values).all()
    assert info.codec == "h264"
    assert info.warnings == ()


def test_damaged_frames_keep_their_place_and_have_no_row(videos: dict[str, Path]) -> None:
    config = FeaturesConfig(sample_fps="source", faces=NO_FACES)
    blocks, info = read(extractor(config), videos["damaged"])
    features = FrameFeatures.concatenate([block for block, _ in blocks])
    damaged = features.status == FrameStatus.DECODE_ERROR
    assert 10 < damaged.sum() < 80
    assert not set(features.frame.tolist()) & set(np.flatnonzero(damaged).tolist())
    assert len(features.frame) == (~damaged).sum()
    assert info.bad_packets > 0
    assert any("damaged: " in warning for warning in info.warnings)


def test_whole_frames_are_rows_of_their_own(videos: dict[str, Path]) -> None:
    blocks, info = read(extractor(FeaturesConfig(faces=NO_FACES)), videos["rotated"])
    features = FrameFeatures.concatenate([block for block, _ in blocks])
    assert features.index.tolist() == list(range(0, 75, 5))
    assert features.box_px[0].tolist() == [0, 20, 120, 140]
    assert np.isnan(features.landmarks_px).all()
    assert (info.width_px, info.height_px, info.rotation_deg) == (120, 160, 90)


def test_the_mirrored_view_is_the_plain_one_mirrored(meeting: Path) -> None:
    plain, mirrored = (
        read(extractor(FeaturesConfig(view=view, sample_fps=1.0)), meeting)[0][0][0].values.reshape(-1, 3, 3, 3)
        for view in ("plain", "hflip")
    )
    np.testing.assert_allclose(mirrored, plain[:, :, ::-1], atol=0.5)


def test_few_faces_are_a_warning(videos: dict[str, Path]) -> None:
    _, info = read(extractor(FeaturesConfig()), videos["constant"])
    assert info.warnings[0] == "few faces: 0 of 15 kept frames (0%) show one; expected at least 20%"


def test_few_faces_that_a_closer_look_would_find_are_a_warning_with_the_setting(corner: Path) -> None:
    _, info = read(extractor(FeaturesConfig(faces=FacesConfig(input_width_px=320))), corner)
    assert info.warnings[0].endswith(
        "; --set features.faces.input_width_px=auto finds faces that are 40 px wide, 320 those of 80 px"
    )
    blocks, info = read(extractor(FeaturesConfig()), corner)
    assert info.warnings == ()
    assert [len(block.frame) for block, _ in blocks] == [5]


def test_facts_of_tracks_are_stored_and_a_journal_from_before_there_were_any_goes_on(meeting: Path) -> None:
    source = extractor(FeaturesConfig(sample_fps="source"))
    blocks, info = read(source, meeting)
    features = FrameFeatures.concatenate([block for block, _ in blocks])
    assert {track: of.frames for track, of in info.tracks.items()} == frames_of(features.track)
    assert all(50 < of.side_px < 90 for of in info.tracks.values())
    algorithm, frames, with_face, follower = json.loads(blocks[0][1])
    old = {name: part for name, part in follower.items() if name not in ("motions", "finder")}
    state = json.dumps([algorithm, frames, with_face, old]).encode()
    rest, again = read(source, meeting, state, frames)
    assert all(same(one, other) for (one, _), (other, _) in zip(rest, blocks[1:], strict=True))
    assert again.persons == info.persons


def test_a_recipe_names_everything_that_changes_a_number_and_no_path() -> None:
    recipe = FeatureExtractor(FeaturesConfig()).recipe.fields
    assert recipe["backbone"] == "efficientnet-lite0"
    assert len(recipe["weights_sha256"]) == len(recipe["faces"]["detector_sha256"]) == 64
    assert recipe["precision"] == "fp32"
    assert {"sample_fps", "view", "preprocessing", "decoder", "algorithm", "input_size"} <= recipe.keys()
    assert "/" not in str(recipe.values())
    assert FeatureExtractor(FeaturesConfig(faces=NO_FACES)).recipe.fields["faces"] == {"detector": "none"}


def test_the_default_backbone_runs_through_and_is_exact_twice(meeting: Path) -> None:
    source = FeatureExtractor(FeaturesConfig(sample_fps=3.125))
    (one, _), *_ = read(source, meeting)[0]
    (two, _), *_ = read(source, meeting)[0]
    assert one.size == 2560
    assert one.values.dtype == np.float16
    assert same(one, two)


def test_the_number_of_threads_changes_nothing(meeting: Path) -> None:
    config = FeaturesConfig(sample_fps=6.25, backbone="resnet18", weights="random", faces=FacesConfig(crop="box"))
    one, three = (read(FeatureExtractor(config, threads=threads), meeting)[0] for threads in (1, 3))
    assert all(same(a, b) and state == other for (a, state), (b, other) in zip(one, three, strict=True))


@pytest.mark.parametrize(("value", "word"), [(70000.0, r"7e\+04"), (float("nan"), "nan"), (1e-10, "1e-10")])
def test_features_that_float16_cannot_hold_are_refused(value: float, word: str) -> None:
    embedder = FeatureExtractor(FeaturesConfig(faces=NO_FACES)).embedder
    embedder._run = lambda images: np.full((len(images), embedder.feature_size), value)  # type: ignore[method-assign]
    with pytest.raises(InputError, match=f"features of up to {word}; expected"):
        embedder.embed(np.zeros((2, 224, 224, 3), np.uint8))


def test_a_network_whose_features_would_vanish_in_float16_is_refused() -> None:
    config = FeaturesConfig("mobilenet_v3_small", "random", faces=NO_FACES)
    with pytest.raises(InputError, match="mobilenet_v3_small gives features of up to"):
        FeatureExtractor(config).embedder.embed(np.full((1, 224, 224, 3), 90, np.uint8))


def test_an_error_in_a_thread_reaches_the_reader_and_close_ends_every_thread(meeting: Path) -> None:
    source = extractor(FeaturesConfig(sample_fps="source", faces=NO_FACES))

    def broken(crops: Array) -> Array:
        raise InputError("the backbone broke")

    source.embedder.embed = broken  # type: ignore[method-assign]
    before = threading.active_count()
    with pytest.raises(InputError, match="the backbone broke"), source.stream(meeting) as stream:
        list(stream)
    assert threading.active_count() == before


def test_close_ends_a_stream_that_nobody_reads(meeting: Path) -> None:
    source = extractor(FeaturesConfig(sample_fps="source"))
    before = threading.active_count()
    stream = source.stream(meeting)
    assert threading.active_count() > before
    next(iter(stream))
    started = time.perf_counter()
    stream.close()
    assert time.perf_counter() - started < 5
    assert threading.active_count() == before


def test_a_thread_runs_only_so_far_ahead() -> None:
    made: list[int] = []

    def numbers() -> Generator[int, None, None]:
        for number in range(100):
            made.append(number)
            yield number

    ahead = Background(numbers(), 3, "numbers")
    reader = iter(ahead)
    assert [next(reader) for _ in range(5)] == list(range(5))
    time.sleep(0.1)
    assert len(made) <= 5 + 3 + 1
    ahead.stop()
    ahead.join()
    assert list(reader) == []


def test_depthwise_networks_embed_in_fours_on_a_cpu_and_others_in_sixteens() -> None:
    backbones = load_backbone("efficientnet-lite0"), load_backbone("resnet18", "random")
    assert [Embedder(backbone).batches.size for backbone in backbones] == [4, 16]


def test_a_state_of_another_length_is_refused(videos: dict[str, Path]) -> None:
    source = extractor(FeaturesConfig(faces=NO_FACES))
    (_, state), *_ = read(source, videos["constant"])[0]
    with pytest.raises(VideoError, match="journal"):
        source.stream(videos["constant"], state, 3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared recordings")
@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("talking_face.mp4", 1.0),
        pytest.param("talking_face_2.mp4", 1.0, marks=pytest.mark.stress),
        ("single_face.mp4", 1.0),
        ("no_face.mp4", 0.0),
    ],
)
def test_real_recordings_show_their_one_face_or_none(name: str, rate: float) -> None:
    blocks, info = read(extractor(FeaturesConfig()), SHARED / name)
    features = FrameFeatures.concatenate([block for block, _ in blocks])
    assert (features.status == FrameStatus.OK).mean() == rate
    assert set(features.track.tolist()) == ({0} if rate else set())
    assert bool(info.warnings) == (name == "no_face.mp4")


FACE_API = FeaturesConfig("face-api", "random", sample_fps="source")


@pytest.mark.parametrize("crop", ["aligned", "box"])
@pytest.mark.parametrize("view", ["plain", "hflip"])
def test_points_among_the_features_are_stored_in_pixels_of_the_frame(meeting: Path, crop: str, view: str) -> None:
    config = replace(FACE_API, view=view, faces=FacesConfig(crop=crop), sample_fps=1.0)  # type: ignore[arg-type]
    features = FrameFeatures.concatenate([block for block, _ in read(FeatureExtractor(config), meeting)[0]])
    assert features.points_px.shape == (len(features.frame), 68, 2)
    points = features.values[:, 7 + 128 :].reshape(-1, 68, 2).astype(float)
    if view == "hflip":
        points[..., 0] = 1 - points[..., 0]
        points = points[:, MIRROR]
    for point, box, marks, found in zip(
        points, features.box_px, features.landmarks_px, features.points_px, strict=True
    ):
        matrix = crop_matrix(crop, box, marks, 112)
        np.testing.assert_allclose((found @ matrix[:, :2].T + matrix[:, 2]) / 112, point, atol=1e-4)


def test_without_that_tap_and_of_other_backbones_there_are_no_points(meeting: Path) -> None:
    for config in (replace(FACE_API, taps="expression.logits"), replace(FACE_API, taps="pooled"), FeaturesConfig()):
        source = FeatureExtractor(replace(config, sample_fps=1.0))
        assert source.points is None
    (block, _), *_ = read(extractor(FeaturesConfig(sample_fps=1.0)), meeting)[0]
    assert block.optional == ()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared recordings and weights")
@pytest.mark.parametrize("view", ["plain", "hflip"])
def test_the_points_of_a_real_face_lie_where_the_detector_sees_its_eyes_and_mouth(view: str) -> None:
    weights = str(SHARED.parent / "weights" / "face-api")
    config = FeaturesConfig("face-api", weights, view=view, sample_fps=2.0)  # type: ignore[arg-type]
    blocks, _ = read(FeatureExtractor(config), SHARED / "single_face.mp4")
    features = FrameFeatures.concatenate([block for block, _ in blocks])
    points = features.points_px
    eyes = np.stack([points[:, 36:42].mean(1), points[:, 42:48].mean(1)], 1)
    corners = points[:, [48, 54]]
    distance = np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1)[:, None]
    assert (np.linalg.norm(eyes - features.landmarks_px[:, :2], axis=2) < 0.15 * distance).all()
    assert (np.linalg.norm(corners - features.landmarks_px[:, 3:], axis=2) < 0.25 * distance).all()
