"""What a run's own training people say would have done better; empty where nothing would."""

from collections.abc import Iterable, Mapping

from .rules import score_text

LEAST_GAIN = 0.02  # of a CCC, in the mean over the folds; less is not worth a choice
WHO = "(ridge regression, each person left out)"


def centring_offer(centre: str, folds: Iterable[Mapping[str, float]]) -> str:
    """That `clips.centre` the other way would do better among the training people, and what that gives up.

    centre: as the run has it. folds: of each, `clips.centre` -> mean CCC of ridge regression on training people, each
    left out; folds that do not know it both ways say nothing.
    """
    other = "none" if centre == "person" else "person"
    known = [(ccc[centre], ccc[other]) for ccc in folds if {centre, other} <= ccc.keys()]
    if not known:
        return ""
    mine, theirs = (sum(values) / len(known) for values in zip(*known, strict=True))
    if not theirs - mine > LEAST_GAIN:
        return ""
    said = f"would do better among the training people: CCC {score_text(theirs)} instead of {score_text(mine)} {WHO}."
    if other == "person":
        return (
            f"Each person's mean taken away (--set clips.centre=person) {said} It gives up the difference of levels "
            "between people."
        )
    return f"Each person's mean left in (--set clips.centre=none) {said} Here levels between people tell something."
