"""The state that a stopped fold is gone on from: with one bit of it changed, the model would be another one."""

import contextlib
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from affect.configs.schema import Config
from affect.pipeline.events import EpochDone, FoldOutcome
from affect.pipeline.train.fold import FoldTask, run_fold
from affect.pipeline.train.train import train
from affect.pipeline.train.training_set import build_training_set
from affect.stages.temporal.splits import make_folds

from .conftest import Data, trained

Settings = Callable[..., Config]


def test_a_saved_state_with_one_bit_flipped_is_refused(data: Data, settings: Settings, tmp_path: Path) -> None:
    config, run = settings("evaluation.test_subjects=[s0001]", "training.seeds=1"), tmp_path / "run"
    with contextlib.closing(train(data.store, data.labels, run, config, device="cpu")) as events:
        next(event for event in events if isinstance(event, EpochDone) and event.record.epoch == 2)
    state = run / "folds/00/checkpoint.pt"
    whole = state.read_bytes()
    learned = build_training_set(data.store, data.labels, config, "cpu", None)
    (fold,) = make_folds(learned.manifest, config.evaluation, config.training.seed)
    task = FoldTask(fold, data.store, None, data.labels, run, config, "cpu", learned.store_digest)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = [item for item in archive.infolist() if item.file_size]
    assert len(members) > 50
    for member in members:
        lengths = struct.unpack("<HH", whole[member.header_offset + 26 : member.header_offset + 30])
        middle = member.header_offset + 30 + sum(lengths) + member.file_size // 2
        state.write_bytes(whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :])
        first = next(run_fold(task, learned))
        assert isinstance(first, FoldOutcome), f"it went on from {member.filename}"
        assert "checkpoint.pt is no state of this fold: it is damaged" in first.reason
    for other in (b"", whole[:-1], whole[:-32]):  # cut short, and as earlier versions wrote it
        state.write_bytes(other)
        first = next(run_fold(task, learned))
        assert isinstance(first, FoldOutcome) and "of an earlier version; delete it" in first.reason
    state.write_bytes(whole)
    assert isinstance(next(run_fold(task, learned)), EpochDone)


def test_a_state_that_outlived_its_fold_goes_with_the_next_resume(
    data: Data, settings: Settings, tmp_path: Path
) -> None:
    config = settings("evaluation.test_subjects=[s0001]", "training.seeds=1", "training.epochs=2")
    run = tmp_path / "run"
    with contextlib.closing(train(data.store, data.labels, run, config, device="cpu")) as events:
        next(event for event in events if isinstance(event, EpochDone))
    state = run / "folds/00/checkpoint.pt"
    before = state.read_bytes()
    trained(data.store, data.labels, run, config, resume=True)
    assert not state.exists()
    state.write_bytes(before)  # as a kill leaves it that comes once fold.json is there
    assert trained(data.store, data.labels, run, config, resume=True).resumed == ("00",)
    assert not state.exists()
