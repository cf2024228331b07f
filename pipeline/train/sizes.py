"""How large a network, trained how: chosen by how many labelled spans and people there are to learn from."""

from dataclasses import replace

from ...configs.schema import Config
from ...configs.sizes import SIZES, Size


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
