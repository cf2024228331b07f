"""Times, orientation, damage: what comes out of every awkward kind of file."""

import csv
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest

from affect.cache import open_store
from affect.cache.records import Array
from affect.errors import VideoError
from affect.stages.features.fingerprint import fingerprint
from affect.stages.features.video.decode import Recording, open_video
from affect.stages.features.video.frame import Frame
from affect.stages.features.video.sampler import Sampler

STEADY = [n / 25 for n in range(75)]
VARIABLE = [n / 25 for n in range(75) if n < 20 or n % 7 == 0]
TIMES = {
    **dict.fromkeys(
        [
            "constant", "offset_mp4", "offset_mkv", "rotated", "mirrored", "wide_pixels", "transport", "interlaced",
            "bframes", "raw", "ten_bit", "odd_444",
        ],
        STEADY,
    ),
    "ntsc": [n * 1001 / 30000 for n in range(90)],
    "variable_mp4": VARIABLE,
    "variable_mkv": VARIABLE,
    "copy_cut": STEADY[:57],
    "restarted": [n / 25 for n in range(150)],
    "truncated": [n / 25 for n in range(89)],
}  # fmt: skip
HEADER_FRAMES = {
    **dict.fromkeys(
        ["constant", "offset_mp4", "copy_cut", "rotated", "mirrored", "wide_pixels", "interlaced", "bframes"], 75
    ),
    **dict.fromkeys(["variable_mkv", "offset_mkv", "transport", "raw", "ten_bit", "odd_444", "restarted"], None),
    "ntsc": 90, "variable_mp4": 28, "truncated": 150, "damaged": 150,
}  # fmt: skip
REFUSED = {
    "missing": "no such file", "empty": "0 bytes", "text": "cannot be read as a video",
    "noise": "cannot be read as a video", "sound": "no video stream", "still": "still picture",
    "photograph": "still picture", "encrypted": "stream is encrypted", "no_index": "cannot be read as a video",
    "header_alone": "gave no frame", "playlist": "cannot be read as a video",
}  # fmt: skip


def read(path: Path) -> tuple[Recording, list[Frame]]:
    video = open_video(path)
    frames = list(video.frames())
    video.close()
    return video, frames


@pytest.mark.parametrize("name", sorted(TIMES))
def test_times_are_those_the_file_was_made_with(videos: dict[str, Path], name: str) -> None:
    _, frames = read(videos[name])
    assert [frame.index for frame in frames] == list(range(len(TIMES[name])))
    np.testing.assert_allclose([frame.time_s for frame in frames], TIMES[name], atol=0.001)


@pytest.mark.parametrize("name", sorted(set(TIMES) - {"bframes", "raw", "restarted", "interlaced"}))
def test_times_agree_with_the_packets_of_the_container(videos: dict[str, Path], name: str) -> None:
    with av.open(str(videos[name])) as container:
        track = container.streams.video[0]
        assert track.time_base is not None
        stamps = []
        try:
            for packet in container.demux(track):
                if packet.pts is not None and not packet.is_discard:
                    stamps.append(packet.pts * track.time_base)
        except av.error.FFmpegError:
            assert name == "truncated"
    truth = [float(stamp - min(stamps)) for stamp in sorted(stamps)]
    _, frames = read(videos[name])
    np.testing.assert_allclose([frame.time_s for frame in frames], truth[: len(frames)], atol=0.001)
    assert len(truth) - len(frames) <= (name == "truncated")


@pytest.mark.parametrize("name", sorted(HEADER_FRAMES))
def test_header_and_decoded_counts_are_both_told(videos: dict[str, Path], name: str) -> None:
    video, frames = read(videos[name])
    assert video.header_frames == HEADER_FRAMES[name]
    assert video.decoded_frames == len(frames)
    said = any("were decoded" in note for note in video.notes())
    assert said == (video.header_frames not in (None, len(frames)))


