"""A user's own network, named as `package.module:factory`."""

import ast
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ....cache.regular import file_sha256
from ....errors import ConfigError, InputError, first_line, shown
from .network import RANDOM, Network, seeded
from .weights import existing_file, state_sha256

REQUIRED = {
    "input_size": "int: side S of its square input",
    "feature_size": "int: D",
    "preprocess": "callable: (N, 3, H, W) uint8 RGB -> (N, 3, S, S) float, on the images' device",
}


def build(name: str, weights: str | Path | None) -> Network:
    """The module that `factory(weights)` returns; `weights` is a Path, "random" or None, and the factory's to read.

    The module maps (N, 3, S, S) to (N, D) and has the attributes of REQUIRED. Its code's sha256 joins the recipe.
    Errors: ConfigError for a name that cannot be imported, a factory that fails or a module without those attributes.
    """
    factory = _factory(name)
    file = None if weights is None or weights == RANDOM else existing_file(weights)
    with seeded(), _told(name, "its factory"):
        net = factory(file or weights)
    if not isinstance(net, nn.Module):
        raise ConfigError(f"backbone {name!r} returned {type(net).__name__}; expected a torch.nn.Module")
    missing = [f"{attribute} ({what})" for attribute, what in REQUIRED.items() if not hasattr(net, attribute)]
    if missing:
        raise ConfigError(f"the module that {name!r} returned lacks {'; '.join(missing)}")
    with _told(name, "its network on one image"):
        size_px = _checked_size(net, name)
    code = code_sha256(factory)
    notes = {"code_sha256": code} if code else {}
    origin = file.name if file else str(weights or "its own")
    return Network(net, _attribute(net, "preprocess"), size_px, state_sha256(net), origin, notes=notes)


def code_sha256(factory: Callable[..., object]) -> str | None:
    """sha256 of the file that the factory is written in; None for one that is not written in Python."""
    try:
        source = inspect.getsourcefile(inspect.unwrap(factory))
    except TypeError:
        return None
    return file_sha256(Path(source)) if source else None


def check_code(name: str, sha256: object, whose: str) -> None:
    """Make sure, before it is called, that a factory is written in a file of this sha256, which `whose` recipe says.

    Where the named file itself defines the factory, nothing of it, nor of the packages around it, is run to find out.
    Errors: ConfigError for other code, or none.
    """
    file = source_of(name)
    if file is not None and file_sha256(file) == sha256:
        return
    if file is None or _defined_in(file, name.partition(":")[2]):
        found, where = None if file is None else file_sha256(file), file
    else:  # the factory comes from elsewhere: only an import tells from where
        found, where = code_sha256(_factory(name)), None
    if found is None or found != sha256:
        raise ConfigError(
            f"the code of backbone {name!r}{f' in {where}' if where else ''} is not that of {whose}: its sha256 is "
            f"{str(found)[:12]}, the recipe says {shown(sha256)[:14]}; it was not called",
            hint="PYTHONPATH=FOLDER affect ... takes the code from the folder where it is as it was",
        )


def source_of(name: str) -> Path | None:
    """The file of the module in `module:factory`, found as an import would find it, without running anything."""
    path = None
    spec = None
    parts = name.partition(":")[0].split(".")
    for number in range(len(parts)):
        full = ".".join(parts[: number + 1])
        if not parts[number]:
            return None
        spec = _spec(full, path)
        if spec is None or ((path := spec.submodule_search_locations) is None and number + 1 < len(parts)):
            return None
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    # importlib.util.find_spec would import the packages around the module.
    for finder in sys.meta_path:
        found = finder.find_spec(name, path) if hasattr(finder, "find_spec") else None
        if found is not None:
            return found
    return None


def _defined_in(file: Path, factory: str) -> bool:
    """Whether a file of Python says outright what the factory is: one plain function or class of that name."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # such a file gives no factory from elsewhere either
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    found = [item for item in body if isinstance(item, kinds) and item.name == factory]
    return len(found) == 1 and not found[0].decorator_list


@contextmanager
def _told(name: str, what: str) -> Iterator[None]:
    """Whatever a user's code raises, as a ConfigError that says whose it is."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"backbone {name!r}: {what} fails with {type(error).__name__}: {first_line(error)}",
            hint="expected package.module:factory, whose factory takes weights (a path, 'random' or None) and gives a "
            "torch.nn.Module; docs/adding.md",
        ) from error


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
    if module_name.partition(".")[0] in sys.stdlib_module_names:
        raise ConfigError(
            f"backbone {name!r}: {module_name} is a part of Python, and has no factory of a torch.nn.Module",
            hint="expected package.module:factory of your own code",
        )
    with _told(name, f"module {module_name!r}"):
        module = _imported(name, module_name)
    factory: Callable[[Path | str | None], object] | None = getattr(module, attribute, None)
    if not callable(factory):
        raise ConfigError(f"backbone {name!r}: {module_name} has no callable {attribute!r}")
    return factory


def _imported(name: str, module_name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"backbone {name!r}: module {module_name!r} cannot be imported ({error})",
            hint="install its package, or name its folder in the environment: PYTHONPATH=FOLDER affect ...",
        ) from error
