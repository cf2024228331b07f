"""Every classifier of timm, up to the input of its classifier."""

import difflib
from pathlib import Path
from typing import Any

import timm
from huggingface_hub import try_to_load_from_cache
from torchvision.transforms import InterpolationMode

from ....configs.trust import names_code
from ....errors import ConfigError, WeightsError, first_line
from .network import RANDOM, Network, Scale, seeded
from .weights import fit_file, state_sha256


def build(name: str, weights: str | Path | None) -> Network:
    """The network of `timm:NAME` without its classifier, with timm's own data configuration.

    `weights`: a file, "random", or None: timm's weights, where the hub's cache has them already.
    Errors: ConfigError for an unknown name, WeightsError.
    """
    model = name.removeprefix("timm:")
    if names_code(name) or not timm.is_model(model):  # not even typed: a folder, or a repository of the hub
        near = difflib.get_close_matches(model, timm.list_models(), n=1, cutoff=0.5)
        raise ConfigError(
            f"timm has no model {model!r}" + (f"; the nearest name is {near[0]!r}" if near else ""),
            hint="python -c 'import timm; print(timm.list_models())'",
        )
    try:
        with seeded():
            net: Any = timm.create_model(model, pretrained=False, num_classes=0)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ConfigError(f"timm cannot make {model!r}: {first_line(error)}") from error
    scale = _scale(net, name)
    if weights == RANDOM:
        sha256, origin = state_sha256(net), RANDOM
    else:
        sha256, origin = fit_file(net, weights or _cached(net, name), dropped=_classifier(net))
    return Network(net, scale, scale.size_px, sha256, origin)


def _scale(net: Any, name: str) -> Scale:
    data = timm.data.resolve_model_data_config(net)  # type: ignore[attr-defined, no-untyped-call]
    channels, height, width = data["input_size"]
    if channels != 3 or height != width:
        raise ConfigError(f"backbone {name!r} takes {data['input_size']}; expected three channels and a square")
    known = {mode.value for mode in InterpolationMode}
    interpolation = data["interpolation"] if data["interpolation"] in known else "bilinear"
    return Scale(height, data["mean"], data["std"], interpolation=interpolation)


def _classifier(net: Any) -> tuple[str, ...]:
    """Beginnings of the keys that a full checkpoint holds besides."""
    names = net.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))


def _cached(net: Any, name: str) -> Path:
    """The hub's file in its local cache; nothing is fetched. Errors: WeightsError where it is not there."""
    repository = net.pretrained_cfg.get("hf_hub_id") or ""
    found = try_to_load_from_cache(repository, "model.safetensors") if repository.count("/") == 1 else None
    if isinstance(found, str):
        return Path(found)
    where = f"; they are published as model.safetensors of {repository}" if repository else ""
    raise WeightsError(f"backbone {name!r} needs weights, and nothing is downloaded unasked{where}", "--weights FILE")
