"""Opening a recording: what is opened, what is never, and which stream is the picture."""

from pathlib import Path

import av
import pytest

from affect.errors import VideoError
from affect.stages.features.video.choice import choose_track, clock_offset_s, open_container


def late_picture(source: Path, target: Path, late_s: float) -> Path:
    """The recording with a second of sound from its start, and its picture that much later."""
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        track = out.add_stream_from_template(given.streams.video[0])
        sound = out.add_stream("aac", rate=16000)
        silence = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        for number in range(16):
            silence.sample_rate, silence.pts = 16000, number * 1024
            out.mux(sound.encode(silence))
        out.mux(sound.encode(None))
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None and packet.pts is not None:
                shift = round(late_s / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, track
                out.mux(packet)
    return target


def test_the_clock_shows_how_much_later_than_the_file_its_picture_begins(
    videos: dict[str, Path], tmp_path: Path
) -> None:
    assert clock_offset_s(videos["constant"]) == 0
    assert clock_offset_s(videos["offset_mp4"]) == 0
    late = late_picture(videos["constant"], tmp_path / "late.mp4", 1.5)
    assert clock_offset_s(late) == pytest.approx(1.5, abs=0.1)


def test_a_recording_is_opened_by_its_path_alone_whatever_its_name_means_to_ffmpeg(
    videos: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "concat:a:b.mp4"
    path.write_bytes(videos["constant"].read_bytes())
    with open_container(path) as container:
        assert choose_track(path, container).codec_context.name == "h264"


@pytest.mark.parametrize("name", ["missing", "empty", "text", "playlist"])
def test_what_cannot_be_opened_is_named_wherever_it_is_opened(unreadable: dict[str, Path], name: str) -> None:
    for use in (open_container, clock_offset_s):
        with pytest.raises(VideoError, match="expected a") as refusal:
            use(unreadable[name])
        assert str(unreadable[name]) in refusal.value.message


def test_album_art_is_no_picture(unreadable: dict[str, Path]) -> None:
    with pytest.raises(VideoError, match="no video stream"):
        clock_offset_s(unreadable["sound"])
