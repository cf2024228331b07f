"""Any network in an ONNX file, run in torch: `onnx:FILE`, with what the file does not say beside it in FILE.json."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import version_converter
from onnx.external_data_helper import ExternalDataInfo, uses_external_data
from onnx2torch import convert
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode

from ....cache.regular import open_regular, read_regular, regular_size
from ....configs.trust import beside
from ....errors import ConfigError, WeightsError, first_line, shown
from .network import IMAGENET_MEAN, IMAGENET_STD, LUMA, Network, Scale
from .taps import Place
from .weights import existing_file, refuse_foreign

INTERPOLATIONS = tuple(mode.value for mode in InterpolationMode)
OLDER_OPSET = 17
DOMAINS = ("", "ai.onnx")  # of ONNX's own operators
PADDING = 1 << 16  # bytes that a file of tensors may have before each of them, so that it can be mapped
MOST_PX = 4096  # side of an input


@dataclass(frozen=True, slots=True)
class OnnxSettings:
    """What FILE.json may say. Without the file: ImageNet's scale, RGB, the first output, the size in the graph."""

    mean: Sequence[float] = IMAGENET_MEAN  # of RGB, on the scale of `unit`
    std: Sequence[float] = IMAGENET_STD
    unit: float = 1.0  # the value of white: 1 or 255
    channels: str = "rgb"  # the order the network takes: rgb or bgr
    interpolation: str = "bilinear"
    input_size: int | None = None  # for a graph that leaves it open
    output: str | None = None  # name of the output that holds the features

    @classmethod
    def beside(cls, file: Path) -> "OnnxSettings":
        """The settings in FILE.json, or the defaults. Errors: ConfigError."""
        path = file.with_name(file.name + ".json")
        if not path.exists():
            return cls()
        known = [item.name for item in fields(cls)]
        try:
            values = json.loads(read_regular(path))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"{str(path)!r} is not JSON ({first_line(error)})") from error
        if not isinstance(values, dict) or set(values) - set(known):
            raise ConfigError(f"{str(path)!r} is {shown(values)}; expected an object with keys of {', '.join(known)}")
        settings = cls(**values)
        three_numbers = all(
            isinstance(item, list | tuple)
            and len(item) == 3
            and all(isinstance(value, int | float) and math.isfinite(value) for value in item)
            for item in (settings.mean, settings.std)
        )
        known_words = settings.channels in ("rgb", "bgr") and settings.interpolation in INTERPOLATIONS
        side = settings.input_size
        a_side = side is None or (type(side) is int and 1 <= side <= MOST_PX)
        if not (three_numbers and min(settings.std) > 0 and settings.unit in (1, 255) and known_words and a_side):
            raise ConfigError(
                f"{str(path)!r} is {shown(values)}; expected three numbers each for mean and std (std above 0), unit 1 "
                f"or 255, channels rgb or bgr, interpolation {' or '.join(INTERPOLATIONS)}, input_size up to {MOST_PX}"
            )
        return settings


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The graph's input: (N, C, S, S), or (N, S, S, C) where `channels_last`."""

    size_px: int
    channels: int
    channels_last: bool


class OnnxNetwork(nn.Module):
    """(N, 3, S, S) -> the chosen output's (N, D) of an imported graph."""

    luma: Tensor  # (1, 3, 1, 1)

    def __init__(self, graph: nn.Module, image: ImageInput, bgr: bool, output: int) -> None:
        super().__init__()
        self.graph = graph
        self.image = image
        self.bgr = bgr
        self.output = output
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        if self.image.channels == 1:
            images = (images * self.luma).sum(1, keepdim=True)
        elif self.bgr:
            images = images.flip(1)
        if self.image.channels_last:
            images = images.permute(0, 2, 3, 1)
        outputs = self.graph(images)
        chosen: Tensor = outputs[self.output] if isinstance(outputs, list | tuple) else outputs
        return chosen.flatten(1)


