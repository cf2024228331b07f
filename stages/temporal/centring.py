"""`clips.centre` the other way: how ridge regression would do then, and where nothing would be left to learn from."""

from collections.abc import Sequence

import numpy as np

from ...cache.records import Array
from .clips import ClipTable
from .ridge import Ridge, fit_ridge

MOST_COMPARED = 2000  # spans; more are thinned out evenly: a fit on all of 20,000 takes as long as epochs of training


def one_span_each(videos: Sequence[str]) -> list[str]:
    """The recordings with one labelled span, where they are more than half of all; empty where they are not.

    videos: of each labelled span. Then most of what could be learnt differs between recordings, and goes with their
    means.
    """
    names, spans = np.unique(np.array(videos), return_counts=True)
    single: list[str] = names[spans == 1].tolist()
    return single if len(single) * 2 > len(names) else []


def ccc_by_centre(
    ridge: Ridge, features: Array, other: Array, labels: Array, people: Sequence[str], *, centred: bool
) -> dict[str, float]:
    """`clips.centre` -> mean CCC of ridge regression on training people, each left out; empty where they are too few.

    ridge: fitted on features (n, D), labels (n, K) and people (n,), as `fit_ridge` takes them. other (n, D): the
    features with `clips.centre` the other way; centred: whether `features` are without means.
    """
    if not ridge.of_people:
        return {}
    step = max(1, -(-len(features) // MOST_COMPARED))
    rows = slice(None, None, step)
    mine = ridge if step == 1 else fit_ridge(features[rows], labels[rows], people[rows])
    theirs = fit_ridge(other[rows], labels[rows], people[rows])
    none, person = (theirs, mine) if centred else (mine, theirs)
    return {"none": none.left_out_ccc, "person": person.left_out_ccc}


def span_features_otherwise(clips: ClipTable, numbers: Array, features: Array) -> Array:
    """(S, D) float32: what `span_features` gave, with `clips.centre` the other way.

    A span lies in one video, so its mean changes by that video's mean, and no feature is read again.
    """
    _, first = np.unique(clips.span[numbers], return_index=True)
    means = clips.table.means().cpu().numpy()[clips.video[numbers[first]]]
    other: Array = features + means if clips.table.is_centred else features - means
    return other
