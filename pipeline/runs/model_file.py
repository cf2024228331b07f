"""A trained model as one safetensors file that says what it needs: features, clips, targets and their units."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from ...cache.checked import loaded
from ...cache.files import write_whole
from ...cache.predictions import RangeCheck
from ...cache.records import Json, Recipe, Target
from ...cache.regular import open_regular, read_regular
from ...configs.load import config_from_dict, config_to_dict
from ...configs.schema import ClipsConfig, Config
from ...errors import AffectError, ConfigError, RunError, first_line, shown
from ...stages.temporal.encoder import POSITIONS
from ...stages.temporal.ensemble import Ensemble, LinearScores
from ...stages.temporal.model import ModelSpec, TemporalModel
from ...stages.temporal.scaling import LabelScaling

FORMAT_VERSION = 2
ONE_NETWORK = 1  # the format of before: one network alone, under its own names
KEY = "affect"  # of the safetensors metadata, which holds text only
MOST_LAYERS, MOST_TARGETS, MOST_CONTEXT, MOST_MEMBERS = 1000, 1000, 64, 100
SHOWN = 5  # differences named in a message
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
    range_check: RangeCheck | None = None  # None: of a model that was imported, or trained before this was measured

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
            "out_of_range": asdict(self.range_check) if self.range_check else None,
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
            range_check=_range_check(values.get("out_of_range")),
        )
        if card.recipe.digest != values["recipe_digest"]:
            raise ValueError("the recipe does not have the digest it is stored with")
        return card

    def check_features(self, recipe: Recipe, which: str, run: str) -> None:
        """Errors: RunError naming each field in which the recipe of features (`which` ones) is not that of the run."""
        differences = self.recipe.differences(recipe)
        if differences:
            words = ", ".join(f"{name} {mine!r} -> {theirs!r}" for name, (mine, theirs) in differences.items())
            mine, theirs = (_algorithm(made) for made in (self.recipe, recipe))
            hint = f"affect extract-features VIDEOS --config {run}/config.yaml --store NEW_STORE"
            if mine < theirs:
                hint = "train again on features that this affect extracts: those of the run it can no longer make"
            if "source" in self.recipe.fields:
                hint = "affect import-features TABLES --store NEW_STORE, with the same columns of the same tool"
            raise RunError(
                f"features {which} are of another recipe than run {run} was trained on (run -> those): {words}",
                hint=hint,
            )


def _algorithm(recipe: Recipe) -> int:
    """Which version of the extraction made features of this recipe; 0 where it does not say."""
    number = recipe.fields.get("algorithm", 0)
    return number if type(number) is int else 0


def write_model(path: Path, model: Ensemble, card: ModelCard, root: Path | None = None) -> str:
    """Write the model whole; the file's sha256. root: the run's folder, below which no link is followed."""
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    data = safetensors.torch.save(tensors, {KEY: json.dumps(card.to_json(), allow_nan=False)})
    write_whole(path, data, root)
    return hashlib.sha256(data).hexdigest()


def read_model(path: Path, sha256: str | None = None, device: str = "cpu") -> tuple[Ensemble, ModelCard]:
    """The model, in eval mode on the device, and its card.

    Errors: RunError naming the file: missing, a pickle, cut short, changed since `sha256` was taken, of a newer
    format, or with weights that do not fit its own specification.
    """
    try:
        with open_regular(path) as file:
            start = file.read(2)
    except OSError as error:
        raise RunError(f"model {path} cannot be read: {error.strerror}", hint=TRAIN_AGAIN) from error
    if start in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise RunError(
            f"{path} is a pickle, not a safetensors file; it was not opened", hint="affect import-checkpoint"
        )
    try:
        values, shapes = _header(path)
        card = _card(path, values)
        shapes = {_name(name, values): shape for name, shape in shapes.items()}
        _check_shapes(path, card.spec, shapes)
        data = read_regular(path)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise RunError(
                f"model {path} is damaged: it is not the file that training wrote (sha256 {str(sha256)[:12]})",
                hint=TRAIN_AGAIN,
            )
        model = _empty(card.spec, shapes)
        model.load_state_dict({_name(name, values): value for name, value in _tensors(path, data).items()}, strict=True)
    except (RuntimeError, ConfigError) as error:
        raise RunError(f"model {path} does not fit its own specification: {error}", hint=TRAIN_AGAIN) from error
    except (OSError, MemoryError) as error:
        raise RunError(f"model {path} cannot be read: {first_line(error)}", hint=TRAIN_AGAIN) from error
    return model.eval().to(device), card


def _name(name: str, values: Mapping[str, Json]) -> str:
    """A tensor's name in this format."""
    return f"members.0.{name}" if values["format_version"] == ONE_NETWORK else name


def _empty(spec: ModelSpec, shapes: Mapping[str, tuple[int, ...]]) -> Ensemble:
    """A model without weights, of as many networks as the tensors' names speak of, with or without ridge regression."""
    members = {name.split(".")[1] for name in shapes if name.startswith("members.")}
    if not 1 <= len(members) <= MOST_MEMBERS:
        raise ConfigError(f"it holds {len(members)} networks; expected 1 to {MOST_MEMBERS}")
    ridge = LinearScores(spec.feature_size, len(spec.targets)) if any(map(_of_ridge, shapes)) else None
    return Ensemble([TemporalModel(spec) for _ in members], ridge)


def _of_ridge(name: str) -> bool:
    return name.startswith("ridge.")