def build(name: str, weights: str | Path | None) -> Network:
    """The network of `onnx:FILE`; its features are the first output (or the one FILE.json names), flattened.

    Every tensor of the graph is a layer by its name.

    Errors: WeightsError for a file that is no ONNX network of images, or uses what onnx2torch cannot import.
    """
    if weights is not None:
        raise WeightsError(f"backbone {name!r} holds its own weights; got others: {str(weights)!r}", "omit --weights")
    file = existing_file(name.removeprefix("onnx:"))
    settings = OnnxSettings.beside(file)
    model, sha256 = _read(file)
    image = _image_input(model.graph, file, settings)
    outputs = [output.name for output in model.graph.output]
    if settings.output is not None and settings.output not in outputs:
        raise ConfigError(f"{file.name} has no output {settings.output!r}; it has {', '.join(outputs)}")
    output = outputs.index(settings.output) if settings.output else 0
    graph, places = _imported(model, file)
    net = OnnxNetwork(graph, image, settings.channels == "bgr", output).eval()
    _check_it_runs(net, file)
    scale = Scale(
        image.size_px,
        tuple(settings.mean),
        tuple(settings.std),
        unit=settings.unit,
        interpolation=settings.interpolation,
    )
    notes = {"channels": settings.channels, "output": outputs[output]}
    return Network(
        net, scale, image.size_px, sha256, file.name, name=f"onnx:{file.name}", notes=notes, places=places, may_mix=True
    )


def _read(file: Path) -> tuple[Any, str]:
    """The model, and the sha256 of its file and of the files it keeps tensors in."""
    refuse_foreign(file, "onnx")
    data = read_regular(file)
    digest = hashlib.sha256(data)
    try:
        model = onnx.load_model_from_string(data)
        _check_operators(model, file)
        _take_in(_tensors(model.graph), file, digest)
    except WeightsError:
        raise
    except (DecodeError, OSError, ValueError, TypeError, LookupError, RecursionError, MemoryError) as error:
        raise WeightsError(
            f"{str(file)!r} cannot be read as ONNX ({first_line(error)})", "--backbone onnx:FILE.onnx"
        ) from error
    return model, digest.hexdigest()


def _check_operators(model: Any, file: Path) -> None:
    """Errors: WeightsError for operators of a domain other than ONNX's own: what they do is not in the file."""
    foreign = {node.domain for node in _nodes(model.graph)} - set(DOMAINS)
    foreign |= {function.name for function in model.functions if function.domain in DOMAINS}  # ONNX's, redefined
    if foreign:
        raise WeightsError(
            f"{str(file)!r} uses operators of {', '.join(map(shown, sorted(foreign)[:5]))}; expected ONNX's own alone",
            hint="export the network again with ONNX's own operators, or give it as package.module:factory",
        )


def _nodes(graph: Any) -> Iterator[Any]:
    """Every node, also those of the graphs inside nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from _nodes(inner)


def _tensors(graph: Any) -> Iterator[Any]:
    """Every tensor of the graph: its own, and those in the attributes of its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else ()))
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from _tensors(inner)


def _take_in(tensors: Iterable[Any], file: Path, digest: Any) -> None:
    """Put the bytes that lie in other files into their tensors, and all of those files into the digest.

    Before any is opened, each has to be a regular file beside the model, as large as the tensors in it explain.
    Errors: WeightsError, OSError.
    """
    places: dict[str, list[tuple[Any, int, int]]] = {}  # location -> tensor, offset, bytes
    for tensor in tensors:
        if uses_external_data(tensor):
            info = ExternalDataInfo(tensor)
            places.setdefault(info.location, []).append((tensor, int(info.offset or 0), _bytes_of(tensor, file)))
            if info.length is not None and int(info.length) != places[info.location][-1][2]:
                raise WeightsError(f"{str(file)!r}: tensor {shown(tensor.name)} has another length than its shape says")
    paths = {}
    for location, parts in sorted(places.items()):
        path = beside(location, file.parent)
        if path is None:
            raise WeightsError(f"{str(file)!r} keeps tensors in {shown(location)}; expected a file beside it")
        size, told = regular_size(path), sum(length for _, _, length in parts)
        if told > size or size > told + PADDING * (len(parts) + 1):
            raise WeightsError(f"{str(path)!r} has {size} bytes; {file.name} says that it holds {told}")
        if any(offset < 0 or offset + length > size for _, offset, length in parts):
            raise WeightsError(f"{str(path)!r} ends before the tensors that {file.name} says are in it")
        paths[location] = path
    for location, path in paths.items():
        with open_regular(path) as data:
            while block := data.read(1 << 20):
                digest.update(block)
            for tensor, offset, length in places[location]:
                data.seek(offset)
                tensor.raw_data = data.read(length)
                tensor.data_location = onnx.TensorProto.DEFAULT
                del tensor.external_data[:]


