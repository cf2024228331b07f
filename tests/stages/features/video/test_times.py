"""Times out of the packets alone: those of the frames that decoding gives, and no other files than features come of."""

import shutil
from pathlib import Path

import pytest

from affect.errors import VideoError
from affect.stages.features.video.decode import open_video
from affect.stages.features.video.times import frame_times_s

WHOLE = ["constant", "ntsc", "variable_mp4", "variable_mkv", "offset_mp4", "offset_mkv", "copy_cut", "rotated",
         "transport", "interlaced", "ten_bit", "odd_444"]  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_packets_say_the_times_of_the_frames_that_are_decoded(videos: dict[str, Path], name: str) -> None:
    video = open_video(videos[name])
    wanted = [frame.time_s for frame in video.frames()]
    video.close()
    assert frame_times_s(videos[name]).tolist() == wanted


def test_a_colon_in_a_name_is_no_protocol(videos: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(videos["constant"], tmp_path / "concat:a.mp4"))
    assert len(frame_times_s(path)) == 75


@pytest.mark.parametrize("name", ["missing", "empty", "text", "sound", "still", "playlist"])
def test_what_features_are_not_made_of_has_no_times(unreadable: dict[str, Path], name: str) -> None:
    with pytest.raises(VideoError, match=unreadable[name].name):
        frame_times_s(unreadable[name])


@pytest.mark.parametrize("name", ["raw", "restarted", "truncated", "bframes"])
def test_where_packets_do_not_tell_the_times_are_those_of_decoding(videos: dict[str, Path], name: str) -> None:
    video = open_video(videos[name])
    wanted = [frame.time_s for frame in video.frames()]
    video.close()
    assert frame_times_s(videos[name]).tolist() == wanted
