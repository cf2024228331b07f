"""Time of a run that finds every one of 10,000 videos stored: `python benchmarks/skip_stored.py [--videos 10000]`.

One short video is extracted, and its entry stands for all the others, each of which is a link to the same file. The
command is timed from its start to its end, for a store in a folder in both formats, and for one on a local S3 server;
there the server's own rate of answering is measured beside it. Goal: under 5 s on a folder.
"""

import argparse
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from affect.benchmarks.extraction_speed import make_video
from affect.benchmarks.hardware import hardware, write_result
from affect.cache.blobs_object import ObjectFolder

OPTIONS = ("--faces", "none", "--json")
REPEATS = 3
ACCESS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=10_000)
    words = parser.parse_args()
    machine, measured = hardware(), {"videos": words.videos}
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder, "videos")
        link_many(make_video(Path(folder), 4, "160:120"), videos, words.videos)
        for store_format in ("zarr", "hdf5"):
            store = Path(folder, store_format)
            fill(store, store_format, videos)
            measured[f"{store_format} in a folder"] = timed(videos, str(store))
        measured["hdf5 on a local S3 server"] = on_s3(videos, Path(folder, "hdf5"))
    write_result("skip-stored", measured, machine)


def link_many(video: Path, folder: Path, count: int) -> None:
    """Links to one file, a thousand a folder."""
    for number in range(count):
        link = folder / f"{number // 1000:03d}" / f"{number:05d}.mp4"
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(video, link)


def fill(store: Path, store_format: str, videos: Path) -> None:
    """Extract the first video; its entry is that of all."""
    first, *others = sorted(videos.rglob("*.mp4"))
    alone = store.with_name(f"{store.name}-alone")
    extract(first.parent, str(alone), "--format", store_format, only=first)
    suffix = {"zarr": ".zarr", "hdf5": ".h5"}[store_format]
    entry = next(alone.rglob(f"*.mp4{suffix}"))
    for video in (first, *others):
        target = store / f"{video.relative_to(videos)}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if entry.is_dir() else shutil.copy2)(entry, target)
    shutil.copy2(alone / "store.json", store / "store.json")


def extract(videos: Path, store: str, *options: str, only: Path | None = None) -> float:
    """Seconds that the command took."""
    command = [sys.executable, "-m", "affect", "extract-features", str(only or videos), "--store", store]
    started = time.perf_counter()
    subprocess.run([*command, *OPTIONS, *options], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def timed(videos: Path, store: str) -> dict[str, Any]:
    """The command on all videos, beside the same command on one: what is left is the videos' own time."""
    one = next(videos.iterdir())
    alone = next(one.iterdir())
    pairs = [(extract(videos, store), extract(one, f"{store}-alone", only=alone)) for _ in range(REPEATS)]
    return {
        "seconds": round(statistics.median(whole for whole, _ in pairs), 2),
        "seconds_for_one_video": round(statistics.median(single for _, single in pairs), 2),
        "all_seconds": [round(whole, 2) for whole, _ in pairs],
    }


def on_s3(videos: Path, store: Path) -> dict[str, Any]:
    """The same against a server on this machine, and how fast that server answers at all."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    os.environ.update(ACCESS, AWS_ENDPOINT_URL=endpoint)
    try:
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="features")
        blobs = ObjectFolder("s3://features/store")
        files = [path for path in store.rglob("*") if path.is_file()]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda path: blobs.put(path.relative_to(store).as_posix(), path.read_bytes()), files))
        seconds = extract(videos, "s3://features/store")
        keys = [path.relative_to(store).as_posix() for path in files]
        started = time.perf_counter()
        with ThreadPoolExecutor(blobs.at_once) as pool:
            list(pool.map(lambda key: blobs.get_range(key, 0, 8192), keys))
        answers = time.perf_counter() - started
        one_by_one = time.perf_counter()
        for key in keys[:500]:
            blobs.get_range(key, 0, 8192)
        one_by_one = (time.perf_counter() - one_by_one) / 500 * len(keys)
    finally:
        server.stop()
    return {
        "seconds": round(seconds, 2),
        "server_answers_as_many_requests_in": round(answers, 2),
        "and_one_after_the_other_in": round(one_by_one, 2),
    }


if __name__ == "__main__":
    main()
