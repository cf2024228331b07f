"""Networks that turn face crops into feature vectors, by name and behind one interface."""

import difflib
import importlib
import threading
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ....configs.trust import allowed
from ....errors import ConfigError, InputError
from . import published, torchvision, user
from .network import Network, Scale, require_no_paper

Builder = Callable[[str, str | Path | None], Network]
# A new network draws its weights from the process's one generator; a cluster's worker may load several at once.
_BUILDING = threading.RLock()  # a user's factory may load a backbone of ours inside


class Backbone(nn.Module):
    """A frozen network in eval mode: preprocessed (N, 3, S, S) -> features (N, D)."""

    def __init__(self, name: str, network: Network, preprocessing: str = "own") -> None:
        super().__init__()
        self.name = network.name or name
        self.input_size = network.input_size  # S
        self.weights_sha256 = network.weights_sha256
        self.weights_name = network.weights_name
        self.preprocessing = preprocessing
        self.input_dtype = torch.float32  # of the network's first layer; features are float32 whatever it is
        self.notes = dict(network.notes)
        self.net = network.net
        scale = network.paper_scale if preprocessing == "paper" else network.scale
        assert scale is not None, "load_backbone refuses a scale that a network does not have"
        self.scale = scale
        self.requires_grad_(False)
        self.eval()
        self.feature_size = self._measure()  # D

    def forward(self, images: Tensor) -> Tensor:
        """(N, D) float32 of preprocessed (N, 3, S, S)."""
        if len(images) == 0:
            return images.new_zeros((0, self.feature_size), dtype=torch.float32)
        features: Tensor = self.net(images.to(self.input_dtype))
        return features.flatten(1).float()

    def preprocess(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) float of (N, H, W, 3) or (N, 3, H, W) uint8 RGB, on the images' device.

        Images of another size are scaled by their short side and cut at the centre.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or 3 not in (images.shape[-1], images.shape[1]):
            raise InputError(
                f"images are {tuple(images.shape)} {images.dtype}; expected (N, H, W, 3) or (N, 3, H, W) uint8"
            )
        if images.shape[-1] == 3:
            images = images.permute(0, 3, 1, 2)
        if len(images) == 0:
            return images.new_zeros((0, 3, self.input_size, self.input_size), dtype=torch.float32)
        return self.scale(images)

    def description(self) -> dict[str, object]:
        """What a recipe says of the backbone: everything that its features depend on, and no path."""
        return {
            "backbone": self.name,
            "weights_sha256": self.weights_sha256,
            "preprocessing": self.preprocessing,
            "input_size": self.input_size,
            "feature_size": self.feature_size,
            **(self.scale.description() if isinstance(self.scale, Scale) else {}),
            **self.notes,
        }

    def train(self, mode: bool = True) -> "Backbone":
        """Itself, in eval mode whatever is asked: its statistics are part of the recipe."""
        super().train(False)
        return self

    def _measure(self) -> int:
        weight = next(self.net.parameters(), torch.zeros(()))
        with torch.no_grad():
            features = self.net(torch.zeros((1, 3, self.input_size, self.input_size), device=weight.device))
        if not isinstance(features, Tensor) or features.shape[0] != 1:
            raise InputError(f"backbone {self.name!r} gives {_shape(features)} for one image; expected a tensor (1, D)")
        return features.flatten(1).shape[1]


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _later(module: str) -> Builder:
    """A builder whose module, and the libraries it needs, are imported at its first use."""

    def build(name: str, weights: str | Path | None) -> Network:
        network: Network = importlib.import_module(f".{module}", __package__).build(name, weights)
        return network

    return build


# Another backbone is a file beside this one with its own `build(name, weights) -> Network`, and a line here.
NAMED: dict[str, Builder] = {
    "efficientnet-lite0": _later("lite0"),
    **dict.fromkeys(published.PUBLISHED, published.build),
    **dict.fromkeys(torchvision.names(), torchvision.build),
}
PREFIXED: dict[str, Builder] = {"timm:": _later("timm"), "onnx:": _later("onnx")}


def load_backbone(name: str, weights: str | Path | None = None, preprocessing: str = "own") -> Backbone:
    """The backbone of that name, frozen, on the CPU in float32.

    >>> backbone = load_backbone("efficientnet-lite0")
    >>> faces = torch.zeros((2, 112, 112, 3), dtype=torch.uint8)  # RGB, of any size
    >>> backbone(backbone.preprocess(faces)).shape
    torch.Size([2, 1280])

    `weights`: a file (.safetensors, or .pth holding tensors alone), "random", or None: what comes with the name.
    `preprocessing`: "own", or "paper" for the two networks of the paper.
    Errors: ConfigError for an unknown name, or one of code that a file says; WeightsError for weights that are
    missing, unsafe or do not fit.
    """
    if preprocessing not in ("own", "paper"):
        raise ConfigError(f"preprocessing is {preprocessing!r}; expected own or paper")
    allowed(name, None, "--backbone ")  # whoever read the name has asked before, of the words that were typed
    with _BUILDING:
        network = _builder(name)(name, weights)
    if network.paper_scale is None:
        require_no_paper(name, preprocessing)
    return Backbone(name, network, preprocessing)


def check_code(name: str, sha256: object, whose: str) -> None:
    """As `user.check_code`, where the name is that of a user's own network."""
    if _builder(name) is user.build:
        user.check_code(name, sha256, whose)


def _builder(name: str) -> Builder:
    if name in NAMED:
        return NAMED[name]
    for prefix, builder in PREFIXED.items():
        if name.startswith(prefix):
            return builder
    if ":" in name:
        return user.build
    near = difflib.get_close_matches(name, NAMED, n=1, cutoff=0.5)
    raise ConfigError(
        f"backbone {name!r} is unknown" + (f"; the nearest name is {near[0]!r}" if near else ""),
        hint="--backbone takes efficientnet-lite0, resnet50-vggface2, resnet50-sfew, a torchvision name, timm:NAME, "
        "onnx:FILE or package.module:factory",
    )
