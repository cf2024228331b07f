"""Small videos of every awkward kind, made once a session by the ffmpeg binary that pip brings along."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from skimage import data

from affect.cache.records import Array

SHARED = Path(__file__).parents[4] / "shared" / "videos"
X264 = "-c:v libx264 -preset ultrafast -g 250 -pix_fmt yuv420p"
PATTERN = "-f lavfi -i testsrc2=size=160x120:rate={rate}:duration={seconds}"


def ffmpeg(arguments: str, *files: Path) -> None:
    """Run ffmpeg; `{0}`, `{1}` ... in the arguments stand for the files."""
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-nostdin"]
    words += [word.format(*files) if "{" in word else word for word in arguments.split()]
    subprocess.run(words, check=True, capture_output=True, timeout=120)


def pattern(path: Path, rate: str = "25", seconds: float = 3, options: str = X264) -> None:
    ffmpeg(f"{PATTERN.format(rate=rate, seconds=seconds)} {options} {{0}}", path)


def damage(source: Path, target: Path, start: float, size: int) -> None:
    """Copy a file with `size` bytes from `start` (a share of its length) overwritten."""
    content = bytearray(source.read_bytes())
    first = int(len(content) * start)
    content[first : first + size] = np.random.default_rng(0).bytes(size)
    target.write_bytes(bytes(content))


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files that can be read, by what is awkward about them. 25 frames a second and 3 s unless the name says so."""
    folder = tmp_path_factory.mktemp("videos")
    path = {
        name: folder / f"{name}.{ending}"
        for name, ending in [
            ("constant", "mp4"), ("ntsc", "mp4"), ("variable_mp4", "mp4"), ("variable_mkv", "mkv"),
            ("offset_mp4", "mp4"), ("offset_mkv", "mkv"), ("copy_cut", "mp4"), ("rotated", "mp4"),
            ("wide_pixels", "mp4"),
            ("transport", "ts"), ("interlaced", "avi"), ("bframes", "avi"), ("raw", "h264"), ("truncated", "mp4"),
            ("damaged", "mp4"), ("ten_bit", "mkv"), ("odd_444", "mkv"), ("restarted", "ts"), ("mirrored", "mp4"),
        ]
    }  # fmt: skip
    pattern(path["constant"])
    pattern(path["ntsc"], rate="30000/1001")
    variable = f"-vf select='lt(n,20)+not(mod(n,7))' -fps_mode passthrough {X264}"
    pattern(path["variable_mp4"], options=variable)
    pattern(path["variable_mkv"], options=variable)
    for ending in ("mp4", "mkv"):
        pattern(path[f"offset_{ending}"], options=f"{X264} -output_ts_offset 1.5")
    ffmpeg("-ss 0.7 -i {0} -c copy {1}", path["constant"], path["copy_cut"])
    ffmpeg("-display_rotation 90 -i {0} -c copy {1}", path["constant"], path["rotated"])
    ffmpeg("-display_hflip -i {0} -c copy {1}", path["constant"], path["mirrored"])
    pattern(path["wide_pixels"], options=f"-vf setsar=4/3 {X264}")
    pattern(path["transport"], options=f"{X264} -bf 2")
    pattern(path["interlaced"], rate="50", options="-vf interlace -c:v mpeg2video -flags +ilme+ildct -bf 0 -b:v 1M")
    pattern(path["bframes"], options="-c:v libx264 -preset veryfast -bf 3 -g 50 -pix_fmt yuv420p")
    pattern(path["raw"], options=f"{X264} -bf 2")
    pattern(path["ten_bit"], options="-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le")
    pattern(path["odd_444"], options="-vf scale=161:121 -c:v libx264 -preset ultrafast -pix_fmt yuv444p")
    fast = folder / "faststart.mp4"
    pattern(fast, seconds=6, options=f"{X264} -movflags +faststart")
    path["truncated"].write_bytes(fast.read_bytes()[: int(fast.stat().st_size * 0.6)])
    damage(fast, path["damaged"], 0.5, 4096)
    path["restarted"].write_bytes(path["transport"].read_bytes() * 2)
    return path


@pytest.fixture(scope="session")
def key_every_second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds at 25 frames a second, each of which begins with a key frame; packets lie in the frames' order."""
    path = tmp_path_factory.mktemp("keys") / "keys.mp4"
    pattern(path, seconds=4, options=f"{X264} -g 25 -sc_threshold 0 -bf 0")
    return path


