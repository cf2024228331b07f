"""The paper's two ResNet-50s give the authors' features from the authors' key names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from affect.errors import WeightsError
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.backbones.published import PUBLISHED, construct, file_keys
from affect.stages.features.prepare import prepare

TOLERANCE = 1e-4  # relative to the features' spread
NETS = ["resnet50-vggface2", "resnet50-sfew"]
CLASSIFIER = {
    "resnet50-vggface2": {"classifier.weight": (8631, 2048, 1, 1), "classifier.bias": (8631,)},
    "resnet50-sfew": {"prediction.weight": (7, 2048), "prediction.bias": (7,)},
}
# Every 256th of the 2048 features of two pictures, and the standard deviation of all, computed with the authors' code
# from weights drawn by key name: another name for any layer would give other numbers.
FEATURES = {
    "resnet50-vggface2": (
        [
            [13.06423, 2.74532, 7.63344, 2.28155, 1.11382, 6.04716, 2.77447, 0.97916],
            [12.81175, 3.13226, 7.48659, 2.50741, 1.07018, 5.81369, 2.72889, 0.86027],
        ],
        4.46088,
    ),
    "resnet50-sfew": (
        [
            [4.20629, 8.49471, 2.6377, 2.48469, 8.61144, 5.47312, 9.14047, 2.37153],
            [4.14767, 8.51354, 2.81073, 2.47302, 8.84882, 5.52019, 8.41964, 2.35944],
        ],
        4.87763,
    ),
}

Draw = Callable[[str, dict[str, tuple[int, ...]]], dict[str, Tensor]]
States = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def states(draw: Draw) -> States:
    """State dicts in the authors' key names, classifier included."""
    drawn = {}
    for name in NETS:
        own = construct(PUBLISHED[name]).state_dict()
        shapes = {theirs: tuple(own[mine].shape) for mine, theirs in file_keys(own, PUBLISHED[name]).items()}
        drawn[name] = draw(name.removeprefix("resnet50-") + ".", {**shapes, **CLASSIFIER[name]})
    return drawn


@pytest.fixture(scope="module")
def files(states: States, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file as published, and one as the paper's training code saves it."""
    folder = tmp_path_factory.mktemp("published")
    save_file(states["resnet50-vggface2"], folder / "vggface2.safetensors")
    trained = {f"module.backbone.{name}": value for name, value in states["resnet50-sfew"].items()}
    beside = {"module.dim_reduction.0.weight": torch.zeros(4, 2048), "module.dim_reduction.0.bias": torch.zeros(4)}
    torch.save({"epoch": 3, "backbone": trained | beside, "neck": {}, "head": {}}, folder / "pid_7.pth.tar")
    return {"resnet50-vggface2": folder / "vggface2.safetensors", "resnet50-sfew": folder / "pid_7.pth.tar"}


@pytest.mark.parametrize("name", NETS)
def test_features_equal_the_authors(name: str, files: dict[str, Path], reference_images: Tensor, root: Path) -> None:
    backbone = load_backbone(name, files[name])
    features = backbone(reference_images)
    expected, spread = FEATURES[name]
    assert (features[:, ::256] - torch.tensor(expected)).abs().max() < TOLERANCE * spread
    folded = prepare(backbone, "cpu")(reference_images)
    assert (folded - features).abs().max() < TOLERANCE * spread
    everything = root.parent / "shared" / "reference" / "full.npz"
    if everything.is_file():
        whole = torch.from_numpy(np.load(everything)["backbone/" + name.removeprefix("resnet50-")])
        assert (features - whole).abs().max() < TOLERANCE * whole.std()


def test_own_scale_and_the_papers_are_both_there(files: dict[str, Path]) -> None:
    grey = torch.full((1, 224, 224, 3), 100, dtype=torch.uint8)
    own = load_backbone("resnet50-vggface2", files["resnet50-vggface2"])
    paper = load_backbone("resnet50-vggface2", files["resnet50-vggface2"], "paper")
    pixel = own.preprocess(grey)[0, :, 0, 0]
    torch.testing.assert_close(pixel, torch.tensor([100 - 131.0912, 100 - 103.8827, 100 - 91.4953]))
    pixel = paper.preprocess(grey)[0, :, 0, 0]
    expected = [(100 / 255 - mean) / std for mean, std in ((0.4168, 0.2426), (0.3074, 0.1997), (0.2607, 0.1870))]
    torch.testing.assert_close(pixel, torch.tensor(expected))
    assert own.description() != paper.description()
    assert own.weights_sha256 == paper.weights_sha256


def test_the_other_networks_file_is_refused_key_by_key(files: dict[str, Path]) -> None:
    with pytest.raises(WeightsError) as caught:
        load_backbone("resnet50-sfew", files["resnet50-vggface2"])
    text = str(caught.value)
    assert "missing: conv1_conv.weight" in text
    assert "unexpected: classifier.bias" in text
    assert "and " in text
    assert len(text) < 1000


def test_weights_are_asked_for_by_the_name_they_are_published_under() -> None:
    with pytest.raises(WeightsError, match=r"resnet50_scratch_dag\.pth.*\n.*--weights FILE"):
        load_backbone("resnet50-vggface2")
