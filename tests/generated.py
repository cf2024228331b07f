"""Features without videos: a store and a manifest whose answer is known, of any size, from one seed."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from joblib import Parallel, delayed
from scipy.signal import lfilter

from affect.cache.manifest import Manifest, write_manifest
from affect.cache.opening import create_store, open_store
from affect.cache.records import Array, FrameFeatures, FrameStatus, Recipe, Target, VideoInfo
from affect.errors import ConfigError

BLOCK_FRAMES = 4096  # of one video in memory at a time
GAP_FRAMES = 6  # a face is lost for about two seconds
NUISANCE = 8  # directions in which subjects' features differ whatever they feel


@dataclass(frozen=True, slots=True)
class GeneratedData:
    """What is generated. A clip's affect u is a vector of `rank` numbers that drifts from clip to clip (AR(1)).

    Features of a frame: relu(0.5 + gain_s * f(u) + F s + noise) + shift_s, with s, gain_s, shift_s of the subject, and
    f(u) = (1 - c) * A u + c * sqrt(2) cos(2 A u + phase), c the `curvature`. Labels of a clip:
    tanh(M v + bias_s) + label noise, with v = (1 - n) u + n * mean of u over the `reach` clips on each side.
    Low `rank` relates the targets: with fewer numbers than targets, each target tells of the others.
    """

    subjects: int = 12
    videos: int = 2  # of each subject
    video_frames: tuple[int, int] = (256, 256)  # shortest, longest
    feature_size: int = 32
    targets: tuple[str, ...] = ("valence", "arousal")
    rank: int = 2
    clip_frames: int = 16  # affect is constant in a clip
    span_clips: int = 1  # a labelled span is so many clips; its label is their mean
    sample_fps: float = 3.125
    drift: float = 0.7  # correlation of u between neighbouring clips
    curvature: float = 0.0  # c: how little a linear model can read
    noise: float = 1.0  # standard deviation, per feature and frame
    clip_noise: float = 0.0  # the same for a whole clip, so that no mean over frames removes it
    label_noise: float = 0.1
    neighbours: float = 0.0  # n: how much of a label belongs to the clips around
    reach: int = 2
    subject_effect: float = 0.5  # size of s and of the spread of the gain
    subject_shift: float = 0.0  # size of shift_s, a constant in all of a subject's features
    subject_bias: float = 0.0  # size of the bias in the labels: unknowable for a new subject
    missing: float = 0.0  # share of frames without a face
    seed: int = 0

    def __post_init__(self) -> None:
        checks = (
            (min(self.subjects, self.videos, self.feature_size, self.rank) >= 1, "sizes are at least 1"),
            (self.targets != (), "there is at least one target"),
            (self.clip_frames <= self.video_frames[0] <= self.video_frames[1], "a video holds at least one clip"),
            (
                min(self.neighbours, self.curvature) >= 0 and max(self.neighbours, self.curvature) <= 1,
                "shares are 0 to 1",
            ),
            (0 <= self.missing < 1, "not every face is missing"),
            (-1 < self.drift < 1, "drift is a correlation"),
        )
        for holds, expected in checks:
            if not holds:
                raise ConfigError(f"generated data {self}: expected that {expected}")

    def video_ids(self) -> list[tuple[int, int, str]]:
        """(subject, video, id) of every video, subject by subject."""
        return [(s, v, f"s{s:04d}/v{v:03d}") for s in range(self.subjects) for v in range(self.videos)]


@dataclass(frozen=True, slots=True)
class Generated:
    """What lies on disk, and the answer: labels as they are before noise and subjects' bias (M, K)."""

    manifest: Manifest
    answer: Array
    frames: int
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class _World:
    """What all videos share."""

    affect_to_feature: Array  # (rank, D)
    phase: Array  # (D,)
    subject_to_feature: Array  # (NUISANCE, D)
    affect_to_target: Array  # (rank, K), columns of unit length


@dataclass(frozen=True, slots=True)
class _Video:
    """One video before its frames: u (C, rank), answer and label (M, K), the number of frames."""

    subject: int
    video: int
    affect: Array
    answer: Array
    label: Array
    frames: int


def generated_features(
    store_location: str | Path,
    labels_path: str | Path,
    data: GeneratedData,
    *,
    store_format: str = "zarr",
    view: Literal["plain", "hflip"] = "plain",
    jobs: int = 1,
) -> Generated:
    """A store and a manifest on disk, with their answer. Another `view` is the same affect under other noise.

    Memory does not grow with the number of videos, save for the labels. The same `data` gives the same bytes.
    """
    recipe = _recipe(data, view)
    create_store(str(store_location), recipe, store_format)
    tasks = (delayed(_write_video)(str(store_location), data, view, which) for which in data.video_ids())
    written = Parallel(n_jobs=jobs, return_as="generator")(tasks)
    return _collect(written, Path(labels_path), data, recipe)


