"""Damaged videos of many kinds through one run: no crash, no hang, each stored or listed, the good ones as alone."""

import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from affect.cache import open_store

if TYPE_CHECKING:
    from .conftest import Command

Film = Callable[..., Path]
VIDEO_LIMIT_S = 90.0  # a mutated second of video; the machine may be busy
KINDS = {
    "mp4": ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "10", "-pix_fmt", "yuv420p"),
    "mkv": ("-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-pix_fmt", "yuv420p"),
    "avi": ("-c:v", "mpeg4", "-g", "8"),
    "ts": ("-c:v", "mpeg2video", "-g", "8", "-bf", "2"),
    "mov": ("-c:v", "mjpeg",),
    "webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"),
    "h264": ("-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p"),
}  # fmt: skip


def flipped(content: bytearray, generator: random.Random) -> bytes:
    for _ in range(generator.choice([1, 3, 30, 300])):
        content[generator.randrange(len(content))] = generator.randrange(256)
    return bytes(content)


def overwritten(content: bytearray, generator: random.Random) -> bytes:
    start, size = generator.randrange(len(content)), generator.choice([16, 512, 4096])
    content[start : start + size] = generator.choice([bytes(size), generator.randbytes(size)])[: len(content) - start]
    return bytes(content)


def cut(content: bytearray, generator: random.Random) -> bytes:
    share = generator.random()
    return bytes(
        content[: int(len(content) * share)] if generator.random() < 0.7 else content[int(len(content) * share) :]
    )


def without_middle(content: bytearray, generator: random.Random) -> bytes:
    start, stop = sorted(generator.randrange(len(content)) for _ in range(2))
    return bytes(content[:start] + content[stop:])


def mutate(films: dict[str, bytes], folder: Path, count: int, seed: int) -> None:
    """`count` files in `folder`, each some film's content gone wrong; kinds of film and of damage in turn."""
    generator = random.Random(seed)
    damages = [flipped, overwritten, cut, without_middle]
    endings = list(films)
    for number in range(count):
        ending = endings[number % len(endings)]
        damage = number % (len(damages) + 1)
        if damage < len(damages):
            content = damages[damage](bytearray(films[ending]), generator)
        else:
            other = films[generator.choice(endings)]
            content = (
                films[ending][: generator.randrange(len(films[ending]))] + other[generator.randrange(len(other)) :]
            )
        (folder / f"bad-{number:03d}.{ending}").write_bytes(content)


@contextmanager
def no_video_takes_longer_than(limit_s: float, store: Path) -> Iterator[None]:
    """Watches the claims in a store: each is there from the start of a video to its end."""
    stop, began, slow = threading.Event(), dict[Path, float](), set[str]()

    def watch() -> None:
        while not stop.wait(0.5):
            claims = set(store.glob(".journal/*/claim")) | set(store.glob(".journal/*.journal/claim"))
            for gone in set(began) - claims:
                del began[gone]
            for claim in claims:
                if time.monotonic() - began.setdefault(claim, time.monotonic()) > limit_s:
                    slow.add(claim.parent.name)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert slow == set()


@pytest.mark.parametrize("count", [14, pytest.param(300, marks=pytest.mark.stress)])
def test_mutated_videos_are_stored_or_listed_and_the_good_ones_are_as_alone(
    affect: "Command", film: Film, tmp_path: Path, same_entries: Callable[..., None], count: int
) -> None:
    good, mixed = tmp_path / "good", tmp_path / "mixed"
    films = {ending: film(good / f"good.{ending}", 1, options, "96x72") for ending, options in KINDS.items()}
    shutil.copytree(good, mixed)
    mutate({ending: path.read_bytes() for ending, path in films.items()}, mixed, count, seed=count)
    with no_video_takes_longer_than(VIDEO_LIMIT_S, tmp_path / "store"):
        ended = affect.extract(mixed, "--store", tmp_path / "store", "--jobs", 2, limit_s=120 + 6 * count)
    videos = ended.videos
    assert ended.code == 1
    assert len(videos) == len(KINDS) + count
    for name, outcome in videos.items():
        assert outcome["status"] in ("done", "failed"), outcome
        if outcome["status"] == "failed":
            assert name.startswith("bad-")
            assert outcome["reason"]
            assert "worker" not in outcome["reason"], outcome
    store = open_store(tmp_path / "store")
    assert store.ids() == sorted(name for name, outcome in videos.items() if outcome["status"] == "done")
    for name in store.ids():
        assert store.verify(name) == []
    alone = affect.extract(good, "--store", tmp_path / "alone")
    assert alone.code == 0, alone.out
    same_entries(tmp_path / "store", tmp_path / "alone", sorted(path.name for path in films.values()))
    listed = (tmp_path / "store" / "failures.csv").read_text()
    assert all(name in listed for name, outcome in videos.items() if outcome["status"] == "failed")
