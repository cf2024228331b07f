"""timm's networks and users' own: the same interface, their own scale, nothing fetched."""

import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from affect.errors import ConfigError, WeightsError
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.prepare import prepare

TINY = "mobilenetv3_small_050"


def test_a_timm_checkpoint_gives_the_features_before_its_classifier(tmp_path: Path) -> None:
    whole: Any = timm.create_model(TINY, pretrained=False).eval()
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    backbone = load_backbone(f"timm:{TINY}", tmp_path / "w.pth")
    images = torch.randn((2, 3, 224, 224), generator=torch.manual_seed(0))
    with torch.no_grad():
        expected = whole.forward_head(whole.forward_features(images), pre_logits=True)
    torch.testing.assert_close(backbone(images), expected, rtol=1e-4, atol=1e-5)
    assert backbone.description()["mean"] == [123.675, 116.28, 103.53]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet10t"])
def test_timm_networks_bring_their_own_scale(name: str) -> None:
    backbone = load_backbone(f"timm:{name}", "random")
    data = timm.data.resolve_model_data_config(timm.create_model(name))  # type: ignore[attr-defined, no-untyped-call]
    white = backbone.preprocess(torch.full((1, 40, 40, 3), 255, dtype=torch.uint8))
    expected = [(1 - mean) / std for mean, std in zip(data["mean"], data["std"], strict=True)]
    torch.testing.assert_close(white[0, :, 5, 5], torch.tensor(expected))
    assert backbone.input_size == data["input_size"][1]


def test_timm_weights_are_asked_for_and_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", no_network)
    with pytest.raises(WeightsError, match=r"timm/mobilenetv3_small_050.*\n.*--weights FILE"):
        load_backbone(f"timm:{TINY}")
    with pytest.raises(ConfigError, match="nearest name is 'resnet18'"):
        load_backbone("timm:resnet81")
    with pytest.raises(ConfigError, match="no model"):
        load_backbone("timm:hf-hub:someone/something")


OWN = """
import torch
from torch import nn

class Mean(nn.Module):
    def __init__(self, weights=None):
        super().__init__()
        self.input_size, self.feature_size = 16, {features}
        self.gain = nn.Parameter(torch.ones(3))
        if weights not in (None, "random"):
            self.load_state_dict(torch.load(weights, weights_only=True))
    def preprocess(self, images):
        return nn.functional.interpolate(images.float() / 255, size=16)
    def forward(self, images):
        return images.mean((2, 3)) * self.gain

def bare(weights):
    return nn.Flatten()

def nothing(weights):
    return 3
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "own_affect_backbone.py"
    file.write_text(OWN.format(features=3))
    monkeypatch.delitem(sys.modules, "own_affect_backbone", raising=False)
    return file


def test_a_users_network_keeps_its_own_preprocessing(own_module: Path) -> None:
    backbone = load_backbone("own_affect_backbone:Mean")
    picture = torch.zeros((1, 20, 30, 3), dtype=torch.uint8)
    picture[..., 1] = 255
    for ready in (backbone, prepare(backbone, "cpu")):
        assert ready(ready.preprocess(picture)).tolist() == [[0.0, 1.0, 0.0]]
    assert backbone.feature_size == 3
    torch.save({"gain": torch.tensor([2.0, 2.0, 2.0])}, own_module.with_name("w.pth"))
    other = load_backbone("own_affect_backbone:Mean", own_module.with_name("w.pth"))
    assert other.weights_sha256 != backbone.weights_sha256
    assert other.weights_name == "w.pth"
    assert other.description()["code_sha256"] == backbone.description()["code_sha256"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own_affect_backbone:bare", r"lacks input_size.*feature_size.*preprocess"),
        ("own_affect_backbone:nothing", "returned int; expected a torch.nn.Module"),
        ("own_affect_backbone:absent", "no callable 'absent'"),
        ("absent_module.part:factory", "cannot be imported"),
        (":factory", "cannot be imported"),
    ],
)
@pytest.mark.usefixtures("own_module")
def test_a_users_network_that_lacks_something_is_told_what(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        load_backbone(name)


def test_a_users_network_must_give_the_size_it_claims(own_module: Path) -> None:
    own_module.write_text(OWN.format(features=4))
    with pytest.raises(ConfigError, match=r"gives \(1, 3\) for one image; its feature_size says \(1, 4\)"):
        load_backbone("own_affect_backbone:Mean")
