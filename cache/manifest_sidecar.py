"""`<manifest stem>.yaml`: the range and unit of each target, `targets: {valence: {range: [-1, 1], unit: ""}}`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from ..errors import ManifestError
from .records import Json

Ranges = dict[str, tuple[float, float]]
EXAMPLE = "targets: {valence: {range: [-1, 1], unit: points}}"


def sidecar_path(manifest_path: Path) -> Path:
    """The sidecar's place beside a manifest."""
    return manifest_path.with_suffix(".yaml")


def read_sidecar(manifest_path: Path, columns: Sequence[str]) -> tuple[Ranges, dict[str, str]]:
    """Ranges and units by target; both empty where there is no sidecar.

    Errors: ManifestError for a file that is no sidecar, an unknown target, or a range that is not low < high.
    """
    path = sidecar_path(manifest_path)
    if not path.is_file():
        return {}, {}
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not valid YAML: {error}", hint=EXAMPLE) from error
    if not isinstance(tree, dict) or set(tree) != {"targets"} or not isinstance(tree["targets"], dict):
        raise ManifestError(f"{path} lies beside the manifest but does not describe its targets", hint=EXAMPLE)
    ranges: Ranges = {}
    units: dict[str, str] = {}
    for name, entry in tree["targets"].items():
        if name not in columns:
            raise ManifestError(f"{path} describes {name!r}, which is no column of {manifest_path}", hint=EXAMPLE)
        if not isinstance(entry, dict) or not set(entry) <= {"range", "unit"}:
            raise ManifestError(f"{path}: {name} is {entry!r}; expected range and unit", hint=EXAMPLE)
        if "range" in entry:
            ranges[name] = _read_range(entry["range"], name, path)
        if entry.get("unit"):
            units[name] = str(entry["unit"])
    return ranges, units


def write_sidecar(
    manifest_path: Path,
    targets: Sequence[str],
    ranges: Mapping[str, tuple[float, float]],
    units: Mapping[str, str],
) -> None:
    """Write the sidecar of a manifest, whole; where nothing is known of any target, leave none behind."""
    path = sidecar_path(manifest_path)
    tree: dict[str, dict[str, Json]] = {}
    for name in targets:
        entry: dict[str, Json] = {}
        if name in ranges:
            entry["range"] = [float(bound) for bound in ranges[name]]
        if units.get(name):
            entry["unit"] = units[name]
        if entry:
            tree[name] = entry
    if not tree:
        path.unlink(missing_ok=True)
        return
    partial = path.with_name(path.name + ".partial")
    partial.write_text(yaml.safe_dump({"targets": tree}, sort_keys=False), "utf-8")
    partial.replace(path)


def _read_range(value: Json, name: str, path: Path) -> tuple[float, float]:
    numbers = isinstance(value, list) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)
    if not numbers or len(value) != 2 or not value[0] < value[1]:
        raise ManifestError(f"{path}: the range of {name} is {value!r}; expected [low, high], low < high", hint=EXAMPLE)
    return float(value[0]), float(value[1])
