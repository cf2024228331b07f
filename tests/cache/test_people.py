"""Who is meant: live before still, large and long before small and brief, and a word where it is not clear."""

import json
from dataclasses import replace

import numpy as np
import pytest

from affect.cache.people import (
    TrackFacts,
    facts_from_json,
    kind_of,
    main_person,
    people,
    pictures,
    rivals,
    unsaid_rivals,
)
from affect.cache.records import VideoInfo, subject_rows
from affect.configs.subject import MAIN

LIVE, STILL, BRIEF = (40, 9), (40, 0), (8, 2)  # looks compared, changes seen


def facts(*seen: tuple[int, float, tuple[int, int]]) -> dict[int, TrackFacts]:
    """Track after track: frames, side, what was compared."""
    return {track: TrackFacts(frames, side, *compared) for track, (frames, side, compared) in enumerate(seen)}


def ranked(known: dict[int, TrackFacts]) -> list[int]:
    return [person.track for person in people({track: of.frames for track, of in known.items()}, {}, known)]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(50, 52, STILL), (50, 104, LIVE)], [1, 0]),
        ([(50, 300, STILL), (50, 60, LIVE)], [1, 0]),  # a poster larger than the face
        ([(50, 100, STILL), (30, 100, LIVE)], [1, 0]),  # and there all the time
        ([(50, 50, LIVE), (50, 100, LIVE)], [1, 0]),  # the larger
        ([(20, 100, LIVE), (50, 90, LIVE)], [1, 0]),  # the longer
        ([(50, 100, LIVE), (50, 100, LIVE)], [0, 1]),
        ([(12, 300, (11, 0)), (50, 60, LIVE)], [1, 0]),  # a slide, too brief to be called one
        ([(50, 100, STILL), (8, 30, BRIEF)], [0, 1]),  # nobody is known to be alive, and the other hardly there
        ([(50, 100, STILL), (14, 100, BRIEF)], [1, 0]),
        ([(8, 200, (7, 0)), (8, 60, (7, 3))], [1, 0]),  # few looks, and one of them is seen to move
        ([(8, 200, (2, 0)), (8, 60, (2, 0))], [0, 1]),  # too few to tell anything
    ],
)
def test_a_live_face_comes_first_then_who_takes_more_of_the_picture(
    seen: list[tuple[int, float, tuple[int, int]]], expected: list[int]
) -> None:
    assert ranked(facts(*seen)) == expected


def test_the_tracks_of_a_person_are_judged_together() -> None:
    known = facts((10, 100, (9, 0)), (40, 90, STILL), (10, 100, (9, 4)))
    found = people({0: 10, 1: 40, 2: 10}, {2: 0}, known)
    assert [(person.track, person.frames, person.kind) for person in found] == [(0, 20, "live"), (1, 40, "still")]


def test_one_change_of_a_picture_and_few_looks_leave_it_what_it_was() -> None:
    assert kind_of(TrackFacts(50, 80, 40, 1)) == "still"
    assert kind_of(TrackFacts(50, 80, 40, 2)) == "live"
    assert kind_of(TrackFacts(500, 80, 400, 12)) == "still"
    assert kind_of(TrackFacts(12, 80, 11, 0)) == kind_of(None) == ""


def test_a_still_picture_is_named_with_who_is_meant_instead() -> None:
    poster, person = (50, 52, STILL), (50, 104, LIVE)
    (said,) = pictures(people({0: 50, 1: 50}, {}, facts(poster, person)))
    assert said.startswith("track 0 (50 frames of 52 px) is a still picture, as on a poster")
    assert said.endswith("main is track 1")
    (alone,) = pictures(people({0: 50}, {}, facts(poster)))
    assert alone.endswith("main is track 0 all the same: nobody is seen to move")
    assert pictures(people({0: 50}, {}, facts(person))) == []


def test_ties_and_near_ties_are_said_with_both_tracks_and_clear_cases_are_not() -> None:
    def said(*seen: tuple[int, float, tuple[int, int]]) -> list[str]:
        known = facts(*seen)
        return rivals(people({track: of.frames for track, of in known.items()}, {}, known))

    (tie,) = said((50, 100, LIVE), (50, 100, LIVE))
    assert tie.startswith(
        "2 people take about as much of the picture: main is track 0 (50 frames of 100 px), and track 1 "
    )
    assert "--subject track:1" in tie
    assert (
        "main is track 1 (48 frames of 110 px), and track 0 (50 frames of 100 px)"
        in said((50, 100, LIVE), (48, 110, LIVE))[0]
    )
    assert "and 21 more could be" in said(*[(50, 60, LIVE)] * 25)[0]
    assert said((50, 100, LIVE), (50, 70, LIVE)) == said((50, 100, LIVE), (50, 100, STILL)) == said() == []


def test_facts_come_back_from_json_and_what_cannot_be_is_refused(info: VideoInfo) -> None:
    known = replace(info, tracks=facts((50, 52.3, STILL), (8, 104.1, BRIEF)))
    values = json.loads(json.dumps(known.to_json()))
    assert VideoInfo.from_json(values) == known
    lists: list[object] = [[1, 2, 3], [-1, 2, 3, 4], [1, "2", 3, 4], 5]
    wrong: list[object] = [{"x": [1, 2, 3, 4]}, [], *({"0": numbers} for numbers in lists)]
    for said in wrong:
        with pytest.raises(ValueError, match="tracks"):
            facts_from_json(said, "tracks")


def test_features_without_facts_are_read_and_the_person_seen_most_is_meant(info: VideoInfo) -> None:
    old = {name: value for name, value in info.to_json().items() if name != "tracks"}
    assert VideoInfo.from_json(old).tracks == {}
    track = np.array([1, 0, 1, 0, 1, 0, 1], np.int32)
    assert main_person(track, {}) == main_person(track, {}, {}) == 1
    (said,) = unsaid_rivals(np.repeat([0, 1], 10), {}, {})
    assert said.startswith("2 people are in about as many frames: main is track 0 (10 frames), and track 1 (10 frames)")
    assert "--overwrite extracts again" in said
    assert unsaid_rivals(np.repeat([0, 1], 10), {}, facts((10, 5, LIVE), (10, 5, LIVE))) == []


def test_rows_of_the_main_person_are_those_of_the_live_one() -> None:
    arrays = {"frame": np.repeat(np.arange(3), 2), "track": np.tile([0, 1], 3)}
    known = facts((3, 50, STILL), (3, 50, LIVE))
    assert subject_rows(arrays, 3, {}, MAIN).tolist() == [0, 2, 4]
    assert subject_rows(arrays, 3, {}, MAIN, known).tolist() == [1, 3, 5]
