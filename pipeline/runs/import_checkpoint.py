"""`affect import-checkpoint`: checkpoints of the authors' code to a run that `predict` can use."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...cache.files import new_folder
from ...cache.manifest_csv import OWN_COLUMNS
from ...cache.records import Json, Recipe, Target
from ...configs.schema import PUBLISHED_EDGES, ClipsConfig, Config, FeaturesConfig, LabelsConfig
from ...configs.taps import AUTO, POOLED
from ...errors import ConfigError, InputError, RunError, shown
from .folder import READ_OUTS, RunFolder

if TYPE_CHECKING:
    from ...stages.temporal.model import ModelSpec
    from ...stages.temporal.published import PublishedCheckpoint
    from .model_file import ModelCard

# Ranges of the read-outs by their number, in the scales' own units; the PANSS total is that of seven negative items.
RANGES = {
    2: ((-1.0, 1.0),) * 2,  # arousal and valence
    4: (*((1.0, 7.0),) * 3, (7.0, 49.0)),  # PANSS
    5: (*((0.0, 4.0),) * 4, (0.0, 16.0)),  # CAINS
}
NAME = r"[^\W\d_][\w-]{0,99}"
BACKBONE_FILE = "backbone.safetensors"


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What was imported."""

    run: Path
    targets: tuple[str, ...]
    backbone: str
    checkpoints: tuple[str, ...]
    digests: tuple[str, ...]  # of the features' recipes: one, or one a checkpoint where their backbones differ


def import_checkpoints(
    paths: Sequence[Path],
    run: Path,
    *,
    context_edges: str = PUBLISHED_EDGES,
    clip_length: int | None = None,
    context: int = ClipsConfig().context,
    targets: Sequence[str] = (),
    features: FeaturesConfig | None = None,
) -> ImportSummary:
    """A run whose folds are the checkpoints, and the backbone they were trained with as its own weights.

    Training adapts the backbone's BatchNorm, so checkpoints of different backbones become a run each below `run`;
    predict takes either. context_edges: `wrap` as published (a video's end is its beginning's neighbour), or `mask`.
    targets: names of the read-outs, in their order; empty: the published ones. Ranges are the published ones.
    Errors: WeightsError for a file that does not fit or is not safe, or another number of names; InputError for words
    that are no names; RunError for different targets, or a run folder that is taken.
    """
    from ...stages.temporal.published import read_published

    _check_names(targets)
    found = {path: read_published(path, clip_length=clip_length, context=context, targets=targets) for path in paths}
    first = found[paths[0]]
    for path, item in found.items():
        if item.spec != first.spec or item.backbone_name != first.backbone_name:
            raise RunError(f"{path} predicts {item.spec.targets} on {item.backbone_name}; {paths[0]} does not",
                           hint="import them into runs of their own")  # fmt: skip
    groups: dict[str, list[Path]] = {}
    for path, item in found.items():
        groups.setdefault(_digest(item), []).append(path)
    config = _config(first, context_edges, features or FeaturesConfig(preprocessing="paper"))
    places = [run if len(groups) == 1 else run / members[0].name.split(".")[0] for members in groups.values()]
    if len(set(places)) < len(places):
        raise RunError(f"several checkpoints are called {places[0].name}, each with a backbone of its own",
                       hint="rename them, or import them into runs of their own")  # fmt: skip
    for place in places:
        RunFolder.check_free(place)
    digests = [
        _write_run(place, {path: found[path] for path in members}, config)
        for place, members in zip(places, groups.values(), strict=True)
    ]
    names = tuple(path.name for path in paths)
    return ImportSummary(run, first.spec.targets, first.backbone_name, names, tuple(digests))


def _check_names(targets: Sequence[str]) -> None:
    wrong = [name for name in targets if not re.fullmatch(NAME, name) or name in OWN_COLUMNS]
    wrong += [name for number, name in enumerate(targets) if name in targets[:number]]
    if wrong:
        raise InputError(
            f"--targets: {shown(wrong[0])} cannot name a target; expected letters, digits, - and _, each name once, "
            f"and none of {', '.join(OWN_COLUMNS)}",
            hint="--targets arousal,valence",
        )


