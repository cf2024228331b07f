"""A checkpoint of the authors' code, imported, scores as the authors' code did; several are an ensemble."""

import pickle
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import Result

from affect.cache.opening import create_store
from affect.cache.records import FrameFeatures, VideoInfo
from affect.errors import RunError
from affect.pipeline.runs.folder import load_run
from affect.stages.features.backbones.published import PUBLISHED, construct, file_keys

ROOT = Path(__file__).resolve().parent.parent.parent
Affect = Callable[..., Result]
TARGETS = ["arousal", "valence"]  # the order of the authors' read-outs


@pytest.fixture(scope="module")
def parity() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "parity.py"))


def backbone(shift: float = 0.0) -> dict[str, torch.Tensor]:
    """The VGGFace2 network's weights, random but always the same, under the authors' names in a checkpoint."""
    published = PUBLISHED["resnet50-vggface2"]
    state = construct(published).state_dict()
    state["bn1.bias"] = state["bn1.bias"] + shift  # training adapts the normalisation of each subject's backbone
    names = file_keys(state, published)
    return {f"module.backbone.{names[key]}": value for key, value in state.items()}


def checkpoint(parity: dict[str, Any], shift: float = 0.0, size: int = 64) -> dict[str, Any]:
    """The authors' format, with a reduction from the backbone's 2048 features to `size`."""
    content: dict[str, Any] = parity["authors_checkpoint"]("va", size, {"neck": "neck.", "head": "head."})
    reduction = {key: value for key, value in content["backbone"].items() if "dim_reduction" in key}
    if size != 2048:
        reduction["module.dim_reduction.weight"] = parity["weight"](f"reduction{shift}", (size, 2048))
    return content | {"backbone": {**backbone(shift), **reduction}}


def test_an_imported_checkpoint_scores_stored_frames_as_the_authors_code_did(
    parity: dict[str, Any], affect: Affect, tmp_path: Path
) -> None:
    torch.save(checkpoint(parity, size=2048), tmp_path / "pid_1.pth.tar")
    assert affect("import-checkpoint", tmp_path / "pid_1.pth.tar", "--run", tmp_path / "run").exit_code == 0
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert not [path for path in files if b"pid_1" in path.read_bytes() or "pid_1" in path.name], (
        "often a person's name"
    )
    recipe = load_run(tmp_path / "run").card.recipe
    store = create_store(tmp_path / "store", recipe)
    frames = np.maximum(parity["draw"]("frames", (2, 5, 16, 2048)), 0).reshape(2, 80, 2048)
    for number, values in enumerate(frames):
        write_video(store, f"sample{number}", values, recipe.digest)
    words = ["--store", tmp_path / "store", "--run", tmp_path / "run", "--output", tmp_path / "out", "--no-video"]
    assert affect("predict", "sample0", "sample1", *words).exit_code == 0
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    found = table.groupby("video").nth(2)[TARGETS].to_numpy()  # the clip in the middle of five
    expected = np.load(ROOT / "tests" / "stages" / "temporal" / "golden.npz")["full/pred_va"]
    # Stored features are float16: 1e-4 of the scores' spread.
    assert np.abs(found - expected).max() < 1e-3 * expected.std()


def write_video(store: Any, name: str, values: Any, digest: str) -> None:
    frames = len(values)
    block = FrameFeatures(
        time_s=np.arange(frames) * 0.32,
        index=np.arange(frames) * 8,
        status=np.zeros(frames, np.uint8),
        values=values.astype(np.float16),
        frame=np.arange(frames),
        track=np.zeros(frames, np.int32),
        box_px=np.tile(np.array([0, 0, 9, 9], np.float32), (frames, 1)),
        score=np.ones(frames, np.float32),
        landmarks_px=np.zeros((frames, 5, 2), np.float32),
    )
    with store.writer(name, "fingerprint") as writer:
        writer.append(block, b"")
        writer.commit(VideoInfo(digest, "fingerprint", 1, 1, frames, frames, 25.6, 25.0, 320, 240, 0, "h264"))


