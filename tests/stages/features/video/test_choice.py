"""Opening a recording: what is opened, what is never, and which stream is the picture."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from affect.cache.records import Recipe
from affect.configs.load import load_config
from affect.configs.schema import FacesConfig, FeaturesConfig
from affect.errors import ConfigError, VideoError
from affect.stages.features.recipe import differences, make_recipe, settings_of
from affect.stages.features.stream import FeatureExtractor
from affect.stages.features.video.choice import choose_track, open_container
from affect.stages.features.video.decode import open_video
from affect.stages.features.video.times import clock_offset_s, frame_times_s

Recording = Callable[..., Path]


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
        assert choose_track(path, container).track.codec_context.name == "h264"


@pytest.mark.parametrize("name", ["missing", "empty", "text", "playlist"])
def test_what_cannot_be_opened_is_named_wherever_it_is_opened(unreadable: dict[str, Path], name: str) -> None:
    for use in (open_container, clock_offset_s):
        with pytest.raises(VideoError, match="expected a") as refusal:
            use(unreadable[name])
        assert str(unreadable[name]) in refusal.value.message


def test_album_art_is_no_picture(unreadable: dict[str, Path]) -> None:
    with pytest.raises(VideoError, match="no video stream"):
        clock_offset_s(unreadable["sound"])


# Inputs, and how they are put into one file: the recording is `film`, 80x60 at 25 frames a second, 150 of them.
FILM_AND_OTHERS = {
    "a thumbnail behind it, both default": "film art -map 0 -map 1 -c copy -disposition:v default .mkv",
    "a thumbnail that alone is default": "film art -map 0 -map 1 -c copy -disposition 0 -disposition:v:1 default .mkv",
    "a thumbnail before it": "film art -map 1 -map 0 -c copy -disposition:v default .mkv",
    "a thumbnail before it in an mp4": "film art -map 1 -map 0 -c copy .mp4",
    "a thumbnail of some frames": "film loop -map 1 -map 0 -c copy -c:v:0 mjpeg -disposition:v default .mkv",
    "some slides that alone are default": "loop film -map 0 -map 1 -c:v:0 mjpeg -c:v:1 copy -disposition:v:1 0 "
    "-disposition:v:0 default .mkv",
    "two slides far apart": "far film -map 0 -map 1 -c:v:0 mjpeg -c:v:1 copy -disposition:v default .mkv",
    "a thumbnail said to last as long": "film long -map 1 -map 0 -c copy -disposition:v default .mkv",
    "a cover before it": "film art -map 1 -map 0 -c copy -disposition:v:0 attached_pic .mp4",
    "a screen of fewer frames before it": "screen film -map 0 -map 1 -c copy -disposition:v default .mkv",
    "a screen and a thumbnail": "screen film art -map 0 -map 1 -map 2 -c copy -disposition:v default .mkv",
    "two programs": "screen film -map 0 -map 1 -c copy -program title=a:st=0 -program title=b:st=1 .ts",
    "a film that soon ends": "short film -map 0 -map 1 -c copy -disposition:v:0 default -disposition:v:1 0 .mkv",
}


@pytest.fixture(scope="module")
def inputs(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """ffmpeg's words for each input."""
    folder = tmp_path_factory.mktemp("inputs")
    art = str(folder / "art.jpg")
    cv2.imwrite(art, np.full((480, 640, 3), 90, np.uint8))
    long = folder / "long.mkv"
    with av.open(art) as given, av.open(str(long), "w") as out:
        track = out.add_stream_from_template(given.streams.video[0])
        packet = next(given.demux(given.streams.video[0]))
        packet.pts, packet.dts, packet.stream = 0, 0, track
        packet.duration = round(6 / packet.time_base)
        out.mux(packet)
    return {
        "film": ["-i", str(recording("film.mp4"))],
        "screen": ["-i", str(recording("screen.mp4", rate=10))],
        "short": ["-i", str(recording("short.mp4", seconds=2, rate=60))],
        "art": ["-i", art],
        "long": ["-i", str(long)],
        "far": ["-loop", "1", "-framerate", "1/50", "-t", "100", "-i", art],
        "loop": ["-loop", "1", "-framerate", "1", "-t", "6", "-i", art],
    }


