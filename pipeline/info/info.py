"""`affect info`: what is installed here, what computes, and where files lie: what a report of a fault needs."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...cache.versions import commit, system, version
from ..devices import passed_over, resolve_device
from ..workers import cores

EXTRA = re.compile(r"""extra == ['"]([\w.-]+)['"]""")
DEVELOPMENT = "dev"  # an extra that nobody needs to use affect


@dataclass(frozen=True, slots=True)
class Info:
    """What is here. A version is None where a package is not installed."""

    version: str | None
    commit: str | None  # of a checkout
    python: str
    system: str
    cores: int  # that this process may use
    threads: int  # torch's own
    devices: Mapping[str, str]  # what --device takes -> what that is
    auto: str  # what --device auto is
    notes: tuple[str, ...]
    engines: Mapping[str, str | None]  # what features.engine takes -> version
    decoder: str
    packages: Mapping[str, str | None]  # that affect needs
    extras: Mapping[str, Mapping[str, str | None]]  # extra -> packages that it brings
    places: Mapping[str, str]  # what lies there -> where, ~ being the user's own folder


def info() -> Info:
    """What is here; torch is loaded, to ask it for its devices."""
    import torch

    from ...configs.schema import OPENVINO, TORCH
    from ...stages.features.recipe import decoder

    packages, extras = _needed()
    return Info(
        version=version("affect"), commit=commit(), python=platform.python_version(), system=system(),
        cores=cores(), threads=torch.get_num_threads(), devices=_devices(), auto=resolve_device("auto"),
        notes=passed_over("auto"), engines={TORCH: version("torch"), OPENVINO: version("openvino")},
        decoder=decoder(), packages=packages, extras=extras, places=_places(),
    )  # fmt: skip


def _devices() -> dict[str, str]:
    import torch

    found = {"cpu": platform.processor() or platform.machine()}
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        card = torch.cuda.get_device_properties(number)
        found[f"cuda:{number}"] = f"{card.name}, {card.total_memory / 2**30:.1f} GiB"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    return found


def _needed() -> tuple[dict[str, str | None], dict[str, dict[str, str | None]]]:
    """Packages that this one says it needs, and those that each of its extras brings, as they are installed."""
    packages: dict[str, str | None] = {}
    extras: dict[str, dict[str, str | None]] = {}
    try:
        lines = importlib.metadata.requires("affect") or []
    except importlib.metadata.PackageNotFoundError:
        return packages, extras
    for line in lines:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        extra = EXTRA.search(line)
        if extra is None:
            packages[name] = version(name)
        elif extra[1] != DEVELOPMENT:
            extras.setdefault(extra[1], {})[name] = version(name)
    return packages, extras


def _places() -> dict[str, str]:
    """Where this package lies, and where weights are looked for that it does not bring. Nothing is fetched there."""
    import torch
    from huggingface_hub.constants import HF_HUB_CACHE

    places = {
        "affect": Path(__file__).resolve().parents[2],
        "weights of torchvision": Path(torch.hub.get_dir()) / "checkpoints",
        "weights of timm": Path(HF_HUB_CACHE),
    }
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home fails where a user has none, as in a container
    return {
        what: str(Path("~") / path.relative_to(home)) if path.is_relative_to(home) else str(path)
        for what, path in places.items()
    }
