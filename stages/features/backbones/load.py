"""Networks that turn face crops into feature vectors, by name and behind one interface."""

import difflib
import importlib
import threading
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ....cache.regular import file_sha256
from ....configs.taps import AUTO, POOLED_TAP, parse_taps, spell_taps
from ....configs.trust import IMPORTED, allowed
from ....errors import ConfigError, InputError
from . import face_api_files, published, torchvision, user
from .network import Network, Scale, require_no_paper
from .taps import Tapping
from .weights import existing_file

Builder = Callable[[str, str | Path | None], Network]
FACE_API = "face-api"
BATCH_TOLERANCE = 1e-4  # relative to the features' spread
# A new network draws its weights from the process's one generator; a cluster's worker may load several at once.
_BUILDING = threading.RLock()  # a user's factory may load a backbone of ours inside


class Backbone(nn.Module):
    """A frozen network in eval mode: preprocessed (N, 3, S, S) -> features (N, D)."""

    def __init__(self, name: str, network: Network, preprocessing: str = "own", taps: str = AUTO) -> None:
        """Errors: ConfigError for taps that the network does not have."""
        super().__init__()
        self.name = network.name or name
        self.input_size = network.input_size  # S
        self.weights_sha256 = network.weights_sha256
        self.weights_name = network.weights_name
        self.preprocessing = preprocessing
        self.input_dtype = torch.float32  # of the network's first layer; features are float32 whatever it is
        self.autocast: torch.dtype | None = None  # for a network that does not run with all of it in another type
        self.notes = dict(network.notes)
        self.net = network.net
        scale = network.paper_scale if preprocessing == "paper" else network.scale
        assert scale is not None, "load_backbone refuses a scale that a network does not have"
        self.scale = scale
        self.requires_grad_(False)
        self.eval()
        self.taps = parse_taps(network.taps if taps == AUTO else taps)
        self.tapping = Tapping(self.net, self.taps, network.places, name)
        with torch.no_grad():
            self.feature_size = self._run(self._images(1)).shape[1]  # D
            self.one_by_one = network.may_mix and self._mixes_images()
        self.points = self.tapping.columns(network.points)  # of the features: 68 points (x, y) in 0-1 of the crop

    def forward(self, images: Tensor) -> Tensor:
        """(N, D) float32 of preprocessed (N, 3, S, S)."""
        if len(images) == 0:
            return images.new_zeros((0, self.feature_size), dtype=torch.float32)
        if self.one_by_one:
            return torch.cat([self._run(image[None]) for image in images])
        return self._run(images)

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
            **({} if self.taps == (POOLED_TAP,) else {"taps": spell_taps(self.taps)}),
            **(self.scale.description() if isinstance(self.scale, Scale) else {}),
            **self.notes,
        }

    def train(self, mode: bool = True) -> "Backbone":
        """Itself, in eval mode whatever is asked: its statistics are part of the recipe."""
        super().train(False)
        return self

    def _run(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, self.autocast, enabled=self.autocast is not None):
            return self.tapping.run(self.net, images.to(self.input_dtype))

    def _images(self, count: int) -> Tensor:
        """(N, 3, S, S): noise, on the network's device."""
        shape = (count, 3, self.input_size, self.input_size)
        noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        return noise.to(next(self.net.parameters(), noise).device)

    def _mixes_images(self) -> bool:
        """Whether two images at once give other features than one after the other, or an error."""
        images = self._images(2)
        alone = torch.cat([self._run(image[None]) for image in images])
        try:
            together = self._run(images)
        except (RuntimeError, ValueError, InputError):
            return True
        if together.shape != alone.shape:
            return True
        return float((together - alone).abs().max()) > BATCH_TOLERANCE * max(float(alone.std()), 1e-12)


def _later(module: str) -> Builder:
    """A builder whose module, and the libraries it needs, are imported at its first use."""

    def build(name: str, weights: str | Path | None) -> Network:
        network: Network = importlib.import_module(f".{module}", __package__).build(name, weights)
        return network

    return build


# Another backbone is a file beside this one with its own `build(name, weights) -> Network`, and a line here.
NAMED: dict[str, Builder] = {
    "efficientnet-lite0": _later("lite0"),
    "pixels": _later("pixels"),
    FACE_API: _later("face_api"),
    **dict.fromkeys(published.PUBLISHED, published.build),
    **dict.fromkeys(torchvision.names(), torchvision.build),
}
PREFIXED: dict[str, Builder] = {"timm:": _later("timm"), "onnx:": _later("onnx")}


def load_backbone(
    name: str, weights: str | Path | None = None, preprocessing: str = "own", taps: str = AUTO
) -> Backbone:
    """The backbone of that name, frozen, on the CPU in float32.

    >>> backbone = load_backbone("efficientnet-lite0")
    >>> faces = torch.zeros((2, 112, 112, 3), dtype=torch.uint8)  # RGB, of any size
    >>> backbone(backbone.preprocess(faces)).shape
    torch.Size([2, 2560])

    `weights`: a file (.safetensors, or .pth holding tensors alone), "random", or None: what comes with the name.
    `preprocessing`: "own", or "paper" for the two networks of the paper.
    `taps`: where features are taken, such as "blocks.4:4,pooled" (`configs.taps`); "auto": the backbone's own choice.
    Errors: ConfigError for an unknown name or layer, or one of code that a file says; WeightsError for weights that are
    missing, unsafe or do not fit.
    """
    if preprocessing not in ("own", "paper"):
        raise ConfigError(f"preprocessing is {preprocessing!r}; expected own or paper")
    allowed(name, None, "--backbone ")  # whoever read the name has asked before, of the words that were typed
    with _BUILDING:
        network = _builder(name)(name, weights)
    if network.paper_scale is None:
        require_no_paper(name, preprocessing)
    return Backbone(name, network, preprocessing, taps)


def weights_of(name: str, weights: str | Path) -> tuple[Path, str]:
    """Where a backbone's weights lie, made absolute, and their sha256 as a recipe says it; nothing in them is used.

    Errors: WeightsError, OSError.
    """
    if name == FACE_API:
        return face_api_files.located(weights), face_api_files.digest_of(face_api_files.read_files(name, weights))
    file = existing_file(weights)
    return file, file_sha256(file)


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
    if name.startswith(IMPORTED):
        raise ConfigError(
            f"features.backbone is {name!r}: such features come in tables of {name.removeprefix(IMPORTED)}, and no "
            "network here makes them of a video",
            hint="affect import-features TABLES --store STORE",
        )
    near = difflib.get_close_matches(name, NAMED, n=1, cutoff=0.5)
    raise ConfigError(
        f"backbone {name!r} is unknown" + (f"; the nearest name is {near[0]!r}" if near else ""),
        hint="--backbone takes efficientnet-lite0, pixels, face-api, resnet50-vggface2, resnet50-sfew, a "
        "torchvision name, timm:NAME, onnx:FILE or package.module:factory",
    )
