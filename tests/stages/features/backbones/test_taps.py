"""Features from inside a backbone: the right layers, in cells, in order, and no work behind the last of them."""

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from affect.configs.taps import Tap
from affect.errors import ConfigError, InputError
from affect.stages.features.backbones.load import Backbone, load_backbone
from affect.stages.features.backbones.network import Network, Scale
from affect.stages.features.backbones.taps import in_cells
from affect.stages.features.embed import Embedder
from affect.stages.features.prepare import prepare

TINY = "timm:test_convnext"


class Stages(nn.Module):
    """Three stages; the second runs twice, and what follows a stage works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.act = nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.last = nn.Conv2d(4, 6, 1)
        self.passes = [0]  # that came to the end

    def forward(self, images: Tensor) -> Tensor:
        maps = self.act(self.norm(self.one(images)))
        maps = self.two(self.two(maps))
        maps = self.last(maps)
        self.passes[0] += 1
        return nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1)


def drawn(taps: str, net: nn.Module | None = None, **more: Any) -> Backbone:
    torch.manual_seed(0)
    return Backbone("drawn", Network(net or Stages(), Scale(16), 16, "", "", **more), taps=taps)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn((3, 3, 16, 16), generator=torch.manual_seed(1))


def test_lite0_gives_two_of_its_stages_in_cells(photographs: Tensor) -> None:
    backbone = load_backbone("efficientnet-lite0")
    plain: Any = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    plain.load_state_dict(backbone.net.state_dict())
    given = backbone.preprocess(photographs)
    with torch.no_grad():
        maps = plain.bn1(plain.conv_stem(given))
        stages = []
        for stage in plain.blocks:
            maps = stage(maps)
            stages.append(maps)
    expected = [adaptive_avg_pool2d(stages[4], 4).flatten(1), adaptive_avg_pool2d(stages[5], 2).flatten(1)]
    torch.testing.assert_close(backbone(given), torch.cat(expected, 1), rtol=1e-4, atol=1e-4)
    assert backbone.feature_size == 112 * 16 + 192 * 4 == 2560


def test_taps_come_in_the_order_they_are_named(images: Tensor) -> None:
    pooled, last, one = (drawn(taps)(images) for taps in ("pooled", "last:2", "one"))
    assert (pooled.shape, last.shape, one.shape) == ((3, 6), (3, 24), (3, 4))
    assert torch.equal(drawn("one,pooled,last:2")(images), torch.cat([one, pooled, last], 1))
    torch.testing.assert_close(drawn("last")(images), pooled)


def test_a_layer_counts_with_its_last_run_and_before_the_next_works_in_place(images: Tensor) -> None:
    backbone = drawn("two,norm:4")
    net = copy.deepcopy(backbone.net)
    with torch.no_grad():
        norm = net.norm(net.one(images))  # type: ignore[operator]
        two = net.two(net.two(norm.relu()))  # type: ignore[operator]
    assert norm.min() < 0
    expected = torch.cat([two.mean((2, 3)), adaptive_avg_pool2d(norm, 4).flatten(1)], 1)
    torch.testing.assert_close(backbone(images), expected)


def test_a_network_ends_after_its_last_tap(images: Tensor) -> None:
    backbone = drawn("two:2")
    pooled = drawn("two:2,pooled")
    ended, to_the_end = backbone.net.passes, pooled.net.passes
    assert ended == to_the_end == [1], "the first pass finds out where the last tap is"
    backbone(images)
    pooled(images)
    assert ended == [1]
    assert to_the_end == [2]


@pytest.mark.parametrize("taps", ["one:4", "norm:4", "norm:2,two", "act", "two,pooled"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_prepared_copy_gives_the_same_taps(images: Tensor, taps: str, precision: str) -> None:
    backbone = drawn(taps)
    ready = prepare(backbone, "cpu", precision)
    found, expected = ready(images), backbone(images)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < {"fp32": 1e-5, "fp16": 5e-3, "bf16": 5e-2}[precision]


@pytest.mark.parametrize("taps", ["bn1.drop", "blocks.0.0.bn1.act,blocks.1.0.bn2", "conv_stem:2"])
def test_layers_in_and_before_batch_norms_are_the_same_on_a_prepared_copy(photographs: Tensor, taps: str) -> None:
    backbone = load_backbone("efficientnet-lite0", taps=taps)
    ready = prepare(backbone, "cpu")
    given = backbone.preprocess(photographs)
    torch.testing.assert_close(ready(given), backbone(given), rtol=1e-4, atol=1e-4)


def test_threads_that_share_a_backbone_do_not_hear_each_other(images: Tensor) -> None:
    backbone = drawn("one:8,two:2")
    batches = [torch.randn((2, 3, 16, 16), generator=torch.manual_seed(seed)) for seed in range(16)]
    expected = [backbone(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(backbone, batches * 4))
    assert all(torch.equal(a, b) for a, b in zip(found, expected * 4, strict=True))


def test_tokens_and_maps_of_any_order_come_in_cells() -> None:
    maps = torch.randn((2, 6, 4, 4), generator=torch.manual_seed(2))
    tokens = maps.flatten(2).transpose(1, 2)  # (2, 16, 6)
    expected = adaptive_avg_pool2d(maps, 2).flatten(1)
    for value in (maps, tokens, maps.permute(0, 2, 3, 1), maps.double()):
        torch.testing.assert_close(in_cells(value, Tap("x", 2)), expected)
        torch.testing.assert_close(in_cells(value, Tap("x", 1)), maps.mean((2, 3)))
    torch.testing.assert_close(in_cells(tokens[:, 1:], Tap("x", 1)), tokens[:, 1:].mean(1))
    assert torch.equal(in_cells(maps[..., 0, 0], Tap("x", 1)), maps[..., 0, 0])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.zeros((1, 17, 6)), "17 tokens are no square; expected x:1"),
        (torch.zeros((1, 6)), "expected 2 x 2 places"),
        (torch.zeros((1, 6, 1, 1)), "expected 2 x 2 places"),
        (torch.zeros((1, 2, 2, 2, 2)), r"expected numbers \(N, C, H, W\)"),
        (torch.zeros((1, 3, 4, 4), dtype=torch.int64), "expected numbers"),
        ((torch.zeros((1, 3, 4, 4)),), "gives tuple"),
    ],
)
def test_what_has_no_such_cells_is_refused(value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        in_cells(value, Tap("x", 2))


class Windows(nn.Module):
    """A layer that gives four rows for an image, one that gives two tensors, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.both, self.never = nn.Unflatten(0, (1, -1)), Both(), nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        rows: Tensor = self.cut(images.mean(1).flatten(0, 1))
        mean: Tensor = self.both(images)[0]
        return mean + rows.flatten()[None, :4]


