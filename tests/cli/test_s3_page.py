"""Every command of docs/s3.md runs against a real S3 server, and leaves no credentials behind."""

import logging
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from affect.pipeline.demo.film import DemoDataConfig
from affect.tests.desk import make_desk
from affect.tests.pages import blocks, run_page, text_of

SECRET = "a-secret-of-this-test"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server with the page's bucket, and the variables that the page names."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    values = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
              "AWS_ENDPOINT_URL": f"http://{host}:{port}"}  # fmt: skip
    said = blocks(text_of("docs/s3.md"), "bash")[0]
    assert [line.split("=")[0].removeprefix("export ") for line in said.splitlines()] == list(values)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    client = boto3.client(
        "s3", endpoint_url=values["AWS_ENDPOINT_URL"], aws_access_key_id="somebody", aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )  # fmt: skip
    client.create_bucket(Bucket="features")
    yield
    server.stop()


@pytest.mark.usefixtures("bucket")
def test_every_command_of_the_page_runs_and_writes_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = DemoDataConfig(splits=(("train", 2), ("validation", 1), ("test", 1)), seconds=5.0)
    make_desk(tmp_path, {"S01": "anna", "S02": "ben", "S03": "cleo", "S04": "dora"}, config)
    run_page("docs/s3.md")
    assert len(list(Path("tables").glob("*.parquet"))) == 4
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written and not [path for path in written if SECRET.encode() in path.read_bytes()]
