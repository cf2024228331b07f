"""`affect export-features`: what a store holds as files that other programs read."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...cache.export import Export, Exported, Kind
from ...cache.opening import open_store
from ..events import Planned, VideoOutcome


@dataclass(slots=True)
class ExportSummary:
    """What became of each recording, in the order of the ids."""

    output: str
    recordings: list[Exported] = field(default_factory=list)


def export_features(
    location: str, ids: Sequence[str], output: str, kind: Kind, *, overwrite: bool = False
) -> Generator[Planned | VideoOutcome | ExportSummary, None, None]:
    """A file for each of `ids`, or of all; the last event is the summary. Errors, at first: InputError, StoreError."""
    summary = ExportSummary(output)
    with Export(open_store(location), ids, Path(output), kind, overwrite=overwrite) as export:
        yield Planned(len(export.ids))
        for entry_id in export.ids:
            done = export.write(entry_id)
            summary.recordings.append(done)
            yield VideoOutcome(done.id, done.file, done.status, done.reason, done.frames, done.rows)
    yield summary
