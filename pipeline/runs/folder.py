"""A training run on disk: what it was asked to do, what made it, its models, and how well they do.

config.yaml  environment.json  metrics.json  predictions.csv  failures.csv  log.jsonl
folds/<k>/   model.safetensors  fold.json  predictions.csv  log.jsonl  events.out.tfevents.*
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ...cache.csv_cells import to_cells
from ...cache.records import Json
from ...configs.load import config_from_dict, config_to_dict
from ...configs.plain_yaml import NotPlainYamlError, read_plain_yaml
from ...configs.schema import Config
from ...errors import AffectError, RunError, shown
from .files import flat, read_json, write_json, write_whole

if TYPE_CHECKING:  # torch comes with it; a report needs none
    from ...stages.temporal.model import TemporalModel
    from .model_file import ModelCard

TRAIN_FIRST = "affect train-temporal --store STORE --labels FILE.csv --run RUN makes one"
UNFINISHED = "checkpoint.pt"  # a fold's own state between two epochs; gone once the fold is done


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run, and whole-or-nothing writes to them."""

    path: Path

    @classmethod
    def create(cls, path: Path, config: Config, environment: Mapping[str, Json], resume: bool) -> "RunFolder":
        """The folder of a new run, or with `resume` that of an unfinished one of the same configuration and data.

        Errors: RunError for a folder that holds something else, a run (without `resume`), or another run.
        """
        folder = cls(path)
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file; expected a folder for the run")
        if folder.config_file.exists():
            if not resume:
                raise RunError(f"{path} already holds a run", hint="--resume goes on with it; or name another --run")
            folder._check_same(config, environment)
            return folder
        if path.is_dir() and any(path.iterdir()):
            raise RunError(f"{path} is not empty and holds no run; nothing was written", hint="name another --run")
        try:
            folder.folds.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{path} cannot be made: {error.strerror}") from error
        folder.write_json("environment.json", dict(environment))
        write_whole(folder.config_file, yaml.safe_dump(config_to_dict(config), sort_keys=False, allow_unicode=True))
        return folder

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """An existing run. Errors: RunError where there is none."""
        folder = cls(path)
        if not path.is_dir():
            raise RunError(f"{path} is no folder; expected a run", hint=TRAIN_FIRST)
        if not folder.config_file.is_file():
            raise RunError(f"{path} is no run: it has no config.yaml", hint=TRAIN_FIRST)
        return folder

    @property
    def config_file(self) -> Path:
        """Written last when a run is made: with it the folder counts as a run."""
        return self.path / "config.yaml"

    @property
    def folds(self) -> Path:
        """One folder a fold."""
        return self.path / "folds"

    def config(self) -> Config:
        """The configuration the run was made with. Errors: RunError where it cannot be read."""
        try:
            tree = read_plain_yaml(self.config_file)
        except (OSError, NotPlainYamlError) as error:
            raise RunError(f"{self.config_file} cannot be read: {error}") from error
        if not isinstance(tree, dict):
            raise RunError(
                f"{self.config_file} is no configuration: it holds {shown(tree)}; expected sections of key: value"
            )
        try:
            return config_from_dict(tree)
        except AffectError as error:
            raise RunError(f"{self.config_file} is no configuration: {error.message}") from error

    def finished_folds(self) -> list[str]:
        """Names of the folds that are done, in order."""
        return sorted(item.parent.name for item in self.folds.glob("*/fold.json"))

    def write_json(self, name: str, values: Mapping[str, Json]) -> None:
        """Write `values` under the run's folder, whole; NaN and infinity become null."""
        write_json(self.path / name, values)

    def read_json(self, name: str) -> dict[str, Json]:
        """The object in one of the run's files. Errors: RunError where it is missing or no JSON object."""
        return read_json(self.path / name, TRAIN_FIRST)

    def _check_same(self, config: Config, environment: Mapping[str, Json]) -> None:
        before, now = flat(config_to_dict(self.config())), flat(config_to_dict(config))
        for name in now:
            if before.get(name) != now[name]:
                raise RunError(
                    f"{self.path} was begun with {name}={shown(before.get(name))}, "
                    f"this command says {shown(now[name])}",
                    hint="resume with the same settings, or name another --run",
                )
        recorded = self.read_json("environment.json")
        for name in ("recipe_digest", "store_digest", "labels_sha256"):
            if recorded.get(name) != environment.get(name):
                raise RunError(
                    f"{self.path} was begun on other data: {name} was {shown(recorded.get(name))}, "
                    f"now it is {environment.get(name)!r}",
                    hint="resume with the same store and labels, or name another --run",
                )


def write_failures(path: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """Write failures.csv with `fold,subjects,reason`; without failures, remove an older one."""
    import pandas as pd

    if not rows:
        path.unlink(missing_ok=True)
        return
    table = to_cells(pd.DataFrame(rows, columns=["fold", "subjects", "reason"]))
    write_whole(path, table.to_csv(index=False))


@dataclass(frozen=True, slots=True)
class Run:
    """A trained run: one model a fold, all with the same targets and made for the same features."""

    path: Path
    config: Config
    models: tuple["TemporalModel", ...]  # eval mode, on the device asked for
    cards: tuple["ModelCard", ...]  # what each model file says of itself

    @property
    def card(self) -> "ModelCard":
        """What all models share: recipe, clips, targets, scaling."""
        return self.cards[0]

    @property
    def target_names(self) -> tuple[str, ...]:
        """In the order of the predictions' columns."""
        return self.card.scaling.targets


def load_run(path: str | Path, device: str = "cpu") -> Run:
    """The models of every finished fold of a run.

    Errors: RunError naming the file: no run, no finished fold, a model that is damaged, a pickle, of a newer format,
    or made for other features than its neighbours.
    """
    from .model_file import read_model

    folder = RunFolder.open(Path(path))
    names = folder.finished_folds()
    if not names:
        raise RunError(f"{path} has no finished fold", hint=f"affect train-temporal ... --run {path} --resume")
    loaded = []
    for name in names:
        record = folder.read_json(f"folds/{name}/fold.json")
        loaded.append(read_model(folder.folds / name / "model.safetensors", record.get("model_sha256"), device))
    models, cards = zip(*loaded, strict=True)
    for name, card in zip(names, cards, strict=True):
        for field in ("recipe", "clips", "scaling"):
            if getattr(card, field) != getattr(cards[0], field):
                raise RunError(
                    f"{path}: fold {name} has another {field} than fold {names[0]}; expected one run's folds"
                )
    return Run(Path(path), folder.config(), models, cards)


def load_runs(path: str | Path, device: str = "cpu") -> list[Run]:
    """The run at `path`, or every run directly below a folder of runs, by name. Errors: as `load_run`."""
    found = sorted(item.parent for item in Path(path).glob("*/config.yaml"))
    if RunFolder(Path(path)).config_file.exists() or not found:
        return [load_run(path, device)]
    return [load_run(folder, device) for folder in found]
