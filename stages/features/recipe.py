"""What makes a store's features, field by field; and the settings that would make them again."""

from collections.abc import Mapping
from dataclasses import fields

import av

from ...cache.records import Json, Recipe
from ...configs.load import config_from_dict, config_to_dict
from ...configs.schema import FacesConfig, FeaturesConfig

ALGORITHM = 2  # raised whenever the same settings come to give other numbers


def make_recipe(
    config: FeaturesConfig, backbone: Mapping[str, object], precision: str, detector_sha256: str | None
) -> Recipe:
    """Everything that changes a feature, by name; no path, and nothing that does not matter under these settings.

    backbone: its description. precision: as resolved. detector_sha256: None with faces none.
    """
    faces: dict[str, Json] = {"detector": "none"}
    if detector_sha256 is not None:
        faces = {**config_to_dict(config.faces), "detector_sha256": detector_sha256}
    return Recipe(
        {
            "algorithm": ALGORITHM,
            "sample_fps": config.sample_fps if config.sample_fps == "source" else float(config.sample_fps),
            "faces": faces,
            **backbone,
            "precision": precision,
            "view": config.view,
            "decoder": f"pyav, libavcodec {av.library_versions['libavcodec'][0]}",
        }
    )


def settings_of(recipe: Recipe, weights: str | None = None) -> FeaturesConfig:
    """The settings under which `recipe` is made again, with the backbone's weights in the file `weights`.

    Errors: ConfigError for a recipe that extraction did not make.
    """
    known = {item.name for item in fields(FacesConfig)}
    faces = {name: value for name, value in recipe.fields.get("faces", {}).items() if name in known}
    names = ("backbone", "preprocessing", "precision", "view", "sample_fps")
    given = {name: recipe.fields[name] for name in names if name in recipe.fields}
    return config_from_dict({"features": {**given, "faces": faces, "weights": weights}}).features