@pytest.mark.parametrize("name", ["constant", "rotated", "mirrored"])
def test_pictures_are_upright_as_ffmpeg_shows_them(
    videos: dict[str, Path], reference_frames: Callable[[Path, int, int], Array], name: str
) -> None:
    video, frames = read(videos[name])
    width, height = video.shape.upright_px
    assert (width, height) == ((120, 160) if name == "rotated" else (160, 120))
    reference = reference_frames(videos[name], width, height)
    assert len(reference) == len(frames)
    for number in (0, 40, 74):
        # ffmpeg spreads chroma over neighbouring pixels in another way; turned wrongly, pictures differ by over 40.
        difference = np.abs(frames[number].rgb().astype(int) - reference[number])
        assert difference.mean() < 8
        assert np.abs(frames[number].rgb()[::-1].astype(int) - reference[number]).mean() > 40


def test_pixels_are_made_square(videos: dict[str, Path]) -> None:
    video, frames = read(videos["wide_pixels"])
    assert video.pixel_aspect == pytest.approx(4 / 3)
    assert frames[0].rgb().shape == (120, 213, 3)


@pytest.mark.parametrize("name", ["ten_bit", "odd_444", "interlaced"])
def test_other_pixel_formats_show_the_same_picture(videos: dict[str, Path], name: str) -> None:
    _, plain = read(videos["constant"])
    _, frames = read(videos[name])
    one, other = plain[0].thumbnail().astype(int), frames[0].thumbnail().astype(int)
    assert np.abs(one - other).mean() < 6
    assert frames[0].rgb().dtype == np.uint8


def test_a_frame_squeezed_into_a_square_is_its_centre(videos: dict[str, Path]) -> None:
    video, frames = read(videos["rotated"])
    assert frames[0].square(60).shape == (60, 60, 3)
    np.testing.assert_array_equal(video.shape.centre_px(), [0, 20, 120, 140])
    whole = frames[0].rgb()[20:140].reshape(60, 2, 60, 2, 3).mean((1, 3))
    assert np.corrcoef(whole.ravel(), frames[0].square(60).ravel())[0, 1] > 0.98


def test_what_follows_damage_is_read_and_marked_until_it_heals(videos: dict[str, Path]) -> None:
    video, frames = read(videos["damaged"])
    damaged = [frame.index for frame in frames if frame.damaged]
    assert video.bad_packets >= 1
    assert len(frames) > 140
    assert frames[-1].time_s == pytest.approx(5.96, abs=0.001)
    assert 50 < damaged[0] < 90
    assert damaged == list(range(damaged[0], damaged[-1] + 1))
    assert not frames[-1].damaged
    assert any("damaged: " in problem for problem in video.problems())
    assert not video.cut_short


@pytest.mark.parametrize("lost", [30, 60, 70])
def test_damage_ends_at_the_next_key_frame(key_every_second: Path, tmp_path: Path, lost: int) -> None:
    """What comes from there on is built on nothing that is missing."""
    with av.open(str(key_every_second)) as container:
        packets = list(container.demux(container.streams.video[0]))
    keys = [number for number, packet in enumerate(packets) if packet.size and packet.is_keyframe]
    assert keys == [0, 25, 50, 75]
    content, position = bytearray(key_every_second.read_bytes()), packets[lost].pos
    assert position is not None
    content[position : position + packets[lost].size] = bytes(packets[lost].size)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(bytes(content))
    video, frames = read(path)
    damaged_s = [frame.time_s for frame in frames if frame.damaged]
    next_key = next(key for key in keys if key > lost)
    assert video.bad_packets == 1
    assert damaged_s[0] == pytest.approx((lost + 1) / 25, abs=0.001)
    assert damaged_s[-1] == pytest.approx((next_key - 1) / 25, abs=0.001)
    assert video.damaged_frames == len(damaged_s) == next_key - 1 - lost


def test_a_truncated_file_says_how_much_is_missing(videos: dict[str, Path]) -> None:
    video, _ = read(videos["truncated"])
    assert video.cut_short
    assert video.problems()[0] == "cut short: decoding ended at 3.56 s of the 6.00 s the container announces"


