"""What a run was made by: versions, commit, devices, and digests of its inputs."""

import platform
import sys
from pathlib import Path

from ...cache.records import Json
from ...cache.versions import commit, system, version
from ...configs.places import command_words, last_name
from .training_set import TrainingSet, labels_sha256

PACKAGES = ("affect", "torch", "numpy", "scipy", "pandas", "zarr", "h5py", "safetensors", "joblib")


def describe_environment(
    data: TrainingSet, labels: Path, *, store: str, mirrored: str | None, seed: int, device: str
) -> dict[str, Json]:
    """The run folder's environment.json: inputs by their names and digests, and nothing that tells where they lie."""
    import torch

    cuda = device.startswith("cuda")
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "commit": commit(),
        "command": command_words(sys.argv),
        "platform": system(),
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
