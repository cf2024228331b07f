"""Predictions as tables on disk: rows appear as they are scored, and whatever is done stays readable."""

import csv
import io
import os
import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cache.csv_cells import to_cells
from ...cache.dictionary import dictionary
from ...cache.files import NewFile
from ...cache.predictions import VideoPrediction
from ...cache.score_tables import clip_rows, video_rows
from ...configs.plain_text import cell
from ...errors import AffectError, DiskError, named
from ..events import ClipsScored, ScoresPlanned, VideoFailed
from .inputs import PredictOptions
from .output_kinds import Output

if TYPE_CHECKING:
    import pandas as pd

    from ...cache.score_table import ScoreTable
    from .predict import PredictEvent


def score_table(events: "Iterable[PredictEvent]", passed_on: "Callable[[PredictEvent], None] | None") -> "ScoreTable":
    """All clips that the events of a prediction score; each event is passed on. A video that fails is warned of.

    Errors: AffectError where every video fails.
    """
    import pandas as pd

    from ...cache.score_table import ScoreTable

    found, attrs = collected(events, passed_on)
    rows = [clip_rows(item.video, person, item.targets) for item in found for person in item.persons]
    table = ScoreTable(pd.concat(rows, ignore_index=True))
    table.attrs = attrs
    return table


def collected(
    events: "Iterable[PredictEvent]", passed_on: "Callable[[PredictEvent], None] | None"
) -> tuple[list[VideoPrediction], dict[Hashable | None, Any]]:
    """Every video that the events tell of, and what is to be said below a table of them. As `score_table`."""
    found, failed, said, worth = [], {}, dict[str, None](), ""
    for event in events:
        if passed_on is not None:
            passed_on(event)
        if isinstance(event, ScoresPlanned):
            worth = event.worth
        elif isinstance(event, VideoFailed):
            failed[event.video] = event.reason
        elif isinstance(event, VideoPrediction):
            found.append(event)
            said |= dict.fromkeys(event.warnings)
    if failed and not found:
        raise AffectError("; ".join(failed.values()))
    for video, reason in failed.items():
        warnings.warn(f"{video}: {reason}", stacklevel=4)
    return found, {"worth": worth, "warnings": [*said], "failed": failed}


