"""What may be passed on: no name in pseudonymised output, no machine, place or person in a run folder's model."""

import base64
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import imageio_ffmpeg
import numpy as np
import pandas as pd
import pytest
import safetensors
from click.testing import CliRunner

from affect.cache.manifest import write_manifest
from affect.cache.pseudonyms import Pseudonyms, strength_bits
from affect.cli import main
from affect.configs.load import load_config
from affect.configs.places import command_words, last_name, without_absolute_places, without_places
from affect.errors import InputError
from affect.pipeline.events import ScoresPlanned, VideoFailed
from affect.pipeline.predict.inputs import PredictOptions
from affect.pipeline.predict.outputs import Outputs
from affect.pipeline.predict.overlay import write_overlay
from affect.pipeline.report.report import write_report
from affect.pipeline.train.train import train
from affect.tests.generated import GeneratedData, generated_features
from affect.tests.predictions import made_person, made_prediction, write_face_video

KEY = "8f2c61d07be94a35c1e6f09d3b7a5824"
NAMES = ("annabelle", "Muster", "ward-seven", "annastudy")
TINY = ("model.width=8", "model.heads=2", "model.layers=1", "model.feed_forward=8", "training.epochs=2",
        "evaluation.protocol=k-fold", "evaluation.folds=2")  # fmt: skip


