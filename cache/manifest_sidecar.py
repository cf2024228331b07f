"""`<manifest stem>.yaml`: the range and unit of each target, `targets: {valence: {range: [-1, 1], unit: ""}}`."""

import math
from collections.abc import Sequence
from pathlib import Path

import yaml

from ..configs.plain_yaml import NotPlainYamlError, read_plain_yaml
from ..configs.schema import MOST_LABEL
from ..errors import ManifestError, shown
from .files import write_whole
from .records import Json, Target

MOST_UNIT = 100  # characters
EXAMPLE = "targets: {valence: {range: [-1, 1], unit: points}}"


def sidecar_path(manifest_path: Path) -> Path:
    """The sidecar's place beside a manifest."""
    return manifest_path.with_suffix(".yaml")


def read_sidecar(manifest_path: Path, columns: Sequence[str]) -> dict[str, Target]:
    """The targets that the sidecar describes, by name; none where there is no sidecar.

    Errors: ManifestError for a file that is no sidecar, an unknown target, or a range that is not low < high.
    """
    path = sidecar_path(manifest_path)
    if not path.is_file():
        return {}
    try:
        tree = read_plain_yaml(path)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}", hint=EXAMPLE) from error
    except NotPlainYamlError as error:
        raise ManifestError(f"{path} is not valid YAML: {error}", hint=EXAMPLE) from error
    if not isinstance(tree, dict) or set(tree) != {"targets"} or not isinstance(tree["targets"], dict):
        raise ManifestError(f"{path} lies beside the manifest but does not describe its targets", hint=EXAMPLE)
    targets: dict[str, Target] = {}
    known = set(columns)
    for name, entry in tree["targets"].items():
        if name not in known:
            raise ManifestError(f"{path} describes {shown(name)}, which is no column of {manifest_path}", hint=EXAMPLE)
        if not isinstance(entry, dict) or not set(entry) <= {"range", "unit"}:
            raise ManifestError(f"{path}: {name} is {shown(entry)}; expected range and unit", hint=EXAMPLE)
        low, high = _read_range(entry["range"], name, path) if "range" in entry else (-math.inf, math.inf)
        targets[name] = Target(name, low, high, _read_unit(entry.get("unit"), name, path))
    return targets


def _read_unit(value: Json, name: str, path: Path) -> str:
    unit = "" if value is None else value if isinstance(value, str) else shown(value)
    if len(unit) > MOST_UNIT:
        raise ManifestError(f"{path}: the unit of {name} is {shown(value)}; expected a word", hint=EXAMPLE)
    return unit


def sidecar_text(targets: Sequence[Target]) -> str:
    """What the sidecar of such targets holds; empty where nothing is known of any of them."""
    tree: dict[str, dict[str, Json]] = {}
    for target in targets:
        entry: dict[str, Json] = {}
        if target.bounded:
            entry["range"] = [float(target.low), float(target.high)]
        if target.unit:
            entry["unit"] = target.unit
        if entry:
            tree[target.name] = entry
    return yaml.safe_dump({"targets": tree}, sort_keys=False) if tree else ""


def write_sidecar(manifest_path: Path, targets: Sequence[Target]) -> None:
    """Write the sidecar of a manifest, whole; where nothing is known of any target, leave none behind."""
    text = sidecar_text(targets)
    if text:
        write_whole(sidecar_path(manifest_path), text)
    else:
        sidecar_path(manifest_path).unlink(missing_ok=True)


def _read_range(value: Json, name: str, path: Path) -> tuple[float, float]:
    numbers = isinstance(value, list) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)
    if not numbers or len(value) != 2 or not -MOST_LABEL <= value[0] < value[1] <= MOST_LABEL:
        raise ManifestError(
            f"{path}: the range of {name} is {shown(value)}; expected [low, high], low < high", hint=EXAMPLE
        )
    return float(value[0]), float(value[1])