@pytest.fixture(scope="module")
def constant(parity: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose first read-out always says .5 and whose second says -.25."""
    content = checkpoint(parity)
    for number, value in ((1, 0.5), (2, -0.25)):
        weight = content["head"][f"module.fc{number}.weight"]
        content["head"] |= {f"module.fc{number}.weight": 0 * weight, f"module.fc{number}.bias": torch.tensor([value])}
    path = tmp_path_factory.mktemp("constant") / "pid_1.pth.tar"
    torch.save(content, path)
    return path


def predicted(affect: Affect, run: Path, folder: Path) -> dict[str, float]:
    """Column -> the one value that it holds, read as somebody reads the table: by name."""
    digest = load_run(run).card.recipe
    write_video(create_store(folder / "store", digest), "sample", np.ones((80, 2048)), digest.digest)
    words = ["--store", folder / "store", "--run", run, "--output", folder / "out", "--no-video"]
    assert affect("predict", "sample", *words).exit_code == 0
    table = pd.read_csv(folder / "out" / "predictions.csv")
    return {name: float(table[name].iloc[0]) for name in table.columns if name in {"arousal", "valence", "a", "b-2"}}


def test_the_first_read_out_is_arousal_and_the_second_valence_by_name(
    constant: Path, affect: Affect, tmp_path: Path
) -> None:
    result = affect("import-checkpoint", constant, "--run", tmp_path / "run")
    assert result.exit_code == 0 and "for arousal, valence on" in result.output
    assert predicted(affect, tmp_path / "run", tmp_path) == {"arousal": 0.5, "valence": -0.25}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("valence,arousal", {"valence": 0.5, "arousal": -0.25}), ("a, b-2", {"a": 0.5, "b-2": -0.25})],
)
def test_names_that_are_typed_go_to_the_read_outs_in_their_order(
    constant: Path, affect: Affect, tmp_path: Path, typed: str, expected: dict[str, float]
) -> None:
    assert affect("import-checkpoint", constant, "--run", tmp_path / "run", "--targets", typed).exit_code == 0
    assert predicted(affect, tmp_path / "run", tmp_path) == expected
    ranges = load_run(tmp_path / "run").config.labels.ranges
    assert ranges == dict.fromkeys(expected, (-1.0, 1.0))


@pytest.mark.parametrize(
    "typed", ["arousal", "a,b,c", "", "a,", "a,a", "a,subject", "a,=b", "a,b c", "a,x/../y", "_a,b"]
)
def test_words_that_cannot_name_the_read_outs_are_refused_before_anything_is_written(
    constant: Path, affect: Affect, tmp_path: Path, typed: str
) -> None:
    result = affect("import-checkpoint", constant, "--run", tmp_path / "run", "--targets", typed)
    assert result.exit_code == 2 and "--targets" in result.output and not (tmp_path / "run").exists()


def test_a_run_imported_when_the_read_outs_were_exchanged_is_refused(
    constant: Path, affect: Affect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affect.pipeline.runs import import_checkpoint

    with monkeypatch.context() as patched:
        patched.setattr(import_checkpoint, "READ_OUTS", "not_there_before")
        affect("import-checkpoint", constant, "--run", tmp_path / "old", "--targets", "valence,arousal")
    with pytest.raises(RunError, match="exchanged valence and arousal") as error:
        load_run(tmp_path / "old")
    assert error.value.hint is not None and "import-checkpoint" in error.value.hint


def test_checkpoints_of_different_backbones_score_together(
    parity: dict[str, Any], affect: Affect, videos: Path, tmp_path: Path
) -> None:
    paths = []
    for subject, shift in [("1", 0.0), ("2", 0.5)]:
        paths.append(tmp_path / f"pid_{subject}.pth.tar")
        torch.save(checkpoint(parity, shift), paths[-1])
    assert affect("import-checkpoint", *paths, "--run", tmp_path / "both").exit_code == 0
    for name in ("both", "both/pid_1", "both/pid_2"):
        words = ["--run", tmp_path / name, "--output", tmp_path / "out" / Path(name).name]
        result = affect("predict", videos / "face.mp4", *words)
        assert result.exit_code == 0, result.output
    both, first, second = (
        pd.read_csv(tmp_path / "out" / name / "predictions.csv")[TARGETS].to_numpy()
        for name in ("both", "pid_1", "pid_2")
    )
    assert np.isfinite(both).all()
    assert np.abs(first - second).max() > 1e-4
    np.testing.assert_allclose(both, (first + second) / 2, atol=2e-6)


def test_published_models_read_the_backbones_own_output_alone(
    parity: dict[str, Any], affect: Affect, tmp_path: Path
) -> None:
    torch.save(checkpoint(parity), tmp_path / "pid_1.pth.tar")
    words = ("import-checkpoint", tmp_path / "pid_1.pth.tar", "--run", tmp_path / "run")
    result = affect(*words, "--set", "features.taps=layer3")
    assert result.exit_code == 2 and "features.taps is 'layer3'" in result.output
    assert not (tmp_path / "run").exists()
    assert affect(*words).exit_code == 0
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text("utf-8"))["features"]["taps"] == "pooled"


def test_a_pickle_that_asks_for_code_is_refused_without_being_run(affect: Affect, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "pid_9.pth.tar").write_bytes(pickle.dumps({"epoch": Hostile()}))
    result = affect("import-checkpoint", tmp_path / "pid_9.pth.tar", "--run", tmp_path / "run")
    assert result.exit_code == 2
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "run").exists()
