"""From a recording to scores: the same numbers whatever lies between, and nothing on disk that was not asked for."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import affect
from affect.configs.schema import FeaturesConfig
from affect.errors import InputError, RunError
from affect.pipeline.predict.features import features_config
from affect.pipeline.predict.inputs import find_inputs
from affect.pipeline.predict.outputs import PredictSummary
from affect.pipeline.predict.predict import PredictOptions
from affect.pipeline.runs.folder import Run, load_run
from affect.pipeline.workers import let_go
from affect.stages.features import recipe
from affect.stages.features.backbones import face_api_files
from affect.stages.features.stream import FeatureExtractor
from affect.tests.predictions import write_predictions
from affect.tests.stages.features.backbones.test_face_api import drawn, write_archive, write_folder


def _predict(
    video: Path, run: Path, output: Path, store: str | None = None, store_format: str = "zarr"
) -> PredictSummary:
    options = PredictOptions(device="cpu", store_format=store_format, stride=2)
    return write_predictions([video], run, output, store, options)


@pytest.fixture(scope="module")
def output(face_video: Path, face_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video's output, with its features beside it."""
    folder = tmp_path_factory.mktemp("output") / "out"
    summary = _predict(face_video, face_run, folder)
    assert not summary.failed and summary.results[0].scored == summary.results[0].clips == 4
    return folder


def test_everything_a_reader_may_want_is_there(output: Path) -> None:
    names = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    names = {name for name in names if not name.startswith("features/")}
    assert names == {
        "predictions.csv", "predictions.json", "predictions.parquet", "video.csv", "video.json", "summary.json",
        "viewer.html", "plots/interview%207.mp4.png",
    }  # fmt: skip


def test_zarr_hdf5_and_memory_give_the_same_numbers(
    output: Path, face_video: Path, face_run: Path, tmp_path: Path
) -> None:
    _predict(face_video, face_run, tmp_path / "hdf5", store_format="hdf5")
    expected = pd.read_csv(output / "predictions.csv")
    pd.testing.assert_frame_equal(expected, pd.read_csv(tmp_path / "hdf5" / "predictions.csv"))
    memory = affect.predict(face_video, run=face_run, stride=2, device="cpu")
    for name in ("start_s", "end_s", "valence", "valence_std", "PANSS N1", "coverage", "attention_+0"):
        np.testing.assert_array_equal(memory[name], expected[name], err_msg=name)


def test_a_second_call_extracts_nothing(output: Path, face_video: Path, face_run: Path) -> None:
    before = pd.read_csv(output / "predictions.csv")
    entry = next((output / "features").glob("*.zarr"))
    written = entry.stat().st_mtime_ns
    _predict(face_video, face_run, output)
    assert next((output / "features").glob("*.zarr")).stat().st_mtime_ns == written
    pd.testing.assert_frame_equal(before, pd.read_csv(output / "predictions.csv"))


def test_several_runs_of_one_recipe_extract_a_video_once(face_video: Path, face_run: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(face_run, tmp_path / "runs" / name)
    _predict(face_video, tmp_path / "runs", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "features").glob("*.zarr")] == ["interview%207.mp4.zarr"]
    rows = pd.read_csv(tmp_path / "out" / "predictions.csv")
    alone = affect.predict(face_video, run=face_run, stride=2, device="cpu")
    memory = affect.predict(face_video, run=tmp_path / "runs", stride=2, device="cpu")
    for table in (rows, memory):
        np.testing.assert_allclose(table["valence"], alone["valence"], atol=2e-6)


