"""A fold's learning curves as a TensorBoard event file that says nothing of the machine it was written on."""

import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import scalar


class CurvesFile:
    """Numbers over steps. TensorBoard's own writer puts the host's name and a process number into the file's name.

    from_step: what an earlier file of the folder has from there on does not count: it was trained again.
    """

    def __init__(self, folder: Path, from_step: int) -> None:
        """Errors: OSError where the file cannot be made."""
        self._file = _new_file(folder)
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=from_step, session_log=SessionLog(status=SessionLog.START)))

    def __enter__(self) -> "CurvesFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, values: Mapping[str, float], step: int) -> None:
        """One step's numbers, readable at once."""
        for name, value in values.items():
            self._write(Event(step=step, summary=scalar(name, value)))  # type: ignore[no-untyped-call]
        self._file.flush()

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())


def _new_file(folder: Path) -> BinaryIO:
    """TensorBoard looks for `tfevents` in a name, and reads a folder's files by name: the time comes first."""
    for number in itertools.count():
        try:
            return (folder / f"events.out.tfevents.{int(time.time()):010d}.{number}").open("xb")
        except FileExistsError:
            continue
    raise AssertionError("there is always a next number")
