"""Tables read as they would be imported, without a store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affect.stages.features.tables.finding import ImportOptions, find_tables
from affect.stages.features.tables.importer import TableImporter
from affect.stages.features.tables.kinds import TimeSource
from affect.stages.features.tables.recording import Recording

Read = Callable[..., dict[str, Recording]]


@pytest.fixture
def read() -> Read:
    """`read(path, fps=25, columns=("a",), ...)`: id -> the frames of each video in a table or a folder of them."""

    def read(path: Path, *, fps: float | None = None, column: str = "", unit: Any = "auto", **options: Any) -> Any:
        found = find_tables([str(path)], ImportOptions(time=TimeSource(column, unit, fps), **options))
        importer = TableImporter(found.config)
        return {video.id: importer.stream(video.path, b"", 0, *video.part).recording for video in found.videos}

    return read
