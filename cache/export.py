"""Entries of a store as files that other programs read: Parquet, CSV or NPZ, and what is in them beside them, as JSON.

Whose files there are, `features.json` says: it names each before it is made. What it does not name is never replaced.
It is complete once nothing is "missing" that some call was to write, or "outdated", as a call was to write it again.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import UNNAMED, AffectError, InputError, first_line, named, shown
from . import checked
from .csv_cells import to_cells
from .feature_columns import described
from .feature_frame import STATUS, feature_frame, feature_names, persons_of, pieces
from .files import NewFile, check_within, make_folder, sweep, write_whole
from .ids import check_id, differ_in_case, is_id, no_entry
from .locks import held
from .records import ALL_DTYPES, Array, FrameFeatures, Json, VideoInfo
from .regular import read_regular
from .store import Store

if TYPE_CHECKING:
    import pandas as pd

DICTIONARY = "features.json"
LOCK = ".affect-export.lock"
AWAITED = ("missing", "outdated")  # in the dictionary: file -> id, of what is still to be written
MADE_BY = "affect export-features"
Kind = Literal["parquet", "csv", "npz"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one entry."""

    id: str
    file: str  # relative to the folder
    status: Literal["done", "skipped", "failed"]
    reason: str = ""
    frames: int = 0
    rows: int = 0  # with a face


class Export:
    """Writes entries to a folder, one file each, whole or not there. A context manager: one process at a time."""

    def __init__(self, store: Store, ids: Sequence[str], folder: Path, kind: Kind, *, overwrite: bool) -> None:
        """ids: all, where there are none. Errors, before anything is made: InputError."""
        self.ids = chosen(store, ids)
        self._store, self._folder, self._kind, self._overwrite = store, folder, kind, overwrite
        self._twins = differ_in_case(self.ids)
        self._stack = ExitStack()
        self._check()

    def __enter__(self) -> "Export":
        try:
            make_folder(self._folder, self._folder)
        except OSError as error:
            raise named(error, self._folder) from error
        with self._stack:
            self._stack.enter_context(held(self._folder / LOCK, f"--output {self._folder}"))
            sweep(self._folder, below=True)
            self._said = self._check()  # again, now that nobody else writes here
            ours: dict[str, Json] = self._said["recordings"]
            asked = {self._file(entry_id): entry_id for entry_id in self.ids}
            old = {name: entry_id for name, entry_id in asked.items() if name in ours and self._stands(name)}
            new = {name: entry_id for name, entry_id in asked.items() if name not in old}
            self._wait_for(new, old if self._overwrite else {})
            self._said["recordings"] = ours | {
                name: entry_id for name, entry_id in new.items() if is_id(entry_id) and not self._stands(name)
            }
            self._write_dictionary(complete=False)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._stack:
            said = self._said["recordings"].items()
            made = {name: entry_id for name, entry_id in said if _is_ours(name, entry_id) and self._stands(name)}
            self._said["recordings"] = made
            self._write_dictionary(complete=not any(self._said[key] for key in AWAITED))

    def write(self, entry_id: str) -> Exported:
        """Write an entry, if its file is not there, or is ours and to be replaced."""
        name = self._file(entry_id)
        try:
            check_id(entry_id)
            if (twin := self._twins.get(entry_id)) and _is_one_file(
                self._folder / name, self._folder / self._file(twin)
            ):
                raise InputError(f"{entry_id} and {twin} are one file here, where upper and lower case are the same")
            if self._stands(name) and name not in self._said["recordings"]:
                raise InputError(f"{self._folder / name} is there and is of no export; it is kept")
            if self._stands(name) and not self._overwrite:
                return Exported(entry_id, name, "skipped", "there already; --overwrite writes it again")
            entry = self._store.entry(entry_id, tuple(ALL_DTYPES))
            features = FrameFeatures(**entry.arrays)
            self._write_file(self._folder / name, features, entry.info)
            for key in AWAITED:
                self._said[key].pop(name, None)
        except (AffectError, *UNNAMED, ValueError) as error:
            said = first_line(error) if isinstance(error, ValueError) else named(error, self._folder / name).message
            return Exported(entry_id, name, "failed", said)
        return Exported(entry_id, name, "done", "", len(features.time_s), len(features.frame))

    def _check(self) -> dict[str, Json]:
        """What the dictionary in the folder says, or a new one. Errors: InputError for a folder of something else."""
        folder, recipe = self._folder, self._store.recipe
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; expected a folder", hint="choose another --output")
        if (folder / "store.json").exists():
            raise InputError(f"{folder} is a store; nothing was written", hint="choose another --output")
        path = folder / DICTIONARY
        mine = {"made_by": MADE_BY, "complete": False, "recipe_digest": recipe.digest, "recipe": dict(recipe.fields)}
        new: dict[str, Json] = {**mine, "columns": {}, "recordings": {}, **{key: {} for key in AWAITED}}
        check_within(path, folder, InputError)
        try:
            said = checked.parsed(read_regular(path))
            if said.get("made_by") != MADE_BY:
                raise ValueError("it is not of an export")
            for key in ("columns", "recordings"):
                new[key] = checked.mapping(said.get(key), key)
            # An earlier version did not say what is missing: where it was killed, it had named what it was to write.
            said = {"missing": {} if said.get("complete") is True else new["recordings"]} | said
            new |= {key: checked.mapping(said.get(key, {}), key) for key in AWAITED}
        except FileNotFoundError:
            return new
        except OSError as error:
            raise named(error, path) from error
        except ValueError as error:
            raise InputError(f"{path}: {first_line(error)}; it is kept", hint="choose another --output") from error
        if said.get("recipe_digest") != recipe.digest:
            raise InputError(
                f"{folder} holds features of another recipe ({shown(said.get('recipe_digest'))[1:13]}); these are of "
                f"{recipe.digest[:12]}",
                hint="choose another --output",
            )
        return new

    def _wait_for(self, new: dict[str, Json], old: dict[str, Json]) -> None:
        """Say which files are to be written for the first time, and again, by this call or by an earlier one.

        What has left the store is waited for no longer, nor what was to come in one format and comes now in another.
        """
        known, now, ours = set(self._store.ids()), set(self.ids), self._said["recordings"]
        before = {
            key: {name: item for name, item in self._said[key].items() if _is_ours(name, item) and item in known}
            for key in AWAITED
        }
        missing = {
            name: item
            for name, item in before["missing"].items()
            if item not in now and not (name in ours and self._stands(name))
        }
        outdated = {name: item for name, item in before["outdated"].items() if self._stands(name)}
        self._said |= {"missing": missing | new, "outdated": outdated | old}

    def _file(self, entry_id: str) -> str:
        return f"{entry_id}.{self._kind}"

    def _stands(self, name: str) -> bool:
        path = self._folder / name
        return path.exists() or path.is_symlink()

    def _write_dictionary(self, *, complete: bool) -> None:
        text = json.dumps(self._said | {"complete": complete}, indent=1, ensure_ascii=True)
        write_whole(self._folder / DICTIONARY, text + "\n", self._folder)

    def _write_file(self, path: Path, features: FrameFeatures, info: VideoInfo) -> None:
        new = NewFile(path, self._folder, suffix=f".{self._kind}")
        try:
            if self._kind == "npz":
                arrays = _arrays(features, info, feature_names(self._store.recipe.fields, features.size))
                np.savez_compressed(str(new.partial), **arrays)  # type: ignore[arg-type]  # of names that are none of its own
                columns: Sequence[str] = list(arrays)
            else:
                tables = (
                    feature_frame(piece, info, self._store.recipe, first=first, places=True)
                    for first, piece in pieces(features)
                )
                columns = _WRITERS[self._kind](new, tables)
            new.place()
        except BaseException:
            new.discard()
            raise
        self._said["columns"] |= described(columns)


