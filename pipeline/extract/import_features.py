"""`affect import-features`: tables that other tools made of videos into a store."""

from collections.abc import Generator, Sequence

from ...cache.opening import open_store, store_exists
from ...stages.features.tables.finding import FoundTables, ImportOptions, find_tables
from ...stages.features.tables.kinds import TimeSource
from ..events import Step
from ..workers import Workers
from .extract import Event, extract
from .videos import Source

__all__ = ["ImportOptions", "TimeSource", "find", "import_features"]


def find(words: Sequence[str], location: str, options: ImportOptions) -> tuple[FoundTables, list[Source]]:
    """What the tables are read as, and a source for each video in them. Errors: InputError, StoreError."""
    found = find_tables(words, options, open_store(location).recipe if store_exists(location) else None)
    return found, [Source(video.path, video.id, part=video.part) for video in found.videos]


def import_features(
    found: FoundTables, sources: Sequence[Source], location: str, *, store_format: str | None = None,
    workers: Workers | None = None, overwrite: bool = False, verify: bool = False,
) -> Generator[Step | Event, None, None]:  # fmt: skip
    """As `extract`, of what `find` gave: first a line for what each table was read as."""
    yield from map(Step, found.understood)
    yield from extract(
        sources, location, found.config, store_format=store_format, device="cpu", workers=workers,
        overwrite=overwrite, verify=verify,
    )  # fmt: skip
