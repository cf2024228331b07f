"""Every torchvision classifier is a backbone up to its classifier's input."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import regnet

from affect.errors import ConfigError, WeightsError
from affect.stages.features.backbones import torchvision as torchvision_nets
from affect.stages.features.backbones.load import NAMED, load_backbone

# One of each family; the others differ in depth and width.
FAMILIES = {
    "alexnet": 4096,
    "convnext_tiny": 768,
    "densenet121": 1024,
    "efficientnet_b0": 1280,
    "efficientnet_v2_s": 1280,
    "googlenet": 1024,
    "inception_v3": 2048,
    "maxvit_t": 512,
    "mnasnet0_5": 1280,
    "mobilenet_v2": 1280,
    "mobilenet_v3_small": 1024,
    "regnet_y_400mf": 440,
    "resnet50": 2048,
    "resnext50_32x4d": 2048,
    "shufflenet_v2_x0_5": 1024,
    "squeezenet1_1": 512,
    "swin_t": 768,
    "swin_v2_t": 768,
    "vgg11": 4096,
    "vit_h_14": 1280,
}


def shape_without_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[int, ...], int]:
    """Shape of the features, and the width of the classifier's input, computed on shapes alone."""
    widths = regnet.BlockParams.from_init_params.__func__

    def on_the_cpu(cls: type, *args: Any, **options: Any) -> Any:
        # RegNet's widths come out of arithmetic on tensors, which needs their values.
        with torch.device("cpu"):
            return widths(cls, *args, **options)

    monkeypatch.setattr(regnet.BlockParams, "from_init_params", classmethod(on_the_cpu))
    with torch.device("meta"), torch.no_grad():
        net = torchvision_nets.construct(name).eval()
        layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        width = layers[-1].in_features if isinstance(layers[-1], nn.Linear) else layers[-1].in_channels
        assert 1000 in layers[-1].weight.shape
        torchvision_nets.remove_classifier(net)
        size = torchvision_nets.input_size(name)
        features: Tensor = net(torch.zeros((1, 3, size, size)))
    return tuple(features.shape), width


@pytest.mark.parametrize("name", FAMILIES)
def test_features_are_the_input_of_the_classifier(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, width = shape_without_weights(name, monkeypatch)
    assert shape == (1, width) == (1, FAMILIES[name])


@pytest.mark.stress
@pytest.mark.parametrize("name", torchvision_nets.names())
def test_features_of_every_network_are_the_input_of_its_classifier(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, width = shape_without_weights(name, monkeypatch)
    assert shape == (1, width)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "googlenet"])
def test_a_whole_classifiers_file_gives_the_features_its_scores_come_from(name: str, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        whole = torchvision_nets.construct(name).eval()
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    backbone = load_backbone(name, tmp_path / "w.pth")
    images = backbone.preprocess(torch.randint(0, 256, (2, 90, 90, 3), generator=torch.manual_seed(0)).byte())
    seen: list[Tensor] = []
    last = [layer for layer in whole.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    last.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    with torch.no_grad():
        whole(images)
        features = backbone(images)
    expected = seen[0].relu().mean((2, 3)) if seen[0].ndim == 4 else seen[0]
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def test_default_weights_are_taken_from_the_local_cache_and_never_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    with pytest.raises(WeightsError, match=r"squeezenet1_1-b8a52dc0\.pth is not in .*\n.*--weights FILE, or put https"):
        load_backbone("squeezenet1_1")
    file = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    file.parent.mkdir(parents=True)
    torch.save(torchvision_nets.construct("squeezenet1_1").state_dict(), file)
    with pytest.raises(WeightsError, match=r"is damaged: its sha256 should begin with b8a52dc0"):
        load_backbone("squeezenet1_1")
    monkeypatch.setattr(torchvision_nets, "file_sha256", lambda _path: "b8a52dc0" + 56 * "0")
    assert load_backbone("squeezenet1_1").weights_name == file.name


def test_random_weights_do_not_depend_on_what_else_is_loaded_at_the_same_time() -> None:
    alone = load_backbone("resnet18", "random").weights_sha256
    with ThreadPoolExecutor(3) as pool:
        together = pool.map(lambda _number: load_backbone("resnet18", "random").weights_sha256, range(6))
        assert set(together) == {alone}


def test_random_weights_are_the_same_every_time_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = load_backbone("mobilenet_v3_small", "random")
    assert torch.equal(torch.rand(3), expected)
    second = load_backbone("mobilenet_v3_small", "random")
    assert first.weights_sha256 == second.weights_sha256
    assert first.weights_name == "random"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet5O", "resnet50"),
        ("resnet50_vggface2", "resnet50-vggface2"),
        ("efficientnet_lite0", "efficientnet-lite0"),
    ],
)
def test_an_unknown_name_names_the_nearest(name: str, near: str) -> None:
    assert near in NAMED
    with pytest.raises(ConfigError, match=f"nearest name is '{near}'"):
        load_backbone(name)


def test_the_papers_scale_is_refused_for_other_networks() -> None:
    with pytest.raises(ConfigError, match="only its own"):
        load_backbone("squeezenet1_1", "random", "paper")
    with pytest.raises(ConfigError, match="expected own or paper"):
        load_backbone("squeezenet1_1", "random", "Paper")
