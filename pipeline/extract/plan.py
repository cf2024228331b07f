"""What a run of `extract-features` has to do: which videos are new, stored already, changed, damaged or renamed."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.ids import differ_in_case
from ...cache.opening import open_store, store_exists
from ...cache.records import FRAME_ARRAYS, FrameFeatures, VideoInfo
from ...cache.store import Store
from ...errors import EntryError, UnreadableError, VideoError
from ..events import VideoOutcome
from .videos import Source

COPY_FRAMES = 512
ASKED_S = 10.0  # for how long files are asked how long they are; what is not known then counts as usual


@dataclass(frozen=True, slots=True)
class Todo:
    """A video to extract."""

    source: Source
    replaces: bool  # an entry that is damaged, or to be made again


def plan_only(sources: Sequence[Source], location: str, *, overwrite: bool) -> list[tuple[str, str]]:
    """What a run would do, as (video, words); nothing is written, and no model is loaded."""
    store = open_store(location) if store_exists(location) else None
    stored = set(store.ids()) if store is not None else set()
    wanted = [] if store is None or overwrite else [item.id for item in sources if item.id in stored]
    known = {} if store is None else _infos(store, wanted)

    def words(source: Source) -> str:
        if source.id not in stored:
            return "extracted"
        if overwrite:
            return "extracted again (--overwrite)"
        outcome = _check_stored(source, known.get(source.id))
        return "extracted again: its entry is damaged" if outcome is None else f"{outcome.status}: {outcome.reason}"

    return [(source.id, words(source)) for source in sources]


def lengths_s(sources: Sequence[Source]) -> dict[str, float | None]:
    """Id -> seconds of video as its file says, None where that is not known: for the time that is left."""
    from ...stages.features.video.times import claimed_s

    asked_s = time.monotonic()
    return {
        source.id: None
        if source.part or time.monotonic() - asked_s > ASKED_S
        else claimed_s(source.path, source.picture_fps)
        for source in sources
    }


def plan(store: Store, sources: Sequence[Source], *, overwrite: bool, verify: bool) -> Iterator[Todo | VideoOutcome]:
    """For each video either what is to be done, or its outcome where nothing is."""
    if store.folds_case and (twins := differ_in_case([source.id for source in sources], store.ids())):
        why = "{} and {} differ in case alone, and are one name on this disk\nHint: name one of them otherwise"
        yield from (_failed(one, why.format(one.id, twins[one.id])) for one in sources if one.id in twins)
        sources = [source for source in sources if source.id not in twins]
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
            yield _copied(store, source, same[source.id])
            continue
        outcome = _check_stored(source, known.get(source.id), wholly=verify) if source.id in stored else None
        if outcome is not None and outcome.status == "skipped" and verify:
            outcome = _verified(store, source, outcome)
        yield Todo(source, replaces=source.id in stored) if outcome is None else outcome


def _infos(store: Store, ids: Sequence[str]) -> dict[str, VideoInfo | UnreadableError]:
    """What is known of entries, or why nothing is now; a damaged one is left out, and inspect-cache names it."""
    known: dict[str, VideoInfo | UnreadableError] = {}
    for name, entry in zip(ids, store.entries(ids), strict=True):
        if isinstance(entry, UnreadableError):
            known[name] = entry
        elif not isinstance(entry, EntryError):
            known[name] = entry.info
    return known


def _check_stored(
    source: Source, info: VideoInfo | UnreadableError | None, *, wholly: bool = False
) -> VideoOutcome | None:
    """Skipped or failed for a stored video; None when its entry is damaged and has to be made again.

    wholly: every byte of the file is looked at, also where its size and time are as they were.
    """
    if info is None:
        return None
    if isinstance(info, UnreadableError):
        # Nothing is known to be wrong with it, so nothing takes its place.
        return _failed(source, str(info))
    if not _same_rate(info, source):
        reason = (
            f"its pictures were stored as {info.average_fps:g} a second, and would now be {source.picture_fps:g}\n"
            "Hint: --overwrite extracts it again"
        )
        return _failed(source, reason)
    try:
        state = _same_file(info, source, wholly=wholly)
    except VideoError as error:
        return _failed(source, str(error))
    except OSError as error:
        reason = f"{source.path} cannot be read ({error.strerror or error})"
        return _failed(source, reason)
    if state is None:
        return _failed(source, f"{source.path} does not exist")
    if not state:
        what = f"{source.path}, or how it is read," if source.part else source.path
        reason = f"{what} has changed since its features were stored\nHint: --overwrite extracts it again"
        return _failed(source, reason)
    return VideoOutcome(source.id, str(source.path), "skipped", "stored complete, by this recipe, from this file")


def _failed(source: Source, reason: str) -> VideoOutcome:
    return VideoOutcome(source.id, str(source.path), "failed", reason)


def _verified(store: Store, source: Source, outcome: VideoOutcome) -> VideoOutcome | None:
    """The outcome of a stored video whose bytes are looked at too; None where they are damaged."""
    try:
        return None if store.verify(source.id) else outcome
    except UnreadableError as error:
        return _failed(source, str(error))


def _same_rate(info: VideoInfo, source: Source) -> bool:
    """Whether the pictures of a recording have the times that they had when they were stored."""
    return source.picture_fps is None or math.isclose(source.picture_fps, info.average_fps or 0, rel_tol=1e-5)


def _same_file(info: VideoInfo, source: Source, *, wholly: bool) -> bool | None:
    """Whether the file is the one that was stored; None when there is none."""
    from ...stages.features.fingerprint import fingerprint, stamp

    try:
        size, changed_ns = stamp(source.path, *source.part)
    except FileNotFoundError:
        return None
    if size != info.file_bytes:
        return False
    untouched = changed_ns == info.file_mtime_ns and not source.part and not wholly
    return untouched or fingerprint(source.path, *source.part) == info.fingerprint


def _find_same_content(known: Mapping[str, VideoInfo | UnreadableError], missing: Sequence[Source]) -> dict[str, str]:
    """New id -> stored id of the same content, for videos that were renamed or copied since they were stored.

    Only sizes that match are hashed, so a folder of new videos costs nothing here.
    """
    from ...stages.features.fingerprint import fingerprint, stamp

    by_size: dict[int, list[tuple[str, VideoInfo]]] = {}
    for old, info in known.items():
        if isinstance(info, UnreadableError):
            continue
        by_size.setdefault(info.file_bytes, []).append((old, info))
    same: dict[str, str] = {}
    for source in missing:
        # Whoever extracts it says why it cannot be read.
        with contextlib.suppress(OSError, VideoError):
            candidates = by_size.get(stamp(source.path, *source.part)[0], []) if source.is_there else []
            mark = fingerprint(source.path, *source.part) if candidates else ""
            if twins := [old for old, info in candidates if info.fingerprint == mark and _same_rate(info, source)]:
                same[source.id] = twins[0]
    return same


def _copied(store: Store, source: Source, old: str) -> Todo | VideoOutcome:
    """The outcome of a video whose content is stored under another name; to be extracted where that cannot be read."""
    try:
        _copy_entry(store, old, source.id)
    except EntryError:
        return Todo(source, replaces=False)
    reason = f"the same content is stored as {old}; copied"
    return VideoOutcome(source.id, str(source.path), "skipped", reason)


def _copy_entry(store: Store, old: str, new: str) -> None:
    """Store `old`'s features under a second id. A copy, since this run cannot know whether the old name is gone."""
    info, layout = store.info(old), store.read(old, values=False)
    with store.writer(new, info.fingerprint) as writer:
        for start in range(writer.frames, len(layout.time_s), COPY_FRAMES):
            stop = start + COPY_FRAMES
            first, last = np.searchsorted(layout.frame, [start, stop])
            per_frame = {name: getattr(layout, name)[start:stop] for name in FRAME_ARRAYS}
            per_row = {
                name: array[first:last]
                for name, array in layout.arrays().items()
                if name not in (*FRAME_ARRAYS, "values")
            }
            values = store.read_values(old, int(first), int(last))
            writer.append(FrameFeatures(**per_frame, **per_row, values=values), b"")
        writer.commit(info)
