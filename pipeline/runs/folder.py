"""A training run on disk: what it was asked to do, what made it, its models, and how well they do.

config.yaml  environment.json  metrics.json  predictions.csv  failures.csv  log.jsonl
folds/<k>/   model.safetensors  fold.json  predictions.csv  log.jsonl  events.out.tfevents.*
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ...cache.csv_cells import to_cells
from ...cache.dictionary import dictionary
from ...cache.files import PARTIAL, check_within, make_folder, sweep, write_whole
from ...cache.fold_record import FoldRecord
from ...cache.json_files import flat, read_json, write_json
from ...cache.metrics import Metrics, is_as_written
from ...cache.records import Json, Target
from ...configs.load import config_from_dict, config_to_dict, read_tree, without_gone
from ...configs.schema import Config, Method
from ...configs.trust import received
from ...errors import AffectError, ConfigError, RunError, first_line, named, shown

if TYPE_CHECKING:  # torch comes with it; a report needs none
    import pandas as pd

    from ...stages.temporal.ensemble import Ensemble
    from .model_file import ModelCard

TRAIN_FIRST = "affect train-temporal --store STORE --labels FILE.csv --run RUN makes one"
HALF_MADE = {"environment.json", "folds"}  # all that is there before config.yaml is
OLD_PARTIAL_S = 3600.0  # what is left of a killed process, not of one that is writing now
READ_OUTS = "read_outs"  # of an imported model's training: what its read-outs are called, in their order
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
        if resume and folder.config_file.exists():
            folder._check_same(config, environment)
            sweep(path, silent_s=OLD_PARTIAL_S)
            sweep(folder.folds, below=True, silent_s=OLD_PARTIAL_S)
            for name in folder.finished_folds():  # of a call that was killed just after the fold was done
                folder.own(folder.folds / name / UNFINISHED).unlink(missing_ok=True)
            return folder
        cls.check_free(path)
        try:
            make_folder(folder.folds, path)
        except OSError as error:
            raise named(error, path) from error
        folder.write_json("environment.json", dict(environment))
        words = yaml.safe_dump(config_to_dict(config), sort_keys=False, allow_unicode=True)
        write_whole(folder.config_file, words, path)
        return folder

    @classmethod
    def check_free(cls, path: Path) -> None:
        """Errors: RunError where a new run would be written over something."""
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file; expected a folder for the run")
        if cls(path).config_file.exists():
            raise RunError(f"{path} already holds a run", hint="--resume goes on with it; or name another --run")
        if path.is_dir() and not _half_made(path):
            raise RunError(f"{path} is not empty and holds no run; nothing was written", hint="name another --run")

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
        """The configuration the run was made with, its words marked as a file's. Errors: RunError for what is none.

        Settings that only older versions had are left out: nothing that is still computed depends on them.
        """
        try:
            tree = without_gone(read_tree(self.own(self.config_file)))
        except ConfigError as error:
            raise RunError(error.message, error.hint) from error
        try:
            config = config_from_dict(tree)
        except AffectError as error:
            raise RunError(f"{self.config_file} is no configuration: {error.message}") from error
        return replace(config, features=received(config.features, str(self.config_file)))

    def finished_folds(self) -> list[str]:
        """Names of the folds that are done, in order. Errors: as `_holding`."""
        return _holding(self.folds, "fold.json")

    def own(self, path: Path) -> Path:
        """`path`, a file of this run. Errors: RunError where it is a link, or a link leads to it, or it is no file."""
        check_within(path, self.path, RunError)
        return path

    def write(self, name: str, data: str | bytes) -> None:
        """Write a file under the run's folder, whole. Errors: DiskError."""
        write_whole(self.path / name, data, self.path)

    def write_table(self, name: str, table: "pd.DataFrame", targets: Sequence[Target] = ()) -> None:
        """Write NAME.csv under the run's folder, and beside it what its columns mean."""
        self.write(f"{name}.csv", to_cells(table).to_csv(index=False, lineterminator="\n"))
        self.write(f"{name}.json", dictionary(table.columns, targets))

    def write_json(self, name: str, values: Mapping[str, Json]) -> None:
        """Write `values` under the run's folder, whole; NaN and infinity become null."""
        write_json(self.path / name, values, self.path)

    def read_json(self, name: str) -> dict[str, Json]:
        """The object in one of the run's files. Errors: RunError where it is missing or no JSON object."""
        return read_json(self.path / name, TRAIN_FIRST, self.path)

    def metrics(self) -> Metrics:
        """What metrics.json says. Errors: RunError where it is missing, or says something else."""
        try:
            return Metrics.from_json(self.read_json("metrics.json"))
        except (KeyError, ValueError) as error:
            raise RunError(
                f"{self.path / 'metrics.json'} holds no metrics of a run: {type(error).__name__} {first_line(error)}",
                hint=f"affect train-temporal ... --run {self.path} --resume writes them again",
            ) from error

    def measured(self) -> Metrics | str:
        """What metrics.json says; where it says nothing, why, in words that name no person and no place."""
        if (self.path / "metrics.json").exists():
            try:
                values = self.read_json("metrics.json")
                metrics = Metrics.from_json(values)
            except (AffectError, KeyError, ValueError):
                return "the run's metrics.json is damaged or cannot be read; affect report RUN says more"
            if not is_as_written(values):
                return "the run's metrics.json was changed or damaged after it was written; affect report RUN says more"
            return metrics
        environment = self._if_there("environment.json") or {}
        if "imported_from" in environment:
            return "the run was imported, and a checkpoint does not say how it did"
        if "labels_sha256" in environment:
            return "the training of the run has not ended, or its metrics.json is missing"
        return "the run has no metrics.json"

    def fold(self, name: str) -> FoldRecord:
        """What fold.json says of a finished fold. Errors: RunError where it says something else."""
        try:
            return FoldRecord.from_json(self.read_json(f"folds/{name}/fold.json"))
        except ValueError as error:
            raise RunError(f"folds/{name}/fold.json of {self.path}: {first_line(error)}", hint=TRAIN_FIRST) from error

    def missing_folds(self) -> str:
        """What is to be said of folds that the run was to have and has not; empty where nothing is known to be missing.

        The plan is in environment.json; in runs of before, metrics.json and the imported checkpoints tell of it.
        """
        done = self.finished_folds()
        environment = self._if_there("environment.json") or {}
        metrics = self._metrics_json()
        failed = _names(metrics, "folds", "failed")
        planned = _names(environment, "folds") or [*_names(metrics, "folds", "done"), *failed]
        if not planned and "imported_from" in environment:
            planned = [f"{number:02d}" for number in range(len(_names(environment, "imported_from")))]
        lost = sorted(set(planned) - set(done) - set(failed))
        ended = metrics is not None or "imported_from" in environment
        trained = "labels_sha256" in environment
        if lost:
            names = f"fold {', '.join(lost)} is missing" if len(lost) == 1 else f"folds {', '.join(lost)} are missing"
            why = "" if ended else ", as its training has not ended"
            return f"{len(done)} of {len(planned)} models used: {names} from {self.path}{why}"
        if trained and not ended and not planned:
            return f"{len(done)} models used of {self.path}, whose training has not ended: it has no metrics.json"
        return ""

    def failed_folds(self) -> str:
        """What is to be said of folds whose training failed; empty without."""
        failed = sorted(set(_names(self._metrics_json(), "folds", "failed")) - set(self.finished_folds()))
        return f"{self.path} has no model of fold {', '.join(failed)}: its training failed" if failed else ""

    def _metrics_json(self) -> dict[str, Json] | None:
        """The object in metrics.json; None where there is none, empty where it is damaged, which `measured` says."""
        try:
            return self._if_there("metrics.json")
        except AffectError:
            return {}

    def _if_there(self, name: str) -> dict[str, Json] | None:
        return self.read_json(name) if (self.path / name).exists() else None

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


