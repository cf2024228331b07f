"""What makes a store's features, field by field; and the settings that would make them again."""

from collections.abc import Mapping
from dataclasses import fields

import av
import cv2

from ...cache.records import Json, Recipe
from ...configs.load import config_from_dict, config_to_dict
from ...configs.schema import TORCH, FacesConfig, FeaturesConfig
from ...configs.taps import AUTO, POOLED
from ...configs.trust import IMPORTED, received, recorded
from ...errors import ConfigError, shown

# Settings under the same name in a recipe. One without taps is of the backbone's own output, pooled; one without an
# engine was made by torch.
NAMES = ("backbone", "taps", "preprocessing", "precision", "engine", "view", "sample_fps", "stream")
ALGORITHM = 2  # raised whenever the same settings come to give other numbers


def make_recipe(
    config: FeaturesConfig,
    backbone: Mapping[str, object],
    precision: str,
    detector_sha256: str | None,
    engine: str = TORCH,
) -> Recipe:
    """Everything that changes a feature, by name; no path, and nothing that does not matter under these settings.

    backbone: its description. precision, engine: as resolved. detector_sha256: None with faces none.
    """
    faces: dict[str, Json] = {"detector": "none"}
    if detector_sha256 is not None:
        faces = {**config_to_dict(config.faces), "detector_sha256": detector_sha256, "warp": warp()}
    # A recipe without a stream is of the one that `choose_track` chooses.
    stream: dict[str, Json] = {} if config.stream == "auto" else {"stream": config.stream}
    return Recipe(
        {
            "algorithm": ALGORITHM,
            "sample_fps": config.sample_fps if config.sample_fps == "source" else float(config.sample_fps),
            **stream,
            "faces": faces,
            **backbone,
            "precision": precision,
            **({} if engine == TORCH else {"engine": engine}),
            "view": config.view,
            "decoder": decoder(),
        }
    )


def decoder() -> str:
    """What decodes here."""
    return f"pyav, libavcodec {av.library_versions['libavcodec'][0]}"


def warp() -> str:
    """What cuts faces out here. OpenCV 4 interpolates in fixed point and 5 does not, and features tell them apart."""
    return f"opencv {cv2.__version__.partition('.')[0]}"


def imported_from(recipe: Recipe) -> str:
    """The tool whose tables features of this recipe came in; empty for features that were extracted from videos."""
    name = recipe.fields.get("backbone")
    return name.removeprefix(IMPORTED) if isinstance(name, str) and name.startswith(IMPORTED) else ""


def settings_of(recipe: Recipe, weights: str | None = None, source: str = "a recipe") -> FeaturesConfig:
    """The settings under which `recipe` is made again, with the backbone's weights in the file `weights`.

    Its words are those of a file, `source`: what names code is not for running (`configs.trust`). Of imported features
    they say where these came from, and no backbone of that name can be loaded.
    Errors: ConfigError for a recipe that extraction did not make.
    """
    faces = recipe.fields.get("faces", {})
    if not isinstance(faces, Mapping):
        raise ConfigError(f"{source} says faces {shown(faces)}; expected the settings of the face detector")
    known = {item.name for item in fields(FacesConfig)}
    given = {"taps": POOLED} | {name: recipe.fields[name] for name in NAMES if name in recipe.fields}
    given["faces"] = {name: value for name, value in faces.items() if name in known}
    return received(config_from_dict({"features": {**given, "weights": weights}}).features, source)


def differences(config: FeaturesConfig, recipe: Recipe, source: str) -> dict[str, tuple[Json, Json]]:
    """Settings that would not make features of `recipe`, as name -> (the setting's, the recipe's); `weights` aside.

    Errors: ConfigError for a recipe that extraction did not make.
    """
    made = settings_of(recipe, source=source)
    mine, its = config_to_dict(config), config_to_dict(made)
    mine["backbone"] = recorded(mine["backbone"])
    if mine["precision"] == "auto":  # stands for whatever the device made of it
        mine["precision"] = its["precision"]
    if mine["engine"] == "auto":
        mine["engine"] = its["engine"]
    if mine["taps"] == AUTO:  # for whatever the backbone's choice was
        mine["taps"] = its["taps"]
    if mine["faces"]["detector"] == its["faces"]["detector"] == "none":
        mine["faces"] = its["faces"]
    pairs = {name: (mine[name], its[name]) for name in NAMES}
    pairs |= {f"faces.{name}": (value, its["faces"][name]) for name, value in mine["faces"].items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
