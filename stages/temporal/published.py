"""Checkpoints `pid_*.pth.tar` of the authors' code, as a model, its specification and the backbone's own weights."""

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...cache.foreign import asked_for, foreign
from ...cache.regular import check_tensors, check_unpacked, regular_size
from ...configs.schema import ModelConfig
from ...errors import InputError, WeightsError, first_line, shown
from .model import ModelSpec, TemporalModel
from .reference_distribution import ReferenceDistribution

HEADS = 16  # cannot be read from the weights' shapes
# Targets by the number of sliced read-outs and whether a total reads everything, in the order of the read-outs. Nothing
# in a checkpoint names them: of the head of two, the authors' loader stacks arousal first, and they call the head AV.
TARGETS = {
    (2, False): ("arousal", "valence"),
    (3, True): ("n3", "n6", "n1", "total"),  # PANSS negative items and their scale
    (4, True): ("facial", "vocal", "gestures", "speech", "total"),  # CAINS expression items
}
CLIP_LENGTHS = {2: 16, 3: 32, 4: 32}  # as published, by the number of sliced read-outs
CONTEXT_NAMES = {"theta": "theta", "phi": "phi", "gi": "g", "ln": "norm", "fc": "out"}
BACKBONES = {"conv1_7x7_s2.weight": "resnet50-vggface2", "conv1_conv.weight": "resnet50-sfew"}
SECTIONS = ("backbone", "neck", "head")
MOST_LAYERS = 100
SHOWN = 8  # keys named in a message


@dataclass(frozen=True, slots=True)
class PublishedCheckpoint:
    """What a checkpoint of the authors' code holds."""

    spec: ModelSpec
    state: dict[str, Tensor]  # of TemporalModel
    backbone_name: str  # resnet50-vggface2 | resnet50-sfew
    backbone_state: dict[str, Tensor]  # under the original network's keys, its BatchNorm as adapted in training
    epoch: int | None


def read_published(
    path: Path, *, clip_length: int | None = None, context: int = 2, targets: Sequence[str] = ()
) -> PublishedCheckpoint:
    """A checkpoint file, converted; see `convert_checkpoint`.

    Errors: WeightsError for a file that cannot be read, or that holds more than tensors and numbers: nothing in it
    is executed.
    """
    try:
        size = regular_size(path)
        if (found := foreign(path, ("torch",))) is not None:
            raise WeightsError(f"{path} is {found.what}; nothing in it was executed", hint=found.hint)
        check_unpacked(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        for section in _sections(content, str(path)).values():
            check_tensors(section, size)
        return convert_checkpoint(content, str(path), clip_length=clip_length, context=context, targets=targets)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than tensors and numbers, or is damaged; nothing in it was executed "
            f"({asked_for(error)})",
            hint="ask its author for the state dicts alone: torch.save of tensors by name",
        ) from error
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}: {first_line(error)})",
            hint="affect import-checkpoint takes the pid_*.pth.tar files that the authors' training wrote",
        ) from error


def convert_checkpoint(
    content: object, source: str, *, clip_length: int | None = None, context: int = 2, targets: Sequence[str] = ()
) -> PublishedCheckpoint:
    """The dict `epoch, backbone, neck, head` as a model; what kind of head it is follows from its shapes.

    clip_length, context: not part of the weights; None and 2 are as published. `context` is ignored where the head
    was trained without. targets: names of the read-outs, in their order, the total last; empty: as published.
    Errors: WeightsError listing every key that is missing, unexpected or of another shape, or for another number of
    names than there are read-outs.
    """
    sections = _sections(content, source)
    backbone = {key.removeprefix("backbone."): value for key, value in sections["backbone"].items()}
    reduction = {key: backbone.pop(key) for key in list(backbone) if key.startswith("dim_reduction.")}
    name = next((name for key, name in BACKBONES.items() if key in backbone), None)
    if name is None:
        raise WeightsError(
            f"{source} holds neither published backbone: neither {' nor '.join(BACKBONES)} is among its "
            f"{len(backbone)} backbone keys"
        )
    names = _names(sections["head"], source, targets)
    spec = _spec(sections, reduction, source, targets=names, clip_length=clip_length, context=context)
    state = _renamed(sections, reduction)
    _check_fit(state, spec, source)
    state |= {"feature_mean": torch.zeros(spec.feature_size), "feature_scale": torch.ones(spec.feature_size)}
    reference = ReferenceDistribution(spec.feature_size).state_dict()
    state |= {f"reference.{key}": value for key, value in reference.items()}
    epoch = content.get("epoch") if isinstance(content, Mapping) else None
    backbone = {key: value.clone(memory_format=torch.contiguous_format) for key, value in backbone.items()}
    return PublishedCheckpoint(spec, state, name, backbone, int(epoch) if isinstance(epoch, int | float) else None)


