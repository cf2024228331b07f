"""A trained model as one safetensors file that says what it needs: features, clips, targets and their units."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from ...cache.records import Json, Recipe, Target
from ...configs.load import config_from_dict, config_to_dict
from ...configs.schema import ClipsConfig, Config
from ...errors import AffectError, RunError
from ...stages.temporal.model import ModelSpec, TemporalModel
from ...stages.temporal.scaling import LabelScaling
from .files import write_whole

FORMAT_VERSION = 1
KEY = "affect"  # of the safetensors metadata, which holds text only
TRAIN_AGAIN = "delete the fold's folder, then affect train-temporal ... --resume trains it again"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model file says of itself besides its weights."""

    spec: ModelSpec
    recipe: Recipe  # of the features it was trained on
    clips: ClipsConfig
    scaling: LabelScaling
    targets: tuple[Target, ...]  # every range is known
    training_mean: Mapping[str, float] = field(default_factory=dict)  # target -> mean label of the training clips
    training: Mapping[str, Json] = field(default_factory=dict)  # fold, epoch, validation score, warnings

    def to_json(self) -> dict[str, Json]:
        """Plain values; `from_json` reads them back."""
        sections = config_to_dict(Config(clips=self.clips, model=self.spec.config))
        return {
            "format_version": FORMAT_VERSION,
            "spec": self.spec.to_json() | {"config": sections["model"]},
            "recipe": dict(self.recipe.fields),
            "recipe_digest": self.recipe.digest,
            "clips": sections["clips"],
            "scaling": self.scaling.to_json(),
            "ranges": {target.name: [target.low, target.high] for target in self.targets},
            "units": {target.name: target.unit for target in self.targets if target.unit},
            "training_mean": dict(self.training_mean),
            "training": dict(self.training),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Json]) -> "ModelCard":
        """Errors: KeyError, TypeError, ValueError or AffectError for other values than `to_json` makes."""
        spec, units = ModelSpec.from_json(values["spec"]), values["units"]
        ranges = {name: (float(low), float(high)) for name, (low, high) in values["ranges"].items()}
        card = cls(
            spec=spec,
            recipe=Recipe(values["recipe"]),
            clips=config_from_dict({"clips": values["clips"], "model": values["spec"]["config"]}).clips,
            scaling=LabelScaling.from_json(values["scaling"]),
            targets=tuple(Target(name, *ranges[name], unit=units.get(name, "")) for name in spec.targets),
            training_mean={name: float(mean) for name, mean in values["training_mean"].items()},
            training=dict(values["training"]),
        )
        if card.recipe.digest != values["recipe_digest"]:
            raise ValueError("the recipe does not have the digest it is stored with")
        return card

    def check_features(self, recipe: Recipe, which: str, run: str) -> None:
        """Errors: RunError naming each field in which the recipe of features (`which` ones) is not that of the run."""
        differences = self.recipe.differences(recipe)
        if differences:
            words = ", ".join(f"{name} {mine!r} -> {theirs!r}" for name, (mine, theirs) in differences.items())
            mine, theirs = (int(made.fields.get("algorithm", 0)) for made in (self.recipe, recipe))
            raise RunError(
                f"features {which} are of another recipe than run {run} was trained on (run -> those): {words}",
                hint="train again on features that this affect extracts: those of the run it can no longer make"
                if mine < theirs
                else f"affect extract-features VIDEOS --config {run}/config.yaml --store NEW_STORE",
            )


def write_model(path: Path, model: TemporalModel, card: ModelCard, root: Path | None = None) -> str:
    """Write the model whole; the file's sha256. root: the run's folder, below which no link is followed."""
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    data = safetensors.torch.save(tensors, {KEY: json.dumps(card.to_json(), allow_nan=False)})
    write_whole(path, data, root)
    return hashlib.sha256(data).hexdigest()


def read_model(path: Path, sha256: str | None = None, device: str = "cpu") -> tuple[TemporalModel, ModelCard]:
    """The model, in eval mode on the device, and its card.

    Errors: RunError naming the file: missing, a pickle, cut short, changed since `sha256` was taken, of a newer
    format, or with weights that do not fit its own specification.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"model {path} cannot be read: {error.strerror}", hint=TRAIN_AGAIN) from error
    if data[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise RunError(
            f"{path} is a pickle, not a safetensors file; it was not opened", hint="affect import-checkpoint"
        )
    card, tensors = _card(path), _tensors(path, data)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise RunError(
            f"model {path} is damaged: it is not the file that training wrote (sha256 {sha256[:12]})", hint=TRAIN_AGAIN
        )
    model = TemporalModel(card.spec)
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise RunError(f"model {path} does not fit its own specification: {error}", hint=TRAIN_AGAIN) from error
    return model.eval().to(device), card


def _tensors(path: Path, data: bytes) -> dict[str, torch.Tensor]:
    try:
        return dict(safetensors.torch.load(data))
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise RunError(f"model {path} is damaged: {error}", hint=TRAIN_AGAIN) from error


def _card(path: Path) -> ModelCard:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata: dict[str, Any] = file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise RunError(f"model {path} is damaged: {error}", hint=TRAIN_AGAIN) from error
    if KEY not in metadata:
        raise RunError(f"model {path} was not written by affect: its metadata has no {KEY!r}", hint=TRAIN_AGAIN)
    try:
        values = json.loads(metadata[KEY])
        version = values["format_version"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise RunError(f"model {path} is damaged: its metadata cannot be read ({error!r})", hint=TRAIN_AGAIN) from error
    if version != FORMAT_VERSION:
        raise RunError(
            f"model {path} is of format {version}; this affect reads format {FORMAT_VERSION}",
            hint="use the affect that trained it, or train again",
        )
    try:
        return ModelCard.from_json(values)
    except (KeyError, TypeError, ValueError, AffectError) as error:
        raise RunError(f"model {path} is damaged: its metadata cannot be read ({error!r})", hint=TRAIN_AGAIN) from error