@pytest.fixture(scope="session")
def unreadable(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files that are no video one can read, by why."""
    folder = tmp_path_factory.mktemp("unreadable")
    path = {
        name: folder / f"{name}.{ending}"
        for name, ending in [
            ("missing", "mp4"), ("empty", "mp4"), ("text", "mp4"), ("noise", "mkv"), ("sound", "m4a"), ("still", "png"),
            ("photograph", "jpg"), ("encrypted", "mp4"), ("no_index", "mp4"), ("header_alone", "mp4"),
            ("playlist", "m3u8"),
        ]
    }  # fmt: skip
    path["empty"].write_bytes(b"")
    path["text"].write_text("This is a letter, not a video.\n" * 50)
    path["noise"].write_bytes(np.random.default_rng(1).bytes(100_000))
    art = path["still"]
    cv2.imwrite(str(art), np.full((64, 64, 3), 90, np.uint8))
    cv2.imwrite(str(path["photograph"]), np.full((64, 64, 3), 90, np.uint8))
    sine = "-f lavfi -i sine=duration=2"
    ffmpeg(f"{sine} -i {{0}} -map 0 -map 1 -c:a aac -c:v copy -disposition:v attached_pic {{1}}", art, path["sound"])
    key = "00112233445566778899aabbccddeeff"
    pattern(
        path["encrypted"],
        seconds=1,
        options=f"{X264} -encryption_scheme cenc-aes-ctr -encryption_key {key} -encryption_kid {key}",
    )
    whole = folder / "whole.mp4"
    pattern(whole, seconds=1)
    content = whole.read_bytes()
    path["no_index"].write_bytes(content[: len(content) // 2])
    fast = folder / "fast.mp4"
    pattern(fast, seconds=1, options=f"{X264} -movflags +faststart")
    moved = fast.read_bytes()
    path["header_alone"].write_bytes(moved[: moved.index(b"mdat") + 4])
    path["playlist"].write_text(f"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/{whole.name}\n")
    return path


@pytest.fixture(scope="session")
def reference_frames() -> Callable[[Path, int, int], Array]:
    """What ffmpeg itself shows of a file, (N, H, W, 3) uint8, turned as its display matrix says."""

    def read(path: Path, width: int, height: int) -> Array:
        words = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path), "-fps_mode", "passthrough"]
        words += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        raw = subprocess.run(words, check=True, capture_output=True, timeout=120).stdout
        return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)

    return read


Place = Callable[[int], Sequence[tuple[Array, int, int]]]  # frame -> pictures with their upper left corners


@pytest.fixture(scope="session")
def write_video() -> Callable[[Path, int, Place], Path]:
    return _write_video


def _write_video(path: Path, frames: int, place: Place, size: tuple[int, int] = (320, 240)) -> Path:
    """25 frames a second: pictures moved over a grey ground, at a quality that keeps faces faces."""
    width, height = size
    rate = 25
    writer = imageio_ffmpeg.write_frames(
        str(path), size, fps=rate, codec="libx264", quality=None, macro_block_size=1,
        output_params=["-preset", "ultrafast", "-crf", "16"],
    )  # fmt: skip
    writer.send(None)
    for number in range(frames):
        frame = np.full((height, width, 3), 110, np.uint8)
        for picture, left, top in place(number):
            x0, y0 = max(left, 0), max(top, 0)
            x1, y1 = min(left + picture.shape[1], width), min(top + picture.shape[0], height)
            if x1 > x0 and y1 > y0:
                frame[y0:y1, x0:x1] = picture[y0 - top : y1 - top, x0 - left : x1 - left]
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    return path


@pytest.fixture(scope="session")
def astronaut() -> Array:
    """(120, 120, 3) a woman's face."""
    picture: Array = data.astronaut()[20:200, 135:315]
    return cv2.resize(picture, (120, 120), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="session")
def stranger(astronaut: Array) -> Array:
    """(120, 120, 3) somebody else: the same photograph, mirrored, with other skin, hair and light."""
    picture = astronaut[:, ::-1].astype(float)
    shade = np.linspace(0.35, 1.1, picture.shape[1])[None, :, None]
    return np.clip(picture[..., ::-1] * shade, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def meeting(
    tmp_path_factory: pytest.TempPathFactory,
    write_video: Callable[[Path, int, Place], Path],
    astronaut: Array,
    stranger: Array,
) -> Path:
    """Five seconds: one face, a second one that comes and goes, a moment with nobody, a cut to the second alone."""
    wall = np.full((240, 320, 3), 235, np.uint8)

    def place(number: int) -> list[tuple[Array, int, int]]:
        if number >= 100:
            return [(wall, 0, 0), (stranger, 60 + number - 100, 70)]
        if 60 <= number < 75:
            return []
        first = (astronaut, 5 + number // 4, 60)
        return [first, (stranger, 190, 60 + number // 4)] if 30 <= number < 60 else [first]

    return write_video(tmp_path_factory.mktemp("meeting") / "meeting.mp4", 125, place)


@pytest.fixture(scope="session")
def call(tmp_path_factory: pytest.TempPathFactory, astronaut: Array) -> Path:
    """A second of nine small faces, each moving in its own tile, in a picture of 960 x 540."""
    head = cv2.resize(astronaut, (92, 92), interpolation=cv2.INTER_AREA)
    tiles = [(320 * x + 120, 180 * y + 48) for y in range(3) for x in range(3)]

    def place(number: int) -> list[tuple[Array, int, int]]:
        return [(head, left + (number + left) % 9, top + (number + top) % 7) for left, top in tiles]

    return _write_video(tmp_path_factory.mktemp("call") / "call.mp4", 25, place, (960, 540))


@pytest.fixture(scope="session")
def corner(tmp_path_factory: pytest.TempPathFactory, astronaut: Array) -> Path:
    """A second of one small face in the corner of a picture of 1280 x 720."""
    head = cv2.resize(astronaut, (88, 88), interpolation=cv2.INTER_AREA)
    path = tmp_path_factory.mktemp("corner") / "corner.mp4"
    return _write_video(path, 25, lambda n: [(head, 1150 + n, 20)], (1280, 720))
