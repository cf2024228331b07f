"""What holds for every backbone: pictures in, features out, on its device, frozen; EfficientNet-lite0 by default."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

from affect.errors import ConfigError, DeviceError, InputError
from affect.stages.features.backbones.load import Backbone, load_backbone
from affect.stages.features.backbones.network import Network, Scale
from affect.stages.features.embed import turning_picture
from affect.stages.features.prepare import optimise_for_cpu, prepare

# The eight largest of lite0's 1280 features of the ramps, by the network that the weights were published with
# (efficientnet_lite_pytorch 0.1.0, extract_features, mean over the image), and the standard deviation of all.
LITE0 = {897: 5.31341, 113: 4.08724, 689: 3.2326, 71: 3.15596, 468: 2.92449, 755: 2.88281, 930: 2.68153, 1260: 2.66597}
LITE0_SPREAD = 0.35954


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return load_backbone("efficientnet-lite0")


@pytest.fixture(scope="module")
def pooled() -> Backbone:
    return load_backbone("efficientnet-lite0", taps="pooled")


@pytest.fixture(scope="module")
def squeezenet() -> Backbone:
    return load_backbone("squeezenet1_1", "random")


def test_lite0_gives_the_features_of_the_network_its_weights_belong_to(pooled: Backbone, ramps: Tensor) -> None:
    features = pooled(pooled.preprocess(ramps))
    assert features.shape == (1, 1280)
    assert (features[0, list(LITE0)] - torch.tensor(list(LITE0.values()))).abs().max() < 1e-4 * LITE0_SPREAD
    assert float(features.std()) == pytest.approx(LITE0_SPREAD, rel=1e-4)


def test_lite0_says_what_a_recipe_needs(lite0: Backbone) -> None:
    assert lite0.description() == {
        "backbone": "efficientnet-lite0",
        "weights_sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "preprocessing": "own",
        "input_size": 224,
        "feature_size": 2560,
        "taps": "blocks.4:4,blocks.5:2",
        "mean": [127.0] * 3,
        "std": [128.0] * 3,
        "interpolation": "bicubic",
    }


def test_channels_may_come_first_or_last(lite0: Backbone, photographs: Tensor) -> None:
    last = lite0.preprocess(photographs)
    first = lite0.preprocess(photographs.permute(0, 3, 1, 2).contiguous())
    assert torch.equal(last, first)
    assert last.shape == (4, 3, 224, 224)
    assert last.dtype == torch.float32


def test_pictures_of_the_right_size_are_scaled_alone(lite0: Backbone, ramps: Tensor) -> None:
    scaled = lite0.preprocess(ramps)
    assert torch.equal(scaled, (ramps.permute(0, 3, 1, 2).float() - 127) / 128)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(300, 300), (120, 97), (97, 260)])
def test_other_sizes_are_resized_as_torchvision_does(interpolation: str, size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (2, 3, *size), generator=torch.manual_seed(0)).byte()
    expected = v2.Compose(
        [
            v2.Resize(64, InterpolationMode(interpolation), antialias=True),
            v2.CenterCrop(64),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]),
        ]
    )(images)
    found = Scale(64, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), interpolation=interpolation)(images)
    # torchvision rounds the longer side down, this to the nearest: at most one grey value and one pixel's shift.
    assert found.shape == expected.shape
    if size[0] == size[1]:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_no_pictures_give_no_features(lite0: Backbone) -> None:
    nothing = lite0.preprocess(torch.zeros((0, 50, 50, 3), dtype=torch.uint8))
    assert nothing.shape == (0, 3, 224, 224)
    assert lite0(nothing).shape == (0, 2560)


@pytest.mark.parametrize(
    "images",
    [torch.zeros((2, 50, 50, 3)), torch.zeros((50, 50, 3), dtype=torch.uint8), torch.zeros((1, 9, 9, 4)).byte()],
)
def test_what_is_not_a_batch_of_colour_pictures_is_refused(lite0: Backbone, images: Tensor) -> None:
    with pytest.raises(InputError, match="expected"):
        lite0.preprocess(images)


def test_a_backbone_stays_frozen(squeezenet: Backbone) -> None:
    squeezenet.train()
    assert not any(module.training for module in squeezenet.modules())
    assert not any(weight.requires_grad for weight in squeezenet.parameters())


def test_features_of_a_picture_do_not_depend_on_its_batch(lite0: Backbone, photographs: Tensor) -> None:
    images = lite0.preprocess(photographs)
    together = lite0(images)
    alone = torch.cat([lite0(image[None]) for image in images])
    assert (together - alone).abs().max() < 1e-4 * together.std()


def test_preparing_for_a_cpu_folds_batch_norms_and_changes_no_feature(
    lite0: Backbone, pooled: Backbone, photographs: Tensor
) -> None:
    for backbone, left in ((pooled, 0), (lite0, 4)):  # in the layers behind the last tap, which never run
        ready = prepare(backbone, "cpu")
        assert sum(isinstance(module, nn.BatchNorm2d) for module in backbone.modules()) == 49
        assert sum(isinstance(module, nn.BatchNorm2d) for module in ready.modules()) == left
        images = backbone.preprocess(photographs)
        expected = backbone(images)
        assert (ready(images) - expected).abs().max() < 1e-4 * expected.std()
        assert ready.description() == backbone.description()


@pytest.mark.parametrize(("precision", "cosine"), [("bf16", 0.999), ("fp16", 0.9999)])
def test_lower_precisions_stay_near_and_come_out_as_float32(
    lite0: Backbone, photographs: Tensor, precision: str, cosine: float
) -> None:
    ready = prepare(lite0, "cpu", precision)
    images = ready.preprocess(photographs)
    assert torch.equal(images, lite0.preprocess(photographs)), "the scale's numbers were rounded"
    features = ready(images)
    assert features.dtype == torch.float32
    assert torch.cosine_similarity(features, lite0(images)).min() > cosine


def test_every_frame_of_a_turning_face_keeps_its_direction_in_bf16(lite0: Backbone) -> None:
    images = lite0.preprocess(torch.from_numpy(turning_picture(lite0.input_size)))
    near = torch.cosine_similarity(prepare(lite0, "cpu", "bf16")(images), lite0(images))
    assert near.min() > 0.9994  # 0.9986 with the bottlenecks' last convolutions rounded too


def test_unusable_precisions_and_devices_are_refused(squeezenet: Backbone) -> None:
    with pytest.raises(ConfigError, match="fp32, tf32, bf16, fp16"):
        prepare(squeezenet, "cpu", "int8")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cuda"):
            prepare(squeezenet, "cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_cuda_device_gives_the_features_of_the_cpu(lite0: Backbone, photographs: Tensor, precision: str) -> None:
    ready = prepare(lite0, "cuda", precision)
    features = ready(ready.preprocess(photographs.cuda()))
    assert features.is_cuda
    expected = lite0(lite0.preprocess(photographs))
    assert torch.cosine_similarity(features.cpu(), expected).min() > 0.998


class ReadTwice(nn.Module):
    """A convolution whose result is normalised, and read once more as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=4)
        self.norm = nn.BatchNorm2d(6)
        nn.init.normal_(self.norm.running_mean)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        raw: Tensor = self.conv(images)
        normalised: Tensor = self.norm(raw)
        return (raw + normalised.relu()).mean((2, 3))


class RunTwice(nn.Module):
    """One convolution run twice, before two BatchNorms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        nn.init.normal_(self.first.running_mean)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.second(self.conv(self.first(self.conv(images)).relu()))
        return result.mean((2, 3))


@pytest.mark.parametrize("net", [ReadTwice(), RunTwice()])
def test_a_batch_norm_that_cannot_be_folded_is_left(net: nn.Module) -> None:
    backbone = Backbone("drawn", Network(copy.deepcopy(net), Scale(32), 32, "", ""))
    images = torch.randn((2, 3, 32, 32), generator=torch.manual_seed(0))
    expected = backbone(images)
    assert optimise_for_cpu(backbone) == 0
    assert torch.equal(backbone(images), expected)
    assert any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
