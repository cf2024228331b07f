"""What a check says of a video before ten hours are spent on it."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
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


def test_several_recordings_in_a_file_are_listed_with_their_faces_and_the_better_one_is_recommended(
    meeting: Path, videos: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "call.mkv"
    words = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "default", "-disposition:v:1", "0"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(videos["ntsc"]), "-i", str(meeting)]
    subprocess.run([*command, *words, str(path)], check=True, capture_output=True, timeout=60)
    found = VideoChecker(FeaturesConfig()).check(path)
    assert found.readable and found.face_rate == 0
    assert "2 video streams; read: 0 (h264 160x120, 90 frames); not read: 1 (h264 320x240, 125 frames)" in found.notes
    advice = found.problems[-1]
    assert advice.startswith("stream 1 shows faces in 1") and advice.endswith("--set features.stream=1 reads it")
    chosen = VideoChecker(FeaturesConfig(stream=1)).check(path)
    assert (chosen.width_px, chosen.decoded_frames, chosen.problems) == (320, 125, ())
    assert any("stream 0 shows faces in 0 of" in note for note in chosen.notes)


def test_faces_are_sought_all_through_a_recording_whose_clock_jumps_by_hours(
    videos: dict[str, Path], tmp_path: Path
) -> None:
    later, joined = tmp_path / "later.ts", tmp_path / "joined.ts"
    words = ["-c", "copy", "-output_ts_offset", "36000"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(videos["transport"])]
    subprocess.run([*command, *words, str(later)], check=True, capture_output=True, timeout=60)
    joined.write_bytes(videos["transport"].read_bytes() + later.read_bytes())
    found = VideoChecker(FeaturesConfig()).check(joined)
    assert found.decoded_s == pytest.approx(5.96, abs=0.05)
    assert found.duration_s == pytest.approx(6, abs=0.1)
    assert not found.cut_short
    assert any("ahead at 3.00 s; closed" in note for note in found.notes)
    few = next(problem for problem in found.problems if problem.startswith("few faces"))
    assert int(few.split(" of ")[1].split()[0]) > 10


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
