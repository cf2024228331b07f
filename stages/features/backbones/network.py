"""What a builder hands to `load_backbone`: a headless network, where its weights came from, and its input scale."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as pixels

from ....configs.taps import POOLED
from ....errors import ConfigError
from .taps import Place

Preprocess = Callable[[Tensor], Tensor]
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in 0-1
IMAGENET_STD = (0.229, 0.224, 0.225)
LUMA = (0.299, 0.587, 0.114)  # of R, G, B in grey; Source: ITU-R BT.601
RANDOM = "random"  # in place of a weights file: drawn from RANDOM_SEED
RANDOM_SEED = 0


class Scale(nn.Module):
    """Resizes to a square of `size_px` and maps each channel to (value - mean) / std."""

    mean: Tensor  # (3, 1, 1), RGB, in `unit`
    std: Tensor

    def __init__(
        self,
        size_px: int,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        *,
        unit: float = 1.0,
        interpolation: str = "bilinear",
    ) -> None:
        """`unit` is the value of white on the scale of `mean` and `std`: 1 or 255."""
        super().__init__()
        self.size_px = size_px
        self.unit = unit
        self.interpolation = interpolation
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) float32 of (N, 3, H, W) uint8. The short side becomes S, the longer one is cut at the centre."""
        height, width = images.shape[-2:]
        if (height, width) != (self.size_px, self.size_px):
            ratio = self.size_px / min(height, width)
            size = [max(self.size_px, round(side * ratio)) for side in (height, width)]
            images = pixels.resize(images, size, InterpolationMode(self.interpolation), antialias=True)
            images = pixels.center_crop(images, [self.size_px, self.size_px])
        factor = 255 / self.unit
        return images.float().sub_(self.mean * factor).div_(self.std * factor)

    def description(self) -> dict[str, object]:
        """What the recipe says of the scale; mean and std on 0-255."""
        return {
            "mean": [round(value * 255 / self.unit, 4) for value in self.mean.flatten().tolist()],
            "std": [round(value * 255 / self.unit, 4) for value in self.std.flatten().tolist()],
            "interpolation": self.interpolation,
        }


@dataclass(frozen=True)
class Network:
    """A network without its classifier: (N, 3, S, S) -> (N, D) or (N, D, 1, 1)."""

    net: nn.Module
    scale: Preprocess  # (N, 3, H, W) uint8 -> (N, 3, S, S) float, on the images' device
    input_size: int  # S
    weights_sha256: str
    weights_name: str
    name: str | None = None  # for the recipe, where it is not the one the user gave
    paper_scale: Preprocess | None = None  # where the paper feeds the network another scale than its own
    notes: Mapping[str, object] = field(default_factory=dict)  # joins the description
    taps: str = POOLED  # what `features.taps=auto` stands for
    points: str | None = None  # the layer that gives 68 points (x, y) in 0-1 of the crop
    places: Mapping[str, Place] | None = None  # its layers by name; None: the modules of `net`
    may_mix: bool = False  # whether several images at once may come out mixed up, or be refused


@contextmanager
def seeded() -> Iterator[None]:
    """Draws inside come from RANDOM_SEED; the generator outside is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        yield


def require_no_paper(name: str, preprocessing: str) -> None:
    """Errors: ConfigError where `preprocessing` asks for a scale that this network does not have."""
    if preprocessing == "paper":
        raise ConfigError(
            f"preprocessing is 'paper', but backbone {name!r} has only its own; the paper's scale belongs to "
            "resnet50-vggface2 and resnet50-sfew",
            hint="--set features.preprocessing=own",
        )
