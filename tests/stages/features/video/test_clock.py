"""Times that cannot be true are repaired and named, and those that can are left alone, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from affect.cache.records import Array
from affect.configs.schema import FacesConfig, FeaturesConfig
from affect.stages.features.stream import FeatureExtractor
from affect.stages.features.video.clock import LONGEST_PAUSE_S, LOOK_AHEAD, Clock
from affect.stages.features.video.decode import Recording, open_video
from affect.stages.features.video.times import frame_times_s

STEADY = np.arange(150) / 25
CONTAINERS = [(ending, between) for ending in ("mp4", "mkv", "ts") for between in (0, 2)]
Edit = Callable[[Array], Array]
Restamp = Callable[..., Path]


def read(path: Path) -> tuple[Recording, Array]:
    video = open_video(path)
    times = np.array([frame.time_s for frame in video.frames()])
    video.close()
    return video, times


def late(**frames_s: float) -> Edit:
    """Frames by number, as f36=3.0, that many seconds later."""

    def edit(times: Array) -> Array:
        times = times.copy()
        for name, seconds in frames_s.items():
            times[int(name[1:])] += seconds
        return times

    return edit


def jump(seconds: float, frame: int = 75) -> Edit:
    return lambda times: times + np.where(np.arange(len(times)) >= frame, seconds, 0)


OUTLIERS = {
    "one, ahead": (late(f36=3.0), "frame 36 (3.00 s ahead)"),
    "one, far ahead": (late(f36=1000.0), "frame 36 (1000.00 s ahead)"),
    "one, a little ahead": (late(f36=0.5), "frame 36 (0.50 s ahead)"),
    "several, some frames apart": (late(f30=3.0, f33=7.0, f37=1000.0), "frame 33 (7.00 s ahead), frame 37"),
    "four in a row": (late(f40=5.0, f41=5.0, f42=5.0, f43=5.0), "frame 42 (5.00 s ahead) and 1 more"),
    "every second one": (late(**{f"f{n}": 5.0 for n in range(41, 60, 2)}), "10 frames carry"),
    "the second frame": (late(f1=3.0), "frame 1 (3.00 s ahead)"),
    "the last frame but one": (late(f148=3.0), "frame 148 (3.00 s ahead)"),
    "the last frame": (late(f149=3.0), "frame 149 (3.00 s ahead)"),
    "the last frame, far ahead": (late(f149=1000.0), "frame 149 (1000.00 s ahead)"),
    "the first frame, back": (jump(3.0, frame=1), "frame 0 (3.00 s back)"),
    "the first frame, far back": (jump(1000.0, frame=1), "frame 0 (1000.00 s back)"),
}  # fmt: skip
BACK = {
    "one, back": (late(f36=-3.0), "frame 36 (3.00 s back)"),
    "one, a little back": (late(f36=-0.3), "frame 36 (0.30 s back)"),
    "the last frame, back": (late(f149=-3.0), "frame 149 (3.00 s back)"),
    "back, then ahead": (late(f36=-2.0, f37=3.0), "frame 36 (2.00 s back), frame 37 (3.00 s ahead)"),
    "the first frame, ahead": (late(f0=3.0), "frame 0 (3.00 s ahead)"),
}  # fmt: skip


@pytest.mark.parametrize(("ending", "between"), CONTAINERS)
@pytest.mark.parametrize("kind", OUTLIERS)
def test_an_outlier_takes_a_time_between_its_neighbours_and_all_others_keep_theirs(
    restamped: Restamp, kind: str, ending: str, between: int
) -> None:
    edit, words = OUTLIERS[kind]
    path = restamped(ending, edit, between=between)
    video, times = read(path)
    np.testing.assert_allclose(times, STEADY, atol=0.001)
    said = [note for note in video.notes() if "impossible time" in note]
    assert len(said) == 1 and words in said[0]
    assert video.problems() == []
    np.testing.assert_array_equal(frame_times_s(path), times)


@pytest.mark.parametrize("ending", ["mkv", "ts"])  # an mp4's edit list would leave such a frame out
@pytest.mark.parametrize("kind", BACK)
def test_an_outlier_that_lies_back_does_too(restamped: Restamp, kind: str, ending: str) -> None:
    edit, words = BACK[kind]
    path = restamped(ending, edit)
    video, times = read(path)
    np.testing.assert_allclose(times, STEADY, atol=0.001)
    assert any(words in note for note in video.notes())
    assert video.problems() == []
    np.testing.assert_array_equal(frame_times_s(path), times)


@pytest.mark.parametrize(("ending", "between"), CONTAINERS)
@pytest.mark.parametrize("pause_s", [2.0, 60.0, 1000.0])
def test_a_pause_stays_a_pause_and_is_named(restamped: Restamp, ending: str, between: int, pause_s: float) -> None:
    path = restamped(ending, jump(pause_s), between=between, decoding=True)
    video, times = read(path)
    np.testing.assert_allclose(times, jump(pause_s)(STEADY), atol=0.001)
    assert video.notes() == [f"the clock jumps {pause_s:.2f} s ahead at 3.00 s; kept, as a recording may pause"]
    assert video.problems() == []
    np.testing.assert_array_equal(frame_times_s(path), times)


@pytest.mark.parametrize(("ending", "frame"), [("mp4", 1), ("ts", 1), ("mp4", 149)])  # a ts says no durations
def test_a_wait_at_an_end_is_kept_where_decoding_times_or_durations_know_of_it(
    restamped: Restamp, ending: str, frame: int
) -> None:
    _, times = read(restamped(ending, jump(5.0, frame), decoding=True))
    np.testing.assert_allclose(times, jump(5.0, frame)(STEADY), atol=0.001)


def test_a_wait_at_an_end_is_kept_where_frames_come_unevenly(restamped: Restamp) -> None:
    uneven = STEADY + np.random.default_rng(0).uniform(0, 0.035, 150) + np.cumsum(np.arange(150) % 50 == 49) * 0.2
    for wait_s, frame in ((5.0, 1), (5.0, 149), (1000.0, 1)):
        wanted = jump(wait_s, frame)(uneven)
        _, times = read(restamped("mkv", lambda times, wanted=wanted: wanted))
        if wait_s > 60:  # for a camera nobody waits so long
            np.testing.assert_allclose(times[1:] - times[1], wanted[1:] - wanted[1], atol=0.002)
            assert times[1] < 0.1
        else:
            np.testing.assert_allclose(times, wanted - wanted[0], atol=0.002)


@pytest.mark.parametrize(("ending", "between"), CONTAINERS)
@pytest.mark.parametrize(
    ("jump_s", "words"),
    [(36_000.0, "36000.00 s ahead"), (LONGEST_PAUSE_S + 1, "3601.00 s ahead"), (-2.0, "2.00 s back")],
)
def test_a_jump_of_the_clock_is_closed_and_named(
    restamped: Restamp, ending: str, between: int, jump_s: float, words: str
) -> None:
    path = restamped(ending, jump(jump_s), between=between, decoding=jump_s > 0)
    video, times = read(path)
    np.testing.assert_allclose(times, STEADY, atol=0.001)
    assert video.notes() == [f"the clock jumps {words} at 3.00 s; closed, so that times go on from the frame before"]
    assert video.problems() == []
    np.testing.assert_array_equal(frame_times_s(path), times)


@pytest.mark.parametrize("ending", ["mkv", "ts"])
@pytest.mark.parametrize(
    "edit",
    [lambda times: times * 0 + 7, lambda times: times / 90, lambda times: times / 1000],
    ids=["constant", "90 times too fast", "1000 times too fast"],
)
def test_times_that_say_nothing_are_counted_from_the_rate(restamped: Restamp, ending: str, edit: Edit) -> None:
    path = restamped(ending, edit)
    video, times = read(path)
    np.testing.assert_allclose(times, STEADY, atol=1e-9)
    assert video.notes() == ["149 frames carry no usable time; theirs is counted from the rate, 25 a second"]
    np.testing.assert_array_equal(frame_times_s(path), times)


def test_a_file_whose_every_time_is_zero_is_counted_from_the_rate(
    recording: Callable[..., Path], tmp_path: Path
) -> None:
    zero = tmp_path / "zero.mkv"
    with av.open(str(recording("plain0.mp4", between=0))) as given, av.open(str(zero), "w") as out:
        copy = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.pts, packet.dts, packet.stream = 0, 0, copy
                out.mux(packet)
    video, times = read(zero)
    np.testing.assert_allclose(times, STEADY, atol=1e-9)
    assert "149 frames carry no usable time" in video.notes()[0]


def test_a_clock_that_stands_still_for_a_while_is_counted_over(restamped: Restamp) -> None:
    video, times = read(restamped("mkv", lambda times: np.where((times > 2) & (times < 4), 2.04, times)))
    np.testing.assert_allclose(times, STEADY, atol=0.001)
    assert "48 frames carry no usable time" in video.notes()[0]


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("slower", [90, 1000])
def test_times_in_another_unit_than_the_declared_rate_s_are_read_in_that_unit(
    restamped: Restamp, ending: str, slower: int
) -> None:
    path = restamped(ending, lambda times: times * slower, decoding=True)
    video, times = read(path)
    np.testing.assert_allclose(times, STEADY, atol=0.001)
    assert f"runs {slower} times slower than the 25 frames a second" in video.notes()[0]
    assert video.problems() == []
    np.testing.assert_array_equal(frame_times_s(path), times)


@pytest.mark.parametrize("slower", [25, 60, 50_000])
def test_a_slow_recording_keeps_its_times_and_they_are_named_where_the_rate_is_another(
    restamped: Restamp, slower: int
) -> None:
    video, times = read(restamped("mkv", lambda times: times * slower, decoding=True))
    np.testing.assert_allclose(times, STEADY * slower, atol=0.001)
    step_s = slower / 25
    named = [f"a frame comes every {step_s:.2f} s, though 25 a second are declared; the times are kept"]
    assert video.notes() == (named if step_s > 2 else [])


@pytest.mark.parametrize(
    "name", ["constant", "ntsc", "variable_mp4", "variable_mkv", "offset_mp4", "offset_mkv", "copy_cut", "transport",
             "rotated", "ten_bit", "odd_444"],
)  # fmt: skip
def test_the_times_of_a_sound_file_are_its_stamps_bit_for_bit(videos: dict[str, Path], name: str) -> None:
    with av.open(str(videos[name])) as container:
        track = container.streams.video[0]
        stamps = [frame.pts for frame in container.decode(track)]
        assert track.time_base is not None
        wanted = [float((stamp - stamps[0]) * track.time_base) for stamp in stamps]  # type: ignore[operator]
    video, times = read(videos[name])
    assert times.tolist() == wanted
    assert not any("clock" in note or "time" in note for note in video.notes())


def test_a_file_that_was_cut_is_still_told_where_a_time_is_impossible(
    recording: Callable[..., Path], tmp_path: Path
) -> None:
    fast, cut = tmp_path / "fast.mp4", tmp_path / "cut.mp4"
    with (
        av.open(str(recording("plain0.mp4", between=0))) as given,
        av.open(str(fast), "w", options={"movflags": "+faststart"}) as out,
    ):
        copy = out.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(given.streams.video[0])):
            if packet.size and packet.pts is not None:
                packet.pts, packet.stream = packet.pts + (12_800_000 if number == 36 else 0), copy
                out.mux(packet)
    cut.write_bytes(fast.read_bytes()[: int(fast.stat().st_size * 0.6)])
    video, times = read(cut)
    np.testing.assert_allclose(times, STEADY[: len(times)], atol=0.001)
    assert "impossible time" in "".join(video.notes())
    assert video.cut_short and "of the 6.00 s" in video.problems()[0]


class Stamp(NamedTuple):
    """A frame's times in ticks."""

    pts: int | None
    dts: int | None = None
    duration: int | None = None


