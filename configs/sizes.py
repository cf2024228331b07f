"""The sizes of network that `train-temporal` chooses among, by how much there is to learn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Size:
    """What is chosen from so many labelled spans and people on."""

    name: str
    spans: int
    people: int
    settings: Mapping[str, Any]


# Largest last. The measurements behind the rows: docs/defaults.md, Sizes.
SIZES = (
    Size("small", 0, 0, {
        "loss.relational": "y-aware", "loss.relational_weight": 0.1,
        "model.width": 128, "model.layers": 1, "model.heads": 4, "model.feed_forward": 256,
        "training.learning_rate": 1e-3, "training.weight_decay": 10.0, "training.epochs": 50,
        "training.patience": 10, "training.keep": "last", "training.refit": True, "training.seeds": 3,
    }),
    Size("medium", 2_000, 20, {
        "loss.relational": "matrix", "loss.relational_weight": 1.0,
        "model.width": 256, "model.layers": 1, "model.heads": 4, "model.feed_forward": 512,
        "training.learning_rate": 1e-3, "training.weight_decay": 1.0, "training.epochs": 50,
        "training.patience": 5, "training.keep": "best", "training.refit": False, "training.seeds": 3,
    }),
    Size("full", 20_000, 50, {
        "loss.relational": "matrix", "loss.relational_weight": 1.0,
        "model.width": None, "model.layers": 2, "model.heads": 16, "model.feed_forward": 2048,
        "training.learning_rate": 3e-4, "training.weight_decay": 1e-2, "training.epochs": 50,
        "training.patience": 10, "training.keep": "best", "training.refit": False, "training.seeds": 1,
    }),
)  # fmt: skip