def _holding(folder: Path, file: str) -> list[str]:
    """Names of the folders in a folder that hold such a file. Errors: OSError where one cannot be looked at."""
    names = []
    for item in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (item / file).stat()
            names.append(item.name)
    return sorted(names)


def _half_made(path: Path) -> bool:
    """Whether a folder is empty, or holds no more than a process that was killed while it made a run."""
    names = {item.name for item in path.iterdir() if not PARTIAL.fullmatch(item.name)}
    folds = path / "folds"
    return names <= HALF_MADE and not (folds.is_symlink() or (folds.exists() and any(folds.iterdir())))


def _names(values: Mapping[str, Json] | None, *keys: str) -> list[str]:
    """The names in a list, or of an object, that lies under these keys; none where there is no such thing."""
    found: Json = values
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return [str(name) for name in found] if isinstance(found, list | Mapping) else []


def write_failures(folder: RunFolder, rows: Sequence[tuple[str, str, str]]) -> None:
    """Write failures.csv with `fold,subjects,reason`; without failures, remove an older one."""
    import pandas as pd

    if not rows:
        for name in ("failures.csv", "failures.json"):
            (folder.path / name).unlink(missing_ok=True)
        return
    folder.write_table("failures", pd.DataFrame(rows, columns=["fold", "subjects", "reason"]))


