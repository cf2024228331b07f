"""A clip lies within one piece of a recording: it reaches across no pause and ends with it."""

from collections.abc import Sequence

import numpy as np
import pytest

from affect.cache.records import Array, FrameFeatures, FrameStatus
from affect.configs.schema import ClipsConfig
from affect.stages.temporal.clips import ClipTable, dense_clips, index_clips
from affect.stages.temporal.feature_table import FeatureTable
from affect.stages.temporal.pauses import Pauses, mixed_lengths, other_length, recording_s, usual_step_s


def video(time_s: Sequence[float] | Array) -> FrameFeatures:
    frames = len(time_s)
    return FrameFeatures(
        time_s=np.asarray(time_s, np.float64),
        index=np.arange(frames, dtype=np.int64),
        status=np.full(frames, FrameStatus.OK, np.uint8),
        values=np.arange(frames, dtype=np.float16)[:, None].repeat(2, 1),
        frame=np.arange(frames, dtype=np.int64),
        track=np.zeros(frames, np.int32),
        box_px=np.zeros((frames, 4), np.float32),
        score=np.ones(frames, np.float32),
        landmarks_px=np.zeros((frames, 5, 2), np.float32),
    )


def table(*times: Sequence[float] | Array) -> FeatureTable:
    return FeatureTable.from_videos({f"v{number}": video(time_s) for number, time_s in enumerate(times)})


def even(start_s: float, frames: int, step_s: float = 0.2) -> Array:
    return start_s + step_s * np.arange(frames)


def intervals(clips: ClipTable) -> list[tuple[float, float]]:
    return [(round(a, 6), round(b, 6)) for a, b in zip(clips.start_s, clips.end_s, strict=True)]


def largest_gap(clips: ClipTable) -> float:
    """Seconds between two frames of a clip, or of a clip around it that it looks at, at most."""
    times, gaps = clips.table.frames.time_s, [0.0]
    keys, mask = clips.keys(np.arange(len(clips)))
    for key in keys[mask]:
        frame, length = clips.unpack(np.array([key]))
        gaps += np.diff(times[int(frame[0]) : int(frame[0] + length[0])]).tolist()
    return max(gaps)


def test_a_recording_without_a_pause_has_the_clips_that_it_always_had() -> None:
    clips = dense_clips(table(even(0, 50), even(0, 7)), ClipsConfig(length=16, context=1), 16)
    assert clips.first.tolist() == [0, 16, 32, 34, 0] and clips.length.tolist() == [16, 16, 16, 16, 7]
    assert intervals(clips)[3:] == [(6.8, 10.0), (0.0, 1.4)]


def test_no_clip_reaches_across_a_pause_and_none_ends_behind_it() -> None:
    times = np.concatenate([even(0, 20), even(1000, 21)])
    for config in (ClipsConfig(length=8, context=2), ClipsConfig(length=8, context=2, context_edges="wrap")):
        for stride in (1, 3, 8):
            clips = dense_clips(table(times), config, stride)
            assert largest_gap(clips) < 0.3
            assert clips.end_s.max() <= 1000 + 21 * 0.2 + 1e-9
            assert not np.any((clips.end_s > 4.0 + 1e-9) & (clips.start_s < 1000))
    clips = dense_clips(table(times), ClipsConfig(length=8), 8)
    assert intervals(clips) == [(0, 1.6), (1.6, 3.2), (2.4, 4.0), (1000, 1001.6), (1001.6, 1003.2), (1002.6, 1004.2)]
    assert clips.span.tolist() == [0] * 6


def test_a_labelled_span_over_a_pause_has_clips_on_both_sides() -> None:
    times = np.concatenate([even(0, 10), even(30, 10), even(60, 3)])
    clips = index_clips(table(even(0, 5), times), ["v1", "v0", "v1"], np.array([1.0, 0.0, 40.0]),
                        np.array([60.3, np.nan, 50.0]), ClipsConfig(length=8, context=1))  # fmt: skip
    assert [(int(span), pair) for span, pair in zip(clips.span, intervals(clips), strict=True)] == [
        (0, (1.0, 2.0)), (0, (30.0, 31.6)), (0, (30.4, 32.0)), (0, (60.0, 60.4)), (1, (0.0, 1.0)),
    ]  # fmt: skip
    assert clips.empty_spans.tolist() == [2] and largest_gap(clips) < 0.3


def test_slow_recordings_have_no_pauses_and_short_gaps_are_none() -> None:
    assert len(Pauses.of(even(0, 20, 3.0), np.array([0, 20])).at) == 0
    gap = np.concatenate([even(0, 20), even(5.7, 20)])  # 1.9 s
    assert len(Pauses.of(gap, np.array([0, 40])).at) == 0
    slow = np.concatenate([even(0, 5, 3.0), even(40, 5, 3.0)])
    assert Pauses.of(slow, np.array([0, 10])).at.tolist() == [5]
    assert usual_step_s(slow) == pytest.approx(3.0)


def test_pieces_are_those_that_a_plain_loop_finds() -> None:
    generator = np.random.default_rng(3)
    for _ in range(50):
        counts = generator.integers(0, 30, 4)
        times = [np.cumsum(generator.choice([0.2, 0.2, 0.2, 50.0], size)) for size in counts]
        first = np.concatenate([[0], np.cumsum(counts)])
        pauses = Pauses.of(np.concatenate(times), first)
        low = generator.integers(0, first[-1] + 1, 6)
        videos = np.searchsorted(first, low, side="right") - 1
        high = np.array(
            [generator.integers(a, max(a, first[min(v + 1, 4)]) + 1) for a, v in zip(low, videos, strict=True)]
        )
        high = np.minimum(high, first[-1])
        expected = []
        for run, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            begin = a
            for frame in range(a + 1, b):
                if frame in pauses.at:
                    expected.append((run, begin, frame))
                    begin = frame
            expected.append((run, begin, b))
        assert list(zip(*(part.tolist() for part in pauses.parts(low, high)), strict=True)) == expected


def test_the_end_of_a_recording_is_what_its_container_says_if_that_is_earlier() -> None:
    assert recording_s(even(0, 10)) == pytest.approx(2.0)
    assert recording_s(even(0, 10), 1.88) == 1.88
    assert recording_s(even(0, 10), 1.5) == pytest.approx(2.0)  # the frames say otherwise
    assert recording_s(even(0, 10), 99.0) == pytest.approx(2.0)
    assert recording_s(np.concatenate([even(0, 5), even(100, 5)])) == pytest.approx(101.0)
    assert recording_s(np.zeros(0)) == 0.0 and recording_s(np.zeros(1)) == 0.0


def test_clips_of_another_length_than_in_training_are_said() -> None:
    said = other_length(2.0, 8, 5.0)
    assert "16 s" in said and "1.6 s" in said and "0.5 kept frames" in said
    assert not other_length(0.2, 8, 5.0) and not other_length(0.208, 8, 5.0)
    assert not other_length(2.0, 8, "source") and not other_length(0.0, 8, 5.0)


def test_videos_of_another_rate_are_counted() -> None:
    assert mixed_lengths(np.array([0.2, 0.2, 2.0, 0.0]), 8, 5.0)[0].startswith("1 of 4 videos do not have 5 kept")
    assert mixed_lengths(np.array([0.2, 0.21]), 8, 5.0) == () and mixed_lengths(np.array([9.0]), 8, "source") == ()