def forms(name: str) -> set[bytes]:
    """How a name may lie in a file: as it is, in UTF-16, percent-encoded, or in base64 at any of the three places."""
    plain = name.encode()
    found = {
        plain,
        name.encode("utf-16-le"),
        name.encode("utf-16-be"),
        quote(name, safe="").encode(),
        plain.hex().encode(),
    }
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + plain)
        start = -(-shift * 8 // 6)
        found.add(text[start : len(text) // 4 * 4 - 4])
    return {form for form in found if len(form) > 3}


def leaks(folder: Path, names: tuple[str, ...]) -> list[str]:
    """Every name that stands in the name or the bytes of a file."""
    found = []
    for path in sorted(folder.rglob("*")):
        where = path.relative_to(folder).as_posix()
        content = where.encode() + (path.read_bytes() if path.is_file() else b"")
        found += [f"{name} in {where}" for name in names if any(form in content for form in forms(name))]
    return found


def test_the_search_for_names_finds_them(tmp_path: Path) -> None:
    for number, content in enumerate(
        [b"x annabelle", "annabelle".encode("utf-16"), base64.b64encode(b"ab annabelle's")]
    ):
        (tmp_path / str(number)).write_bytes(content)
    assert len(leaks(tmp_path, ("annabelle",))) == 3


def key_file(folder: Path, content: bytes | str = KEY, mode: int = 0o600) -> Path:
    path = folder / "secret.key"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def test_no_byte_of_an_output_holds_a_name_a_folder_or_a_path(tmp_path: Path) -> None:
    """Tables, viewer, plots, annotations, summary: of videos that work, warn and fail with their path in the reason."""
    folder = tmp_path / "annastudy" / "ward-seven"
    folder.mkdir(parents=True)
    source = folder / "annabelle Muster.mp4"
    options = PredictOptions(key_file=key_file(tmp_path), exports=("eaf", "vtt", "bids"))
    out = tmp_path / "out"
    warning = f"{source}: the sound of 'annabelle Muster' is at {source.as_uri()}, see ward-seven/{source.name}.zarr"
    made = made_prediction(made_person(1), source=source)
    with Outputs(out, options) as outputs:
        run = str(tmp_path / "annastudy" / "annabelle-run")
        names = (made.video, source.name)
        outputs.add(ScoresPlanned(names, run, "0" * 64, 1, made.targets, made.training_means, "main", 4, 4))
        outputs.add(replace(made, video=f"ward-seven/{source.name}", warnings=(warning,)))
        reason = f"[Errno 5] Input/output error: '{source}'; {warning}"
        outputs.add(VideoFailed("ward-seven/annabelle.mp4", source, reason))
    assert len([path for path in out.rglob("*") if path.is_file()]) >= 6
    assert leaks(out, (*NAMES, str(tmp_path), "annabelle-run")) == []
    summary = json.loads((out / "summary.json").read_text())
    assert summary["run"].startswith("r-") and all(item["video"].startswith("v-") for item in summary["videos"])
    assert "the sound of" in json.dumps(summary)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_an_overlay_has_no_title_of_its_recording(suffix: str, tmp_path: Path) -> None:
    raw = write_face_video(tmp_path / "raw.mp4")
    source = tmp_path / f"annabelle{suffix}"
    words = ["-metadata", "title=annabelle", "-metadata:s:a:0", "title=annabelle", "-metadata:s:v:0", "title=annabelle"]
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(raw), "-c", "copy"]
    subprocess.run([*ffmpeg, *words, "-metadata:s:a:0", "handler_name=annabelle", str(source)], check=True)
    assert source.read_bytes().count(b"annabelle") >= 2
    out = tmp_path / "out"
    out.mkdir()
    named = Pseudonyms(KEY.encode()).of_prediction(made_prediction(made_person(1, duration_s=6.0), source=source))
    write_overlay(named, out / f"{named.video}{suffix}")
    assert leaks(out, ("annabelle", "interview")) == []


def test_the_command_line_tells_no_name_either(tmp_path: Path) -> None:
    run = _run(tmp_path)
    words = ["s0000/v000", "s0001/v001", "annabelle.mp4", "e.mp4", "--store", tmp_path / "annastudy" / "store"]
    words += ["--run", run, "--output", tmp_path / "out", "--export", "eaf", "--pseudonymise", key_file(tmp_path)]
    result = CliRunner().invoke(main, ["predict", *map(str, words)])
    assert result.exit_code == 1, result.output
    assert "annabelle" not in result.output and "s0000" not in result.output
    names = ("annabelle", "annastudy", "s0000", "v001", str(tmp_path))
    assert leaks(tmp_path / "out", names) == []
    assert pd.read_parquet(tmp_path / "out" / "predictions.parquet")["video"].str.startswith("v-").all()
    reasons = pd.read_csv(tmp_path / "out" / "failures.csv")["reason"].tolist()
    assert len(reasons) == 2 and all(reason.endswith(" does not exist") for reason in reasons)


@pytest.mark.parametrize(
    ("text", "name", "kept"),
    [
        ("e.mp4: cannot be read between here and there", "e.mp4", "cannot be read between here and there"),
        ("Joanna's face is not in anna.mp4", "anna.mp4", "Joanna's face is not in"),
        ("25 frames/s, 1/2 of anna", "anna.mp4", "25 frames/s, 1/2 of"),
        ("read at 3.5 s", "x/read.mp4", "at 3.5 s"),
    ],
)
def test_the_rest_of_a_message_stays_readable(text: str, name: str, kept: str) -> None:
    assert kept in Pseudonyms(KEY.encode()).cleaned(text, name, Path("/data") / name)


@pytest.mark.parametrize(
    "text",
    [
        "/data/s/annabelle.mp4", "annabelle", "'annabelle.mp4'", "(annabelle)", "annabelle_2",
        "annabelle.mp4.zarr/values",
        "file:///data/s/annabelle.mp4", "../s/annabelle.mp4", "C:\\s\\annabelle.mp4", "s3://b/annabelle.mp4/x",
        "at /home/annabelle/store.", "in '/home/annabelle smith/store'", "x=/home/annabelle",
    ],
)  # fmt: skip
def test_no_form_of_a_name_is_left_in_a_message(text: str) -> None:
    for path in (Path("/data/s/annabelle.mp4"), None):
        cleaned = Pseudonyms(KEY.encode()).cleaned(f"{text} is bad", "s/annabelle.mp4", path)
        assert "annabelle" not in cleaned and "is bad" in cleaned


WEAK = [
    b"a" * 16,
    b"\0" * 16,
    b"ab" * 40,
    b"hunter2" * 9,
    b"passwordpassword",
    b"1234" * 16,
    b"a" * 4000,
    b"x" * 15 + b"y",
]


@pytest.mark.parametrize("key", WEAK, ids=range(len(WEAK)))
def test_a_key_that_can_be_guessed_is_refused(key: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bits nobody can guess|holds") as caught:
        Pseudonyms.from_file(key_file(tmp_path, key))
    assert "token_hex" in str(caught.value.hint) and key.decode("latin-1") not in str(caught.value)


def test_keys_that_are_made_as_the_hint_says_are_taken(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for size in (16, 24, 32, 64):
        for _ in range(50):
            key = rng.bytes(size)
            assert strength_bits(key) >= 52
            assert Pseudonyms.from_file(key_file(tmp_path, key.hex())).active


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
def test_a_key_that_others_may_read_is_refused_with_the_cure(mode: int, tmp_path: Path) -> None:
    path = key_file(tmp_path, mode=mode)
    with pytest.raises(InputError) as caught:
        Pseudonyms.from_file(path)
    assert str(caught.value.hint) == f"chmod 600 {path}"


def test_a_key_file_is_a_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match="is no key file"):
            Pseudonyms.from_file(path)


def _run(folder: Path, *more: str) -> Path:
    """A trained run of people with names, in a store and with a table whose folders have names too."""
    place = folder / "annastudy"
    data = GeneratedData(subjects=4, video_frames=(64, 64), feature_size=8)
    made = generated_features(place / "store", place / "labels.csv", data).manifest
    subjects = [f"annabelle{name}" for name in made.subjects]
    subjects[:4] = ["annabelle shared"] * 4
    write_manifest(replace(made, subjects=subjects), place / "labels.csv")
    config = load_config(None, [*TINY, *more])
    for _ in train(str(place / "store"), place / "labels.csv", folder / "run", config, device="cpu"):
        pass
    return folder / "run"


def test_a_run_folder_says_nothing_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "ward-seven")
    monkeypatch.setattr("platform.node", lambda: "ward-seven")
    monkeypatch.setattr("platform.release", lambda: "6.1.0-ward-seven")
    store = str(tmp_path / "annastudy/store")
    monkeypatch.setattr(sys, "argv", ["/opt/annastudy/affect", "train-temporal", "--store", store, "--scheduler",
                                      "tcp://ward-seven:1", f"--labels={tmp_path}/annastudy/labels.csv"])  # fmt: skip
    run = _run(tmp_path)
    write_report(run)
    assert leaks(run, ("ward-seven", "annastudy", str(tmp_path), socket.gethostname())) == []
    environment = json.loads((run / "environment.json").read_text())
    assert environment["store"] == "store" and environment["labels"] == "labels.csv"
    command = "affect train-temporal --store store --scheduler ... --labels=labels.csv"
    assert environment["command"] == command.split()


def test_tensorboard_still_reads_the_learning_curves(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = _run(tmp_path)
    read = event_accumulator.EventAccumulator(str(run / "folds" / "00"))
    read.Reload()
    log = pd.read_json(run / "folds" / "00" / "log.jsonl", lines=True)
    curve = read.Scalars("supervised/loss")
    assert [event.step for event in curve] == list(range(1, len(log) + 1))
    np.testing.assert_allclose([event.value for event in curve], log["loss"], rtol=1e-5)


def test_a_model_file_counts_the_people_it_shares_and_names_none(tmp_path: Path) -> None:
    words = ("evaluation.protocol=split", "evaluation.allow_shared_subjects=true")
    place = tmp_path / "annastudy"
    data = GeneratedData(subjects=4, video_frames=(64, 64), feature_size=8)
    made = generated_features(place / "store", place / "labels.csv", data).manifest
    splits = ["train", "validation", "test", "train"] * (len(made) // 4)
    shared = replace(made, subjects=[f"annabelle{name}" for name in made.subjects], splits=splits)
    shared = replace(shared, videos=made.videos)
    write_manifest(shared, place / "labels.csv")
    run = tmp_path / "run"
    config = load_config(None, [*TINY, *words])
    for _ in train(str(place / "store"), place / "labels.csv", run, config, device="cpu"):
        pass
    model = run / "folds" / "00" / "model.safetensors"
    assert b"annabelle" not in model.read_bytes()
    with safetensors.safe_open(model, framework="numpy") as file:
        warnings = json.loads(file.metadata()["affect"])["training"]["warnings"]
    assert [words for words in warnings if "train and test share 4 subjects" in words]
    assert "annabelle" in (run / "metrics.json").read_text(), "the warning itself still names them"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("/home/anna/store", "store"), ("C:\\Users\\anna\\x.csv", "x.csv"), ("s3://bucket/anna/store", "store"),
        ("a '/home/anna b/x.pt' is bad", "a 'x.pt' is bad"), ("25 frames/s", "25 frames/s"), ("1/2", "1/2"),
    ],
)  # fmt: skip
def test_places_become_their_last_name(text: str, short: str) -> None:
    assert without_places(text) == short
    assert "anna" not in without_absolute_places(text) or "s3://" in text
    assert last_name("/") is None and last_name(None) is None and last_name("/a/b/") == "b"


def test_a_command_is_kept_without_its_places() -> None:
    words = ["/usr/bin/affect", "x", "--set", "features.weights=/a b/c.pt", "--set", "labels.targets=[/a/v,w]"]
    said = command_words([*words, "--scheduler=tcp://h:1"])
    expected = "affect x --set features.weights=c.pt --set labels.targets=[v,w] --scheduler=..."
    assert said == expected.split()
