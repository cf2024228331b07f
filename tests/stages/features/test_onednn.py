"""1x1 convolutions on one thread: which way torch takes, and that the numbers stay."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from affect.cache.records import Array
from affect.configs.schema import FeaturesConfig
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.embed import Embedder
from affect.stages.features.engines.onednn import use_onednn
from affect.stages.features.faces.detect import CenterFace
from affect.stages.features.one_thread import one_thread

SLOW = "aten::_slow_conv2d_forward"


@pytest.fixture(scope="module")
def pictures() -> Array:
    return np.random.default_rng(3).integers(0, 256, (4, 224, 224, 3), np.uint8)


def test_no_network_takes_the_slow_way_on_one_thread(pictures: Array) -> None:
    config = FeaturesConfig()
    backbone = load_backbone(config.backbone, config.weights, config.preprocessing, config.taps)
    embedder, detector = Embedder(backbone), CenterFace()
    with one_thread():
        for work in (lambda: embedder.embed(pictures), lambda: detector.detect(list(pictures))):
            with profile(activities=[ProfilerActivity.CPU]) as found:
                work()
            operators = {event.key for event in found.key_averages()}
            assert "aten::mkldnn_convolution" in operators
            assert SLOW not in operators


@pytest.mark.parametrize("layer", [nn.Conv2d(24, 40, 1), nn.Conv2d(24, 48, 1, stride=2, groups=4, bias=False)])
def test_a_layer_gives_the_same_numbers_and_stays_the_layer_that_it_was(layer: nn.Conv2d) -> None:
    images = torch.randn((2, 24, 15, 11), generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(layer, nn.ReLU())
    with one_thread(), torch.no_grad():
        before = net(images)
        assert use_onednn(net) == 1
        torch.testing.assert_close(net(images), before, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            net(images.contiguous(memory_format=torch.channels_last)), before, rtol=1e-5, atol=1e-5
        )
    assert net[0] is layer and isinstance(layer, nn.Conv2d) and next(iter(net.state_dict())) == "0.weight"


def test_other_layers_are_left_alone() -> None:
    class Own(nn.Conv2d):
        pass

    others = [nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 1, padding=1), Own(3, 8, 1), nn.Conv2d(3, 8, 1).bfloat16()]
    assert use_onednn(nn.ModuleList([*others, nn.Conv2d(3, 8, 1, padding="same")])) == 0
