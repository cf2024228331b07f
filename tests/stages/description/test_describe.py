"""What is said of a stored video, against people whose places, movements and gaps are known."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect.cache.opening import create_store
from affect.cache.predictions import NOBODY, ScoreReason
from affect.cache.records import FrameFeatures, FrameStatus, Recipe, VideoInfo
from affect.cache.store import Store
from affect.errors import EntryError
from affect.stages.description.describe import Described, describe
from affect.stages.description.pose import HEAD
from affect.stages.description.series import MOVEMENT, SIZE, TILT, measures_of

FPS = 5.0
NAMES = [measure.target.name for measure in measures_of(pointed=False)]


def one_face(
    track: int, frame: int, centre: tuple[float, float], eyes_px: float = 40, tilt_deg: float = 0
) -> dict[str, Any]:
    turn = np.radians(tilt_deg)
    level = HEAD[:, :2] * eyes_px
    points = level @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + centre
    box = [centre[0] - eyes_px, centre[1] - eyes_px, centre[0] + eyes_px, centre[1] + eyes_px]
    return {"frame": frame, "track": track, "box_px": box, "landmarks_px": points}


def stored(
    folder: Path,
    faces: list[dict[str, Any]],
    frames: int,
    *,
    linked: dict[int, int] | None = None,
    time_s: np.ndarray | None = None,
) -> Store:
    store = create_store(folder, Recipe({"backbone": "made"}))
    faces = sorted(faces, key=lambda face: face["frame"])
    rows = len(faces)
    status = np.full(frames, FrameStatus.NO_FACE, np.uint8)
    status[[face["frame"] for face in faces]] = FrameStatus.OK
    random = np.random.default_rng(0)
    features = FrameFeatures(
        time_s=np.arange(frames) / FPS, index=np.arange(frames), status=status,
        values=random.normal(2, 1, (rows, 12)).astype(np.float16),
        frame=np.array([face["frame"] for face in faces], np.int64),
        track=np.array([face["track"] for face in faces], np.int32),
        box_px=np.array([face["box_px"] for face in faces], np.float32).reshape(rows, 4),
        score=np.ones(rows, np.float32),
        landmarks_px=np.array([face["landmarks_px"] for face in faces], np.float32).reshape(rows, 5, 2),
    )  # fmt: skip
    if time_s is not None:
        features = replace(features, time_s=time_s)
    info = VideoInfo(store.recipe.digest, "f", 1, 1, None, frames, None, FPS, 640, 400, 0, "made", persons=linked or {})
    with store.writer("day", "f") as writer:
        writer.append(features, b"")
        writer.commit(info)
    return store


def of(said: Described, track: int, name: str) -> np.ndarray:
    person = next(person for person in said.persons if person.track == track)
    return np.asarray(person.clips.mean[:, NAMES.index(name)])


def test_a_head_that_moves_leans_and_has_a_size_is_measured(tmp_path: Path) -> None:
    """20 px a frame, 5 frames a second, eyes 40 px apart: 2.5 eye distances a second; a box of 80 of 400 px."""
    faces = [one_face(0, frame, (100 + 20 * (frame % 2), 150), tilt_deg=12) for frame in range(50)]
    said = describe(stored(tmp_path / "s", faces, 50), "day", 2.0, 10.0, pointed=False)
    np.testing.assert_allclose(of(said, 0, MOVEMENT), 2.5, rtol=1e-3)
    np.testing.assert_allclose(of(said, 0, TILT), 12, atol=0.1)
    np.testing.assert_allclose(of(said, 0, SIZE), 0.2, rtol=1e-4)
    (person,) = said.description.people
    assert (person.first_s, person.last_s, person.presence, person.stretches) == (0.0, 9.8, 1.0, 1)
    assert person.seen_s == pytest.approx(10.0) and person.side_px == pytest.approx(80)
    assert person.mean[MOVEMENT] == pytest.approx(2.5, rel=1e-3) and person.spread[SIZE] == pytest.approx(0, abs=1e-6)


def test_windows_hold_the_whole_recording_and_say_why_there_is_no_number(tmp_path: Path) -> None:
    there = [*range(10), *range(20, 25), *range(36, 50)]
    said = describe(
        stored(tmp_path / "s", [one_face(3, frame, (100, 100)) for frame in there], 50), "day", 2.0, 9.9, pointed=False
    )
    (person,) = said.persons
    assert person.start_s.tolist() == [0, 2, 4, 6, 8] and person.end_s.tolist() == [2, 4, 6, 8, 9.9]
    np.testing.assert_allclose(person.clips.coverage, [1, 0, 0.5, 0.4, 1], atol=1e-6)
    assert [ScoreReason(reason).name for reason in person.clips.reason] == [
        "SCORED", "NO_FACE", "SCORED", "TOO_FEW_FRAMES", "SCORED",
    ]  # fmt: skip
    assert np.isnan(person.clips.mean[[1, 3]]).all() and np.isfinite(person.clips.mean[[0, 2, 4]]).all()
    (facts,) = said.description.people
    assert facts.stretches == 3 and facts.presence == pytest.approx(29 / 50)


@pytest.mark.parametrize("fps", [Fraction(5), Fraction(25), Fraction(30000, 1001)])
@pytest.mark.parametrize("begin_s", [0, 3600])
def test_every_frame_is_in_its_window_whatever_the_clock(tmp_path: Path, fps: Fraction, begin_s: int) -> None:
    """Windows of .2 to 2 s, from the start and after an hour, against fractions, which round nothing."""
    exact = [Fraction(math.ceil(begin_s * fps) + frame) / fps for frame in range(int(10 * fps))]
    time_s = np.array([float(time) for time in exact])
    faces = [one_face(0, frame, (100, 100)) for frame in range(0, len(exact), 2)]
    store = stored(tmp_path / "s", faces, len(exact), time_s=time_s)
    for tenths in range(2, 21):
        said = describe(store, "day", tenths / 10, float(time_s[-1]) + 1, pointed=False)
        (person,) = said.persons
        of = [math.floor(time / Fraction(tenths, 10)) for time in exact]
        np.testing.assert_allclose(person.start_s, np.array(sorted(set(of))) * tenths / 10, atol=1e-6)
        seen = [of[::2].count(number) / of.count(number) for number in sorted(set(of))]
        np.testing.assert_allclose(person.clips.coverage, seen, atol=1e-6)


def test_a_person_is_seen_for_as_long_as_that_takes_whatever_the_steps_between_frames(tmp_path: Path) -> None:
    """At 12.5 frames a second, those that are kept lie .16 and .24 s apart; and a pause of a minute shows nobody."""
    steps = np.resize([0.24, 0.16, 0.24], 100)
    steps[50] = 60.0
    time_s = np.cumsum(steps) - steps[0]
    faces = [one_face(0, frame, (100, 100)) for frame in range(100)]
    said = describe(stored(tmp_path / "s", faces, 100, time_s=time_s), "day", 1.0, time_s[-1] + 0.2, pointed=False)
    (facts,) = said.description.people
    assert facts.seen_s == pytest.approx(time_s[-1] + 0.2 - 60, rel=0.02) and facts.stretches == 2


@pytest.mark.parametrize("first", [0, 10])
def test_nobody_is_seen_for_longer_than_the_recording_lasts(tmp_path: Path, first: int) -> None:
    """The last of the kept frames has no whole step behind it."""
    faces = [one_face(0, frame, (100, 100)) for frame in range(first, 50)]
    said = describe(stored(tmp_path / "s", faces, 50), "day", 1.0, 9.84, pointed=False)
    (facts,) = said.description.people
    assert facts.seen_s == pytest.approx(9.84 - first / FPS)


def test_a_cut_is_no_movement_and_nothing_that_two_people_share(tmp_path: Path) -> None:
    """Cameras change every ten seconds, and everybody is elsewhere; between, two people sway on their own."""
    random, frames, faces, linked = np.random.default_rng(3), 900, [], {}
    sway = random.normal(0, 1, (2, frames, 2)).cumsum(1)
    for frame in range(frames):
        shot = frame // 50
        for person in (0, 1):
            centre = np.array([150 + 340 * (person ^ shot % 2), 200]) + sway[person, frame]
            faces.append(one_face(2 * shot + person, frame, (float(centre[0]), float(centre[1]))))
            linked[2 * shot + person] = person
    said = describe(stored(tmp_path / "s", faces, frames, linked=linked), "day", 2.0, 180.0, pointed=False)
    assert [person.track for person in said.description.people] == [0, 1]
    assert max(person.mean[MOVEMENT] for person in said.description.people) < 0.25  # each cut alone would be 42
    (pair,) = (pair for pair in said.description.pairs if pair.measure == MOVEMENT)
    assert pair.p > 0.05 and pair.synchrony < 1.1 * pair.chance


def test_no_movement_is_made_of_a_gap(tmp_path: Path) -> None:
    """Who leaves on the left and comes back on the right did not fly."""
    faces = [one_face(0, frame, (50 if frame < 20 else 500, 100)) for frame in range(50) if not 20 <= frame < 30]
    said = describe(stored(tmp_path / "s", faces, 50), "day", 1.0, 10.0, pointed=False)
    assert np.nanmax(of(said, 0, MOVEMENT)) == pytest.approx(0, abs=1e-4)


def test_tracks_of_one_person_are_one_and_who_passes_by_is_counted(tmp_path: Path) -> None:
    faces = [one_face(0 if frame < 30 else 4, frame, (100, 100)) for frame in range(60)]
    faces += [one_face(1, frame, (400, 100)) for frame in range(60)]
    faces += [one_face(2, frame, (300, 300)) for frame in range(5, 9)]
    said = describe(stored(tmp_path / "s", faces, 60, linked={0: 0, 4: 0}), "day", 2.0, 12.0, pointed=False)
    assert [person.track for person in said.persons] == [0, 1] and said.brief == 1
    assert [person.presence for person in said.description.people] == [1.0, 1.0]
    assert {(pair.first, pair.second) for pair in said.description.pairs} == {(0, 1)}
    assert all(np.isnan(pair.synchrony) for pair in said.description.pairs), "12 seconds are too few"


def test_two_who_move_together_are_told_from_two_who_do_not(tmp_path: Path) -> None:
    random = np.random.default_rng(5)

    def drifting() -> np.ndarray:
        speed = np.convolve(np.abs(random.normal(size=1200)), np.ones(8) / 8, "same") * 12
        return np.cumsum(speed * np.sign(np.sin(np.arange(1200) / 40)))

    lead, alone = drifting(), drifting()
    faces = [one_face(0, frame, (300 + lead[frame], 100)) for frame in range(1200)]
    faces += [one_face(1, frame, (900 + lead[max(0, frame - 4)], 100)) for frame in range(1200)]
    faces += [one_face(2, frame, (1500 + alone[frame], 100)) for frame in range(1200)]
    said = describe(stored(tmp_path / "s", faces, 1200), "day", 10.0, 240.0, pointed=False)
    moved = {(pair.first, pair.second): pair for pair in said.description.pairs if pair.measure == MOVEMENT}
    assert moved[0, 1].p <= 0.02 and moved[0, 1].lag_s == pytest.approx(0.8, abs=0.2)
    assert moved[0, 2].p > 0.05 and moved[1, 2].p > 0.05


def test_nobody_and_no_frames_are_said(tmp_path: Path) -> None:
    said = describe(stored(tmp_path / "s", [], 10), "day", 1.0, 2.0, pointed=False)
    (nobody,) = said.persons
    assert nobody.track == NOBODY and said.description.people == () and said.brief == 0
    assert (nobody.clips.reason == ScoreReason.NO_FACE).all() and len(nobody.clips) == 2
    nothing = describe(stored(tmp_path / "t", [], 0), "day", 1.0, 0.0, pointed=False)
    assert len(nothing.persons[0].clips) == 0


def test_features_that_came_in_tables_have_no_points_of_faces(tmp_path: Path) -> None:
    faces = [one_face(0, frame, (100, 100)) | {"landmarks_px": np.full((5, 2), np.nan)} for frame in range(50)]
    said = describe(stored(tmp_path / "s", faces, 50), "day", 2.0, 10.0, pointed=False)
    assert np.isnan(of(said, 0, TILT)).all() and np.isnan(of(said, 0, MOVEMENT)).all()
    assert np.isfinite(of(said, 0, SIZE)).all() and np.isfinite(of(said, 0, "expressivity")).all()


def test_measures_of_points_need_points(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [one_face(0, frame, (100, 100)) for frame in range(50)], 50)
    with pytest.raises(EntryError, match="no points"):
        describe(store, "day", 2.0, 10.0, pointed=True)