@dataclass(frozen=True, slots=True)
class Run:
    """A trained run: one model a fold, all with the same targets and made for the same features."""

    path: Path
    config: Config
    models: tuple["Ensemble", ...]  # eval mode, on the device asked for
    cards: tuple["ModelCard", ...]  # what each model file says of itself
    missing: str = ""  # what is to be said of folds that are not there
    failed: str = ""  # of folds whose training failed
    measured: Metrics | str = ""  # how well it did on people it had never seen, or why that is not known

    @property
    def card(self) -> "ModelCard":
        """What all models share: recipe, clips, targets, scaling."""
        return self.cards[0]

    @property
    def has_ridge(self) -> bool:
        """Whether every fold has ridge regression beside its networks; imported ones and those of before have not."""
        return all(model.ridge is not None for model in self.models)

    @property
    def method(self) -> Method:
        """Whose scores this run gives, unless it is asked for others."""
        return self.config.evaluation.method if self.has_ridge else "model"

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
        sha256 = folder.read_json(f"folds/{name}/fold.json").get("model_sha256")
        if not isinstance(sha256, str):
            raise RunError(
                f"{folder.folds / name / 'fold.json'} does not say the sha256 of its model, which was not read",
                hint="delete the fold's folder, then affect train-temporal ... --resume trains it again",
            )
        loaded.append(read_model(folder.own(folder.folds / name / "model.safetensors"), sha256, device))
    models, cards = zip(*loaded, strict=True)
    for name, card in zip(names, cards, strict=True):
        _check_read_outs(folder.folds / name / "model.safetensors", card)
        for field in ("recipe", "clips", "scaling"):
            if getattr(card, field) != getattr(cards[0], field):
                raise RunError(
                    f"{path}: fold {name} has another {field} than fold {names[0]}; expected one run's folds"
                )
    said = folder.missing_folds(), folder.failed_folds(), folder.measured()
    return Run(Path(path), folder.config(), models, cards, *said)


def _check_read_outs(path: Path, card: "ModelCard") -> None:
    """Errors: RunError for a model imported when the published read-outs were taken for (valence, arousal)."""
    exchanged = card.spec.targets == ("valence", "arousal") and READ_OUTS not in card.training
    if exchanged and "imported_from" in card.training:
        raise RunError(
            f"{path} was imported by an earlier affect, which exchanged valence and arousal; it was not used",
            hint="affect import-checkpoint pid_X.pth.tar ... --run NEW_RUN",
        )


def load_runs(path: str | Path, device: str = "cpu") -> list[Run]:
    """The run at `path`, or every run directly below a folder of runs, by name. Errors: as `load_run`."""
    if RunFolder(Path(path)).config_file.exists() or not (found := _holding(Path(path), "config.yaml")):
        return [load_run(path, device)]
    return [load_run(Path(path) / name, device) for name in found]
