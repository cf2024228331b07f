"""Every classifier of torchvision, up to the input of its last layer."""

from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import nn
from torchvision import models

from ....cache.regular import file_sha256
from ....errors import WeightsError
from .network import RANDOM, Network, Scale, seeded
from .weights import fit_file, state_sha256

AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # training-time heads of GoogLeNet and Inception


def names() -> list[str]:
    """torchvision's classifiers by name."""
    return list(models.list_models(module=models))


def build(name: str, weights: str | Path | None) -> Network:
    """A torchvision classifier without its last layer.

    `weights`: a file, "random", or None: torchvision's default weights, where torch.hub has them already.
    """
    with seeded():
        net = construct(name)
    head = remove_classifier(net)
    if weights == RANDOM:
        sha256, origin = state_sha256(net), RANDOM
    else:
        file = weights or cached_default(name)
        sha256, origin = fit_file(net, file, dropped=(f"{head}.", *AUXILIARY))
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    size_px = input_size(name)
    scale = Scale(size_px, transforms.mean, transforms.std, interpolation=transforms.interpolation.value)
    return Network(net, scale, size_px, sha256, origin)


def construct(name: str) -> nn.Module:
    """The whole classifier, for images of the size its default weights take."""
    options: dict[str, bool | int] = {}
    if name in ("googlenet", "inception_v3"):
        # The published weights expect the networks' own re-scaling of ImageNet-scaled input.
        options = {"aux_logits": False, "transform_input": True, "init_weights": True}
    if name.startswith("vit_"):
        options = {"image_size": input_size(name)}
    net: nn.Module = models.get_model(name, weights=None, **options)
    return net


def input_size(name: str) -> int:
    """S, the side in pixels of what the default weights take."""
    return int(models.get_model_weights(name).DEFAULT.transforms().crop_size[0])


def remove_classifier(net: nn.Module) -> str:
    """The name of the last layer with weights, a Linear or (SqueezeNet) a convolution, now replaced by Identity.

    What stays are the activations that layer read: pooled features, or the last hidden layer where a classifier has
    several (AlexNet, VGG, MobileNetV3).
    """
    layers = [(name, layer) for name, layer in net.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    name, last = layers[-1]
    assert isinstance(last, nn.Linear) or last.kernel_size == (1, 1), f"{type(net).__name__}.{name} is no classifier"
    parent, _, leaf = name.rpartition(".")
    setattr(net.get_submodule(parent), leaf, nn.Identity())
    return str(name)


def cached_default(name: str) -> Path:
    """Where torch.hub keeps torchvision's default weights.

    Errors: WeightsError where they are not there yet or are damaged.
    """
    url = models.get_model_weights(name).DEFAULT.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if not file.is_file():
        raise WeightsError(
            f"backbone {name!r} needs weights: {file.name} is not in {file.parent}, and nothing is downloaded unasked",
            hint=f"--weights FILE, or put {url} there",
        )
    start = file.stem.rpartition("-")[2]
    if not file_sha256(file).startswith(start):
        raise WeightsError(f"{file} is damaged: its sha256 should begin with {start}", hint=f"fetch {url} again")
    return file
