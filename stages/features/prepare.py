"""A backbone made ready for a device: moved, cast, channels-last, and on a CPU with its BatchNorms folded away."""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ...errors import ConfigError, DeviceError, first_line
from .backbones.load import Backbone

Run = tuple[str, nn.Module, Tensor]  # a layer's name, the layer, and what it gave
PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
EARLY = 3  # convolutions, at most, that are a network's first ones (see exact_layers)
FUSION_TOLERANCE = 1e-4  # largest change of a feature, relative to the features' spread


def prepare(backbone: Backbone, device: str | torch.device, precision: str = "fp32") -> Backbone:
    """A copy of the backbone on that device in that precision, of PRECISIONS; features stay float32.

    Errors: ConfigError for another precision, DeviceError for a device this machine does not have.
    """
    if precision not in PRECISIONS:
        raise ConfigError(
            f"precision is {precision!r}; expected {', '.join(PRECISIONS)}", hint="--set features.precision=fp32"
        )
    ready = copy.deepcopy(backbone)
    try:
        ready.to(device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"device {str(device)!r} cannot be used: {first_line(error)}", hint="--device cpu") from error
    if torch.device(device).type == "cpu":
        optimise_for_cpu(ready)
    dtype = PRECISIONS[precision]
    if dtype != torch.float32:
        cast = _cast(copy.deepcopy(ready), dtype)
        if _runs(cast):
            ready = cast
        else:  # numbers in its graph stay float32, as in transformers from ONNX files
            ready.autocast = dtype
    ready.net.to(memory_format=torch.channels_last)
    return ready


def _cast(backbone: Backbone, dtype: torch.dtype) -> Backbone:
    """The backbone with its network in that type, but for layers that stay exact."""
    exact = exact_layers(backbone) if dtype == torch.bfloat16 else {}
    # The scale's mean and standard deviation stay float32: bf16 would round 131.0912 to 131.
    backbone.net.to(dtype=dtype)
    backbone.input_dtype = torch.float32 if exact else dtype
    for name, layer in exact.items():
        backbone.net.set_submodule(name, layer)
    if exact:
        for layer in backbone.net.modules():
            if _owns_weights(layer):
                layer.register_forward_pre_hook(_match_type)
    return backbone


def _runs(backbone: Backbone) -> bool:
    """Whether the network takes an image in its type."""
    try:
        with torch.no_grad():
            backbone(_probe(backbone))
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        return False
    return True


def exact_layers(backbone: Backbone) -> dict[str, nn.Module]:
    """Copies, by name, of the layers that stay in float32 where the rest runs in bf16; none in networks without any.

    bf16 keeps 8 bits of a number, between two and three decimal digits. Two kinds of layers lose much by that and take
    little time, so they are left out of it:

    1. the first convolutions and BatchNorms, as long as the image has half its side or more, up to EARLY convolutions.
       They hold few weights, and every feature is computed from what they give.
    2. 1x1 convolutions that narrow what a depthwise convolution made (the end of a block in MobileNet's family). No
       activation follows them: blocks add their results up, each with its rounding.

    Measured by the cosine between features in bf16 and in float32; the goal is 0.999 (benchmarks/precision.py). Of
    EfficientNet-lite0, on a face that turns: 0.998 on average with everything in bf16, 0.9993 with the first kind in
    float32. The second kind then lifts the least cosine of a picture from 0.9988 to 0.9995.
    """
    runs = _run_layers(backbone)
    names = [*_first_layers(runs, backbone.input_size), *_narrowing_layers(runs)]
    layers = {name: layer for name, layer, _ in runs}
    return {name: copy.deepcopy(layers[name]) for name in names}


def _first_layers(runs: Sequence[Run], size_px: int) -> Iterator[str]:
    convolutions = 0
    for name, layer, result in runs:
        if isinstance(layer, nn.Conv2d):
            convolutions += 1
        elif not isinstance(layer, nn.BatchNorm2d):
            return
        if convolutions > EARLY or round(size_px / result.shape[-1]) > 2:
            return
        yield name