def chosen(store: Store, ids: Sequence[str]) -> list[str]:
    """Each of `ids` once, or all where there are none. Errors: InputError for one that the store lacks."""
    known = store.ids()
    if missing := sorted(set(ids) - set(known)):
        raise no_entry(store.location, missing[0])
    return list(dict.fromkeys(ids)) or known


def _is_one_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _is_ours(name: str, entry_id: Json) -> bool:
    return isinstance(entry_id, str) and is_id(entry_id) and name.startswith(f"{entry_id}.")


def _write_csv(new: NewFile, tables: "Iterator[pd.DataFrame]") -> Sequence[str]:
    columns: Sequence[str] = ()
    for table in map(to_cells, tables):
        new.append(table.to_csv(index=False, header=not columns, lineterminator="\n"))
        columns = list(table.columns)
    return columns


def _write_parquet(new: NewFile, tables: "Iterator[pd.DataFrame]") -> Sequence[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = pa.Table.from_pandas(next(tables), preserve_index=False)
    with pq.ParquetWriter(str(new.partial), first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(pa.Table.from_pandas(table, schema=first.schema, preserve_index=False))
    return list(first.column_names)


_WRITERS: dict[str, Callable[[NewFile, Any], Sequence[str]]] = {"csv": _write_csv, "parquet": _write_parquet}


def _arrays(features: FrameFeatures, info: VideoInfo, names: Sequence[str]) -> dict[str, Array]:
    """The arrays of an entry, with words for the status and a person for each row; none needs pickle to be read."""
    words = np.array(STATUS)[features.status]
    more = {"person": persons_of(features, info), "columns": np.array(names, np.str_)}
    return features.arrays() | {"status": words} | more
