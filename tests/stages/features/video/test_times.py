"""Times out of the packets alone: those of the frames that decoding gives, and no other files than features come of."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from affect.errors import VideoError
from affect.stages.features.video.decode import open_video
from affect.stages.features.video.times import frame_times_s

WHOLE = ["constant", "ntsc", "variable_mp4", "variable_mkv", "offset_mp4", "offset_mkv", "copy_cut", "rotated",
         "transport", "interlaced", "bframes", "ten_bit"]  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_packets_say_the_times_of_the_frames_that_are_decoded(videos: dict[str, Path], name: str) -> None:
    video = open_video(videos[name])
    wanted = [frame.time_s for frame in video.frames()]
    video.close()
    np.testing.assert_allclose(frame_times_s(videos[name]), wanted, rtol=0, atol=1e-9)


def test_a_colon_in_a_name_is_no_protocol(videos: dict[str, Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(videos["constant"], tmp_path / "concat:a.mp4"))
    assert len(frame_times_s(path)) == 75


@pytest.mark.parametrize("name", ["missing", "empty", "text", "sound", "still", "playlist"])
def test_what_features_are_not_made_of_has_no_times(unreadable: dict[str, Path], name: str) -> None:
    with pytest.raises(VideoError, match=unreadable[name].name):
        frame_times_s(unreadable[name])


def test_a_stream_without_times_is_refused(videos: dict[str, Path]) -> None:
    with pytest.raises(VideoError, match=r"raw\.h264 says no times"):
        frame_times_s(videos["raw"])
