"""A store edited: entries removed, renamed, and copied from another store.

Each entry is changed under the claim that an extraction of it would hold, and in one step for whoever reads it. A call
that was killed has changed some entries, each wholly or not at all; the same call again changes the others.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ..errors import EntryError, InputError, StoreError, listed, shown
from .blobs import DamageError
from .claims import Claim
from .feature_frame import pieces
from .folder_store import FolderStore
from .ids import LONGEST_COMPONENT, LONGEST_ID, is_id, no_entry
from .ids import entry_id as id_of
from .journal import Journal
from .opening import open_store, spell_differences
from .records import ALL_DTYPES, FrameFeatures

NAMED = 5  # ids in a message


@dataclass(frozen=True, slots=True)
class Change:
    """One entry, and what becomes of it."""

    id: str
    what: str  # "removed"
    make: Callable[[], None]  # does it. Errors: EntryError, also BusyError; StoreError
    changes: bool = True  # whether there is anything to do
    fails: bool = False  # whether that is known before it is tried; `what` says why


def plan_edit(location: str, action: str, words: Sequence[str], *, dry_run: bool = False) -> list[Change]:
    """What `remove ID...`, `rename OLD NEW` or `merge STORE` comes to.

    Errors, before anything is changed: InputError for ids that are not there or already taken, StoreError for another
    recipe.
    """
    store = _opened(location)
    if not dry_run:
        with contextlib.suppress(StoreError):
            store.sweep()  # what killed calls have left, which nobody would look for any more
    if action == "remove":
        return _removals(store, words)
    expected = {"rename": 2, "merge": 1}[action]
    if len(words) != expected:
        meant = "rename OLD NEW" if action == "rename" else "merge OTHER_STORE"
        raise InputError(f"{action} was given {len(words)} words", hint=f"affect edit-cache STORE {meant}")
    return [_renaming(store, words[0], words[1])] if action == "rename" else _copies(store, _opened(words[0]))


def _opened(location: str) -> FolderStore:
    store = open_store(location)
    assert isinstance(store, FolderStore), "what lies somewhere is a folder"
    return store


def _removals(store: FolderStore, ids: Sequence[str]) -> list[Change]:
    for entry_id in ids:
        if not is_id(entry_id) or not _holds(store, entry_id):
            raise no_entry(store.location, entry_id)
    return [Change(entry_id, "removed", partial(_remove, store, entry_id)) for entry_id in dict.fromkeys(ids)]


def _remove(store: FolderStore, entry_id: str) -> None:
    with _claimed(store, entry_id) as claim, _told(store, entry_id):
        claim.check()
        store.blobs.remove(store.key(entry_id), store.root_file)
        _clear_journal(store, entry_id)


def _renaming(store: FolderStore, old: str, new: str) -> Change:
    if not is_id(old) or not store.stands(old):
        raise no_entry(store.location, old)
    if not is_id(new):
        limits = f"; expected at most {LONGEST_ID - 1} characters, {LONGEST_COMPONENT} of them between two /"
        long = len(new) >= LONGEST_ID or max(map(len, new.split("/"))) > LONGEST_COMPONENT
        raise InputError(f"{shown(new)} cannot be an id{limits if long else ''}", hint=f"'{id_of(new)}' can")
    if old.casefold() == new.casefold():
        raise InputError(
            f"{old} and {new} are one name where upper and lower case are the same",
            hint="rename it to a third name first",
        )
    with _told(store, old):
        if store.stands(new) and not _is_copy(store, old, new):
            raise _taken(store, [new])
    return Change(old, f"renamed to {new}", partial(_rename, store, old, new))


def _rename(store: FolderStore, old: str, new: str) -> None:
    with _claimed(store, old) as of_old, _claimed(store, new) as of_new, _told(store, old):
        store.blobs.hold(store.key(old)).close()  # a link stays where it is
        if store.stands(new):
            # Killed while it was copied, where nothing can be moved: the copy is whole.
            if not _is_copy(store, old, new):
                raise EntryError(f"{store.location}/{store.key(new)} was stored by another run just now")
            store.blobs.remove(store.key(old), store.root_file)
        else:

            def check() -> None:
                of_old.check()
                of_new.check()

            store.blobs.move(store.key(old), store.key(new), store.root_file, check)
        for entry_id in (old, new):
            _clear_journal(store, entry_id)


def _is_copy(store: FolderStore, old: str, new: str) -> bool:
    """Whether both are whole, and the same byte for byte."""
    return store.seal(old) == store.seal(new) and not store.verify(old) and not store.verify(new)


def _copies(store: FolderStore, other: FolderStore) -> list[Change]:
    if differences := store.recipe.differences(other.recipe):
        raise StoreError(
            f"{other.location} was made with another recipe than {store.location}: "
            f"{spell_differences({name: (theirs, mine) for name, (mine, theirs) in differences.items()})}",
            hint="only stores of one recipe can be merged",
        )
    theirs, mine = other.ids(), set(store.ids())
    same = {entry_id: _is_same(store, other, entry_id) for entry_id in theirs if entry_id in mine}
    if taken := [entry_id for entry_id, found in same.items() if found is False]:
        raise _taken(store, taken)
    return [_copying(store, other, entry_id, same.get(entry_id)) for entry_id in theirs]


def _is_same(store: FolderStore, other: FolderStore, entry_id: str) -> bool | EntryError:
    """Whether an id stands for the same recording in both; the error of one that cannot be read."""
    try:
        return store.info(entry_id).fingerprint == other.info(entry_id).fingerprint
    except EntryError as error:
        return error


def _copying(store: FolderStore, other: FolderStore, entry_id: str, same: bool | EntryError | None) -> Change:
    """same: None where only the other store has it."""
    if isinstance(same, EntryError):  # it alone: the others are copied
        return Change(entry_id, f"not copied: {same.message}", partial(_fail, same), fails=True)
    if same:
        return Change(entry_id, "left: there already", _nothing, changes=False)
    return Change(entry_id, f"copied from {other.location}", partial(_copy, store, other, entry_id))


def _fail(error: EntryError) -> None:
    raise error


def _nothing() -> None:
    pass


def _copy(store: FolderStore, other: FolderStore, entry_id: str) -> None:
    if problems := other.verify(entry_id):  # a copy would have checksums of its own
        raise EntryError(
            f"{entry_id} in {other.location} is not copied: {problems[0]}",
            hint=f"affect inspect-cache {other.location} --verify",
        )
    entry = other.entry(entry_id, tuple(ALL_DTYPES))
    # As if computed on a device of its own: what an extraction or a killed merge has begun is not gone on with.
    device = f"merge {secrets.token_hex(8)}"
    with store.writer(entry_id, entry.info.fingerprint, device=device) as writer:
        for _, piece in pieces(FrameFeatures(**entry.arrays)):
            writer.append(piece, b"")
        writer.commit(entry.info)


def _holds(store: FolderStore, entry_id: str) -> bool:
    """Whether there is an entry, what a killed removal left of one, or what an extraction has begun."""
    begun = {name.partition("/")[0] for name in store.blobs.names(store.journal_key(entry_id))} - {"claim"}
    return store.stands(entry_id) or bool(begun) or bool(store.blobs.names(store.key(entry_id)))


def _clear_journal(store: FolderStore, entry_id: str) -> None:
    Journal(store.blobs, store.journal_key(entry_id), store.recipe.digest, "").clear()


@contextlib.contextmanager
def _claimed(store: FolderStore, entry_id: str) -> Iterator[Claim]:
    claim = store.claim(entry_id)
    try:
        yield claim
    finally:
        claim.release()


@contextlib.contextmanager
def _told(store: FolderStore, entry_id: str) -> Iterator[None]:
    """Errors: EntryError for what cannot be changed."""
    try:
        yield
    except DamageError as damage:
        raise EntryError(f"{store.location}/{store.key(entry_id)} stays as it is: {damage}") from damage
    except FileNotFoundError:
        raise EntryError(
            f"{store.location}/{store.key(entry_id)} was changed by another run just now",
            hint="run the same command again",
        ) from None


def _taken(store: FolderStore, ids: Sequence[str]) -> InputError:
    return InputError(
        f"{store.location} holds another recording as {listed(ids, NAMED)}; nothing was changed",
        hint="affect edit-cache STORE rename OLD NEW gives one of them another id",
    )
