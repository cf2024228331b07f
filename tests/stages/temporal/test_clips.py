"""Clips: which frames, which neighbours, nothing twice, wherever the features lie."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect.cache.memory_store import MemoryStore
from affect.cache.records import ROW_ARRAYS, Array, FrameFeatures, Recipe, VideoInfo, subject_rows
from affect.cache.system import allowed_bytes
from affect.configs.schema import ClipsConfig
from affect.configs.subject import MAIN, Subject
from affect.errors import InputError
from affect.stages.temporal.clips import ClipTable, FeatureTable, dense_clips, index_clips

CLIPS = ClipsConfig(length=16, context=2)
OPEN = np.array([np.nan])


class CountingStore(MemoryStore):
    """A store in memory that counts the rows of features it gave out."""

    def __init__(self, videos: Mapping[str, FrameFeatures]) -> None:
        super().__init__(Recipe({}))
        self.rows_read, self.most_at_once = 0, 0
        for name, video in videos.items():
            self.keep(name, _info({}), video)

    def read_values(self, entry_id: str, start: int, stop: int) -> Array:
        self.rows_read += stop - start
        self.most_at_once = max(self.most_at_once, stop - start)
        return super().read_values(entry_id, start, stop)


def index(table: FeatureTable, video: str, start: float, end: float, config: ClipsConfig = CLIPS) -> ClipTable:
    return index_clips(table, [video], np.array([start]), np.array([end]), config)


def test_clips_cover_a_span_the_last_one_ending_with_it(table: FeatureTable) -> None:
    clips = index(table, "v50", 0, np.nan)
    assert clips.first.tolist() == [0, 16, 32, 34]
    assert clips.length.tolist() == [16] * 4
    np.testing.assert_allclose(clips.start_s, np.array([0, 16, 32, 34]) * 0.32)
    np.testing.assert_allclose(clips.end_s, np.array([16, 32, 48, 50]) * 0.32)
    assert index(table, "v50", 0, 48 * 0.32).first.tolist() == [0, 16, 32]
    hop = ClipsConfig(length=16, hop=5)
    assert index(table, "v100", 3.2, 3.2 + 30 * 0.32, hop).first.tolist() == [10, 15, 20, 24]


def test_a_frame_belongs_to_the_span_its_time_lies_in(table: FeatureTable) -> None:
    # Frame 25 is at 8.0 s, the product of a fraction: a span from 8 starts with it, a span to 8 ends before it.
    assert index(table, "v100", 8.0, np.nan).first[0] == 25
    before = index(table, "v100", 0.0, 8.0)
    assert (before.first + before.length).max() == 25
    # What rounding a label's time to microseconds moved is still that frame.
    assert index(table, "v100", 8.0000004, np.nan).first[0] == 25


def test_short_spans_become_short_clips_and_empty_ones_are_listed(table: FeatureTable) -> None:
    videos = ["v50", "v10", "v0", "v50", "v100"]
    start, end = np.array([1.0, 0, 0, 90, 5]), np.array([3.0, np.nan, np.inf, 95, 4])
    clips = index_clips(table, videos, start, end, CLIPS)
    assert clips.span.tolist() == [0, 1]
    assert clips.first.tolist() == [4, 0] and clips.length.tolist() == [6, 10]
    assert clips.empty_spans.tolist() == [2, 3, 4]
    batch = clips.batch(torch.arange(2))
    assert batch.frames.shape[1] == 16
    assert not batch.frame_mask[batch.query[0], 6:].any() and not batch.frames[batch.query[0], 6:].any()


def test_indexing_agrees_with_a_plain_loop_over_random_spans(make_video: Any) -> None:
    generator = np.random.default_rng(0)
    videos = {f"v{n}": make_video(int(n), seed=int(n), size=2) for n in generator.integers(0, 80, 12)}
    table = FeatureTable.from_videos(videos)
    names = [list(videos)[n] for n in generator.integers(0, len(videos), 200)]
    start = generator.uniform(-2, 25, 200)
    end = np.where(generator.random(200) < 0.2, np.nan, start + generator.uniform(0, 20, 200))
    config = ClipsConfig(length=7, hop=3)
    found = index_clips(table, names, start, end, config)
    expected = []
    for span, name in enumerate(names):
        times = videos[name].time_s
        stop = np.inf if np.isnan(end[span]) else end[span]
        inside = np.flatnonzero((times >= start[span]) & (times < stop))
        if len(inside):
            last = max(inside[0], inside[-1] + 1 - 7)
            firsts = sorted({*range(inside[0], last + 1, 3), last})
            expected += [(span, first, min(7, len(inside))) for first in firsts]
    seen = [clip for clip in expected if _seen(videos[names[clip[0]]], clip)]
    assert list(zip(found.span.tolist(), found.first.tolist(), found.length.tolist(), strict=True)) == seen


def _seen(video: FrameFeatures, clip: tuple[int, int, int]) -> bool:
    return bool(np.isin(np.arange(clip[1], clip[1] + clip[2]), video.frame).any())


def test_clips_that_show_too_little_of_the_person_are_left_out_and_their_spans_named(make_video: Any) -> None:
    table = FeatureTable.from_videos({"a": make_video(64, seen=0.5), "b": make_video(64, seen=0.0)})
    start, end = np.zeros(2), np.full(2, np.nan)
    everything = index_clips(table, ["a", "b"], start, end, CLIPS)
    assert everything.span.tolist() == [0] * 4 and everything.unseen_spans.tolist() == [1]
    strict = index_clips(table, ["a", "b"], start, end, ClipsConfig(min_valid=0.9))
    assert len(strict) == 0 and strict.unseen_spans.tolist() == [0, 1]
    assert dense_clips(table, CLIPS, 16).span.tolist() == [0] * 4 + [1] * 4


def test_neighbours_are_whole_clips_on_each_side_inside_the_video(table: FeatureTable) -> None:
    clips = dense_clips(table, CLIPS, 1, videos=["v100"])
    frames = np.arange(100)
    for number in (0, 5, 40, 84):
        keys, mask = clips.keys(np.array([number]))
        firsts = clips.unpack(keys[0])[0] - table.frames.first[table.number(["v100"])[0]]
        wanted = number + 16 * np.arange(-2, 3)
        inside = (wanted >= 0) & (wanted + 16 <= 100)
        assert mask[0].tolist() == inside.tolist()
        assert firsts[inside].tolist() == wanted[inside].tolist()
        assert set(firsts[~inside]) <= {number}
        assert np.isin(firsts, frames).all()


def test_wrapped_neighbours_go_round_the_videos_own_ring_of_clips(make_video: Any) -> None:
    table = FeatureTable.from_videos({"a": make_video(20), "b": make_video(64, seen=1.0), "c": make_video(5)})
    ring = replace(CLIPS, context_edges="wrap")
    clips = dense_clips(table, ring, 16, videos=["b"])
    keys, mask = clips.keys(np.arange(4))
    assert mask.all()
    assert ((clips.unpack(keys)[0] - 20) // 16).tolist() == [[(i + j) % 4 for j in range(-2, 3)] for i in range(4)]
    short = dense_clips(table, ring, 16, videos=["c"])
    keys, _ = short.keys(np.arange(1))
    assert len(np.unique(keys)) == 1


def test_neighbours_in_which_nobody_is_seen_are_masked(make_video: Any) -> None:
    video = make_video(48, seen=1.0)
    gone = FrameFeatures.concatenate([video])
    keep = (gone.frame < 16) | (gone.frame >= 32)
    rows = {name: getattr(gone, name)[keep] for name in ("values", "frame", "track", "box_px", "score", "landmarks_px")}
    cut = FrameFeatures(time_s=gone.time_s, index=gone.index, status=gone.status, **rows)
    clips = index(FeatureTable.from_videos({"a": cut}), "a", 0, np.nan)
    assert clips.first.tolist() == [0, 32]
    _, mask = clips.keys(np.arange(2))
    assert mask.tolist() == [[False, False, True, False, True], [True, False, True, False, False]]
    _, mask = dense_clips(clips.table, CLIPS, 16).keys(np.array([1]))
    assert mask.tolist() == [[False, True, True, True, False]]  # the clip itself stays, or its softmax has nothing


def test_a_batch_gathers_each_distinct_clip_once_and_the_queries_first(table: FeatureTable) -> None:
    clips = index_clips(table, ["v50", "v100"], np.zeros(2), np.full(2, np.nan), CLIPS)
    numbers = torch.tensor([5, 6, 7, 1, 6])
    batch = clips.batch(numbers)
    assert batch.queries == 4 and batch.query.max() < 4 and batch.query[1] == batch.query[4]
    flat = batch.frames.flatten(1)
    assert len(torch.unique(flat, dim=0)) == len(flat) == len(np.unique(clips.keys(numbers.numpy())[0]))
    assert torch.equal(batch.query, batch.neighbours[:, 2])
    assert batch.frames.dtype == torch.float16


def test_gathered_values_are_the_stored_ones_and_zero_where_nobody_is_seen(make_video: Any) -> None:
    video = make_video(40, seen=0.6)
    table = FeatureTable.from_videos({"other": make_video(9, seed=3), "a": video})
    clips = index(table, "a", 0, np.nan)
    batch = clips.batch(torch.tensor([1]))
    frames, mask = batch.frames[batch.query[0]].numpy(), batch.frame_mask[batch.query[0]].numpy()
    row_of = dict(zip(video.frame.tolist(), range(len(video.frame)), strict=True))
    for place in range(16):
        row = row_of.get(16 + place)
        assert mask[place] == (row is not None)
        np.testing.assert_array_equal(frames[place], video.values[row] if row is not None else np.zeros(32))


@pytest.mark.parametrize("budget", [None, 0])
def test_features_in_memory_and_in_the_store_give_the_same_batches(make_video: Any, budget: int | None) -> None:
    videos = {f"v{n}": make_video(n, seed=n, seen=0.8) for n in (1300, 40, 700)}
    store = CountingStore(videos)
    table = FeatureTable.from_store(store, ids=list(videos), budget_bytes=budget)
    assert table.place == ("memory" if budget is None else "store")
    reference = FeatureTable.from_videos(videos)
    mine, theirs = dense_clips(table, CLIPS, 7), dense_clips(reference, CLIPS, 7)
    shuffled = torch.randperm(len(mine), generator=torch.Generator().manual_seed(0))
    for start in range(0, 300, 50):
        a, b = (clips.batch(shuffled[start : start + 50]) for clips in (mine, theirs))
        assert torch.equal(a.frames, b.frames) and torch.equal(a.frame_mask, b.frame_mask)
        assert torch.equal(a.neighbours, b.neighbours)
    if budget == 0:
        assert store.most_at_once <= 256


def test_a_store_read_in_order_is_read_once(make_video: Any) -> None:
    videos = {"a": make_video(3000, seen=1.0)}
    store = CountingStore(videos)
    table = FeatureTable.from_store(store, budget_bytes=0)
    clips = dense_clips(table, CLIPS, 4)
    for start in range(0, len(clips), 32):
        clips.batch(torch.arange(start, min(start + 32, len(clips))))
    assert store.rows_read == 3000 + 1  # one row tells the feature size


@pytest.mark.parametrize("budget", [None, 0])
def test_clips_in_which_nobody_is_seen_are_zeros_wherever_the_features_lie(make_video: Any, budget: int | None) -> None:
    video = make_video(64, seen=1.0)
    first = int(np.searchsorted(video.frame, 48))
    rows = {name: getattr(video, name)[first:] for name in ROW_ARRAYS}
    late = FrameFeatures(time_s=video.time_s, index=video.index, status=video.status, **rows)
    table = FeatureTable.from_store(CountingStore({"a": late}), budget_bytes=budget)
    batch = dense_clips(table, CLIPS, 16).batch(torch.tensor([0, 1]))
    assert not batch.frame_mask[: batch.queries].any()
    assert not batch.frames[: batch.queries].any()
    nobody = table.values(torch.tensor([[0, 1], [2, -1]]))
    assert nobody[0].shape == (2, 2, table.feature_size) and not nobody[0].any() and not nobody[1].any()


def test_two_people_are_told_apart_by_the_subject(make_video: Any) -> None:
    one = make_video(40, seen=1.0)
    rows = {
        "values": np.repeat(one.values, 2, 0),
        "frame": np.repeat(one.frame, 2),
        "track": np.tile(np.array([0, 4], np.int32), 40),
        "box_px": np.repeat(one.box_px, 2, 0),
        "score": np.repeat(one.score, 2),
        "landmarks_px": np.repeat(one.landmarks_px, 2, 0),
    }
    rows["values"][1::2] = 7
    video = FrameFeatures(time_s=one.time_s, index=one.index, status=one.status, **rows)
    for table in (
        FeatureTable.from_videos({"a": video}, subject=Subject("track", 4)),
        FeatureTable.from_store(CountingStore({"a": video}), subject=Subject("track", 4)),
        FeatureTable.from_store(CountingStore({"a": video}), subject=Subject("track", 4), budget_bytes=0),
    ):
        assert (index(table, "a", 0, np.nan).batch(torch.tensor([0])).frames == 7).all()


def test_the_main_person_of_a_table_is_the_one_that_the_records_give(make_video: Any) -> None:
    generator = np.random.default_rng(0)
    for persons in ({}, {1: 0, 3: 2}, {2: 1, 3: 1}):
        video = make_video(60, seed=len(persons), seen=0.8)
        video.track[:] = generator.integers(0, 4, len(video.track))
        kept = FrameFeatures.concatenate([video])
        table = FeatureTable.from_videos({"a": kept}, {"a": _info(persons)})
        np.testing.assert_array_equal(table.frames.row, subject_rows(video.arrays(), 60, persons, MAIN))


def test_a_control_group_may_allow_less_than_the_machine_has(tmp_path: Path) -> None:
    own, job = tmp_path / "self", tmp_path / "root" / "slurm" / "job_7"
    assert allowed_bytes(own) == float("inf")
    job.mkdir(parents=True)
    own.write_text("4:memory:/other\n0::/slurm/job_7\n")
    (job / "memory.max").write_text("max\n")
    assert allowed_bytes(own, tmp_path / "root") == float("inf")
    (job / "memory.max").write_text("1000\n")
    (job / "memory.current").write_text("700\n")
    (job / "memory.stat").write_text("anon 500\ninactive_file 100\n")
    assert allowed_bytes(own, tmp_path / "root") == 400


def test_a_video_that_is_not_in_the_table_is_named(table: FeatureTable) -> None:
    with pytest.raises(InputError, match="'nobody'"):
        index(table, "nobody", 0, 1)


def _info(persons: Mapping[int, int]) -> VideoInfo:
    return VideoInfo("", "", 0, 0, None, 0, None, None, 1, 1, 0, "", persons=persons)
