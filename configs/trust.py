"""Whose words may name code: those typed on this command line. A file's may not, unless the same words are typed too.

A word that came out of a file stays `Received` wherever it goes, so that whoever would run what it names can ask.
"""

import os
import re
import shlex
from dataclasses import replace
from pathlib import Path, PurePath

from ..errors import ConfigError, InputError, shown
from .schema import FeaturesConfig

# A name without a colon is one of our own list, `timm:NAME` one of timm's. Every other is a module to import, a graph
# to run or a folder to open, however it is spelled.
PLAIN = re.compile(r"[^:]*|timm:[A-Za-z0-9_.-]+")
ONNX = "onnx:"
IMPORTED = "imported-"  # and a tool's name: in the place of a backbone, of features that came in that tool's tables
RANDOM = "random"  # in the place of a file of weights


class Received(str):
    """A word that a file said; `source` tells which file."""

    source: str

    def __new__(cls, word: str, source: str) -> "Received":
        """`source`: for messages, such as `run/config.yaml`."""
        received = super().__new__(cls, word)
        received.source = source
        return received

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        # Settings go to workers.
        return str(self), self.source


def received(features: FeaturesConfig, source: str) -> FeaturesConfig:
    """The settings, with every word that can name code or a file marked as `source`'s."""
    weights = features.weights
    return replace(
        features,
        backbone=Received(features.backbone, source),
        weights=None if weights is None else Received(weights, source),
    )


def names_code(backbone: str) -> bool:
    """Whether to load a backbone of this name is to run code, or a graph, that the name chooses."""
    return PLAIN.fullmatch(backbone) is None


def recorded(backbone: str) -> str:
    """The name as a recipe has it: `onnx:FILE` without its folder."""
    return ONNX + PurePath(backbone.removeprefix(ONNX)).name if backbone.startswith(ONNX) else backbone


def same(typed: str, name: str) -> bool:
    """Whether what is typed is what a recipe calls `name`; a link to a graph goes by the name of its file."""
    if not typed.startswith(ONNX):
        return typed == name
    file = Path(os.path.expanduser(typed.removeprefix(ONNX)))  # noqa: PTH111 - a user may have no home
    return recorded(name) in (recorded(typed), ONNX + file.resolve().name)


def allowed(name: str, typed: str | None, flag: str, kind: type[InputError] = ConfigError) -> str:
    """The name under which a backbone may be loaded: itself, or where a file names code the same words as typed.

    typed: what this command line says, None for nothing. flag: what they are typed behind, for the hint.
    Errors: ConfigError (or another `kind`) for code that a file names and nobody typed.
    """
    if not isinstance(name, Received) or not names_code(name):
        return name
    if typed is not None and not isinstance(typed, Received) and same(typed, name):
        return typed
    said = "" if typed is None or not names_code(typed) else f"; {shown(typed)} is typed here"
    raise kind(
        f"{name.source} says features.backbone {shown(str(name))}, which names code; a file's word runs none{said}",
        hint=f"if you know that code, say so by typing its name: {flag}{_quoted(name)}",
    )


def beside(word: str, folder: Path) -> Path | None:
    """The path that a word in a file of `folder` names, links resolved; None where it lies outside that folder."""
    try:
        inside = (folder / word).resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL, a circle of links
        return None
    return inside if inside.is_relative_to(folder.resolve()) else None


def _quoted(name: str) -> str:
    return shlex.quote(str(name)) if name.isprintable() and len(name) <= 200 else shown(str(name))