def _bytes_of(tensor: Any, file: Path) -> int:
    """How many bytes a tensor has by its shape and type."""
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if min(tensor.dims, default=1) < 0 or kind.hasobject:
        raise WeightsError(f"{str(file)!r}: tensor {shown(tensor.name)} has dimensions {shown(list(tensor.dims))}")
    return int(math.prod(tensor.dims) * kind.itemsize)


def _with_plain_names(model: Any) -> Any:
    """The model with its nodes numbered: onnx2torch makes Python code of a graph, and the nodes' names a part of it."""
    for number, node in enumerate(model.graph.node):
        node.name = f"node{number}"
        node.domain = ""
    return model


def _image_input(graph: Any, file: Path, settings: OnnxSettings) -> ImageInput:
    initialisers = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in initialisers]
    shapes = [[dim.dim_value or None for dim in value.type.tensor_type.shape.dim] for value in inputs]
    found = "; ".join(f"{value.name} {shape}" for value, shape in zip(inputs, shapes, strict=True)) or "none"
    if len(inputs) != 1 or len(shapes[0]) != 4:
        raise WeightsError(f"{str(file)!r} has inputs {found}; expected one, (N, 3, S, S) or (N, S, S, 3)")
    batch, *sides = shapes[0]
    channels_last = sides[0] not in (1, 3) and sides[2] in (1, 3)
    channels, *size = [sides[2], *sides[:2]] if channels_last else sides
    open_or_same = {side for side in (*size, settings.input_size) if side is not None}
    if channels not in (1, 3) or batch not in (None, 1) or len(open_or_same) > 1:
        raise WeightsError(
            f"{str(file)!r} has input {found}; expected a batch left open or of one, 1 or 3 channels, and a square"
        )
    if not open_or_same:
        raise WeightsError(
            f"{str(file)!r} leaves the size of its input open ({found})",
            hint=f'write the side in {file.name}.json: {{"input_size": 224}}',
        )
    size_px = open_or_same.pop()
    if not 1 <= size_px <= MOST_PX:
        raise WeightsError(f"{str(file)!r} has input {found}; expected a side of 1 to {MOST_PX} pixels")
    return ImageInput(size_px, channels, channels_last)


def _imported(model: Any, file: Path) -> tuple[nn.Module, dict[str, Place]]:
    """The graph as a module, and where in an `OnnxNetwork` of it each of its tensors comes out."""
    try:
        graph: nn.Module = convert(_with_plain_names(model))
    except NotImplementedError as first:
        # onnx2torch lags behind the newest operator sets; onnx itself rewrites a graph for an older one.
        try:
            model = version_converter.convert_version(model, OLDER_OPSET)
            graph = convert(_with_plain_names(model))
        except Exception:  # noqa: BLE001 - as below
            raise _not_imported(file, first) from first
    except Exception as error:
        raise _not_imported(file, error) from error
    return graph, {
        tensor: Place(f"graph.{node.name}", place if len(node.output) > 1 else None)
        for node in model.graph.node
        for place, tensor in enumerate(node.output)
        if tensor and hasattr(graph, node.name)
    }


def _not_imported(file: Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"{str(file)!r} cannot be imported by onnx2torch ({type(error).__name__}: {str(error)[:200]})",
        hint="export the network again for another opset, or give it as package.module:factory",
    )


def _check_it_runs(net: OnnxNetwork, file: Path) -> None:
    """Errors: WeightsError for a graph that fails on an image."""
    with torch.no_grad():
        try:
            net(torch.zeros((1, 3, net.image.size_px, net.image.size_px)))
        except Exception as error:
            raise WeightsError(f"{str(file)!r} does not run on an image ({first_line(error)})") from error
