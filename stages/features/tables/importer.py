"""Tables of features in the place of videos: the same stream of blocks that extraction gives, without a network."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np

from ....cache.records import FRAME_ARRAYS, FrameFeatures, Json, Recipe, VideoInfo
from ....configs.trust import IMPORTED
from ....errors import InputError, VideoError
from .columns import Columns, head_of, read_columns
from .kinds import KindName, TimeSource, roles_of
from .recording import Recording, recording_of

ALGORITHM = 1  # raised whenever the same table comes to give other features
BLOCK_FRAMES = 4096
_PACKAGES = ("affect", "numpy", "pyarrow")


@dataclass(frozen=True, slots=True)
class ImportConfig:
    """Which columns of which tables become features; everything but `time` is part of the store's recipe."""

    kind: KindName
    columns: tuple[str, ...]  # (D,)
    points: bool  # whether 68 points are stored too
    sample_fps: float | Literal["source"]
    min_confidence: float
    time: TimeSource = field(default_factory=TimeSource)

    @property
    def weights(self) -> None:
        """No network made them."""
        return None

    def importer(self) -> "TableImporter":
        """Whoever reads them."""
        return TableImporter(self)

    @property
    def recipe(self) -> Recipe:
        """Everything that decides what the features are."""
        columns: Json = list(self.columns)
        return Recipe(
            {
                "algorithm": ALGORITHM,
                "source": self.kind,
                "backbone": f"{IMPORTED}{self.kind}",
                "columns": columns,
                "feature_size": len(self.columns),
                "points": self.points,
                "min_confidence": self.min_confidence,
                "sample_fps": self.sample_fps if self.sample_fps == "source" else float(self.sample_fps),
            }
        )


class TableImporter:
    """Reads one table after another; the last one is kept, since it may hold several videos."""

    def __init__(self, config: ImportConfig) -> None:
        self.config = config
        self.recipe = config.recipe
        self.versions = {name: metadata.version(name) for name in _PACKAGES}
        self.hardware = "cpu"  # tables are read alike on any
        self._last: tuple[object, Columns] | None = None

    def stream(self, path: Path, state: bytes, frames: int, video: str, how: str) -> "TableStream":
        """The features of a video in the table at `path`, from behind so many kept frames.

        video: as the table calls it; how: where its times come from, which is part of the entry's fingerprint alone.
        Errors: VideoError for a table that cannot be read.
        """
        stat = path.stat()
        stamp = stat.st_size, stat.st_mtime_ns
        try:
            recording = recording_of(self._columns(path, stamp), video, self.config.sample_fps)
        except InputError as error:  # of this table; others may be sound
            raise VideoError(error.message, error.hint) from error
        return TableStream(self, recording, frames, stamp)

    def _columns(self, path: Path, stamp: tuple[int, int]) -> Columns:
        key = (path, stamp)
        if self._last is None or self._last[0] != key:
            config = self.config
            self._last = None  # its memory goes before another's comes
            roles = roles_of(head_of(path).names, config.kind, config.time, str(path))
            columns = read_columns(
                path, roles, config.columns, config.time, min_confidence=config.min_confidence, points=config.points
            )
            self._last = (key, columns)
        return self._last[1]


class TableStream:
    """Blocks of one video's features, as `VideoStream` gives them: iterate, then ask for `info`, then `close`."""

    def __init__(self, importer: TableImporter, recording: Recording, start: int, stamp: tuple[int, int]) -> None:
        self._importer, self.recording, self._start, self._stamp = importer, recording, start, stamp
        times = recording.features.time_s
        self.duration_s = float(times[-1]) if len(times) else None
        self.position_s = 0.0

    def __iter__(self) -> Iterator[tuple[FrameFeatures, bytes]]:
        features = self.recording.features
        for start in range(self._start, len(features.time_s), BLOCK_FRAMES):
            stop = start + BLOCK_FRAMES
            first, last = np.searchsorted(features.frame, [start, stop])
            arrays = {
                name: array[start:stop] if name in FRAME_ARRAYS else array[first:last]
                for name, array in features.arrays().items()
            }
            block = FrameFeatures(**arrays)
            self.position_s = float(block.time_s[-1])
            yield block, b""

    def close(self) -> None:
        """Nothing is open."""

    def info(self, fingerprint: str) -> VideoInfo:
        """What is known of the video. Its size in pixels is not, which a table does not say."""
        recording = self.recording
        return VideoInfo(
            recipe_digest=self._importer.recipe.digest,
            fingerprint=fingerprint,
            file_bytes=self._stamp[0],
            file_mtime_ns=self._stamp[1],
            header_frames=None,
            decoded_frames=recording.frames,
            duration_s=None,
            average_fps=recording.fps,
            width_px=0,
            height_px=0,
            rotation_deg=0,
            codec=f"{self._importer.config.kind} table",
            tracks=recording.tracks,
            warnings=recording.notes,
            versions=self._importer.versions,
        )
