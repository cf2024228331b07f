"""The command as real processes that may be killed, small videos, and what a store must hold in the end."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import imageio_ffmpeg
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from affect.cache import open_store
from affect.cache.records import DTYPES

# Importing torch costs seconds a process: one process imports, and every command is a fork of it.
SERVER = """
import json, os, sys
import affect.cli, affect.pipeline.extract.extract, affect.pipeline.extract.inspect
import affect.pipeline.terminal.bars, affect.pipeline.terminal.text, affect.stages.features.stream
import affect.cache.zarr_format, affect.cache.hdf5_format, affect.cache.blobs_object, timm

def answer(value):
    print(json.dumps(value), flush=True)

def begin(order):
    pid = os.fork()
    if pid:
        answer(pid)
        return
    os.setsid()
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    for handle, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), handle)
    sys.argv = ["affect", *order["words"]]
    affect.cli.main()

for line in sys.stdin:
    order = json.loads(line)
    if "words" in order:
        begin(order)
    else:
        pid, status = os.waitpid(order["pid"], os.WNOHANG)
        answer(os.waitstatus_to_exitcode(status) if pid else None)
"""
# Whole frames through a small network, every frame kept: many blocks in little time. Random weights make features of
# 1e-10 in torchvision's smallest, which in float16 are zero for every frame.
SMALL = ("--faces", "none", "--backbone", "timm:test_convnext", "--weights", "random", "--sample-fps", "source")
LIMIT_S = 300.0
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def videos(self) -> dict[str, dict[str, Any]]:
        """What `--json` said of each video, by id."""
        found = json.loads(self.out)["videos"]
        assert len({item["id"] for item in found}) == len(found), "a video has two outcomes"
        return {item["id"]: item for item in found}

    def statuses(self) -> dict[str, str]:
        return {name: item["status"] for name, item in self.videos.items()}


class Running:
    """A command that runs; its process group is its own."""

    def __init__(self, pid: int, poll: Callable[[], int | None], out: Path, err: Path) -> None:
        self.pid, self._poll, self._out, self._err = pid, poll, out, err
        self._code: int | None = None

    def ended(self) -> bool:
        if self._code is None:
            self._code = self._poll()
        return self._code is not None

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, limit_s: float = LIMIT_S) -> Ended:
        deadline = time.monotonic() + limit_s
        while not self.ended():
            if time.monotonic() > deadline:
                os.killpg(self.pid, signal.SIGKILL)
                raise AssertionError(f"still running after {limit_s} s: {self._err.read_text()}")
            time.sleep(0.02)
        assert self._code is not None
        return Ended(self._code, self._out.read_text(), self._err.read_text())


class Command:
    """Starts `affect` with the words given, as forks of one process that has its modules loaded."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._count = 0
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._pids: list[int] = []

    def start(
        self, *words: object, fresh: bool = False, folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Running:  # fmt: skip
        """`fresh`: `python -m affect` rather than a fork."""
        with self._lock:
            self._count += 1
            number = self._count
        out, err = self._folder / f"{number}.out", self._folder / f"{number}.err"
        for path in (out, err):
            path.touch()  # a kill may come before the command opens them
        typed, where, extra = [str(word) for word in words], str(folder or self._folder), dict(environment or {})
        if fresh:
            process = subprocess.Popen(
                [sys.executable, "-m", "affect", *typed], cwd=where, start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", **extra},
                stdin=subprocess.DEVNULL, stdout=out.open("w"), stderr=err.open("w"),
            )  # fmt: skip
            self._pids.append(process.pid)
            return Running(process.pid, process.poll, out, err)
        order = {"words": typed, "folder": where, "environment": extra, "out": str(out), "err": str(err)}
        pid: int = self._ask(order)
        self._pids.append(pid)
        return Running(pid, lambda: self._ask({"pid": pid}), out, err)

    def has_stored_a_block(self, store: Path, number: int) -> bool:
        """Whether some journal holds that block; folders may vanish meanwhile, where Path.rglob raises."""
        return any(f"block-{number:05d}" in names for _, _, names in os.walk(store))

    def run(self, *words: object, limit_s: float = LIMIT_S, environment: Mapping[str, str] | None = None) -> Ended:
        return self.start(*words, environment=environment).wait(limit_s)

    def extract(self, *words: object, limit_s: float = LIMIT_S, environment: Mapping[str, str] | None = None) -> Ended:
        """`extract-features` with the small network, its outcomes as JSON."""
        return self.run("extract-features", *words, *SMALL, "--json", limit_s=limit_s, environment=environment)

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        for pid in self._pids:
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._server.wait(30)

    def _ask(self, order: Mapping[str, Any]) -> Any:
        with self._lock:
            assert self._server.stdin is not None
            assert self._server.stdout is not None
            self._server.stdin.write(json.dumps(order) + "\n")
            self._server.stdin.flush()
            return json.loads(self._server.stdout.readline())


@pytest.fixture(scope="session")
def affect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    command = Command(tmp_path_factory.mktemp("said"))
    yield command
    command.close()


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """The options of the small network."""
    return (*SMALL, "--json")


def _film(path: Path, seconds: float, options: tuple[str, ...] = X264, size: str = "160x120") -> Path:
    """A moving test pattern at 25 frames a second."""
    source = f"testsrc2=size={size}:rate=25:duration={seconds}"
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-nostdin", "-f", "lavfi", "-i", source]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"film{path.suffix}"  # ffmpeg reads a percent sign in a name as a pattern
    subprocess.run([*words, *options, str(temporary)], check=True, timeout=120)
    temporary.rename(path)
    return path


@pytest.fixture(scope="session")
def film() -> Callable[..., Path]:
    """Writes a moving test pattern: `film(path, seconds, ffmpeg_options, size)`."""
    return _film


@pytest.fixture(scope="session")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds, 300 frames: ten blocks."""
    return _film(tmp_path_factory.mktemp("long") / "long.mp4", 12)


@pytest.fixture(scope="session")
def short_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four films of a second each, no two alike."""
    folder = tmp_path_factory.mktemp("short")
    for number in range(4):
        _film(folder / f"{number}.mp4", 1 + number / 10)
    return folder


@pytest.fixture(scope="session")
def same_entries() -> Callable[..., None]:
    return assert_same_entries


def assert_same_entries(location: Path | str, wanted: Path | str, ids: list[str] | None = None) -> None:
    """Two stores hold these videos (all, unless said), whole, and each array byte for byte as the other's."""
    mine, theirs = open_store(location), open_store(wanted)
    if ids is None:
        ids = theirs.ids()
        assert mine.ids() == ids
    for name in ids:
        assert mine.verify(name) == []
        left, right = mine.read(name), theirs.read(name)
        assert len(np.unique(left.values, axis=0)) > 1, f"{name}: rows that are all alike compare nothing"
        for field in DTYPES:
            assert np.array_equal(getattr(left, field).view(np.uint8), getattr(right, field).view(np.uint8)), (
                f"{name}: {field} differs"
            )
        assert mine.info(name).persons == theirs.info(name).persons


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of a local S3 server with a bucket named `features`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    ).create_bucket(Bucket="features")
    yield endpoint
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that leads to the server; set here as well."""
    environment = {
        "AWS_ENDPOINT_URL": s3_server, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment
