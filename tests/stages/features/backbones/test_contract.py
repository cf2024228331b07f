"""What every backbone does that we name: a row of numbers for an image, of its last layer or of any other."""

import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from affect.cache.records import Recipe
from affect.configs.schema import FeaturesConfig
from affect.errors import ConfigError
from affect.stages.features.backbones.load import NAMED, Backbone, load_backbone
from affect.stages.features.backbones.network import Network
from affect.stages.features.backbones.taps import channels_last, part_of, size_of
from affect.stages.features.recipe import make_recipe, settings_of

# Small, of most families. The others differ in depth and width, and take up to a minute each.
QUICK = (
    "efficientnet-lite0", "pixels", "face-api", "resnet50-vggface2", "resnet50-sfew", "alexnet", "convnext_tiny",
    "densenet121", "efficientnet_b0", "googlenet", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small",
    "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "vit_b_32",
)  # fmt: skip
OTHERS = ("timm:test_convnext", "timm:vit_tiny_patch16_224", "timm:test_efficientnet", "onnx", "user")
WITHOUT_WEIGHTS = ("pixels", "onnx", "user")
NAMES = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.stress) for name in NAMED]
NAMES += [pytest.param(name) for name in OTHERS]

USER = """
from torch import nn

class Small(nn.Sequential):
    input_size, feature_size = 24, 5
    def __init__(self, weights):
        super().__init__(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.AdaptiveAvgPool2d(1))
    def preprocess(self, images):
        return nn.functional.interpolate(images.float() / 255, size=(24, 24))
"""


def write_graph(file: Path) -> Path:
    kernel = torch.randn((4, 3, 3, 3), generator=torch.manual_seed(0)).numpy()
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["picture", "kernel"], ["/stem/out:0"], strides=[2, 2]),
            helper.make_node("GlobalAveragePool", ["/stem/out:0"], ["features"]),
        ],
        "small",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ("n", 3, 24, 24))],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9), file)
    return file


@pytest.fixture
def full_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The name that `--backbone` takes: a graph and a module are made where they are meant."""

    def named(name: str) -> str:
        if name == "onnx":
            return f"onnx:{write_graph(tmp_path / 'net.onnx')}"
        if name == "user":
            (tmp_path / "contract_of_a_user.py").write_text(USER)
            monkeypatch.syspath_prepend(tmp_path)
            monkeypatch.delitem(sys.modules, "contract_of_a_user", raising=False)
            return "contract_of_a_user:Small"
        return name

    return named


def outputs(backbone: Backbone, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """What every layer gives that can be tapped, by its last run, and what the network gives."""
    given: dict[str, Tensor] = {}

    def note(layer: str, value: object) -> None:
        if isinstance(value, Tensor) and size_of(value, len(images)):
            given[layer] = value.clone()

    places = backbone.tapping.places
    handles = [
        backbone.net.get_submodule(place.module).register_forward_hook(
            lambda _module, _given, value, layer=layer, place=place: note(layer, part_of(value, place))
        )
        for layer, place in places.items()
    ]
    with torch.no_grad():
        last = backbone.net(images)
    for handle in handles:
        handle.remove()
    return given, last.flatten(1)


def cells(value: Tensor, grid: int) -> Tensor:
    if value.ndim == 3:
        return value.mean(1)
    maps = value.permute(0, 3, 1, 2) if value.ndim == 4 and channels_last(value.shape) else value
    return adaptive_avg_pool2d(maps, grid).flatten(1) if maps.ndim == 4 else maps


def grid_of(value: Tensor) -> int:
    return 2 if value.ndim == 4 and min(size_of(value, len(value))[1]) >= 2 else 1  # type: ignore[index]


def near(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and bool(
        (found - expected).abs().max() <= 1e-3 * max(float(expected.std()), 1e-12)
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_backbone_gives_its_layers(name: str, full_name: Callable[[str], str]) -> None:
    name, weights = full_name(name), None if name in WITHOUT_WEIGHTS else "random"
    pooled = load_backbone(name, weights, taps="pooled")
    faces = torch.randint(0, 256, (2, 40, 40, 3), generator=torch.manual_seed(0)).byte()
    images = pooled.preprocess(faces)
    given, last = outputs(pooled, images)
    features = pooled(images)
    assert torch.equal(features, last.float()), "pooled is what the network itself gives"
    assert torch.equal(features, pooled(images))
    assert near(torch.cat([pooled(image[None]) for image in images]), features)
    assert "taps" not in pooled.description()

    network = Network(
        pooled.net, pooled.scale, pooled.input_size, pooled.weights_sha256, "", places=pooled.tapping.places
    )
    with pytest.raises(ConfigError, match="has no layer 'no such layer'"):
        Backbone(name, network, taps="no such layer")
    if not given:
        assert name == "pixels"
        return
    layers = list(given)
    first, second = layers[len(layers) // 3], layers[2 * len(layers) // 3]
    grids = [grid_of(given[layer]) for layer in (first, second)]
    word = f"{second}:{grids[1]},pooled,{first}:{grids[0]}"
    tapped = Backbone(name, network, taps=word)
    expected = [cells(given[second], grids[1]), last, cells(given[first], grids[0])]
    found = tapped(images)
    assert near(found, torch.cat(expected, 1))
    assert tapped.feature_size == found.shape[1]
    assert torch.equal(found, tapped(images))
    assert near(torch.cat([tapped(image[None]) for image in images]), found)
    assert tapped.description()["taps"] == word
    recipe = make_recipe(FeaturesConfig(taps=word), tapped.description(), "fp32", None)
    assert settings_of(Recipe(recipe.fields)).taps == word
    ended = Backbone(name, network, taps=f"{first}:{grids[0]}")
    assert near(ended(images), expected[2])


@pytest.mark.parametrize(
    "name", ["efficientnet-lite0", "resnet50-sfew", "timm:test_convnext", "pixels", "user", "onnx"]
)
def test_the_default_of_every_other_backbone_is_pooled(name: str, full_name: Callable[[str], str]) -> None:
    backbone = load_backbone(full_name(name), None if name in WITHOUT_WEIGHTS else "random")
    wanted = ["blocks.4:4", "blocks.5:2"] if name == "efficientnet-lite0" else ["pooled"]
    assert [str(tap) for tap in backbone.taps] == wanted