def shown(path: Path, stamps: Array) -> tuple[list[float], list[str]]:
    """What the clock of the file's track makes of frames with these stamps, in ticks; and its notes."""
    with av.open(str(path)) as container:
        clock = Clock(container.streams.video[0], "mov")
    items = [Stamp(int(stamp)) for stamp in stamps]

    def behind(number: int) -> Callable[[int], Stamp | None]:
        return lambda count: items[number + count] if number + count < len(items) else None

    clock.begin(items[0], behind(0))
    return [clock.read(item, behind(number)) for number, item in enumerate(items)], clock.notes()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_outliers_and_the_rate_the_others_keep_their_times(videos: dict[str, Path], seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.choice([512, 512, 512, 640, 1024] if seed % 2 else [512], 400)  # of 1/12800 s: 25 a second, or uneven
    true = np.concatenate([[0], np.cumsum(steps)])
    plain, _ = shown(videos["constant"], true)
    assert plain == (true / 12800).tolist()
    wrong = np.zeros(len(true), bool)
    wrong[rng.integers(2, 30) + np.cumsum(rng.integers(3, 2 * LOOK_AHEAD, 20))] = True
    amounts = rng.choice([-1, 1], len(true)) * rng.integers(12_800, 12_800 * 5000, len(true))
    times, notes = shown(videos["constant"], np.where(wrong, true + amounts, true))
    assert times == sorted(times)
    np.testing.assert_array_equal(np.array(times)[~wrong], (true / 12800)[~wrong])
    assert np.abs(np.array(times) - true / 12800).max() < 0.1
    assert f"{wrong.sum()} frames carry an impossible time" in notes[0]


def test_a_run_resumed_behind_any_block_has_the_same_times_and_notes(restamped: Restamp) -> None:
    path = restamped("mkv", lambda times: late(f30=3.0, f64=-1.0, f97=7.0)(jump(36_000.0, frame=96)(times)))
    config = FeaturesConfig("timm:test_convnext", "random", sample_fps="source", faces=FacesConfig(detector="none"))
    extractor = FeatureExtractor(config)
    with extractor.stream(path) as stream:
        blocks, info = list(stream), stream.info("mark")
    np.testing.assert_allclose(np.concatenate([block.time_s for block, _ in blocks]), STEADY, atol=0.001)
    assert any("3 frames carry an impossible time" in note for note in info.warnings)
    assert any("36000.00 s ahead" in note for note in info.warnings)
    frames = 0
    for number, (block, state) in enumerate(blocks[:-1], 1):
        frames += len(block.time_s)
        with extractor.stream(path, state, frames) as stream:
            rest, again = list(stream), stream.info("mark")
        assert [piece.time_s.tobytes() for piece, _ in rest] == [piece.time_s.tobytes() for piece, _ in blocks[number:]]
        assert again == info
    assert len(blocks) > 3


def test_a_rate_that_no_recording_has_is_not_what_its_times_are_said_to_be_counted_from(recording: Restamp) -> None:
    video, times = read(recording("fast.mp4", rate=2000, seconds=0.02))
    np.testing.assert_allclose(times, np.arange(40) / 25)
    assert video.notes() == [
        "39 frames carry no usable time; 25 a second are assumed, as the 2000 that are declared are not believed"
    ]
