"""Where it is not clear who is meant, the table of a run's features says so, video by video."""

import numpy as np

from affect.cache.memory_store import MemoryStore
from affect.cache.people import TrackFacts
from affect.cache.records import FrameFeatures, Recipe, VideoInfo
from affect.configs.subject import MAIN, Subject
from affect.stages.temporal.feature_table import FeatureTable

FRAMES = 20
RECIPE = Recipe({"backbone": "none"})


def store(**videos: tuple[TrackFacts, ...]) -> MemoryStore:
    """Two tracks in every frame of each video, the value of a row being its track."""
    made = MemoryStore(RECIPE)
    frame, track = np.repeat(np.arange(FRAMES), 2), np.tile([0, 1], FRAMES).astype(np.int32)
    features = FrameFeatures(
        time_s=np.arange(FRAMES) / 5, index=np.arange(FRAMES), status=np.zeros(FRAMES, np.uint8),
        values=track[:, None].astype(np.float16), frame=frame, track=track,
        box_px=np.tile(np.array([0, 0, 50, 50], np.float32), (2 * FRAMES, 1)), score=np.ones(2 * FRAMES, np.float32),
        landmarks_px=np.zeros((2 * FRAMES, 5, 2), np.float32),
    )  # fmt: skip
    for name, facts in videos.items():
        tracks = dict(enumerate(facts))
        with made.writer(name, name) as writer:
            writer.append(features, b"")
            writer.commit(
                VideoInfo(RECIPE.digest, name, 1, 1, FRAMES, FRAMES, 4.0, 5.0, 640, 360, 0, "made", tracks=tracks)
            )
    return made


def live(side_px: float) -> TrackFacts:
    return TrackFacts(FRAMES, side_px, 19, 8)


STILL = TrackFacts(FRAMES, 90, 19, 0)


def test_a_run_is_told_of_rivals_and_of_features_from_before_but_of_no_clear_case() -> None:
    videos = store(tie=(live(90), live(95)), poster=(STILL, live(40)), alone=(live(90), live(30)), old=())
    table = FeatureTable.from_store(videos)
    assert [words.split(":")[0] for words in table.doubts] == ["old", "tie"]
    assert "track 0" in table.doubts[1] and "track 1" in table.doubts[1]
    assert FeatureTable.from_store(videos, subject=Subject("track", 0)).doubts == ()
    assert table.centred().doubts == table.doubts


def test_many_doubts_are_counted() -> None:
    videos = store(**{f"v{number}": (live(90), live(90)) for number in range(8)})
    doubts = FeatureTable.from_store(videos).doubts
    assert len(doubts) == 6
    assert doubts[-1] == "3 more videos show others who could be meant as well as the main person"


def test_the_rows_of_a_table_are_those_of_the_live_person() -> None:
    videos = store(poster=(STILL, live(40)), old=())
    table = FeatureTable.from_store(videos, subject=MAIN)
    for name, track in (("poster", 1), ("old", 0)):
        start = int(table.frames.first[table.ids.index(name)])
        assert set(table.frames.row[start : start + FRAMES] % 2) == {track}
