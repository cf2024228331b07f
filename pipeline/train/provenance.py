"""What a run was made by: versions, commit, devices, and digests of its inputs."""

import importlib.metadata
import platform
import re
import subprocess
import sys
from pathlib import Path

from ...cache.records import Json
from ..runs.places import command_words, last_name
from .training_set import TrainingSet, labels_sha256

PACKAGES = ("affect", "torch", "numpy", "scipy", "pandas", "zarr", "h5py", "safetensors", "joblib")


def describe_environment(
    data: TrainingSet, labels: Path, *, store: str, mirrored: str | None, seed: int, device: str
) -> dict[str, Json]:
    """The run folder's environment.json: inputs by their names and digests, and nothing that tells where they lie."""
    import torch

    cuda = device.startswith("cuda")
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
        "command": command_words(sys.argv),
        "platform": _platform(),
        "device": device,
        "device_name": torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine(),
        "cuda": torch.version.cuda if cuda else None,
        "threads": torch.get_num_threads(),
        "seed": seed,
        "store": last_name(store),
        "mirrored_store": last_name(mirrored),
        "recipe": dict(data.recipe.fields),
        "recipe_digest": data.recipe.digest,
        "store_digest": data.store_digest,
        "labels": labels.name,
        "labels_read": data.manifest.understood,
        "labels_sha256": labels_sha256(labels),
        "features_held_in": data.clips.table.place,
    }


def _platform() -> str:
    """System, release and processor; a release that somebody built may bear a machine's name, so its numbers alone."""
    release = re.match(r"[\d.]*\d", platform.release())
    return " ".join(filter(None, [platform.system(), release and release[0], platform.machine()]))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of a checkout, with `+changes` where files differ from it; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    words = [_git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--untracked-files=no")]
    if words[0] is None:
        return None
    return words[0] + ("+changes" if words[1] else "")


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