def test_a_sound_file_has_no_problems(videos: dict[str, Path]) -> None:
    for name in (
        "constant",
        "ntsc",
        "variable_mp4",
        "variable_mkv",
        "offset_mp4",
        "offset_mkv",
        "copy_cut",
        "transport",
    ):
        video, _ = read(videos[name])
        assert video.problems() == [], name


def test_a_restarted_clock_goes_on_and_is_told(videos: dict[str, Path]) -> None:
    video, _ = read(videos["restarted"])
    assert any("the clock jumps 3.00 s back at 3.00 s; closed" in note for note in video.notes())


def test_decoding_twice_gives_the_same_pixels(videos: dict[str, Path]) -> None:
    for name in ("damaged", "ten_bit", "wide_pixels"):
        pixels = [[frame.rgb().tobytes() for frame in read(videos[name])[1][::20]] for _ in range(2)]
        assert pixels[0] == pixels[1]


@pytest.mark.parametrize(("name", "words"), REFUSED.items())
def test_what_is_no_video_is_refused_with_its_path_and_the_reason(
    unreadable: dict[str, Path], name: str, words: str
) -> None:
    with pytest.raises(VideoError) as refusal:
        open_video(unreadable[name])
    assert words in refusal.value.message
    assert str(unreadable[name]) in refusal.value.message
    assert "expected" in refusal.value.message


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="is a folder"):
        open_video(tmp_path)


