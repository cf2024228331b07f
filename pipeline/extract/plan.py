"""What a run of `extract-features` has to do: which videos are new, stored already, changed, damaged or renamed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...cache.opening import open_store, store_exists
from ...cache.records import FRAME_ARRAYS, ROW_ARRAYS, FrameFeatures, VideoInfo
from ...cache.store import Store
from ...errors import EntryError
from ..events import VideoOutcome
from .videos import Source

COPY_FRAMES = 512


@dataclass(frozen=True, slots=True)
class Todo:
    """A video to extract."""

    source: Source
    replaces: bool  # an entry that is damaged, or to be made again


def plan_only(sources: Sequence[Source], location: str, *, overwrite: bool) -> list[tuple[str, str]]:
    """What a run would do, as (video, words); nothing is written, and no model is loaded."""
    store = open_store(location) if store_exists(location) else None
    stored = set(store.ids()) if store is not None else set()
    known = {} if store is None or overwrite else _infos(store, [item.id for item in sources if item.id in stored])

    def words(source: Source) -> str:
        if source.id not in stored:
            return "extracted"
        if overwrite:
            return "extracted again (--overwrite)"
        outcome = _check_stored(source, known.get(source.id))
        return "extracted again: its entry is damaged" if outcome is None else f"{outcome.status}: {outcome.reason}"

    return [(source.id, words(source)) for source in sources]


def plan(store: Store, sources: Sequence[Source], *, overwrite: bool, verify: bool) -> Iterator[Todo | VideoOutcome]:
    """For each video either what is to be done, or its outcome where nothing is."""
    if overwrite:
        yield from (Todo(source, replaces=True) for source in sources)
        return
    stored = set(store.ids())
    missing = [source for source in sources if source.id not in stored]
    # What is not here may stand under another name; so then every entry is looked at.
    known = _infos(store, sorted(stored) if missing else [source.id for source in sources])
    same = _find_same_content(known, missing)
    for source in sources:
        if source.id in same:
            _copy_entry(store, same[source.id], source.id)
            reason = f"the same content is stored as {same[source.id]}; copied"
            yield VideoOutcome(source.id, str(source.path), "skipped", reason)
            continue
        outcome = _check_stored(source, known.get(source.id)) if source.id in stored else None
        if outcome is None or (verify and outcome.status == "skipped" and store.verify(source.id)):
            yield Todo(source, replaces=source.id in stored)
        else:
            yield outcome


def _infos(store: Store, ids: Sequence[str]) -> dict[str, VideoInfo]:
    """What is known of entries; a damaged one is left out, and inspect-cache names it."""
    return {look.id: look.info for look in store.looks(ids) if not isinstance(look, EntryError)}


def _check_stored(source: Source, info: VideoInfo | None) -> VideoOutcome | None:
    """Skipped or failed for a stored video; None when its entry is damaged and has to be made again."""
    if info is None:
        return None
    state = _same_file(info, source.path)
    if state is None:
        return VideoOutcome(source.id, str(source.path), "failed", f"{source.path} does not exist")
    if not state:
        reason = f"{source.path} has changed since its features were stored\nHint: --overwrite extracts it again"
        return VideoOutcome(source.id, str(source.path), "failed", reason)
    return VideoOutcome(source.id, str(source.path), "skipped", "stored complete, by this recipe, from this file")


def _same_file(info: VideoInfo, path: Path) -> bool | None:
    """Whether the file is the one that was stored; None when there is none."""
    from ...stages.features.fingerprint import fingerprint

    try:
        stat = path.stat()
    except OSError:
        return None
    if stat.st_size != info.file_bytes:
        return False
    return stat.st_mtime_ns == info.file_mtime_ns or fingerprint(path) == info.fingerprint


def _find_same_content(known: Mapping[str, VideoInfo], missing: Sequence[Source]) -> dict[str, str]:
    """New id -> stored id of the same content, for videos that were renamed or copied since they were stored.

    Only sizes that match are hashed, so a folder of new videos costs nothing here.
    """
    from ...stages.features.fingerprint import fingerprint

    by_size: dict[int, list[tuple[str, str]]] = {}
    for old, info in known.items():
        by_size.setdefault(info.file_bytes, []).append((old, info.fingerprint))
    same: dict[str, str] = {}
    for source in missing:
        candidates = by_size.get(source.path.stat().st_size, []) if source.path.is_file() else []
        if candidates:
            mark = fingerprint(source.path)
            twins = [old for old, known_mark in candidates if known_mark == mark]
            if twins:
                same[source.id] = twins[0]
    return same


def _copy_entry(store: Store, old: str, new: str) -> None:
    """Store `old`'s features under a second id. A copy, since this run cannot know whether the old name is gone."""
    info, layout = store.info(old), store.read(old, values=False)
    with store.writer(new, info.fingerprint) as writer:
        for start in range(writer.frames, len(layout.time_s), COPY_FRAMES):
            stop = start + COPY_FRAMES
            first, last = np.searchsorted(layout.frame, [start, stop])
            per_frame = {name: getattr(layout, name)[start:stop] for name in FRAME_ARRAYS}
            per_row = {name: getattr(layout, name)[first:last] for name in ROW_ARRAYS if name != "values"}
            values = store.read_values(old, int(first), int(last))
            writer.append(FrameFeatures(**per_frame, **per_row, values=values), b"")
        writer.commit(info)
