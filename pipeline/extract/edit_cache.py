"""`affect edit-cache`: recordings removed from a store, renamed in it, or copied into it."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from ...cache.edit import Change, plan_edit
from ...errors import UNNAMED, AffectError, named
from ..events import Planned, VideoOutcome

__all__ = ["EditSummary", "edit", "plan_edit"]


@dataclass(slots=True)
class EditSummary:
    """What became of each recording."""

    store: str
    videos: list[VideoOutcome] = field(default_factory=list)


def edit(store: str, changes: Sequence[Change]) -> Generator[Planned | VideoOutcome | EditSummary, None, None]:
    """Make the changes; one that fails does not stop the others. The last event is the summary."""
    summary = EditSummary(store)
    yield Planned(len(changes))
    for change in changes:
        try:
            change.make()
            outcome = VideoOutcome(change.id, "", "done" if change.changes else "skipped", change.what)
        except (AffectError, *UNNAMED) as error:
            outcome = VideoOutcome(change.id, "", "failed", named(error, store).message)
        summary.videos.append(outcome)
        yield outcome
    yield summary