def _sections(content: object, source: str) -> dict[str, dict[str, Tensor]]:
    """Each section's tensors, `module.` taken off."""
    if not isinstance(content, Mapping):
        raise WeightsError(f"{source} holds a {type(content).__name__}; expected a dict of {', '.join(SECTIONS)}")
    missing = [name for name in SECTIONS if not isinstance(content.get(name), Mapping)]
    if missing:
        raise WeightsError(
            f"{source} lacks {', '.join(missing)}; it has {', '.join(map(shown, list(content)[:SHOWN])) or 'nothing'}",
            hint="affect import-checkpoint takes the pid_*.pth.tar files that the authors' training wrote",
        )
    sections = {}
    for name in SECTIONS:
        sections[name] = {str(key).removeprefix("module."): value for key, value in content[name].items()}
        strange = [key for key, value in sections[name].items() if not isinstance(value, Tensor)]
        if strange:
            raise WeightsError(
                f"{source}: {name} holds what is no tensor under {', '.join(key[:200] for key in strange[:SHOWN])}"
            )
    return sections


def _names(head: Mapping[str, Tensor], source: str, given: Sequence[str]) -> tuple[str, ...]:
    """What each read-out of a head predicts: the names given, or else the published ones."""
    sliced = len([key for key in head if re.fullmatch(r"fc\d+\.weight", key)])
    total = "fc_total.weight" in head
    if (sliced, total) not in TARGETS:
        raise WeightsError(
            f"{source}: a head of {sliced} read-outs {'with' if total else 'without'} a total is none of the "
            "published ones (arousal and valence, PANSS, CAINS)"
        )
    published = TARGETS[sliced, total]
    if given and len(given) != len(published):
        raise WeightsError(
            f"{source} has {len(published)} read-outs, and {len(given)} names are given for them: {', '.join(given)}",
            hint=f"as published: --targets {','.join(published)}",
        )
    return tuple(given) or published


def _spec(
    sections: Mapping[str, Mapping[str, Tensor]],
    reduction: Mapping[str, Tensor],
    source: str,
    *,
    targets: tuple[str, ...],
    clip_length: int | None,
    context: int,
) -> ModelSpec:
    head, neck = sections["head"], sections["neck"]
    total = "fc_total.weight" in head
    weight, feed_forward = reduction.get("dim_reduction.weight"), neck.get("transformer.layers.0.linear1.weight")
    if weight is None or weight.dim() != 2 or feed_forward is None or feed_forward.dim() != 2:
        raise WeightsError(f"{source} lacks dim_reduction.weight or transformer.layers.0.linear1.weight")
    layers = {key.split(".")[2] for key in neck if key.startswith("transformer.layers.")}
    if len(layers) > MOST_LAYERS:
        raise WeightsError(f"{source} has {len(layers)} Transformer layers; the published networks have a few")
    width, size = weight.shape
    config = ModelConfig(
        width=None if width == size else width,
        layers=len(layers),
        heads=HEADS,
        feed_forward=len(feed_forward),
        attention_scale="published",
        head_inner_relu=not total,
        total_target=targets[-1] if total else None,
    )
    with_context = any(key.startswith("nlb.") for key in head)
    length = clip_length or CLIP_LENGTHS[len(targets) - total]
    return ModelSpec(size, targets, length, context if with_context else 0, config)


def _renamed(sections: Mapping[str, Mapping[str, Tensor]], reduction: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' tensors under TemporalModel's keys; a key that has no counterpart keeps its name."""
    state = {key.replace("dim_reduction", "reduction"): value for key, value in reduction.items()}
    for key, value in sections["neck"].items():
        state[f"encoder.{key.replace('pos_emb', 'positions')}"] = value
    head = dict(sections["head"])
    numbers = sorted(int(key[2:-7]) for key in head if re.fullmatch(r"fc\d+\.weight", key))
    for leaf in ("weight", "bias"):
        parts = [head.pop(f"fc{number}.{leaf}") for number in numbers if f"fc{number}.{leaf}" in head]
        if len({part.shape for part in parts}) == 1:
            state[f"head.slice_{leaf}"] = torch.cat(parts)
    for key, value in head.items():
        part, _, leaf = key.removeprefix("nlb.").rpartition(".")
        if key.startswith("nlb.") and part in CONTEXT_NAMES:
            # The authors' 1x1 convolutions over clips are linear layers with one dimension more.
            state[f"context.{CONTEXT_NAMES[part]}.{leaf}"] = value.squeeze(2) if value.dim() == 3 else value
        else:
            state[f"head.{key.replace('fc_nlb', 'hidden').replace('fc_total', 'total')}"] = value
    return {key: value.float() for key, value in state.items()}


def _check_fit(state: Mapping[str, Tensor], spec: ModelSpec, source: str) -> None:
    with torch.device("meta"):
        model = TemporalModel(spec)
    wanted: dict[str, Any] = {key: tuple(value.shape) for key, value in model.named_parameters()}
    wrong = [
        f"{key} is {tuple(state[key].shape)}, expected {shape}"
        for key, shape in wanted.items()
        if key in state and tuple(state[key].shape) != shape
    ]
    lines = {
        "missing": [key for key in wanted if key not in state],
        "unexpected": [key for key in state if key not in wanted],
        "of another shape": wrong,
    }
    found = [
        f"{what}: {'; '.join(keys[:SHOWN])}{' ...' if len(keys) > SHOWN else ''}"
        for what, keys in lines.items()
        if keys
    ]
    if found:
        raise WeightsError(f"{source} does not fit the published network. " + ". ".join(found))
