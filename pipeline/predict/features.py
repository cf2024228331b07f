"""The features that runs need: where they lie, of which recipe they have to be, and making them for one video."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...cache.opening import open_store, store_exists
from ...cache.store import Store
from ...configs.schema import FeaturesConfig
from ...configs.trust import RANDOM, allowed, beside, names_code, received, same
from ...errors import ConfigError, RunError, shown
from ...stages.features.recipe import differences, imported_from, settings_of
from ..extract.extract import recipe_of
from ..extract.videos import Source
from ..runs.folder import Run
from ..workers import Workers
from .inputs import MEMORY, PredictOptions


def store_locations(runs: Sequence[Run], location: str) -> tuple[str, ...]:
    """Where each run's features lie: the location itself where all have one recipe, else a store below it a recipe.

    A recipe's store bears the name of its first run.
    Errors: RunError for several recipes without a place for their stores.
    """
    first: dict[str, str] = {}  # recipe -> run
    for run in runs:
        first.setdefault(run.card.recipe.digest, run.path.name)
    if len(first) == 1:
        return (location,) * len(runs)
    if location == MEMORY:
        raise RunError("several runs of different features need a place for them", hint="--store DIR")
    return tuple(f"{location.rstrip('/')}/{first[run.card.recipe.digest]}" for run in runs)


def open_stores(locations: Sequence[str]) -> list[Store]:
    """The store at each location, opened once."""
    opened = {location: open_store(location) for location in dict.fromkeys(locations)}
    return [opened[location] for location in locations]


def features_config(run: Run, options: PredictOptions) -> FeaturesConfig:
    """The settings of stage one that make the features a run was trained on; nothing is loaded to find them.

    A run may come from anywhere: its settings have to be those of its models, and what it says runs no code and opens
    no file outside its folder, but for weights that are byte for byte those of its models. Weights that came with the
    run lie in its folder, wherever that has been moved to.
    Errors: RunError naming what the run says and what has to be typed for it.
    """
    recipe, source = run.card.recipe, str(run.path / "config.yaml")
    config = received(run.config.features, source)
    try:
        differing = differences(config, recipe, f"the recipe of {run.path}")
    except ConfigError as error:
        raise RunError(error.message, error.hint) from error
    if differing:
        words = ", ".join(f"features.{name} {shown(said)}, not {shown(its)}" for name, (said, its) in differing.items())
        raise RunError(
            f"{source} asks for features of another recipe than its models were trained on: {words}",
            hint="score what is stored, by its id and with --store; or get the run's folder again, as it was",
        )
    backbone = allowed(config.backbone, options.backbone, "--backbone ", RunError)
    if names_code(backbone):
        from ...stages.features.backbones.load import check_code

        check_code(backbone, recipe.fields.get("code_sha256"), str(run.path))
    taps = settings_of(recipe).taps  # a run from before there were taps says nothing of them
    return replace(config, backbone=backbone, weights=_weights(run, config, options), taps=taps)


def check_typed(runs: Sequence[Run], options: PredictOptions) -> None:
    """Errors: RunError for a typed backbone that no run was trained on."""
    said = dict.fromkeys(run.config.features.backbone for run in runs)
    if options.backbone is not None and not any(same(options.backbone, name) for name in said):
        raise RunError(
            f"--backbone {options.backbone} is not what the run was trained on: {', '.join(map(shown, said))}",
            hint="leave --backbone out; it is for runs that need code or a graph of yours",
        )


def _weights(run: Run, config: FeaturesConfig, options: PredictOptions) -> str | None:
    """The file of the backbone's weights, made sure of by its sha256 before anything reads it."""
    from ...stages.features.backbones.load import weights_of
    from ...stages.features.backbones.weights import existing_file

    word = options.weights or config.weights
    if word is None or word == RANDOM:
        return word
    own_code = names_code(config.backbone)
    inside = None if options.weights else beside(word, run.path)
    absolute = Path(word).is_absolute()
    if not options.weights and (own_code or (inside is None and not absolute)):
        why = "are read by the code that is typed" if own_code else "lie outside its folder"
        raise RunError(
            f"{config.weights.source} says features.weights {shown(str(word))}, which {why}",  # type: ignore[union-attr]
            hint="if you know that file, type it: --weights FILE",
        )
    place = word if options.weights or absolute else str(inside)
    if own_code:
        return str(existing_file(place))
    file, sha256 = weights_of(config.backbone, place)
    wanted = run.card.recipe.fields.get("weights_sha256")
    if sha256 != wanted:
        raise RunError(
            f"weights {file} are not those of the models in {run.path} (sha256 {shown(wanted)})",
            hint="--weights FILE names the file that the features were extracted with",
        )
    return str(file)


def check_features(
    runs: Sequence[Run], locations: Sequence[str], sources: Sequence[Source], options: PredictOptions
) -> None:
    """Look at the recipe of every store that is there and, where a video has to be extracted, of what would be made.

    Nothing is made here. Errors: RunError for other features than those that a run was trained on, or for what a run
    says and may not, StoreError for a store that is missing and will not be made.
    """
    check_typed(runs, options)
    tools = [imported_from(run.card.recipe) for run in runs]
    if sources and any(tools):
        raise RunError(
            f"{runs[0].path} was trained on features that came in tables of {max(tools)}; of the video "
            f"{sources[0].path} they cannot be made here",
            hint="affect import-features TABLES --store STORE, then affect predict ID --store STORE",
        )
    if not sources:
        open_stores(locations)
    needed = set()
    for location, run in dict(zip(locations, runs, strict=True)).items():
        stored: set[str] = set()
        if location != MEMORY and store_exists(location):
            store = open_store(location)
            run.card.check_features(store.recipe, f"in store {location}", str(run.path))
            stored = set(store.ids())
        if any(options.overwrite or source.id not in stored for source in sources):
            needed.add(location)
    pairs = [(place, run) for place, run in zip(locations, runs, strict=True) if place in needed]
    wanted = {place: (run, features_config(run, options)) for place, run in pairs}  # every run is looked at, then
    for run, config in wanted.values():  # one of each recipe is built
        recipe = recipe_of(config, options.device, Workers(options.jobs))
        run.card.check_features(recipe, "that this affect makes here", str(run.path))
