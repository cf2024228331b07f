"""Videos of odd sizes, pixel formats and streams through one run, and a file that changes while it is read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from affect.cache import open_store

if TYPE_CHECKING:
    from .conftest import Command, Ended

Film = Callable[..., Path]
FFV1 = ("-c:v", "ffv1", "-pix_fmt")
BOTH = ("-map", "0", "-map", "1", "-c:v", "ffv1")
SECOND = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1")
# name -> seconds of the first stream, ffmpeg's options, the picture's size and the frames as stored
STORED: dict[str, tuple[float, tuple[str, ...], tuple[int, int], int]] = {
    "one_frame.mkv": (0.04, (*FFV1, "yuv420p"), (160, 120), 1),
    "one_pixel.mkv": (0.2, ("-vf", "scale=1:1", *FFV1, "yuv420p"), (1, 1), 5),
    "three_by_five.mkv": (0.2, ("-vf", "scale=3:5,setsar=1", *FFV1, "yuv444p"), (3, 5), 5),
    "wide.mkv": (0.2, ("-vf", "scale=8000:20,setsar=1", *FFV1, "yuv420p"), (8000, 20), 5),
    "tall.mkv": (0.2, ("-vf", "scale=20:8000,setsar=1", *FFV1, "yuv420p"), (20, 8000), 5),
    "longer_second.mkv": (0.2, (*SECOND, *BOTH, "-disposition:v:0", "0", "-disposition:v:1", "0"), (64, 48), 25),
    "default_second.mkv": (0.2, (*SECOND, *BOTH, "-disposition:v:0", "0", "-disposition:v:1", "default"), (64, 48), 25),
    "cover_first.mp4": (
        0.04, (*SECOND, "-map", "0", "-map", "1", "-c:v:0", "mjpeg", "-c:v:1", "mpeg4",
               "-disposition:v:0", "attached_pic"), (64, 48), 25,
    ),
    **{
        f"{pixels}.mkv": (0.2, (*FFV1, pixels), (160, 120), 5)
        for pixels in ("gray", "gray10le", "gray16le", "yuv410p", "yuv422p10le", "yuv444p12le", "gbrp", "rgba",
                       "yuva420p", "yuva444p16le", "bgra64le")
    },
}  # fmt: skip
# name -> seconds, ffmpeg's options, words of the reason
LISTED: dict[str, tuple[float, tuple[str, ...], str]] = {
    "needle.mkv": (0.2, ("-vf", "scale=16000:2,setsar=1", *FFV1, "yuv420p"), "16000x2 yuv420p, cannot be scaled"),
    "no_frame.mp4": (0.2, ("-frames:v", "0", "-c:v", "mpeg4"), "has no video stream (streams: none)"),
    "no_frame.mkv": (0.2, ("-frames:v", "0", "-c:v", "mpeg4"), "cannot be read as a video"),
    "sound.mp4": (0.2, ("-f", "lavfi", "-i", "sine=duration=1", "-map", "1:a"), "has no video stream (streams: audio)"),
}


@pytest.fixture(scope="module")
def odd(affect: "Command", film: Film, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "Ended"]:
    """The store that one run made of all of them, and what it said."""
    folder = tmp_path_factory.mktemp("odd")
    for name, (seconds, options, *_) in {**STORED, **LISTED}.items():
        film(folder / "videos" / name, seconds, options)
    one, other = (film(folder / f"{size}.h264", 0.4, size=size).read_bytes() for size in ("160x120", "320x240"))
    (folder / "videos" / "resized.h264").write_bytes(one + other)
    return folder / "store", affect.extract(folder / "videos", "--store", folder / "store")


def test_each_is_stored_or_listed(odd: tuple[Path, "Ended"]) -> None:
    ended = odd[1]
    assert ended.code == 1, ended.err
    assert "Traceback" not in ended.err
    wanted = {**dict.fromkeys([*STORED, "resized.h264"], "done"), **dict.fromkeys(LISTED, "failed")}
    assert ended.statuses() == wanted, ended.out
    for name, (_, _, words) in LISTED.items():
        assert words in ended.videos[name]["reason"]


@pytest.mark.parametrize("name", sorted(STORED))
def test_every_frame_of_the_right_stream_is_stored(odd: tuple[Path, "Ended"], name: str) -> None:
    _, _, size, frames = STORED[name]
    store = open_store(odd[0])
    info, features = store.info(name), store.read(name)
    assert (info.width_px, info.height_px) == size
    assert len(features.time_s) == len(features.frame) == frames
    assert (features.values != features.values[0, 0]).any()


def test_a_picture_size_that_changes_within_a_file_is_said(odd: tuple[Path, "Ended"]) -> None:
    store = open_store(odd[0])
    assert len(store.read("resized.h264").time_s) == 20
    text = "\n".join(odd[1].videos["resized.h264"]["warnings"])
    assert "the picture size changes within the file: [(160, 120), (320, 240)]" in text


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_folder_without_videos_is_refused(affect: "Command", tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no video")
    ended = affect.run("extract-features", tmp_path / "empty", "--store", tmp_path / "store", *words)
    assert ended.code == 2
    assert "holds no video" in ended.err
    assert not (tmp_path / "store").exists()


def test_a_file_that_grows_while_it_is_read_is_listed_and_then_done_anew(
    affect: "Command", film: Film, small: tuple[str, ...], tmp_path: Path, same_entries: Callable[..., None]
) -> None:
    path = film(tmp_path / "grows.ts", 12, ("-c:v", "mpeg2video"))
    words = ("extract-features", path, "--store", tmp_path / "store", *small)
    running = affect.start(*words)
    while not running.ended() and not affect.has_stored_a_block(tmp_path / "store", 0):
        pass
    more = film(tmp_path / "more.ts", 0.4, ("-c:v", "mpeg2video")).read_bytes()
    with path.open("ab") as file:
        file.write(more)
    ended = running.wait()
    assert ended.code == 1
    assert "changed while it was read" in ended.videos["grows.ts"]["reason"]
    assert open_store(tmp_path / "store").ids() == []
    assert affect.run(*words).statuses() == {"grows.ts": "done"}
    shutil.copy(path, tmp_path / "still.ts")
    (tmp_path / "alone").mkdir()
    shutil.move(tmp_path / "still.ts", tmp_path / "alone" / "grows.ts")
    assert affect.extract(tmp_path / "alone", "--store", tmp_path / "undisturbed").code == 0
    same_entries(tmp_path / "store", tmp_path / "undisturbed")