def generated_in_memory(
    data: GeneratedData, labels_path: str | Path | None = None, *, view: Literal["plain", "hflip"] = "plain"
) -> tuple[dict[str, FrameFeatures], Generated]:
    """Features by video id, and the rest, for data that fit: the same numbers as `generated_features` writes."""
    videos, made = {}, []
    for subject, video, name in data.video_ids():
        made.append(_video(data, subject, video))
        videos[name] = FrameFeatures.concatenate(list(_blocks(data, made[-1], view)))
    return videos, _collect(iter(made), None if labels_path is None else Path(labels_path), data, _recipe(data, view))


def generated_clip_means(subjects: int, seed: int, effect: float, *, clips: int, frames: int, size: int) -> list[Array]:
    """(clips, size) float32 mean features of clips of so many frames, for every person of a world."""
    count = clips * frames
    data = GeneratedData(
        subjects=subjects, videos=1, video_frames=(count, count), feature_size=size, subject_effect=effect, seed=seed
    )
    videos, _ = generated_in_memory(data)
    return [video.values.astype(np.float32).reshape(clips, frames, size).mean(1) for video in videos.values()]


def _collect(written: "Iterator[_Video]", labels_path: Path | None, data: GeneratedData, recipe: Recipe) -> Generated:
    seconds = data.clip_frames * data.span_clips / data.sample_fps
    videos, subjects, starts, answers, labels, frames = [], [], [], [], [], 0
    for (subject, _, name), made in zip(data.video_ids(), written, strict=True):
        spans = len(made.label)
        videos += [name] * spans
        subjects += [f"s{subject:04d}"] * spans
        starts.append(np.arange(spans) * seconds)
        answers.append(made.answer)
        labels.append(made.label)
        frames += made.frames
    start_s = np.concatenate(starts)
    manifest = Manifest(
        videos=videos,
        subjects=subjects,
        start_s=start_s,
        end_s=start_s + seconds,
        splits=None,
        targets=tuple(Target(name, -1.0, 1.0) for name in data.targets),
        labels=np.concatenate(labels),
        path=labels_path,
    )
    if labels_path is not None:
        write_manifest(manifest, labels_path)
    return Generated(manifest, np.concatenate(answers), frames, recipe)


def _recipe(data: GeneratedData, view: str) -> Recipe:
    settings = asdict(data) | {"targets": list(data.targets), "video_frames": list(data.video_frames)}
    return Recipe({"backbone": "generated", "sample_fps": data.sample_fps, "view": view, "generated": settings})


def _world(data: GeneratedData) -> _World:
    draw = np.random.default_rng([data.seed, 0])
    to_target = draw.standard_normal((data.rank, len(data.targets)))
    if data.rank >= len(data.targets):  # no relation: every target has its own number
        to_target = np.eye(data.rank, len(data.targets))
    return _World(
        draw.standard_normal((data.rank, data.feature_size)) / np.sqrt(data.rank),
        np.random.default_rng([data.seed, 7]).uniform(0, 2 * np.pi, data.feature_size),
        draw.standard_normal((NUISANCE, data.feature_size)) / np.sqrt(NUISANCE),
        to_target / np.linalg.norm(to_target, axis=0),
    )


def _write_video(location: str, data: GeneratedData, view: str, which: tuple[int, int, str]) -> _Video:
    subject, video, name = which
    made = _video(data, subject, video)
    store = open_store(location)
    fingerprint = hashlib.sha256(f"{store.recipe.digest} {name}".encode()).hexdigest()
    with store.writer(name, fingerprint) as writer:
        for block in _blocks(data, made, view):
            if writer.frames <= block.index[0]:  # what an interrupted run made durable stands already
                writer.append(block, b"")
        writer.commit(_info(store.recipe, fingerprint, made.frames, data.sample_fps))
    return made


def _info(recipe: Recipe, fingerprint: str, frames: int, fps: float) -> VideoInfo:
    return VideoInfo(
        recipe_digest=recipe.digest,
        fingerprint=fingerprint,
        file_bytes=0,
        file_mtime_ns=0,
        header_frames=frames,
        decoded_frames=frames,
        duration_s=frames / fps,
        average_fps=fps,
        width_px=224,
        height_px=224,
        rotation_deg=0,
        codec="generated",
    )


