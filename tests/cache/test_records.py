from typing import Any

import numpy as np
import pytest

from affect.cache.people import main_person
from affect.cache.records import FrameFeatures, VideoInfo, arrays_for, subject_rows
from affect.configs.subject import MAIN, Subject
from affect.errors import InputError


def test_features_show_their_shapes_and_no_numbers(draw: Any) -> None:
    said = repr(draw(20, 30, size=16))
    assert said.startswith("FrameFeatures:\n  time_s: (20,) float64\n")
    assert "  values: (30, 16) float16\n" in said
    assert len(said.splitlines()) == 10


def test_what_is_known_of_a_video_is_one_line(info: VideoInfo) -> None:
    assert repr(info) == "VideoInfo(h264 640x360, 16.04 s, 400 frames decoded, 2 warnings)"


def people() -> dict[str, Any]:
    """Three frames: person 0 in all of them, first as track 0 and then as track 2; person 1 in two, and larger."""
    frame = np.array([0, 0, 1, 1, 2])
    track = np.array([0, 1, 0, 1, 2], np.int32)
    side = np.array([10, 20, 10, 20, 10])
    box_px = np.stack([0 * side, 0 * side, side, side], axis=1).astype(np.float32)
    return {"frame": frame, "track": track, "box_px": box_px}


LINKED = {0: 0, 2: 0}


@pytest.mark.parametrize(
    ("subject", "rows"),
    [
        (MAIN, [0, 2, 4]),
        (Subject("largest"), [1, 3, 4]),
        (Subject("track", 1), [1, 3, -1]),
        (Subject("track", 2), [0, 2, 4]),
    ],
)
def test_each_subject_has_its_row_in_every_frame_where_it_is_seen(subject: Subject, rows: list[int]) -> None:
    arrays = {name: array for name, array in people().items() if name in arrays_for(subject)}
    assert subject_rows(arrays, 3, LINKED, subject).tolist() == rows


def test_a_track_that_does_not_occur_and_everybody_at_once_are_refused() -> None:
    with pytest.raises(InputError, match=r"track 7 does not occur; this video has \[0, 1, 2\]"):
        subject_rows(people(), 3, LINKED, Subject("track", 7))
    with pytest.raises(InputError, match="expected one person"):
        subject_rows(people(), 3, LINKED, Subject("all"))


def test_among_people_seen_equally_often_the_one_of_the_lowest_track_is_the_main_one() -> None:
    assert main_person(np.array([5, 3, 5, 3]), {}) == 3
    assert main_person(np.zeros(0, np.int32), {}) == -1
    nobody = FrameFeatures.empty(4)
    assert subject_rows(nobody.arrays(), 2, {}, MAIN).tolist() == [-1, -1]