@pytest.mark.parametrize("name", ["é%03d.mp4", "a:b.mp4", "concat:x|y.mp4", "http:host.mp4", "-i.mp4"])
def test_any_file_name_is_a_file_name(videos: dict[str, Path], tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    path = folder / name
    path.write_bytes(videos["constant"].read_bytes())
    assert len(read(path)[1]) == 75


def test_twenty_five_frames_a_second_keep_every_eighth() -> None:
    sampler = Sampler(3.125)
    kept = [n for n in range(25 * 3600 * 3) if sampler.keeps(float(Fraction(n, 25)))]
    assert kept == list(range(0, 25 * 3600 * 3, 8))


def test_the_first_frame_at_or_after_each_grid_time_is_kept() -> None:
    times = [0.0, 0.1, 0.1996, 0.25, 0.39, 0.41, 1.05, 1.06, 1.19, 1.21]
    sampler = Sampler(5.0)
    assert [time for time in times if sampler.keeps(time)] == [0.0, 0.1996, 0.41, 1.05, 1.21]


def test_every_frame_is_kept_at_the_rate_of_the_source() -> None:
    sampler = Sampler("source")
    assert all(sampler.keeps(time) for time in (0.0, 0.0, 0.001, 7.0))


def test_a_fingerprint_follows_the_content_and_not_the_name(videos: dict[str, Path], tmp_path: Path) -> None:
    content = videos["constant"].read_bytes()
    copy, changed = tmp_path / "copy.mp4", tmp_path / "changed.mp4"
    copy.write_bytes(content)
    changed.write_bytes(content[:-2000] + bytes([content[-2000] ^ 1]) + content[-1999:])
    assert fingerprint(copy) == fingerprint(videos["constant"])
    assert fingerprint(changed) != fingerprint(copy)
    with pytest.raises(VideoError, match="cannot be read"):
        fingerprint(tmp_path / "missing.mp4")


@pytest.fixture(scope="module")
def extracted(
    videos: dict[str, Path], unreadable: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The store that one run of the command makes of all these files, and what it says of each, by file name."""
    store = tmp_path_factory.mktemp("extracted") / "store"
    files = [*videos.values(), *(path for path in unreadable.values() if path.exists())]
    words = ["--faces", "none", "--backbone", "timm:test_convnext", "--weights", "random", "--sample-fps", "source"]
    ended = subprocess.run(
        [sys.executable, "-m", "affect", "extract-features", *files, "--store", store, *words, "--json"],
        cwd=store.parent, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    return store, {item["id"]: item for item in json.loads(ended.stdout)["videos"]}


def presented(path: Path) -> list[float]:
    """Presentation times of the frames ffmpeg decodes, from the first."""
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-copyts", "-i", str(path), "-map", "0:v:0"]
    words += ["-vf", "showinfo", "-fps_mode", "passthrough", "-f", "null", "-"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False).stderr
    times = [float(time) for time in re.findall(r"\bpts_time:([-0-9.]+)", said)]
    return [time - times[0] for time in times]


@pytest.mark.parametrize("name", sorted(HEADER_FRAMES))
def test_stored_times_are_those_that_ffmpeg_presents(
    videos: dict[str, Path], extracted: tuple[Path, dict[str, Any]], name: str
) -> None:
    features = open_store(extracted[0]).read(videos[name].name)
    # ffmpeg's own clock falls back where the file's does.
    truth = TIMES[name] if name == "restarted" else presented(videos[name])
    assert len(truth) > 20
    np.testing.assert_allclose(features.time_s, truth, rtol=0, atol=0.001)
    assert features.index.tolist() == list(range(len(truth)))


@pytest.mark.parametrize("name", sorted(HEADER_FRAMES))
def test_counts_are_stored_and_the_summary_says_where_they_disagree_or_the_end_came_early(
    videos: dict[str, Path], extracted: tuple[Path, dict[str, Any]], name: str
) -> None:
    store, said = extracted
    info, header = open_store(store).info(videos[name].name), HEADER_FRAMES[name]
    outcome = said[videos[name].name]
    assert (outcome["status"], outcome["frames"]) == ("done", info.decoded_frames)
    assert info.header_frames == header
    assert outcome["warnings"] == list(info.warnings)
    text = "\n".join(info.warnings)
    disagreement = f"the container lists {header} frames, {info.decoded_frames} were decoded"
    assert (disagreement in text) == (header not in (None, info.decoded_frames))
    assert ("cut short: decoding ended at 3.56 s of the 6.00 s" in text) == info.cut_short == (name == "truncated")
    assert ("damaged: " in text) == (info.bad_packets > 0) == (name in ("truncated", "damaged", "restarted"))


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - {"missing"}))
def test_the_command_lists_what_it_cannot_read_with_the_reason(
    unreadable: dict[str, Path], extracted: tuple[Path, dict[str, Any]], name: str
) -> None:
    store, said = extracted
    outcome = said[unreadable[name].name]
    assert outcome["status"] == "failed"
    assert REFUSED[name] in outcome["reason"]
    with (store / "failures.csv").open(encoding="utf-8", newline="") as file:
        assert {row["id"]: row["reason"] for row in csv.DictReader(file)}[outcome["id"]] == outcome["reason"]


def mutate(rng: random.Random, files: list[bytes]) -> bytes:
    content = bytearray(rng.choice(files))
    kind = rng.choice(["flip", "header", "cut", "splice"])
    if kind == "cut":
        return bytes(content[: rng.randrange(len(content))])
    if kind == "splice":
        other = rng.choice(files)
        start, place = rng.randrange(len(other)), rng.randrange(len(content))
        return bytes(content[:place] + other[start : start + rng.randrange(20_000)] + content[place:])
    reach = min(len(content), 3000) if kind == "header" else len(content)
    for _ in range(rng.choice([1, 10, 200])):
        content[rng.randrange(reach)] = rng.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("draws", [60, pytest.param(3000, marks=pytest.mark.stress)])
def test_mutated_files_are_read_or_refused_and_nothing_else(
    videos: dict[str, Path], tmp_path: Path, draws: int
) -> None:
    rng = random.Random(draws)
    files = [path.read_bytes() for path in videos.values()]
    refused = 0
    for draw in range(draws):
        path = tmp_path / f"{draw}.mp4"
        path.write_bytes(mutate(rng, files))
        try:
            _, frames = read(path)
        except VideoError as error:
            refused += 1
            assert str(path) in error.message
            continue
        times = [frame.time_s for frame in frames]
        assert times == sorted(times)
        frames[-1].rgb()
        path.unlink()
    assert 0 < refused < draws
