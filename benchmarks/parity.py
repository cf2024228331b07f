"""Largest difference from the numbers of the authors' code, part by part, as a table.

    python benchmarks/parity.py

The numbers (tests/stages/temporal/golden.npz) came out of the authors' modules in eval mode, float32, on a CPU.
Weights and inputs are drawn anew from their names.
"""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from affect.configs.schema import LossConfig
from affect.stages.temporal.losses import ccc, pcc, relational_loss, total_loss
from affect.stages.temporal.model import Scores, TemporalModel
from affect.stages.temporal.published import convert_checkpoint

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "stages" / "temporal" / "golden.npz"
Shapes = dict[str, tuple[int, ...]]


def main() -> None:
    print("| part | largest difference / spread |\n|---|---|")
    for part, difference in differences():
        print(f"| {part} | {difference:.1e} |")


def differences() -> Iterator[tuple[str, float]]:
    """Every part with its largest absolute difference over the standard deviation of the expected values."""
    golden: Mapping[str, Any] = np.load(GOLDEN)
    yield from _losses(golden)
    yield from _small(golden)
    yield from _full(golden)


def _losses(golden: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for number in range(4):
        data = {name: torch.from_numpy(golden[f"loss{number}/{name}"]) for name in ("features", "labels", "pred")}
        scores = Scores(data["pred"], data["features"], torch.ones(len(data["pred"]), 1))
        found = {
            "ccc": ccc(data["pred"], data["labels"]),
            "pcc": pcc(data["pred"], data["labels"]),
            "relational": relational_loss(data["features"], data["labels"]),
            "total": total_loss(scores, data["labels"], LossConfig()),
        }
        for name, value in found.items():
            # Losses are of the order of one: a scalar has no spread.
            yield (
                f"loss {number}, {name}",
                float((value - torch.from_numpy(golden[f"loss{number}/{name}"])).abs().max()),
            )


def _small(golden: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """D = 64; these weights' seeds have 31 bits."""
    frames = torch.from_numpy(golden["temporal/frames"])
    for head, prefix in (("va", "head."), ("va_nocontext", "lin.")):
        model = published_model(head, 64, {"neck": "neck.", "head": prefix}, seed_mask=0x7FFFFFFF)
        with torch.no_grad():
            # These frames come after the reduction, negative values included.
            encoded = model.encoder(frames.flatten(0, 1), torch.ones(30, 16, dtype=torch.bool)).view(6, 5, 64)
            if model.context is not None:
                yield "D 64, clip features", _difference(encoded, golden["temporal/clip_features"])
                mixed, _ = model.context(encoded[:, 2], encoded, torch.ones(6, 5, dtype=torch.bool))
                yield "D 64, context block", _difference(mixed, golden["temporal/context"])
            name = "temporal/pred_nocontext" if model.context is None else "temporal/pred"
            yield f"D 64, head {head}", _difference(model.score(encoded[:, 2], encoded).prediction, golden[name])


def _full(golden: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """D = 2048."""
    frames = torch.from_numpy(np.maximum(draw("frames", (2, 5, 16, 2048)), 0).astype(np.float32))
    encoded = None
    for head in ("va", "panss", "cains", "va_nocontext", "panss_nocontext"):
        model = published_model(head, 2048, {"neck": "neck.", "head": "head."}, encoder=encoded is None)
        with torch.no_grad():
            if encoded is None:
                mask = torch.ones(10, 16, dtype=torch.bool)
                encoded = model.encode(frames.flatten(0, 1), mask).view(2, 5, 2048)
                yield "D 2048, clip features", _difference(encoded, golden["full/clip_features"])
            prediction = model.score(encoded[:, 2], encoded).prediction
            yield f"D 2048, head {head}", _difference(prediction, golden[f"full/pred_{head}"])


def published_model(
    head: str, size: int, prefixes: Mapping[str, str], *, seed_mask: int = 0xFFFFFFFF, encoder: bool = True
) -> TemporalModel:
    """The model that a checkpoint of drawn weights becomes; its reduction is the identity."""
    checkpoint = authors_checkpoint(head, size, prefixes, seed_mask=seed_mask, encoder=encoder)
    converted = convert_checkpoint(checkpoint, "drawn weights")
    with torch.device("meta"):
        model = TemporalModel(converted.spec)
    model.load_state_dict(converted.state, assign=True)
    return model.eval()


def authors_checkpoint(
    head: str, size: int, prefixes: Mapping[str, str], *, seed_mask: int = 0xFFFFFFFF, encoder: bool = True
) -> dict[str, Any]:
    """A checkpoint in the authors' format: drawn neck and head, identity reduction, a backbone in name only."""
    shapes = {"neck": neck_shapes(size), "head": head_shapes(head, size)}
    sections: dict[str, Any] = {
        part: {
            f"module.{key}": weight(prefixes[part] + key, shape, seed_mask)
            if encoder or part == "head"
            else torch.zeros(shape)
            for key, shape in names.items()
        }
        for part, names in shapes.items()
    }
    sections["backbone"] = {
        "module.backbone.conv1_7x7_s2.weight": torch.zeros(64, 3, 7, 7),
        "module.dim_reduction.weight": torch.eye(size),
        "module.dim_reduction.bias": torch.zeros(size),
    }
    return {"epoch": 7, **sections}


def neck_shapes(size: int, feed_forward: int = 2048) -> Shapes:
    """Names and shapes of the authors' clip encoder."""
    layer: Shapes = {
        "self_attn.in_proj_weight": (3 * size, size),
        "self_attn.in_proj_bias": (3 * size,),
        "self_attn.out_proj.weight": (size, size),
        "self_attn.out_proj.bias": (size,),
        "linear1.weight": (feed_forward, size),
        "linear1.bias": (feed_forward,),
        "linear2.weight": (size, feed_forward),
        "linear2.bias": (size,),
        **{f"norm{number}.{leaf}": (size,) for number in (1, 2) for leaf in ("weight", "bias")},
    }
    layers = {f"transformer.layers.{number}.{key}": shape for number in (0, 1) for key, shape in layer.items()}
    return {"pos_emb.weight": (1000, size), **layers}


def head_shapes(head: str, size: int) -> Shapes:
    """Names and shapes of one of the authors' heads: va, panss or cains, or with `_nocontext`."""
    kind, _, without = head.partition("_")
    width = size if without else 2 * size
    sliced = {"va": 2, "panss": 3, "cains": 4}[kind]
    shapes: Shapes = {"fc_nlb.weight": (width, width), "fc_nlb.bias": (width,)}
    if not without:
        for part in ("theta", "phi", "gi", "fc"):
            shapes |= {f"nlb.{part}.weight": (size, size, 1), f"nlb.{part}.bias": (size,)}
        shapes |= {"nlb.ln.weight": (size,), "nlb.ln.bias": (size,)}
    for number in range(1, sliced + 1):
        shapes |= {f"fc{number}.weight": (1, width // (2 if kind == "va" else 4)), f"fc{number}.bias": (1,)}
    if kind != "va":
        shapes |= {"fc_total.weight": (1, width), "fc_total.bias": (1,)}
    return shapes


def draw(name: str, shape: tuple[int, ...], seed_mask: int = 0xFFFFFFFF) -> Any:
    """Standard normal numbers, float64, seeded by a name."""
    return np.random.RandomState(zlib.crc32(name.encode()) & seed_mask).standard_normal(shape)


def weight(name: str, shape: tuple[int, ...], seed_mask: int = 0xFFFFFFFF) -> Tensor:
    """A float32 weight whose scale keeps activations near one."""
    values = draw(name, shape, seed_mask)
    if len(shape) >= 2:
        values = values / np.sqrt(np.prod(shape[1:]))
    else:
        values = 1 + 0.1 * values if name.endswith("weight") else 0.1 * values
    return torch.from_numpy(values.astype(np.float32))


def _difference(found: Tensor, expected: Any) -> float:
    return float(np.abs(found.numpy() - expected).max() / expected.std())


if __name__ == "__main__":
    main()
