"""What is said of the faces of a video without any label: people, and pairs of them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """One person of a video, over all of it."""

    track: int  # the person
    first_s: float  # when first and last seen
    last_s: float
    seen_s: float
    presence: float  # share of the kept frames
    stretches: int  # in which they are seen without a gap of more than a second
    kind: str  # live, still (a picture of somebody), or empty where that is not known
    side_px: float  # median side of a square as large as the face's box
    mean: Mapping[str, float]  # measure -> mean over the frames in which it is known; NaN where there is none
    spread: Mapping[str, float]  # measure -> standard deviation over them


@dataclass(frozen=True, slots=True)
class PairFacts:
    """Two people of a video: how far one measure of theirs goes together."""

    first: int
    second: int
    measure: str
    together_s: float  # both are seen
    synchrony: float  # mean |z| of correlations; NaN where they are together too briefly
    chance: float  # the same of two people who do not react to each other
    p: float  # how often chance gives as much
    lag_s: float  # positive: the second follows; NaN where they agree at none


@dataclass(frozen=True, slots=True)
class Description:
    """The people of a video and their pairs."""

    people: tuple[PersonFacts, ...]
    pairs: tuple[PairFacts, ...]
