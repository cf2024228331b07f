"""What a check says of a video before ten hours are spent on it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from affect.cache.records import Array
from affect.configs.schema import FacesConfig, FeaturesConfig
from affect.errors import VideoError
from affect.stages.features.check import VideoChecker
from affect.stages.features.video.frame import Frame


def test_checking_tells_what_would_go_wrong(
    videos: dict[str, Path], unreadable: dict[str, Path], meeting: Path
) -> None:
    checker = VideoChecker(FeaturesConfig())
    good = checker.check(meeting)
    assert good.readable
    assert good.problems == ()
    assert good.face_rate is not None
    assert good.face_rate > 0.8
    assert (good.width_px, good.height_px, good.decoded_frames, good.kept_frames) == (320, 240, 125, 25)
    assert good.projected_s > 0
    assert 25 * 2 * 2560 < good.projected_disk_bytes < 50 * 4 * 2560
    assert good.projected_memory_bytes > 100 << 20
    short = checker.check(videos["truncated"])
    assert short.cut_short
    assert any("cut short" in problem for problem in short.problems)
    assert any("few faces" in problem for problem in short.problems)
    assert checker.check(videos["variable_mp4"]).variable_rate
    assert not checker.check(videos["ntsc"]).variable_rate
    assert checker.check(videos["rotated"]).rotation_deg == 90
    bad = checker.check(unreadable["text"])
    assert not bad.readable
    assert "cannot be read as a video" in bad.problems[0]


def test_a_picture_that_cannot_be_shown_makes_a_video_unreadable(
    videos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(frame: Frame) -> Array:
        raise VideoError("frame 0 cannot be scaled")

    monkeypatch.setattr(Frame, "rgb", refuse)
    found = VideoChecker(FeaturesConfig()).check(videos["constant"])
    assert not found.readable
    assert found.problems == ("frame 0 cannot be scaled",)


def test_a_check_and_an_extraction_call_the_same_share_of_faces_few(videos: dict[str, Path]) -> None:
    found = VideoChecker(FeaturesConfig()).check(videos["constant"])
    assert found.face_rate == 0.0
    assert found.problems == ("few faces: 0 of 19 sampled frames (0%) show one; expected at least 20%",)
    without = VideoChecker(FeaturesConfig(faces=FacesConfig(detector="none"))).check(videos["constant"])
    assert (without.face_rate, without.problems) == (None, ())


def test_a_check_tries_both_widths_and_recommends_the_one_that_finds_more(call: Path, meeting: Path) -> None:
    usual = replace(FeaturesConfig(), faces=FacesConfig(input_width_px=320))
    (said,) = VideoChecker(usual).check(call).problems
    found = re.fullmatch(r"small faces: (\d+) are found in 13 sampled frames; (--set \S+=auto) finds 117", said)
    assert found and int(found[1]) < 80
    auto = VideoChecker(FeaturesConfig()).check(call)
    assert auto.problems == ()
    assert auto.face_rate == 1.0
    assert auto.notes[0].startswith("small faces: in 13 sampled frames 117 are found, ")
    for config in (usual, FeaturesConfig()):
        enough = VideoChecker(config).check(meeting)
        assert (enough.problems, enough.notes) == ((), ())


def test_few_faces_that_a_closer_look_would_find_are_said_with_the_setting(corner: Path) -> None:
    usual = replace(FeaturesConfig(), faces=FacesConfig(input_width_px=320))
    assert VideoChecker(usual).check(corner).problems == (
        "few faces: 0 of 13 sampled frames (0%) show one; expected at least 20%; "
        "--set features.faces.input_width_px=auto finds one in 13 of them",
    )
    assert VideoChecker(FeaturesConfig()).check(corner).problems == ()