def _narrowing_layers(runs: Sequence[Run]) -> Iterator[str]:
    widened = 0  # channels that the last depthwise convolution made
    for name, layer, _ in runs:
        if not isinstance(layer, nn.Conv2d):
            continue
        if layer.groups == layer.in_channels > 1:
            widened = layer.out_channels
        elif layer.kernel_size == (1, 1) and layer.in_channels == widened > layer.out_channels:
            yield name


def _run_layers(backbone: Backbone) -> list[Run]:
    """Layers with weights of their own, by name, in the order they ran, and what each gave for one image."""
    runs: list[Run] = []
    handles = [
        module.register_forward_hook(lambda layer, _given, result, name=name: runs.append((name, layer, result)))
        for name, module in backbone.net.named_modules()
        if _owns_weights(module)
    ]
    with torch.no_grad():
        backbone(_probe(backbone))
    for handle in handles:
        handle.remove()
    return runs


def _owns_weights(layer: nn.Module) -> bool:
    return next(layer.parameters(recurse=False), None) is not None


def _match_type(layer: nn.Module, given: tuple[object, ...]) -> tuple[object, ...]:
    """The arguments with floating-point tensors in the type of the layer's own weights."""
    dtype = next(layer.parameters(recurse=False)).dtype
    return tuple(
        value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value for value in given
    )


def _probe(backbone: Backbone) -> Tensor:
    """(1, 3, S, S): noise, on the backbone's device."""
    image = torch.randn((1, 3, backbone.input_size, backbone.input_size), generator=torch.Generator().manual_seed(0))
    weight = next(backbone.net.parameters(), image)
    return image.to(weight.device)


def optimise_for_cpu(backbone: Backbone) -> int:
    """How many BatchNorms were folded, in place, into the convolutions before them.

    Pairs are found by running one image: a BatchNorm whose input is the very tensor a convolution returned, and
    neither of them tapped. The fold is undone where it would change the features, as when something else reads that
    tensor too.
    """
    image = _probe(backbone)
    with torch.no_grad():
        before, pairs = _run_recording(backbone, image)
        modules = dict(backbone.net.named_modules())
        originals = {name: modules[name] for pair in pairs for name in pair}
        for conv_name, norm_name in pairs:
            conv, norm = originals[conv_name], originals[norm_name]
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            backbone.net.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
            backbone.net.set_submodule(norm_name, _what_remains(norm))
        after = backbone(image)
    if float((after - before).abs().max()) > FUSION_TOLERANCE * max(float(before.std()), 1e-12):
        for name, module in originals.items():
            backbone.net.set_submodule(name, module)
        return 0
    return len(pairs)


def _what_remains(norm: nn.BatchNorm2d) -> nn.Module:
    """timm's BatchNorm carries the activation after it."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()


def _run_recording(backbone: Backbone, image: Tensor) -> tuple[Tensor, list[tuple[str, str]]]:
    """The features, and the names of each convolution and BatchNorm that directly follow one another, each run once."""
    runs: dict[str, int] = {}
    made_by: list[tuple[Tensor, str]] = []  # holds the tensors, so that no identity is given twice
    pairs: list[tuple[str, str]] = []
    handles = []

    def record_conv(name: str, result: Tensor) -> None:
        runs[name] = runs.get(name, 0) + 1
        made_by.append((result, name))

    def record_norm(name: str, given: Tensor) -> None:
        runs[name] = runs.get(name, 0) + 1
        pairs.extend((maker, name) for tensor, maker in made_by if tensor is given)

    for name, module in backbone.net.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(lambda _m, _i, out, name=name: record_conv(name, out)))
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            handles.append(module.register_forward_pre_hook(lambda _m, args, name=name: record_norm(name, args[0])))
    features = backbone(image)
    for handle in handles:
        handle.remove()
    return features, [
        pair for pair in pairs if all(runs[name] == 1 and not backbone.tapping.listens_in(name) for name in pair)
    ]
