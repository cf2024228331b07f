"""Each wrong input gets one message, a hint and the right exit code, and the good videos beside it are still done."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from click.testing import Result

from affect.cache import open_store

Affect = Callable[..., Result]
Ffmpeg = Callable[..., None]


def lines(*rows: Sequence[object]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, affect: Affect, videos: Path) -> Path:
    folder = tmp_path_factory.mktemp("stores") / "features"
    assert affect("extract-features", videos, "--store", folder).exit_code == 0
    return folder


def with_bad_video(tmp_path: Path, affect: Affect, videos: Path, bad: Path) -> Result:
    """Extract `bad` beside a good video, and see that the good one is stored."""
    shutil.copy(videos / "face.mp4", bad.parent / "good.mp4")
    result = affect("extract-features", bad.parent, "--store", tmp_path / "store")
    assert result.exit_code == 1, result.output
    assert open_store(str(tmp_path / "store")).ids() == ["good.mp4"]
    assert f"failed: {bad.name}" in result.output
    failures = (tmp_path / "store" / "failures.csv").read_text("utf-8")
    assert bad.name in failures
    assert "Hint:" in result.output
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def test_an_empty_file(tmp_path: Path, folder: Path, affect: Affect, videos: Path) -> None:
    (folder / "empty.mp4").touch()
    assert "empty" in with_bad_video(tmp_path, affect, videos, folder / "empty.mp4").output


def test_a_text_file_named_mp4(tmp_path: Path, folder: Path, affect: Affect, videos: Path) -> None:
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    with_bad_video(tmp_path, affect, videos, folder / "text.mp4")


def test_a_file_with_sound_alone(tmp_path: Path, folder: Path, affect: Affect, videos: Path, ffmpeg: Ffmpeg) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=2", folder / "sound.mp4")
    assert "no video" in with_bad_video(tmp_path, affect, videos, folder / "sound.mp4").output


def test_a_file_cut_off_before_its_index(tmp_path: Path, folder: Path, affect: Affect, videos: Path) -> None:
    whole = (videos / "face.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # the index of an mp4 is at its end
    with_bad_video(tmp_path, affect, videos, folder / "cut.mp4")


def test_a_truncated_video_is_stored_as_far_as_it_goes_and_says_so(
    tmp_path: Path, folder: Path, affect: Affect, videos: Path, ffmpeg: Ffmpeg
) -> None:
    ffmpeg("-i", videos / "face.mp4", "-c", "copy", "-movflags", "faststart", tmp_path / "index_first.mp4")
    whole = (tmp_path / "index_first.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    result = affect("extract-features", folder, "--store", tmp_path / "store")
    assert result.exit_code == 0, result.output
    assert "warning: cut.mp4" in result.output
    assert open_store(str(tmp_path / "store")).info("cut.mp4").cut_short


def test_a_missing_path(tmp_path: Path, affect: Affect) -> None:
    result = affect("extract-features", tmp_path / "none.mp4", "--store", tmp_path / "store")
    assert result.exit_code == 2
    assert "none.mp4 does not exist" in result.output


def test_a_folder_without_videos(tmp_path: Path, folder: Path, affect: Affect) -> None:
    (folder / "notes.txt").write_text("nothing here")
    result = affect("extract-features", folder, "--store", tmp_path / "store")
    assert result.exit_code == 2
    assert "holds no video" in result.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_where_there_is_none(tmp_path: Path, affect: Affect, videos: Path) -> None:
    result = affect("extract-features", videos, "--store", tmp_path / "store", "--device", "cuda")
    assert result.exit_code == 2
    assert "0 CUDA devices" in result.output
    assert "Hint: --device auto" in result.output


def test_weights_that_do_not_fit_the_backbone(tmp_path: Path, affect: Affect, videos: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    words = ["--backbone", "resnet18", "--weights", tmp_path / "other.pth"]
    result = affect("extract-features", videos, "--store", tmp_path / "store", *words)
    assert result.exit_code == 2
    assert "other.pth" in result.output
    assert "conv1.weight" in result.output


def test_a_store_made_with_another_recipe_names_the_field(store: Path, affect: Affect, videos: Path) -> None:
    result = affect("extract-features", videos, "--store", store, "--sample-fps", "8")
    assert result.exit_code == 2
    assert "sample_fps" in result.output
    assert "8.0" in result.output and "5.0" in result.output
    assert "Hint:" in result.output


def test_a_folder_that_is_no_store(folder: Path, affect: Affect, videos: Path) -> None:
    (folder / "thesis.txt").write_text("mine")
    result = affect("extract-features", videos, "--store", folder)
    assert result.exit_code == 2
    assert (folder / "thesis.txt").read_text() == "mine"
    assert affect("inspect-cache", folder).exit_code == 2


def train(affect: Affect, store: Path, labels: str, tmp_path: Path) -> Result:
    (tmp_path / "labels.csv").write_text(labels)
    run = tmp_path / "run"
    shared = ["--set", "evaluation.allow_shared_subjects=true"]  # one training subject is enough for these tests
    result = affect("train-temporal", "--store", store, "--labels", tmp_path / "labels.csv", "--run", run, *shared)
    assert result.exit_code == 2, result.output
    assert not (run / "metrics.json").exists()
    return result


HEADER = ("video", "subject", "start_s", "end_s", "split", "valence")


def test_a_manifest_with_an_unknown_video(store: Path, affect: Affect, tmp_path: Path) -> None:
    labels = lines(HEADER, ("face.mp4", "a", 0, 2, "train", 0.1), ("face 3.mp4", "b", 0, 2, "test", 0.3))
    output = train(affect, store, labels, tmp_path).output
    assert "face 3.mp4" in output
    assert "3" in output  # the line of the file
    assert "Hint:" in output


def test_a_column_that_is_not_a_number(store: Path, affect: Affect, tmp_path: Path) -> None:
    labels = lines(HEADER, ("face.mp4", "a", 0, 2, "train", 0.1), ("face 2.mp4", "b", 0, 2, "test", "high"))
    output = train(affect, store, labels, tmp_path).output
    assert "high" in output
    assert "valence" in output


def test_a_target_that_is_constant(store: Path, affect: Affect, tmp_path: Path) -> None:
    spans = [("face.mp4", "a", start, start + 1, "train", 0.5) for start in range(3)]
    labels = lines(HEADER, *spans, ("face 2.mp4", "b", 0, 2, "test", 0.1))
    output = train(affect, store, labels, tmp_path).output
    assert "valence" in output
    assert "constant" in output or "same" in output


def test_a_manifest_that_is_missing(store: Path, affect: Affect, tmp_path: Path) -> None:
    result = affect("train-temporal", "--store", store, "--labels", tmp_path / "no.csv", "--run", tmp_path / "run")
    assert result.exit_code == 2
    assert "no.csv" in result.output
