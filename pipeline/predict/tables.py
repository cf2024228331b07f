"""Predictions as tables on disk: rows appear as they are scored, and whatever is done stays readable."""

import csv
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cache.predictions import REASONS, PersonPrediction, Target, VideoPrediction

if TYPE_CHECKING:
    import pandas as pd

TIME_DIGITS, SCORE_DIGITS = 4, 6


def clip_rows(video: str, person: PersonPrediction, targets: Sequence[Target]) -> "pd.DataFrame":
    """A row a clip: video, track, start_s, end_s, each target and its spread, and how far to trust them.

    `attention_-1` is the weight given to the clip before, `attention_+0` to the clip itself.
    """
    import pandas as pd

    columns: dict[str, Any] = {
        "video": np.full(len(person.start_s), video, object),
        "track": np.full(len(person.start_s), person.track, np.int64),
        "start_s": person.start_s.round(TIME_DIGITS),
        "end_s": person.end_s.round(TIME_DIGITS),
    }
    for number, target in enumerate(targets):
        columns[target.name] = _digits(person.mean[:, number])
        columns[f"{target.name}_std"] = _digits(person.std[:, number])
    columns["coverage"] = _digits(person.coverage)
    # Unknown where there is no score, or where the models were never told what the training features are like.
    columns["out_of_range"] = pd.array(person.out_of_range, "boolean").copy()
    columns["out_of_range"][np.isnan(person.distance)] = pd.NA
    columns["distance"] = _digits(person.distance)
    columns["reason"] = np.array(REASONS, object)[person.reason]
    half = person.attention.shape[1] // 2
    for offset in range(-half, half + 1) if half else ():
        columns[f"attention_{offset:+d}"] = _digits(person.attention[:, half + offset])
    return pd.DataFrame(columns)


def video_rows(prediction: VideoPrediction) -> "pd.DataFrame":
    """A row a person: the same columns over the whole video, with shares where clips have flags.

    A target is the mean of its clips' scores, its spread the mean of theirs; `clips` counts all, `scored` those with
    a score.
    """
    import pandas as pd

    rows = []
    for person in prediction.persons:
        clips, said = len(person.start_s), ~np.isnan(person.mean).any(1)
        mean, std = person.video_score()
        row: dict[str, Any] = {"video": prediction.video, "track": person.track, "start_s": 0.0}
        row["end_s"] = round(prediction.duration_s, TIME_DIGITS)
        for number, target in enumerate(prediction.targets):
            row[target.name] = round(float(mean[number]), SCORE_DIGITS)
            row[f"{target.name}_std"] = round(float(std[number]), SCORE_DIGITS)
        row["coverage"] = round(float(person.coverage.mean()), SCORE_DIGITS) if clips else 0.0
        judged = ~np.isnan(person.distance)
        row["out_of_range"] = round(float(person.out_of_range[judged].mean()), SCORE_DIGITS) if judged.any() else np.nan
        row |= {"clips": clips, "scored": int(said.sum()), "reason": _why_silent(person)}
        rows.append(row)
    return pd.DataFrame(rows)


def _why_silent(person: PersonPrediction) -> str:
    """Why a whole video has no score; empty where it has one."""
    if len(person.start_s) == 0:
        return "no frames"
    if not np.isnan(person.mean).all():
        return ""
    return REASONS[int(np.bincount(person.reason).argmax())]


def _digits(values: Any) -> Any:
    return values.astype(np.float64).round(SCORE_DIGITS)


class PredictionTables:
    """predictions.csv, predictions.parquet, video.csv and failures.csv of one output folder.

    Use as a context manager. The CSV files grow row by row; the Parquet file, which is no file before its end is
    written, appears when the block is left, however it is left.
    """

    def __init__(self, folder: Path, targets: Sequence[Target]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.targets = tuple(targets)
        self.rows = 0
        (folder / "failures.csv").unlink(missing_ok=True)
        self._clips = _growing(folder / "predictions.csv")
        self._videos = _growing(folder / "video.csv")
        self._partial = folder / ".predictions.parquet.partial"
        self._parquet: Any = None

    def add_clips(self, video: str, person: PersonPrediction) -> None:
        """Append a block of clips, and make it readable."""
        rows = clip_rows(video, person, self.targets)
        rows.to_csv(self._clips, index=False, header=self.rows == 0, lineterminator="\n")
        self._clips.flush()
        self._add_parquet(rows)
        self.rows += len(rows)

    def add_video(self, prediction: VideoPrediction) -> None:
        """Append a video's own scores."""
        video_rows(prediction).to_csv(self._videos, index=False, header=self._videos.tell() == 0, lineterminator="\n")
        self._videos.flush()

    def add_failure(self, video: str, reason: str) -> None:
        """Append a video that could not be done, and why."""
        path = self.folder / "failures.csv"
        new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["video", "reason"])
            writer.writerow([video, " ".join(reason.split())])

    def close(self) -> None:
        """End all files."""
        self._clips.close()
        self._videos.close()
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None
            self._partial.replace(self.folder / "predictions.parquet")

    def __enter__(self) -> "PredictionTables":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add_parquet(self, rows: "pd.DataFrame") -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._parquet is None:
            (self.folder / "predictions.parquet").unlink(missing_ok=True)
            texts, flags = {"video", "reason"}, {"out_of_range"}
            kinds = [
                pa.string()
                if name in texts
                else pa.bool_()
                if name in flags
                else pa.int64()
                if name == "track"
                else pa.float64()
                for name in rows.columns
            ]
            self._parquet = pq.ParquetWriter(self._partial, pa.schema(list(zip(rows.columns, kinds, strict=True))))
        schema = self._parquet.schema
        self._parquet.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False))


def _growing(path: Path) -> TextIOWrapper:
    path.unlink(missing_ok=True)
    return path.open("w", encoding="utf-8", newline="")
