import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from affect.cache.json_files import read_json
from affect.configs.load import load_config
from affect.configs.schema import Config
from affect.errors import ConfigError, RunError
from affect.pipeline.events import SweepPlanned, summary_of
from affect.pipeline.terminal.text import of_sweep
from affect.pipeline.train.fold import FoldTask
from affect.pipeline.train.sweep import SweepPoint, SweepSummary, expand_grid, sweep
from affect.pipeline.workers import Workers

from .conftest import TINY, Data, split_of, trained


def swept(*values: Any, **options: Any) -> SweepSummary:
    """A sweep from its first event to its last, which is its summary."""
    return summary_of(sweep(*values, device="cpu", **options), SweepSummary)


def test_lists_span_a_grid_and_brackets_and_quotes_hold_one_value_together() -> None:
    assert expand_grid(["a.b=0,0.5", "labels.targets=[x,y]", "c=1,2"]) == [
        ["a.b=0", "labels.targets=[x,y]", "c=1"],
        ["a.b=0", "labels.targets=[x,y]", "c=2"],
        ["a.b=0.5", "labels.targets=[x,y]", "c=1"],
        ["a.b=0.5", "labels.targets=[x,y]", "c=2"],
    ]
    assert expand_grid([]) == [[]]
    assert expand_grid(["t='x,y'"]) == [["t='x,y'"]]
    for words in (["a"], ["a=1,,2"], ["a=" + ",".join("x" * 60), "b=" + ",".join("x" * 60)]):
        with pytest.raises(ConfigError):
            expand_grid(words)


def test_a_sweep_chooses_on_validation_and_lists_what_failed(data: Data, tmp_path: Path) -> None:
    labels = data.relabelled(tmp_path / "labels.csv", splits=split_of(data.manifest.subjects, train=5, validation=1))
    words = [*TINY, "training.epochs=4", "training.learning_rate=3e-3,1e-7,1e30", "training.clip_norm=0"]
    planned, *outcomes, summary = sweep(data.store, labels, tmp_path / "sweep", None, words, device="cpu")
    assert isinstance(summary, SweepSummary) and planned == SweepPlanned(3) and tuple(outcomes) == summary.outcomes
    good, slow, broken = summary.outcomes
    assert "loss is" in broken.reason and not good.reason and good.words == ("training.learning_rate=3e-3",)
    assert summary.chosen is good and good.validation_ccc > slow.validation_ccc
    table = pd.read_csv(tmp_path / "sweep/sweep.csv")
    assert table["chosen"].tolist() == [True, False, False] and len(table) == 3
    assert table["training.learning_rate"].tolist() == [3e-3, 1e-7, 1e30]
    assert read_json(tmp_path / "sweep/sweep.json")["chosen"]["run"] == good.name
    with pytest.raises(RunError, match="already holds a run"):
        swept(data.store, labels, tmp_path / "sweep", None, words)
    again = swept(data.store, labels, tmp_path / "sweep", None, words, resume=True)
    assert again.outcomes[:2] == (good, slow)


def test_a_sweep_says_what_makes_its_choice_worth_less(data: Data, tmp_path: Path) -> None:
    given = data.relabelled(tmp_path / "given.csv", splits=split_of(data.manifest.subjects, train=5, validation=1))
    words = [*TINY, "training.epochs=1"]
    equal = swept(data.store, given, tmp_path / "equal", None, [*words, "evaluation.method=blend,ridge"])
    (note,) = equal.notes
    assert equal.chosen is equal.outcomes[0] and "equal on validation" in note
    assert note in read_json(tmp_path / "equal/sweep.json")["warnings"] and f"note: {note}" in of_sweep(equal).lines
    assert not swept(data.store, given, tmp_path / "seeds", None, [*words, "training.seed=0,1"]).notes
    by_size = "evaluation.validation_share=0.2,0.5"
    test = f"evaluation.test_subjects=[{data.manifest.subjects[0]}]"
    (note,) = swept(data.store, data.labels, tmp_path / "shares", None, [*words, test, by_size]).notes
    assert "different validation people" in note


def test_two_ranks_train_to_what_one_process_does(data: Data, tmp_path: Path) -> None:
    labels = data.relabelled(tmp_path / "labels.csv", splits=split_of(data.manifest.subjects, train=5, validation=1))
    words = [*TINY, "training.epochs=2", "model.dropout=0", "model.encoder_dropout=0"]
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom affect.configs.load import load_config\n"
        "from affect.pipeline.train.train import train\n"
        "for _ in train(*sys.argv[1:4], load_config(None, sys.argv[4:]), device='cpu'):\n"
        "    pass\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", str(script)]
    command = [*launcher, data.store, str(labels), str(tmp_path / "two"), *words]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=120)
    trained(data.store, labels, tmp_path / "one", load_config(None, words))
    one, two = (pd.read_csv(tmp_path / name / "predictions.csv") for name in ("one", "two"))
    for target in data.manifest.target_names:
        assert (one[target] - two[target]).abs().max() < 1e-4 * one[target].std()


def test_a_killed_worker_fails_its_fold_alone(
    data: Data, settings: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings("evaluation.protocol=k-fold", "evaluation.folds=4", "training.epochs=1")
    from affect.pipeline.train import train

    monkeypatch.setattr(train, "FoldTask", _task_that_kills_its_worker)
    summary = trained(data.store, data.labels, tmp_path / "run", config, workers=Workers(jobs=2))
    assert [item.name for item in summary.failed] == ["02"]
    assert summary.failed[0].reason.startswith("its worker process died: ")
    assert summary.metrics is not None and summary.metrics.folds_done == ("00", "01", "03")


def test_a_killed_worker_fails_its_setting_alone(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from affect.pipeline.train import sweep as module

    labels = data.relabelled(tmp_path / "labels.csv", splits=split_of(data.manifest.subjects, train=5, validation=1))
    words = [*TINY, "training.epochs=1", "training.seed=0,1"]
    monkeypatch.setattr(module, "SweepPoint", _point_that_kills_its_worker)
    summary = swept(data.store, labels, tmp_path / "sweep", None, words, workers=Workers(jobs=2))
    assert [bool(item.reason) for item in summary.outcomes] == [False, True]
    assert summary.outcomes[1].reason.startswith("its worker process died: ")
    table = pd.read_csv(tmp_path / "sweep/sweep.csv")
    assert table["training.seed"].tolist() == [0, 1] and table["reason"].notna().tolist() == [False, True]
    assert summary.chosen is summary.outcomes[0]


class _Kill:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
        return os._exit, (9,)


def _point_that_kills_its_worker(**values: Any) -> SweepPoint:
    point = SweepPoint(**values)
    if point.words == ("training.seed=1",):
        object.__setattr__(point, "store", _Kill())
    return point


def _task_that_kills_its_worker(*values: object) -> FoldTask:
    task = FoldTask(*values)  # type: ignore[arg-type]
    if task.fold.name == "02":
        object.__setattr__(task, "store", _Kill())
    return task
