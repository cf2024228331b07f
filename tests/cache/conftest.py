"""Drawn features and a real S3 server, for every test of the cache."""

import logging
from collections.abc import Callable, Iterator

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from affect.cache.records import FrameFeatures, Recipe, VideoInfo

Draw = Callable[..., FrameFeatures]


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return Recipe({"backbone": {"name": "lite0", "weights_sha256": "ab12"}, "sample_fps": 3.125, "view": "plain"})


@pytest.fixture(scope="session")
def draw() -> Draw:
    """A block of `frames` kept frames from number `first` on, `rows` rows of `size` features, drawn by `seed`."""

    def block(frames: int, rows: int, size: int = 8, first: int = 0, seed: int = 0) -> FrameFeatures:
        generator = np.random.default_rng(seed)
        numbers = np.arange(first, first + frames)
        return FrameFeatures(
            time_s=numbers / 3.125,
            index=(numbers * 8).astype(np.int64),
            status=generator.integers(0, 5, frames).astype(np.uint8),
            values=generator.standard_normal((rows, size)).astype(np.float16),
            frame=(first + np.sort(generator.integers(0, max(1, frames), rows))).astype(np.int64),
            track=generator.integers(0, 3, rows).astype(np.int32),
            box_px=generator.random((rows, 4)).astype(np.float32) * 500,
            score=generator.random(rows).astype(np.float32),
            landmarks_px=generator.standard_normal((rows, 5, 2)).astype(np.float32),
        )

    return block


@pytest.fixture(scope="session")
def info(recipe: Recipe) -> VideoInfo:
    return VideoInfo(
        recipe_digest=recipe.digest, fingerprint="f" * 64, file_bytes=12345, file_mtime_ns=1_700_000_000_123_456_789,
        header_frames=None, decoded_frames=400, duration_s=16.04, average_fps=25.0, width_px=640, height_px=360,
        rotation_deg=90, codec="h264", bad_packets=2, cut_short=True, persons={0: 0, 1: 0, 2: 2},
        warnings=("ends at 12 s of 16 s", "naïve, not ASCII"), versions={"av": "18.1"}, device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of a local S3 server with a bucket named `features`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )
    client.create_bucket(Bucket="features")
    yield endpoint
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The endpoint, with the environment that leads to it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return s3_server