class Both(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.mean((1, 2, 3))[:, None], images


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("never", "does not run"),
        ("both", "gives tuple"),
        ("cutt", r"no layer 'cutt'; near it are cut\n.*affect check-b"),
    ],
)
def test_layers_that_cannot_be_tapped_are_refused_with_their_name(layer: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        drawn(layer, Windows())


def test_a_layer_that_gives_another_number_of_images_is_refused(images: Tensor) -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Identity()

        def forward(self, images: Tensor) -> Tensor:
            maps: Tensor = self.rows(images.flatten(0, 1))
            return maps.mean((1, 2))[None]

    with pytest.raises(InputError, match=r"layer 'rows', gives \(3, 16\) for one image; expected a tensor \(1, D\)"):
        drawn("rows", Rows())


def test_pixels_are_the_luminance_in_fields_of_seven(photographs: Tensor) -> None:
    backbone = load_backbone("pixels")
    crops = photographs.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :224, :224]
    found = backbone(backbone.preprocess(crops))
    luma = (crops.float() * torch.tensor([0.299, 0.587, 0.114])).sum(-1)
    means = luma.reshape(-1, 32, 7, 32, 7).mean((2, 4))
    torch.testing.assert_close(found, (means.flatten(1) - 127.5) / 127.5, rtol=1e-4, atol=1e-5)
    assert backbone.description()["version"] == 1
    black = Embedder(backbone).embed(torch.zeros((1, 224, 224, 3), dtype=torch.uint8).numpy())
    assert (black == -1).all()
    with pytest.raises(ConfigError, match="has no weights"):
        load_backbone("pixels", "w.pth")
