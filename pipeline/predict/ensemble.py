"""Several runs as one: each scores the features it was trained on; a score is the mean over all their models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...cache.opening import open_store
from ...cache.predictions import PersonPrediction, Target, VideoPrediction
from ...cache.records import Array
from ...cache.store import Store
from ...configs.schema import ClipsConfig
from ...errors import RunError
from ..runs.folder import Run
from .inputs import MEMORY
from .scorer import Scored, Scorer


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Scorers of several runs, each with the store that holds its features; runs of one recipe share one."""

    scorers: tuple[Scorer, ...]
    locations: tuple[str, ...]  # of the stores

    def __post_init__(self) -> None:
        first = self.scorers[0].run
        for scorer in self.scorers[1:]:
            run = scorer.run
            for what, mine, theirs in (
                ("targets", first.target_names, run.target_names),
                ("clips", _but_edges(first.card.clips), _but_edges(run.card.clips)),
                ("sample_fps", first.config.features.sample_fps, run.config.features.sample_fps),
                ("faces", first.config.features.faces, run.config.features.faces),
            ):
                if mine != theirs:
                    raise RunError(f"runs {first.path} and {run.path} differ in {what}: {mine} and {theirs}",
                                   hint="only runs of the same targets, clips and faces can be one")  # fmt: skip

    @property
    def run(self) -> Run:
        """The first run, which speaks for all in what they share."""
        return self.scorers[0].run

    @property
    def models(self) -> int:
        """How many have a say in each score."""
        return sum(scorer.models for scorer in self.scorers)

    @property
    def subject(self) -> str | None:
        """Who is scored; None: as the runs were trained."""
        return self.scorers[0].subject

    @property
    def stride(self) -> int | None:
        """Kept frames between clips; None: a clip's length."""
        return self.scorers[0].stride

    @property
    def device(self) -> str:
        """Where the models are."""
        return self.scorers[0].device

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is predicted, in the columns' order."""
        return self.scorers[0].targets

    def score(
        self,
        store: Store,
        entry: str,
        *,
        name: str | None = None,
        source: Path | None = None,
        done: Callable[[PersonPrediction, Scored], None] = lambda block, scored: None,
    ) -> VideoPrediction:
        """The mean scores of one video; `store` holds the first run's features, the others are found by themselves."""
        stores = {self.locations[0]: store}
        for location in self.locations[1:]:
            if location not in stores:
                stores[location] = open_store(location)
        parts = [
            scorer.score(stores[location], entry, name=name, source=source)
            for scorer, location in zip(self.scorers, self.locations, strict=True)
        ]
        whole = combine(parts)
        for person in whole.persons:
            clips = len(person.start_s)
            done(person, Scored(whole.video, person.track, clips, clips))
        return whole


def _but_edges(clips: ClipsConfig) -> ClipsConfig:
    """What runs must share of their clips: beyond a video's ends each goes its own way."""
    return replace(clips, context_edges="mask")


def store_locations(runs: Sequence[Run], location: str) -> tuple[str, ...]:
    """Where each run's features lie: the location itself where all have one recipe, else a store below it a recipe.

    A recipe's store bears the name of its first run.
    Errors: RunError for several recipes without a place for their stores.
    """
    first: dict[str, str] = {}  # recipe -> run
    for run in runs:
        first.setdefault(run.card.recipe.digest, run.path.name)
    if len(first) == 1:
        return (location,) * len(runs)
    if location == MEMORY:
        raise RunError("several runs of different features need a place for them", hint="--store DIR")
    return tuple(f"{location.rstrip('/')}/{first[run.card.recipe.digest]}" for run in runs)


def combine(parts: Sequence[VideoPrediction]) -> VideoPrediction:
    """One prediction of all parts' models: the mean over models, and their spread."""
    counts = [part.models for part in parts]
    people = zip(*(part.persons for part in parts), strict=True)
    warnings = tuple(dict.fromkeys(warning for part in parts for warning in part.warnings))
    persons = tuple(_combine_person(list(same), counts) for same in people)
    return replace(parts[0], persons=persons, models=sum(counts), warnings=warnings)


def _combine_person(parts: list[PersonPrediction], counts: Sequence[int]) -> PersonPrediction:
    first = parts[0]
    for part in parts[1:]:
        assert part.track == first.track and np.array_equal(part.start_s, first.start_s), "the same clips of one person"
    mean, std = pooled([part.mean for part in parts], [part.std for part in parts], counts)
    shares = np.array(counts, np.float64) / sum(counts)
    return replace(
        first,
        mean=mean.astype(np.float32),
        std=std.astype(np.float32),
        out_of_range=np.any([part.out_of_range for part in parts], axis=0),
        reason=np.max([part.reason for part in parts], axis=0),
        attention=np.tensordot(shares, np.stack([part.attention for part in parts]), 1).astype(np.float32),
        distance=np.max([part.distance for part in parts], axis=0),
    )


def pooled(means: Sequence[Array], stds: Sequence[Array], counts: Sequence[int]) -> tuple[Array, Array]:
    """Mean and sample standard deviation of groups taken together; a NaN spread, of a single one, counts as none."""
    total = sum(counts)
    mean: Array = np.asarray(sum(count * part.astype(np.float64) for count, part in zip(counts, means, strict=True)))
    mean = mean / total
    within = sum((n - 1) * np.nan_to_num(std.astype(np.float64)) ** 2 for n, std in zip(counts, stds, strict=True))
    between = sum(n * (part.astype(np.float64) - mean) ** 2 for n, part in zip(counts, means, strict=True))
    return mean, np.sqrt((within + between) / max(1, total - 1))
