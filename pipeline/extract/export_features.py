"""`affect export-features`: what a store holds as files that other programs read."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...cache.export import DICTIONARY, Export, Exported, Kind
from ...cache.export_one import ExportOne
from ...cache.opening import open_store
from ...errors import InputError
from ..events import Planned, VideoOutcome

ONE_FILE: dict[str, Kind] = {".parquet": "parquet", ".csv": "csv", ".npz": "npz"}


@dataclass(slots=True)
class ExportSummary:
    """What became of each recording, in the order of the ids."""

    output: str
    recordings: list[Exported] = field(default_factory=list)

    @property
    def dictionary(self) -> str:
        """Where it is said what the columns are."""
        return f"{self.output}/{DICTIONARY}" if _one_file(self.output) is None else f"{self.output}.json"


def _one_file(output: str) -> Kind | None:
    """The kind of the one file that an output is named as; None of a folder."""
    return None if Path(output).is_dir() else ONE_FILE.get(Path(output).suffix.lower())


def export_features(
    location: str, ids: Sequence[str], output: str, kind: Kind | None, *, overwrite: bool = False
) -> Generator[Planned | VideoOutcome | ExportSummary, None, None]:
    """A file for each of `ids`, or of all; where `output` is named as a table is, one of all of them together.

    kind: None, as the output's name says, or Parquet. The last event is the summary.
    Errors, at first: InputError, StoreError; DiskError where one table of all cannot be written.
    """
    path, summary = Path(output), ExportSummary(output)
    one = _one_file(output)
    if one is not None and kind not in (None, one):
        raise InputError(f"--output {output} is named as a {one} file, and --format is {kind}", hint="leave one out")
    writer = ExportOne if one is not None else Export
    with writer(open_store(location), ids, path, one or kind or "parquet", overwrite=overwrite) as export:
        yield Planned(len(export.ids))
        for entry_id in export.ids:
            done = export.write(entry_id)
            summary.recordings.append(done)
            yield VideoOutcome(done.id, done.file, done.status, done.reason, done.frames, done.rows)
    yield summary
