"""What is to be said once of a video's scores that may mean nothing."""

from collections.abc import Sequence

from ...cache.predictions import PersonPrediction, ScoreReason
from ...cache.records import Target
from .scales import beyond_words


def doubts(targets: Sequence[Target], persons: Sequence[PersonPrediction]) -> list[str]:
    """A sentence for each person most of whose clips are unlike the training ones; last, scores beyond their scale."""
    said = [*map(_unlike, persons), beyond_words(targets, persons)]
    return [words for words in said if words]


def _unlike(person: PersonPrediction) -> str:
    odd, scored = int(person.clips.out_of_range.sum()), int((person.clips.reason == ScoreReason.SCORED).sum())
    if not scored or 2 * odd <= scored:
        return ""
    share = f"all {scored}" if odd == scored else f"{odd} of {scored}"
    said = "the only scored clip is" if scored == 1 else f"{share} scored clips are"
    return f"{person.label}: {said} unlike the training recordings; the scores may mean nothing"
