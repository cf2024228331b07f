"""The layers of a backbone: what each gives for a face, and the time until it has."""

import copy
import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from ...cache.records import Json
from ...configs.schema import FeaturesConfig
from ...configs.taps import POOLED_TAP, spell_taps
from .backbones.load import Backbone, load_backbone
from .backbones.taps import Place, Tapping, part_of, size_of
from .embed import Embedder, turning_picture
from .one_thread import one_thread
from .prepare import prepare

PASSES = 5  # that are timed, after one that is not


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer gives for one image, and how long a network that ended there would take on it."""

    name: str
    channels: int
    places: tuple[int, ...]  # (H, W), (L,) tokens, or () of a layer without any
    milliseconds: float


@dataclass(frozen=True, slots=True)
class BackboneReport:
    """A backbone as it is set: its taps, its features, its time for a face; and every layer that can be tapped."""

    backbone: str
    taps: str
    feature_size: int  # D
    pooled_size: int  # of the backbone's own output
    milliseconds: float  # a face, with resizing and with no layer behind the last tap
    batch: int  # faces at once
    device: str
    precision: str
    layers: tuple[Layer, ...]  # in the order they come to an end

    def to_json(self) -> dict[str, Json]:
        """All of it, for a program."""
        names = ("backbone", "taps", "feature_size", "pooled_size", "milliseconds", "batch", "device", "precision")
        layers = [
            {"name": it.name, "channels": it.channels, "places": list(it.places), "milliseconds": it.milliseconds}
            for it in self.layers
        ]
        return {name: getattr(self, name) for name in names} | {"layers": layers}


def examine(config: FeaturesConfig, device: str = "cpu") -> BackboneReport:
    """The backbone of these settings on this machine, computing on one thread as in an extraction.

    Errors: as `load_backbone`.
    """
    with one_thread():
        backbone = load_backbone(config.backbone, config.weights, config.preprocessing, config.taps)
        embedder = Embedder(backbone, device, config.precision)
        whole = copy.deepcopy(backbone)
        whole.tapping = Tapping(whole.net, (POOLED_TAP,), backbone.tapping.places, backbone.name)
        ready = prepare(whole, device, embedder.precision)
        batch = 1 if backbone.one_by_one else embedder.batches.size
        return BackboneReport(
            backbone=backbone.name,
            taps=spell_taps(backbone.taps),
            feature_size=backbone.feature_size,
            pooled_size=ready(_faces(ready, 1)).shape[1],
            milliseconds=_embedding_ms(embedder),
            batch=batch,
            device=device,
            precision=embedder.precision,
            layers=_layers(ready, _faces(ready, batch)),
        )


def _faces(backbone: Backbone, count: int) -> Tensor:
    device = next(backbone.net.parameters(), torch.zeros(())).device
    pictures = torch.from_numpy(turning_picture(backbone.input_size)).to(device)
    images = backbone.preprocess(pictures).repeat(-(-count // len(pictures)), 1, 1, 1)[:count]
    return images.contiguous(memory_format=torch.channels_last)


def _embedding_ms(embedder: Embedder) -> float:
    pictures = turning_picture(embedder.size_px)
    size = embedder.batches.size
    crops = pictures.repeat(-(-size // len(pictures)), 0)[:size]
    embedder.embed(crops)
    seconds = []
    for _ in range(PASSES):
        start = time.perf_counter()
        embedder.embed(crops)
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds) / len(crops)


def _layers(backbone: Backbone, images: Tensor) -> tuple[Layer, ...]:
    """Every layer that gives something to tap. A layer that runs several times counts with its last run."""
    sizes: dict[str, tuple[int, tuple[int, ...]]] = {}
    passes: list[dict[str, float]] = []
    start = 0.0

    def note(layer: str, place: Place, value: object) -> None:
        if images.is_cuda:
            torch.cuda.synchronize()
        passes[-1][layer] = time.perf_counter() - start
        size = size_of(part_of(value, place), len(images))
        sizes.pop(layer, None)  # the order is that of the last runs
        if size is not None:
            sizes[layer] = size

    modules = dict(backbone.net.named_modules())  # without what was inside of folded BatchNorms
    handles = [
        modules[place.module].register_forward_hook(
            lambda _module, _given, value, layer=layer, place=place: note(layer, place, value)
        )
        for layer, place in backbone.tapping.places.items()
        if place.module in modules
    ]
    with torch.inference_mode():
        for _ in range(PASSES + 1):
            passes.append({})
            start = time.perf_counter()
            backbone(images)
    for handle in handles:
        handle.remove()
    return tuple(
        Layer(layer, *size, 1000 * median(times[layer] for times in passes[1:]) / len(images))
        for layer, size in sizes.items()
    )
