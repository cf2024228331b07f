"""Features less each person's mean over the recording, wherever they lie."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from affect.cache.memory_store import MemoryStore
from affect.cache.records import Array, FrameFeatures, Recipe, VideoInfo
from affect.configs.schema import ClipsConfig
from affect.configs.subject import MAIN, Subject
from affect.stages.temporal.baselines import span_features
from affect.stages.temporal.clips import FeatureTable, index_clips
from affect.stages.temporal.score import clip_means

BUDGETS = pytest.mark.parametrize("budget", [None, 0], ids=["in memory", "in the store"])


def stored(videos: Mapping[str, FrameFeatures], persons: Mapping[int, int] | None = None) -> MemoryStore:
    store = MemoryStore(Recipe({}))
    for name, video in videos.items():
        info = VideoInfo("", "", 0, 0, None, 0, None, None, 1, 1, 0, "", persons=persons or {})
        store.keep(name, info, FrameFeatures.concatenate([video]))
    return store


def centred(store: MemoryStore, subject: Subject = MAIN, budget: int | None = None) -> FeatureTable:
    return FeatureTable.from_store(store, subject=subject, budget_bytes=budget, centre="person")


def frames_of(table: FeatureTable) -> tuple[Array, Array]:
    """Features (F, D) of every frame, and which show the person (F,)."""
    values, seen = table.values(torch.arange(len(table)))
    return values.numpy(), seen.numpy()


def levels(values: Array, rows: Array) -> Array:
    """By hand: (R, D) float16 less the mean of some rows, in float16 again."""
    mean = values[rows].astype(np.float64).mean(0).astype(np.float32)
    return np.asarray((values[rows].astype(np.float32) - mean).astype(np.float16))


@BUDGETS
def test_each_recording_loses_the_mean_of_the_frames_in_which_its_person_is_seen(
    make_video: Any, budget: int | None
) -> None:
    videos = {f"v{seed}": make_video(50 + 10 * seed, seed=seed, seen=0.5 + 0.1 * seed) for seed in range(4)}
    for seed, video in enumerate(videos.values()):
        video.values[:] += 10 * seed  # a level of its own
    table = centred(stored(videos), budget=budget)
    assert table.place == ("memory" if budget is None else "store")
    values, seen = frames_of(table)
    first = 0
    for video in videos.values():
        own = slice(first, first + len(video.time_s))
        rows = np.arange(len(video.values))
        np.testing.assert_array_equal(np.flatnonzero(seen[own]), video.frame)
        np.testing.assert_array_equal(values[own][seen[own]], levels(video.values, rows))
        assert (values[own][~seen[own]] == 0).all(), "what is not seen stays zero"
        first += len(video.time_s)


def test_without_it_features_are_as_they_are_stored(make_video: Any) -> None:
    video = make_video(50)
    plain = FeatureTable.from_store(stored({"a": video}))
    np.testing.assert_array_equal(frames_of(plain)[0][video.frame], video.values)
    np.testing.assert_array_equal(frames_of(plain.centred())[0], frames_of(centred(stored({"a": video})))[0])
    np.testing.assert_array_equal(frames_of(plain)[0][video.frame], video.values)  # the first table is left


@BUDGETS
def test_two_people_in_one_recording_each_lose_their_own_mean(make_video: Any, budget: int | None) -> None:
    one = make_video(60, seen=1.0)
    two = replace(
        one, track=np.ones_like(one.track), values=(one.values[::-1] + 20).astype(np.float16)
    )  # beside the first in every frame
    order = np.argsort(np.concatenate([one.frame, two.frame]), kind="stable")
    rows = {name: np.concatenate([array, two.arrays()[name]])[order] for name, array in one.arrays().items()}
    both = replace(one, **{name: array for name, array in rows.items() if name not in ("time_s", "index", "status")})
    for track in (0, 1):
        table = centred(stored({"a": both}), Subject("track", track), budget)
        values, seen = frames_of(table)
        assert seen.all()
        np.testing.assert_array_equal(values, levels(both.values, np.flatnonzero(both.track == track)))
        assert np.abs(values.astype(np.float64).mean(0)).max() < 1e-3, "nothing is left of who it is"


def test_the_tracks_of_one_person_have_one_mean(make_video: Any) -> None:
    video = make_video(80)
    video.track[len(video.track) // 2 :] = 1
    video.values[video.track == 1] += 5
    values, seen = frames_of(centred(stored({"a": video}, persons={0: 0, 1: 0})))
    np.testing.assert_array_equal(values[seen], levels(video.values, np.arange(len(video.values))))
    assert values[seen][-1].mean() - values[seen][0].mean() > 3, "their levels differ, as one person's may"


def test_a_mean_is_over_the_whole_recording_however_long(make_video: Any) -> None:
    video = make_video(10_000, seen=1.0, size=3)
    video.values[:] += (np.arange(10_000)[:, None] // 4096).astype(np.float16)  # read in pieces of 4096
    values, _ = frames_of(centred(stored({"a": video})))
    np.testing.assert_array_equal(values, levels(video.values, np.arange(10_000)))


def test_a_recording_of_nobody_has_no_mean_to_lose(make_video: Any) -> None:
    videos = {"nobody": make_video(20, seen=0.0), "somebody": make_video(20, seen=1.0), "nothing": make_video(0)}
    values, seen = frames_of(centred(stored(videos)))
    assert seen.sum() == 20 and np.isfinite(values).all()
    np.testing.assert_array_equal(values[seen], levels(videos["somebody"].values, np.arange(20)))


def test_ridge_regression_and_the_distance_to_the_training_see_the_same_features_as_the_network(
    make_video: Any,
) -> None:
    video = make_video(64)
    video.values[:] += 7
    table = centred(stored({"a": video}))
    edges = np.arange(0, 64, 16) * 0.32
    clips = index_clips(table, ["a"] * 4, edges, edges + 16 * 0.32, ClipsConfig(length=8))
    spans, features = span_features(clips, np.arange(len(clips)))
    values, seen = frames_of(table)
    expected = [
        values[span * 16 : span * 16 + 16][seen[span * 16 : span * 16 + 16]].mean(0, np.float64) for span in spans
    ]
    np.testing.assert_allclose(features, expected, atol=1e-5)
    means = clip_means(clips, np.arange(len(clips))).numpy()
    frames, mask = clips.gather(clips.keys(np.arange(len(clips)))[0][:, clips.context])
    inside = [row[one].float().mean(0).numpy() for row, one in zip(frames, mask, strict=True)]
    np.testing.assert_allclose(means, inside, atol=1e-5)
    assert np.abs(means).mean() < 1, "of a level of 7"
