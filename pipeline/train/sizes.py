"""How large a network, trained how: chosen by how many labelled spans and people there are to learn from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...configs.schema import Config


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
        "training.keep": "last", "training.refit": True, "training.seeds": 3,
    }),
    Size("medium", 2_000, 20, {
        "loss.relational": "matrix", "loss.relational_weight": 1.0,
        "model.width": 256, "model.layers": 1, "model.heads": 4, "model.feed_forward": 512,
        "training.learning_rate": 1e-3, "training.weight_decay": 1.0, "training.epochs": 50,
        "training.keep": "best", "training.refit": False, "training.seeds": 3,
    }),
    Size("full", 20_000, 50, {
        "loss.relational": "matrix", "loss.relational_weight": 1.0,
        "model.width": None, "model.layers": 2, "model.heads": 16, "model.feed_forward": 2048,
        "training.learning_rate": 3e-4, "training.weight_decay": 1e-2, "training.epochs": 50,
        "training.keep": "best", "training.refit": False, "training.seeds": 1,
    }),
)  # fmt: skip


def sized(config: Config, spans: int, people: int) -> tuple[Config, str]:
    """The configuration with what it leaves open chosen, and a sentence that says what was chosen and why.

    spans, people: labelled ones that a fold may learn from, at the least. Without anything open, no sentence.
    Errors: ConfigError where what is said does not go with what is chosen.
    """
    if not config.by_size:
        return config, ""
    size = [size for size in SIZES if spans >= size.spans and people >= size.people][-1]
    chosen = {name: size.settings[name] for name in config.by_size}
    if chosen.get("training.refit") and chosen.get("training.keep", config.training.keep) != "last":
        chosen["training.refit"] = False
    for section in ("loss", "model", "training"):
        values = {name.partition(".")[2]: value for name, value in chosen.items() if name.startswith(f"{section}.")}
        config = replace(config, **{section: replace(getattr(config, section), **values)})
    return replace(config, by_size=()), _sentence(size, config, spans, people)


def _sentence(size: Size, config: Config, spans: int, people: int) -> str:
    model, training = config.model, config.training
    epochs = "the last epoch is kept" if training.keep == "last" else "validation chooses the epoch"
    who = ", and the validation spans train too" if training.refit else ""
    whom = "1 person" if people == 1 else f"{people} people"
    networks = "1 network" if training.seeds == 1 else f"{training.seeds} networks"
    return (
        f"{spans} labelled spans of {whom} to learn from: {networks} of size {size.name} (width "
        f"{model.width or 'of the features'}, layers {model.layers}, weight decay {training.weight_decay:g}, "
        f"{training.epochs} epochs), {epochs}{who}; --config full is the large one"
    )