def _check_shapes(path: Path, spec: ModelSpec, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Make sure that the file holds the very tensors that its specification speaks of, before any of them is made.

    First the numbers that say how much is made, each of which some shape repeats; then every name and shape, of a
    model that takes no memory. Errors: RunError, ConfigError.
    """
    first = {name.removeprefix("members.0."): shape for name, shape in shapes.items() if name.startswith("members.0.")}
    layers = {name.split(".")[3] for name in first if name.startswith("encoder.transformer.layers.")}
    targets = len(spec.targets) - (spec.config.total_target in spec.targets)
    found = {
        "feature_size": (spec.feature_size, first.get("feature_mean")),
        "width": (spec.width, first.get("reduction.bias")),
        "layers": (spec.config.layers, (len(layers),)),
        "feed_forward": (spec.config.feed_forward, first.get("encoder.transformer.layers.0.linear1.bias")),
        "targets": (targets, first.get("head.slice_bias")),
    }
    wrong = [f"{name} {shown(said)}, {shape} in the file" for name, (said, shape) in found.items() if shape != (said,)]
    limits = {"layers": (spec.config.layers, MOST_LAYERS), "targets": (len(spec.targets), MOST_TARGETS),
              "clip_length": (spec.clip_length, POSITIONS), "context": (spec.context + 1, MOST_CONTEXT + 1),
              "heads": (spec.config.heads, spec.width)}  # fmt: skip
    wrong += [f"{name} {shown(said)}, at most {most}" for name, (said, most) in limits.items() if not 1 <= said <= most]
    if not wrong:
        with torch.device("meta"):
            made = {name: tuple(value.shape) for name, value in _empty(spec, shapes).state_dict().items()}
        wrong = [name for name in sorted(made.keys() | shapes.keys()) if made.get(name) != shapes.get(name)]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise RunError(
            f"model {path} does not fit its own specification: {'; '.join(item[:200] for item in wrong[:SHOWN])}{more}",
            hint=TRAIN_AGAIN,
        )


def _tensors(path: Path, data: bytes) -> dict[str, torch.Tensor]:
    try:
        return dict(safetensors.torch.load(data))
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise RunError(f"model {path} is damaged: {error}", hint=TRAIN_AGAIN) from error


def _header(path: Path) -> tuple[Json, dict[str, tuple[int, ...]]]:
    """What the file says of itself, and the shape of each tensor; no tensor is read."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            shapes = {name: tuple(item.get_shape()) for name, item in slices.items()}
            kinds = {item.get_dtype() for item in slices.values()}
    except safetensors.SafetensorError as error:
        raise RunError(f"model {path} is damaged: {error}", hint=TRAIN_AGAIN) from error
    if KEY not in metadata:
        raise RunError(f"model {path} was not written by affect: its metadata has no {KEY!r}", hint=TRAIN_AGAIN)
    if kinds - {"F32"}:
        raise RunError(f"model {path} holds numbers of {', '.join(sorted(kinds))}; expected F32", hint=TRAIN_AGAIN)
    try:
        values = loaded(metadata[KEY])
        version = values["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise RunError(
            f"model {path} is damaged: its metadata cannot be read ({first_line(error)})", hint=TRAIN_AGAIN
        ) from error
    if isinstance(version, bool) or version not in (ONE_NETWORK, FORMAT_VERSION):
        raise RunError(
            f"model {path} is of format {shown(version)}; this affect reads formats {ONE_NETWORK} and {FORMAT_VERSION}",
            hint="use the affect that trained it, or train again",
        )
    return values, shapes


def _card(path: Path, values: Json) -> ModelCard:
    try:
        card = ModelCard.from_json(values)
        _check_card(card)
        return card
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, AffectError) as error:
        reason = first_line(error) if isinstance(error, AffectError | ValueError) else shown(repr(error))
        raise RunError(f"model {path} is damaged: its metadata cannot be read ({reason})", hint=TRAIN_AGAIN) from error


def _range_check(values: Json) -> RangeCheck | None:
    """What `asdict` made of one. Errors: KeyError, TypeError, ValueError for anything else."""
    if values is None:
        return None
    people, rate = values["people"], values["rate"]
    if isinstance(people, bool) or not isinstance(people, int) or not 0 <= people < 2**31:
        raise ValueError(f"it was trained on {shown(people)} people")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1):
        raise ValueError(f"it marks {shown(rate)} of a new person's clips; expected 0 to 1")
    return RangeCheck(people, None if rate is None else float(rate))


def _check_card(card: ModelCard) -> None:
    """Errors: ValueError for targets, ranges and scales that training never writes."""
    names = card.spec.targets
    if len(set(names)) != len(names) or card.scaling.targets != names:
        raise ValueError(f"its targets are {shown(names)}, its scales are of {shown(card.scaling.targets)}")
    if not len(card.scaling.offset) == len(card.scaling.scale) == len(names):
        raise ValueError("its scales are not one for each target")
    for target, offset, scale in zip(card.targets, card.scaling.offset, card.scaling.scale, strict=True):
        if not (target.bounded and target.low < target.high):
            raise ValueError(f"{shown(target.name)} has the range {target.low} to {target.high}; expected low < high")
        if not (math.isfinite(offset) and math.isfinite(scale) and scale > 0):
            raise ValueError(f"{shown(target.name)} has the scale {scale} from {offset}; expected finite ones above 0")
        if not isinstance(target.unit, str):
            raise TypeError(f"the unit of {shown(target.name)} is {shown(target.unit)}; expected text")
    unknown = set(card.training_mean) - set(names)
    if unknown or not all(math.isfinite(mean) for mean in card.training_mean.values()):
        raise ValueError(f"its training means are {shown(dict(card.training_mean))}")