class Tables(Output):
    """predictions.csv, predictions.parquet, video.csv and failures.csv, and beside each .csv a .json on its columns.

    The CSV files grow row by row: at their own place where there is no older one, else as predictions.partial.csv and
    so on, until `close` puts them there. The Parquet file, no file before its end is written, appears at `close`.
    A subclass has other names for both tables, and other rows.
    """

    clips_name, videos_name = "predictions", "video"

    def __init__(self, folder: Path, options: PredictOptions, plan: ScoresPlanned) -> None:
        super().__init__(folder, options, plan)
        self._older = (folder / f"{self.clips_name}.csv").exists()
        self._rows = 0
        self._columns: dict[str, list[object]] = {}  # of the tables that have some, by name
        self._spoilt: DiskError | None = None  # the first thing that could not be written
        self._files: list[NewFile] = []
        self._clips = self.growing(self.clips_name)
        self._videos = self.growing(self.videos_name)
        self._failures: NewFile | None = None
        self._parquet_file: NewFile | None = None
        self._parquet: Any = None

    def rows_of_clips(self, scored: ClipsScored) -> "pd.DataFrame":
        """A row a clip."""
        return clip_rows(scored.video, scored.block, self.plan.targets)

    def rows_of_video(self, prediction: VideoPrediction) -> "pd.DataFrame":
        """A row a person."""
        return video_rows(prediction)

    def add_clips(self, scored: ClipsScored) -> None:
        """Append a block of clips, and make it readable."""
        rows = self.rows_of_clips(scored)
        self._append(self._clips, to_cells(rows).to_csv(index=False, header=self._rows == 0, lineterminator="\n"))
        self._rows += len(rows)
        self._columns[self.clips_name] = list(rows)
        self._add_parquet(rows)

    def add_video(self, prediction: VideoPrediction) -> None:
        """Append a video's own scores."""
        self.append_rows(self._videos, self.videos_name, self.rows_of_video(prediction))

    def append_rows(self, file: NewFile, name: str, rows: "pd.DataFrame") -> None:
        """Append rows to a table, with its first line where it has none yet."""
        self._columns[name] = list(rows)
        self._append(file, to_cells(rows).to_csv(index=False, header=file.size == 0, lineterminator="\n"))

    def add_failure(self, failed: VideoFailed) -> None:
        """Append a video that could not be done, or an output of it, and why."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if self._failures is None:
            self._failures = self.growing("failures")
            self._columns["failures"] = ["video", "reason"]
            writer.writerow(["video", "reason"])
        writer.writerow([cell(failed.video), cell(" ".join(failed.reason.split()))])
        self._append(self._failures, text.getvalue())

    def close(self) -> None:
        """End all files and put them in their places; where one could not be written whole, older tables stay.

        Errors: DiskError for the first thing that could not be written.
        """
        self._close_parquet()
        if self._failures is not None and not self._failures.size:
            self._files.remove(self._failures)
            self._failures.discard()
            self._failures = None
        files = self._files
        if not any(file.size for file in files):  # nothing came of it, so nothing changes
            for file in files:
                file.discard()
        elif self.kept_older:
            for file in files:
                file.close()
        else:
            self._place(files)
        if self._spoilt is not None:
            kept = f"the older tables in {self.folder} are kept; new rows are in {self.clips_name}.partial.csv"
            raise DiskError(f"{self._spoilt.message}{f'; {kept}' if self._older else ''}", hint=self._spoilt.hint)

    @property
    def kept_older(self) -> bool:
        """Whether the tables in the folder are those of an earlier call."""
        return self._older and self._spoilt is not None

    def _place(self, files: Sequence[NewFile]) -> None:
        for file in files:
            file.place()
        failed, parquet = self._failures, f"{self.clips_name}.parquet"
        for made, name in ((failed, "failures.csv"), (failed, "failures.json"), (self._parquet_file, parquet)):
            if made is None:  # what lies there is of an earlier call
                (self.folder / name).unlink(missing_ok=True)
        if self._parquet_file is not None:
            self._parquet_file.place()
        for name, columns in self._columns.items():
            self.write(f"{name}.json", dictionary(columns, self.plan.targets, self.plan.meanings))

    def growing(self, name: str) -> NewFile:
        """A table NAME.csv that grows, and is put in its place when all are closed."""
        path = self.folder / f"{name}.csv"
        partial = path.with_stem(f"{path.stem}.partial")
        partial.unlink(missing_ok=True)  # of a killed call
        self._files.append(NewFile(path, self.folder, partial=partial if os.path.lexists(path) else path))
        return self._files[-1]

    def _append(self, file: NewFile, text: str) -> None:
        try:
            file.append(text)
        except DiskError as error:
            self._spoilt = self._spoilt or error
            raise

    def _add_parquet(self, rows: "pd.DataFrame") -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._spoilt:
            return
        try:
            if self._parquet is None:
                kinds = {"video": pa.string(), "reason": pa.string(), "out_of_range": pa.bool_()}
                kinds |= {"track": pa.int64(), "person": pa.int64()}
                schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in rows.columns])
                self._parquet_file = NewFile(self.folder / f"{self.clips_name}.parquet", self.folder)
                self._parquet = pq.ParquetWriter(str(self._parquet_file.partial), schema)
            self._parquet.write_table(pa.Table.from_pandas(rows, schema=self._parquet.schema, preserve_index=False))
        except OSError as error:
            self._spoil(error)

    def _close_parquet(self) -> None:
        try:
            if self._parquet is not None:
                self._parquet.close()
        except OSError as error:
            self._spoil(error)
        if self._spoilt and self._parquet_file is not None:
            self._parquet_file.discard()
            self._parquet_file = None

    def _spoil(self, error: OSError) -> None:
        """Rows are in the CSV file, so their video stands; `close` says what is missing."""
        said = named(error, self.folder / f"{self.clips_name}.parquet")
        assert isinstance(said, DiskError), "an OSError becomes a DiskError"
        self._spoilt = self._spoilt or said
