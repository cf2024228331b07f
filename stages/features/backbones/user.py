"""A user's own network, named as `package.module:factory`."""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ....errors import ConfigError
from .network import RANDOM, Network, seeded
from .weights import existing_file, file_sha256, state_sha256

REQUIRED = {
    "input_size": "int: side S of its square input",
    "feature_size": "int: D",
    "preprocess": "callable: (N, 3, H, W) uint8 RGB -> (N, 3, S, S) float, on the images' device",
}


def build(name: str, weights: str | Path | None) -> Network:
    """The module that `factory(weights)` returns; `weights` is a Path, "random" or None, and the factory's to read.

    The module maps (N, 3, S, S) to (N, D) and has the attributes of REQUIRED. Its code's sha256 joins the recipe.
    Errors: ConfigError for a name that cannot be imported or a module without those attributes.
    """
    factory = _factory(name)
    file = None if weights is None or weights == RANDOM else existing_file(weights)
    with seeded():
        net = factory(file or weights)
    if not isinstance(net, nn.Module):
        raise ConfigError(f"backbone {name!r} returned {type(net).__name__}; expected a torch.nn.Module")
    missing = [f"{attribute} ({what})" for attribute, what in REQUIRED.items() if not hasattr(net, attribute)]
    if missing:
        raise ConfigError(f"the module that {name!r} returned lacks {'; '.join(missing)}")
    size_px = _checked_size(net, name)
    source = inspect.getsourcefile(inspect.unwrap(factory))
    notes = {"code_sha256": file_sha256(Path(source))} if source else {}
    origin = file.name if file else str(weights or "its own")
    return Network(net, _attribute(net, "preprocess"), size_px, state_sha256(net), origin, notes=notes)


def _attribute(net: nn.Module, name: str) -> Any:
    # nn.Module declares every unknown attribute as a tensor or a module.
    return getattr(net, name)


def _checked_size(net: nn.Module, name: str) -> int:
    """S, after one image of that size gave as many features as the module says."""
    size_px, wanted = int(_attribute(net, "input_size")), int(_attribute(net, "feature_size"))
    net.eval()
    with torch.no_grad():
        features = net(torch.zeros((1, 3, size_px, size_px)))
    if not isinstance(features, Tensor) or features.flatten(1).shape != (1, wanted):
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ConfigError(f"backbone {name!r} gives {shape} for one image; its feature_size says (1, {wanted})")
    return size_px


def _factory(name: str) -> Callable[[Path | str | None], object]:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"backbone {name!r}: module {module_name!r} cannot be imported ({error})",
            hint="install its package, or name its folder in the environment: PYTHONPATH=FOLDER affect ...",
        ) from error
    factory: Callable[[Path | str | None], object] | None = getattr(module, attribute, None)
    if not callable(factory):
        raise ConfigError(f"backbone {name!r}: {module_name} has no callable {attribute!r}")
    return factory
