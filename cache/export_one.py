"""All entries of a store, or some of them, as one table in one file: Parquet or CSV, with a column `video` in front."""

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UNNAMED, AffectError, InputError, first_line, named
from . import checked
from .csv_cells import to_cells
from .export import MADE_BY, Exported, Kind, chosen
from .feature_columns import described
from .feature_frame import feature_frame, pieces
from .files import NewFile, write_whole
from .locks import held
from .records import ALL_DTYPES, FrameFeatures, Json
from .regular import read_regular
from .store import Store

if TYPE_CHECKING:
    import pandas as pd

VIDEO = "video"


class ExportOne:
    """Writes entries one after another into a table, which appears whole, with FILE.json on its columns beside it.

    A context manager: one process at a time. What cannot be read is left out of the table, and named in FILE.json.
    """

    def __init__(self, store: Store, ids: Sequence[str], path: Path, kind: Kind, *, overwrite: bool) -> None:
        """ids: all, where there are none. Errors, before anything is made: InputError."""
        self.ids = chosen(store, ids)
        if kind == "npz":
            raise InputError(f"{path} is one file, and arrays of several recordings are none", hint="--output FOLDER")
        self._store, self._path, self._kind, self._overwrite = store, path, kind, overwrite
        self._json = path.with_name(f"{path.name}.json")
        self._stack = ExitStack()
        self._done: list[Exported] = []
        self._columns: list[str] = []
        self._parquet: Any = None
        self._check()

    def __enter__(self) -> "ExportOne":
        with self._stack:
            self._new = NewFile(self._path, suffix=self._path.suffix)
            self._stack.callback(self._new.discard)
            self._stack.enter_context(held(self._path.with_name(f".{self._path.name}.lock"), f"--output {self._path}"))
            self._check()  # again, now that nobody else writes it
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._stack:
            if self._parquet is not None:
                self._parquet.close()
            if kind is None and self._columns:
                # Whose the table is comes first: one without words, of a killed call, would be taken for somebody's.
                # All else comes last: beside an old table, or none, the new words would be wrong.
                self._write_json({"made_by": MADE_BY, "complete": False, "file": self._path.name})
                self._new.place()
                self._write_json(self._said())

    def write(self, entry_id: str) -> Exported:
        """Append an entry. Errors: DiskError where the table cannot be written; it is not there then."""
        try:
            entry = self._store.entry(entry_id, tuple(ALL_DTYPES))
            features = FrameFeatures(**entry.arrays)
        except (AffectError, *UNNAMED, ValueError) as error:
            said = first_line(error) if isinstance(error, ValueError) else named(error, self._path).message
            self._done.append(Exported(entry_id, self._path.name, "failed", said))
            return self._done[-1]
        for first, piece in pieces(features):
            table = feature_frame(piece, entry.info, self._store.recipe, first=first, places=True)
            name = VIDEO if VIDEO not in table else f"feature {VIDEO}"
            table.insert(0, name, entry_id)
            try:
                self._append(table)
            except OSError as error:
                raise named(error, self._path) from error
        counts = len(features.time_s), len(features.frame)
        self._done.append(Exported(entry_id, self._path.name, "done", "", *counts))
        return self._done[-1]

    def _append(self, table: "pd.DataFrame") -> None:
        if self._kind == "csv":
            table = to_cells(table)
            self._new.append(table.to_csv(index=False, header=not self._columns, lineterminator="\n"))
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            if self._parquet is None:
                rows = pa.Table.from_pandas(table, preserve_index=False)
                self._parquet = pq.ParquetWriter(str(self._new.partial), rows.schema)
            self._parquet.write_table(pa.Table.from_pandas(table, schema=self._parquet.schema, preserve_index=False))
        self._columns = list(table.columns)

    def _said(self) -> dict[str, Json]:
        failed = {item.id: item.reason for item in self._done if item.status == "failed"}
        return {
            "made_by": MADE_BY,
            "complete": not failed and len(self._done) == len(self.ids),
            "file": self._path.name,
            "recipe_digest": self._store.recipe.digest,
            "recipe": dict(self._store.recipe.fields),
            "columns": {VIDEO: {"Description": "the recording's id in the store"}} | described(self._columns[1:]),
            "recordings": [item.id for item in self._done if item.status == "done"],
            "failed": failed,
        }

    def _write_json(self, values: dict[str, Json]) -> None:
        write_whole(self._json, json.dumps(values, indent=1, ensure_ascii=True) + "\n")

    def _check(self) -> None:
        """Errors: InputError for a file that is there and is of no export, or is to be kept."""
        try:
            said = checked.parsed(read_regular(self._json))
            ours = said.get("made_by") == MADE_BY and said.get("file") == self._path.name
        except (OSError, ValueError):
            said, ours = {}, False
        there = [path for path in (self._path, self._json) if os.path.lexists(path)]
        if there and not ours:
            raise InputError(f"{there[0]} is there and is of no export; it is kept", hint="choose another --output")
        # Without a list of recordings, a call was killed while it put the table in its place: this one goes on.
        if self._path in there and "recordings" in said and not self._overwrite:
            raise InputError(f"{self._path} is there already; it is kept", hint="--overwrite writes it again")