@pytest.fixture
def joined(inputs: dict[str, list[str]], tmp_path: Path) -> Callable[[str], Path]:
    """A file of the inputs that the words begin with, put together as the others say."""

    def make(words: str) -> Path:
        *given, ending = words.split()
        path = tmp_path / f"joined{ending}"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-nostdin"]
        for word in given:
            command += inputs.get(word, [word])
        subprocess.run([*command, str(path)], check=True, capture_output=True, timeout=60)
        return path

    return make


@pytest.mark.parametrize("kind", FILM_AND_OTHERS)
def test_the_recording_is_read_and_what_else_there_is_is_named(joined: Callable[[str], Path], kind: str) -> None:
    path = joined(FILM_AND_OTHERS[kind])
    video = open_video(path)
    times = [frame.time_s for frame in video.frames()]
    video.close()
    assert len(times) == 150
    np.testing.assert_allclose(times, np.arange(150) / 25, atol=0.001)
    said = [note for note in video.notes() if "video streams" in note]
    if "cover" in kind:  # it is no video, so there is nothing to say
        assert said == []
    else:
        assert f"read: {video.stream} (h264 80x60, 150 frames); not read: " in said[0]
    np.testing.assert_array_equal(frame_times_s(path), times)


def test_among_recordings_the_one_called_default_is_read(joined: Callable[[str], Path]) -> None:
    path = joined("film screen -map 0 -map 1 -c copy -disposition:v:0 0 -disposition:v:1 default .mkv")
    with open_container(path) as container:
        choice = choose_track(path, container)
        assert choice.track.index == 1
    assert [other.index for other in choice.others] == [0]


def test_a_setting_chooses_the_stream_and_is_said_to(joined: Callable[[str], Path]) -> None:
    path = joined("screen film art -map 0 -map 1 -map 2 -c copy -disposition:v default .mkv")
    config = FeaturesConfig("timm:test_convnext", "random", stream=0, faces=FacesConfig(detector="none"))
    with FeatureExtractor(config).stream(path) as stream:
        blocks = [block for block, _ in stream]
        info = stream.info("mark")
    assert sum(len(block.time_s) for block in blocks) == 30
    assert info.decoded_frames == 60
    assert any("read as features.stream says: 0 (h264 80x60, 60 frames)" in note for note in info.warnings)


@pytest.mark.parametrize("stream", [1, 3, 99])
def test_a_stream_that_is_none_or_no_video_is_refused_with_those_there_are(
    joined: Callable[[str], Path], stream: int
) -> None:
    path = joined("art film -map 0 -map 1 -c copy -disposition:v:0 attached_pic .mp4")
    with pytest.raises(VideoError, match=rf"no video stream {stream}; expected one of 0 \(h264 80x60"):
        open_video(path, stream)


def recipe_of(config: FeaturesConfig) -> Recipe:
    backbone = {"backbone": config.backbone, "preprocessing": config.preprocessing}
    return make_recipe(config, backbone, "fp32", None)


def test_the_stream_is_part_of_the_recipe_where_it_is_chosen() -> None:
    auto, one = FeaturesConfig(), load_config(overrides=["features.stream=1"]).features
    assert one.stream == 1
    assert "stream" not in recipe_of(auto).fields
    assert recipe_of(one).fields["stream"] == 1
    for config in (auto, one):
        assert settings_of(recipe_of(config)).stream == config.stream
    assert differences(one, recipe_of(auto), "r")["stream"] == (1, "auto")
    for word in ("-1", "1001", "first", "1.5", "true"):
        with pytest.raises(ConfigError, match=r"features\.stream"):
            load_config(overrides=[f"features.stream={word}"])