def test_bad_files_are_listed_and_the_good_one_is_done(face_video: Path, face_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(face_video, folder / "good.mp4")
    (folder / "text.mp4").write_text("no video at all\n" * 50)
    (folder / "empty.mp4").write_bytes(b"")
    options = PredictOptions(device="cpu")
    summary = write_predictions([folder, "nowhere.mp4"], face_run, tmp_path / "out", ":memory:", options)
    assert {item.video for item in summary.failed} == {"text.mp4", "empty.mp4", "nowhere.mp4"}
    assert all(item.reason for item in summary.failed) and summary.complete
    assert set(pd.read_csv(tmp_path / "out" / "failures.csv")["video"]) == {item.video for item in summary.failed}
    assert set(pd.read_csv(tmp_path / "out" / "predictions.csv")["video"]) == {"good.mp4"}


def test_replaced_names_leave_no_features_and_no_path_behind(face_video: Path, face_run: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0f3c5b8e7a9d42166e1d0c9b8a7f4e35")
    key.chmod(0o600)
    bad = tmp_path / "Frau Muster.mp4"
    bad.write_text("no video")
    options = PredictOptions(device="cpu", key_file=key)
    summary = write_predictions([face_video, bad], face_run, tmp_path / "out", options=options)
    assert len(summary.failed) == 1
    assert not (tmp_path / "out" / "features").exists()
    for path in (tmp_path / "out").rglob("*"):
        for name in ("interview 7", "interview%207", "Muster", str(face_video.parent)):
            assert name not in path.name
            assert path.is_dir() or name.encode() not in path.read_bytes(), f"{name} in {path}"


def test_a_run_of_other_features_is_refused_before_extraction(run: Path, face_video: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="another recipe"):
        _predict(face_video, run, tmp_path / "out")
    assert not list((tmp_path / "out" / "features").glob("*.zarr"))
    assert not (tmp_path / "out" / "predictions.csv").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("store", [None, ":memory:"])
def test_features_that_this_version_makes_otherwise_are_refused_before_anything_is_made(
    store: str | None, face_run: Path, face_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go("extractor")  # its recipe is that of before
    monkeypatch.setattr(recipe, "ALGORITHM", recipe.ALGORITHM + 1)
    with pytest.raises(RunError, match=f"algorithm {recipe.ALGORITHM - 1} -> {recipe.ALGORITHM}"):
        _predict(face_video, face_run, tmp_path / "out", store)
    let_go("extractor")
    assert not list(tmp_path.iterdir())


def test_words_mean_files_folders_patterns_and_ids(face_video: Path, store: Path) -> None:
    pattern = str(face_video.parent / "*.mp4")
    found = find_inputs([pattern, "alone.mp4", "nobody.mp4"], str(store))
    assert [source.path for source in found.sources] == [face_video]
    assert (found.stored, found.missing) == (["alone.mp4"], ["nobody.mp4"])
    with pytest.raises(InputError, match="nor an id in the store"):
        find_inputs(["nobody.mp4"], str(store))


def test_a_run_from_before_there_were_taps_is_given_pooled_features(
    tmp_path: Path, made_run: Callable[..., Path]
) -> None:
    recipe = FeatureExtractor(FeaturesConfig(taps="pooled")).recipe
    assert "taps" not in recipe.fields
    old = load_run(made_run(tmp_path / "old", recipe, 1280))
    assert old.config.features.taps == "auto", "its config.yaml says nothing of taps either"
    assert features_config(old, PredictOptions()).taps == "pooled"


def test_a_run_finds_the_folder_of_its_weights_and_refuses_another(
    tmp_path: Path, made_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = drawn(face_api_files.EXPRESSION, 7, 0)[0] | drawn(face_api_files.LANDMARKS, 136, 1)[0]
    known = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
    monkeypatch.setattr(face_api_files, "KNOWN", known)
    folder = write_folder(tmp_path / "weights", files)
    extractor = FeatureExtractor(FeaturesConfig("face-api", str(folder)))
    run = made_run(tmp_path / "run", extractor.recipe, extractor.feature_size)

    def says(weights: Path) -> Run:
        tree = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
        tree["features"] |= {"backbone": "face-api", "weights": str(weights), "taps": "auto"}
        (run / "config.yaml").write_text(yaml.safe_dump(tree), "utf-8")
        return load_run(run)

    found = features_config(says(folder), PredictOptions())
    assert found.weights == str(folder)
    assert FeatureExtractor(found).recipe == extractor.recipe
    archive = write_archive(tmp_path / "package.tgz", files)
    assert features_config(says(Path("gone")), PredictOptions(weights=str(archive))).weights == str(archive)
    (folder / face_api_files.EXPRESSION.values).write_bytes(b"other")
    with pytest.raises(InputError, match="is not that of"):
        features_config(says(folder), PredictOptions())
