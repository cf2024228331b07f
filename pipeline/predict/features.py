"""The features that runs need: where they lie, of which recipe they have to be, and making them for one video."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...cache.opening import open_store, store_exists
from ...cache.store import Store
from ...configs.schema import FeaturesConfig
from ...errors import RunError
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


def features_config(run: Run) -> FeaturesConfig:
    """The settings of stage one that make the features a run was trained on.

    Weights that came with the run lie in its folder, wherever that has been moved to.
    """
    config = run.config.features
    if config.weights and not Path(config.weights).is_absolute():
        return replace(config, weights=str(run.path / config.weights))
    return config


def check_features(
    runs: Sequence[Run], locations: Sequence[str], sources: Sequence[Source], options: PredictOptions
) -> None:
    """Look at the recipe of every store that is there and, where a video has to be extracted, of what would be made.

    Nothing is made here. Errors: RunError for other features than those that a run was trained on, StoreError for a
    store that is missing and will not be made.
    """
    if not sources:
        open_stores(locations)
    for location, run in dict(zip(locations, runs, strict=True)).items():
        stored: set[str] = set()
        if location != MEMORY and store_exists(location):
            store = open_store(location)
            run.card.check_features(store.recipe, f"in store {location}", str(run.path))
            stored = set(store.ids())
        if any(options.overwrite or source.id not in stored for source in sources):
            recipe = recipe_of(features_config(run), options.device, Workers(options.jobs))
            run.card.check_features(recipe, "that this affect makes here", str(run.path))