def _video(data: GeneratedData, subject: int, video: int) -> _Video:
    draw = np.random.default_rng([data.seed, 1, subject, video])
    frames = int(draw.integers(data.video_frames[0], data.video_frames[1] + 1))
    clips = -(-frames // data.clip_frames)
    innovation = draw.standard_normal((clips, data.rank)) * np.sqrt(1 - data.drift**2)
    innovation[0] /= np.sqrt(1 - data.drift**2)
    affect = lfilter([1.0], [1.0, -data.drift], innovation, axis=0)
    mixed = (1 - data.neighbours) * affect + data.neighbours * _around(affect, data.reach)
    bias = np.random.default_rng([data.seed, 2, subject]).standard_normal(len(data.targets)) * data.subject_bias
    score = mixed @ _world(data).affect_to_target
    spans = frames // (data.clip_frames * data.span_clips)
    shape = (spans, data.span_clips, len(data.targets))
    answer, label = (
        np.tanh(score + offset)[: spans * data.span_clips].reshape(shape).mean(axis=1) for offset in (0.0, bias)
    )
    label = np.clip(label + draw.standard_normal(label.shape) * data.label_noise, -1, 1)
    return _Video(subject, video, affect, answer, label, frames)


def _around(affect: Array, reach: int) -> Array:
    """Mean over the clips at most `reach` away, the clip itself left out; inside the video. (C, rank)"""
    total = np.concatenate([np.zeros((1, affect.shape[1])), affect.cumsum(axis=0)])
    clip = np.arange(len(affect))
    first, last = np.maximum(clip - reach, 0), np.minimum(clip + reach + 1, len(affect))
    others = np.maximum(last - first - 1, 1)[:, None]
    return np.asarray((total[last] - total[first] - affect) / others)


def _blocks(data: GeneratedData, made: _Video, view: str) -> Iterator[FrameFeatures]:
    """The video's frames, BLOCK_FRAMES at a time."""
    world, subject, video = _world(data), made.subject, made.video
    person = np.random.default_rng([data.seed, 3, subject])
    offset = person.standard_normal(NUISANCE) @ world.subject_to_feature * data.subject_effect
    gain = float(np.exp(0.5 * data.subject_effect * person.standard_normal()))
    shift = np.random.default_rng([data.seed, 8, subject]).standard_normal(data.feature_size) * data.subject_shift
    draw = np.random.default_rng([data.seed, 4 if view == "plain" else 5, subject, video])
    linear = made.affect @ world.affect_to_feature
    curved = np.sqrt(2) * np.cos(2 * linear + world.phase)
    per_clip = 0.5 + gain * ((1 - data.curvature) * linear + data.curvature * curved) + offset
    if data.clip_noise:
        per_clip += draw.standard_normal(per_clip.shape) * data.clip_noise
    lost = _lost_frames(np.random.default_rng([data.seed, 6, subject, video]), made.frames, data.missing)
    for start in range(0, made.frames, BLOCK_FRAMES):
        frame = np.arange(start, min(start + BLOCK_FRAMES, made.frames))
        values = draw.standard_normal((len(frame), data.feature_size), dtype=np.float32) * np.float32(data.noise)
        values += per_clip[frame // data.clip_frames]
        yield _features(frame, np.maximum(values, 0) + shift.astype(np.float32), ~lost[frame], data.sample_fps)


def _lost_frames(draw: np.random.Generator, frames: int, share: float) -> Array:
    """Which frames have no face: gaps of GAP_FRAMES that together cover about `share`. (N,) bool"""
    # A frame is seen when none of the GAP_FRAMES starts before it is a gap's: (1 - p) ** GAP_FRAMES = 1 - share.
    starts = draw.random(frames) < 1 - (1 - share) ** (1 / GAP_FRAMES)
    return np.convolve(starts, np.ones(GAP_FRAMES))[:frames] > 0


def _features(frame: Array, values: Array, seen: Array, sample_fps: float) -> FrameFeatures:
    rows = int(seen.sum())
    return FrameFeatures(
        time_s=frame / sample_fps,
        index=frame.astype(np.int64),
        status=np.where(seen, FrameStatus.OK, FrameStatus.NO_FACE).astype(np.uint8),
        values=values[seen].astype(np.float16),
        frame=frame[seen].astype(np.int64),
        track=np.zeros(rows, np.int32),
        box_px=np.tile(np.array([56, 56, 168, 168], np.float32), (rows, 1)),
        score=np.ones(rows, np.float32),
        landmarks_px=np.full((rows, 5, 2), np.nan, np.float32),
    )