def _targets(spec: "ModelSpec") -> tuple[Target, ...]:
    ranges = RANGES[len(spec.targets)]
    return tuple(Target(name, low, high) for name, (low, high) in zip(spec.targets, ranges, strict=True))


def _config(first: "PublishedCheckpoint", context_edges: str, features: FeaturesConfig) -> Config:
    """The settings that the checkpoints were trained with, as far as they matter for scores."""
    spec = first.spec
    if features.taps not in (AUTO, POOLED):
        raise ConfigError(
            f"features.taps is {shown(features.taps)}; the published models read the backbone's own output",
            hint="--set features.taps=pooled",
        )
    ranges = {target.name: (target.low, target.high) for target in _targets(spec)}
    return Config(
        features=replace(features, backbone=first.backbone_name, weights=BACKBONE_FILE, taps=POOLED),
        labels=LabelsConfig(targets=spec.targets, ranges=ranges),
        clips=ClipsConfig(spec.clip_length, context=spec.context, context_edges=context_edges),  # type: ignore[arg-type]  # click checked the word
        model=spec.config,
    )


def _write_run(run: Path, found: "dict[Path, PublishedCheckpoint]", config: Config) -> str:
    """One run of checkpoints that share their backbone; the digest of its features' recipe."""
    from ...cache.regular import file_sha256

    digests = {f"{number:02d}": file_sha256(path) for number, path in enumerate(found)}
    environment: dict[str, Json] = {
        "imported_from": digests,  # no names: files of folds are often called after the person they leave out
        "epochs": {f"{number:02d}": item.epoch for number, item in enumerate(found.values())},
        "folds": list(digests),
    }
    with new_folder(run) as partial:
        folder = RunFolder.create(partial, config, environment, resume=False)
        recipe = _write_backbone(folder, next(iter(found.values())), config.features)
        for (number, digest), item in zip(digests.items(), found.values(), strict=True):
            _write_fold(folder, number, item, _card(item, digest, config, recipe))
    return recipe.digest


def _write_backbone(folder: RunFolder, checkpoint: "PublishedCheckpoint", features: FeaturesConfig) -> Recipe:
    """The recipe of features made with the checkpoint's own backbone, whose weights are put into the run."""
    import safetensors.torch

    from ...stages.features.stream import FeatureExtractor

    folder.write(BACKBONE_FILE, safetensors.torch.save(checkpoint.backbone_state))
    return FeatureExtractor(replace(features, weights=str(folder.path / BACKBONE_FILE))).recipe


def _card(checkpoint: "PublishedCheckpoint", sha256: str, config: Config, recipe: Recipe) -> "ModelCard":
    from ...stages.temporal.scaling import LabelScaling
    from .model_file import ModelCard

    targets = _targets(checkpoint.spec)
    training = {"imported_from": sha256, "epoch": checkpoint.epoch, READ_OUTS: list(checkpoint.spec.targets)}
    scaling = LabelScaling.from_ranges(targets)
    return ModelCard(checkpoint.spec, recipe, config.clips, scaling, targets, training=training)


def _write_fold(folder: RunFolder, name: str, checkpoint: "PublishedCheckpoint", card: "ModelCard") -> None:
    from ...stages.temporal.ensemble import Ensemble
    from ...stages.temporal.model import TemporalModel
    from .model_file import write_model

    model = TemporalModel(card.spec)
    model.load_state_dict(checkpoint.state)
    sha256 = write_model(folder.folds / name / "model.safetensors", Ensemble([model]), card, folder.path)
    folder.write_json(f"folds/{name}/fold.json", {"model_sha256": sha256, **card.training})


def _digest(checkpoint: "PublishedCheckpoint") -> str:
    digest = hashlib.sha256()
    for key, value in sorted(checkpoint.backbone_state.items()):
        if not key.endswith("num_batches_tracked"):
            digest.update(key.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()
