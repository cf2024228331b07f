"""Trained runs applied to one stored video: every chosen person's clips, block by block."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from ...cache.feature_frame import persons_of
from ...cache.people import main_person, unsaid_rivals
from ...cache.predictions import LARGEST, NOBODY, ClipScores, PersonPrediction, RangeCheck, VideoPrediction
from ...cache.records import Array, FrameFeatures, Target, VideoInfo, subject_rows
from ...cache.store import Store
from ...configs.schema import Method
from ...configs.subject import MAIN, Subject
from ...errors import EntryError, InputError, RunError, shown
from ...stages.temporal.clips import ClipTable, FeatureTable, dense_clips
from ...stages.temporal.pauses import other_length, recording_s, usual_step_s
from ...stages.temporal.score import in_units, pool_scores, score_blocks
from ...stages.views.doubts import doubts
from ...stages.views.verdict import worth
from ..events import ClipsScored
from ..runs.folder import Run

TABLE_BYTES = 64 << 20  # of features held at once; more stay in the store and are read in blocks
BATCH_CLIPS = 64


class Scorer:
    """One or several runs; a score is the mean over all their models."""

    def __init__(
        self,
        runs: Sequence[Run],
        device: str = "cpu",
        subject: str | None = None,
        stride: int | None = None,
        method: Method | None = None,
        *,
        min_valid: float | None = None,
    ) -> None:
        """subject: main, largest, track:N, or all, which means everybody seen for at least one clip's length; None: as
        the runs were trained. stride: kept frames between clips; None: a clip's length, no overlap. method: whose
        scores; None: as the runs say. min_valid: share of a clip's frames that must show the person; None: as trained.

        Errors: InputError for another word or stride, RunError for runs that cannot be one.
        """
        if stride is not None and stride < 1:
            raise InputError(
                f"--stride is {stride}; expected kept frames between clips, at least 1", hint="--stride 1 is dense"
            )
        self.runs = tuple(runs)
        self.clips = runs[0].card.clips
        self.device = device
        self.subject = Subject.parse(subject or self.clips.subject)
        self.stride = stride or self.clips.length
        self.min_valid = self.clips.min_valid if min_valid is None else min_valid
        for run in self.runs[1:]:
            _check_alike(self.runs[0], run)
        self.method = _method(self.runs, method)

    @property
    def models(self) -> int:
        """How many have a say in each score."""
        return sum(len(run.models) for run in self.runs)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is predicted (K,), in the columns' order."""
        return self.runs[0].card.targets

    @property
    def training_means(self) -> tuple[float | None, ...]:
        """(K,) mean label of the training clips, over the models that know it."""
        known = [card.training_mean for run in self.runs for card in run.cards]
        means = [[mean[target.name] for mean in known if target.name in mean] for target in self.targets]
        return tuple(float(np.mean(values)) if values else None for values in means)

    @property
    def missing(self) -> tuple[str, ...]:
        """What is to be said of models that the runs were to have and have not; empty where all are there."""
        return tuple(run.missing for run in self.runs if run.missing)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said of the runs: folds whose training failed, and that no clip can be judged."""
        failed = tuple(run.failed for run in self.runs if run.failed)
        check = self.range_check
        return (*failed, check.sentence) if check is not None and check.rate is None else failed

    @property
    def worth(self) -> str:
        """What the scores are worth on people whom the run has never seen, in words."""
        many = (
            f"they are the mean of {len(self.runs)} runs, each measured alone; affect report RUN says how good it was"
        )
        return worth(self.runs[0].measured if len(self.runs) == 1 else many, self.method)

    @property
    def range_check(self) -> RangeCheck | None:
        """How clips are found to be out of range: by any run, each the mean of its models. None: not known."""
        found = [_range_check(run) for run in self.runs]
        known = [check for check in found if check is not None]
        judged = [check for check in known if check.rate is not None]
        if not judged:
            return max(known, key=lambda check: check.people, default=None)
        return max(judged, key=lambda check: check.rate or 0) if len(known) == len(found) else None

    def score(
        self, stores: Sequence[Store], entry: str, source: Path | None = None
    ) -> Iterator[ClipsScored | VideoPrediction]:
        """The clips of one stored video, block by block as they are scored, and last the whole prediction.

        stores: that of each run; source: the recording.
        Errors: EntryError for an entry that is missing or damaged, InputError for a track the video does not have.
        """
        infos = [store.info(entry) for store in dict.fromkeys(stores)]
        layout = stores[0].read(entry, values=False)
        people, brief = self._people(layout, infos[0])
        persons, over_s = [], recording_s(layout.time_s, infos[0].duration_s)
        for track, subject in people:
            row = subject_rows(layout.arrays(), len(layout.time_s), infos[0].persons, subject, infos[0].tracks)
            faces = layout.time_s[row >= 0], layout.box_px[row[row >= 0]]
            persons.append((yield from self._score_person(stores, entry, track, subject, faces, over_s=over_s)))
        notes = [f"{brief} more people were seen too briefly to be scored"] if brief else []
        fps = self.runs[0].config.features.sample_fps
        if said := other_length(usual_step_s(layout.time_s), self.clips.length, fps):
            notes.append(said)
        if self.subject.kind == "main":
            notes += unsaid_rivals(layout.track, infos[0].persons, infos[0].tracks)
        yield VideoPrediction(
            video=entry,
            source=source,
            duration_s=over_s,
            width_px=infos[0].width_px,
            height_px=infos[0].height_px,
            stream=stores[0].recipe.fields.get("stream", "auto"),
            targets=self.targets,
            training_means=self.training_means,
            persons=tuple(persons),
            models=self.models,
            warnings=(
                *self.missing,
                *self.warnings,
                *dict.fromkeys(warning for info in infos for warning in info.warnings),
                *notes,
                *doubts(self.targets, persons),
            ),
            range_check=self.range_check,
        )

    def _people(self, layout: FrameFeatures, info: VideoInfo) -> tuple[list[tuple[int, Subject]], int]:
        """Each chosen person and the subject that selects them; how many were seen too briefly."""
        subject = self.subject
        if subject.kind == "largest":
            return [(LARGEST if len(layout.frame) else NOBODY, subject)], 0
        if subject.kind != "all":
            track = main_person(layout.track, info.persons, info.tracks) if subject.track is None else subject.track
            return [(info.persons.get(track, track), subject)], 0
        people, frames = np.unique(persons_of(layout, info), return_counts=True)
        lasting = people[frames >= self.clips.length]
        if len(lasting) == 0:
            return [(main_person(layout.track, info.persons, info.tracks), MAIN)], max(0, len(people) - 1)
        return [(int(track), Subject("track", int(track))) for track in lasting], len(people) - len(lasting)

    def _score_person(
        self,
        stores: Sequence[Store],
        entry: str,
        track: int,
        subject: Subject,
        faces: tuple[Array, Array],
        *,
        over_s: float,
    ) -> Generator[ClipsScored, None, PersonPrediction]:
        tables = [self._table(run, store, entry, subject) for run, store in zip(self.runs, stores, strict=True)]
        start_s, end_s = tables[0].start_s, np.minimum(tables[0].end_s, over_s)
        if any(not np.array_equal(table.start_s, start_s) for table in tables):
            raise EntryError(f"{entry} has other frames in one run's store than in another's; extract it again in both")
        models = [len(run.models) for run in self.runs]
        blocks: list[ClipScores] = []
        for parts in zip(*map(self._run_blocks, self.runs, tables), strict=True):
            block = pool_scores(parts, models)
            blocks.append(block)
            part = PersonPrediction(track, start_s[block.numbers], end_s[block.numbers], block, *faces)
            yield ClipsScored(entry, part, sum(map(len, blocks)), len(start_s))
        return PersonPrediction(track, start_s, end_s, ClipScores.concatenate(blocks), *faces)

    def _table(self, run: Run, store: Store, entry: str, subject: Subject) -> ClipTable:
        size, centre = run.card.spec.feature_size, run.card.clips.centre
        features = FeatureTable.from_store(
            store, [entry], subject, self.device, TABLE_BYTES, feature_size=size, centre=centre
        )
        return dense_clips(features, run.card.clips, self.stride)

    def _run_blocks(self, run: Run, clips: ClipTable) -> Iterator[ClipScores]:
        for block in score_blocks(
            run.models, clips, batch_size=BATCH_CLIPS, min_valid=self.min_valid, method=self.method
        ):
            yield in_units(block, run.card.scaling)


def _method(runs: Sequence[Run], asked: Method | None) -> Method:
    """Whose scores are taken: what is asked for, or what all runs say.

    Errors: InputError for a method that does not exist, RunError where the runs cannot.
    """
    if asked is not None and asked not in get_args(Method):
        raise InputError(f"--method is {shown(asked)}; expected blend, model or ridge", hint="--method blend")
    without = next((run for run in runs if not run.has_ridge), None)
    if asked in ("blend", "ridge") and without is not None:
        raise RunError(
            f"run {without.path} holds no ridge regression, which --method {asked} needs",
            hint="--method model, or train again with this affect",
        )
    said = {run.method for run in runs}
    if asked is None and len(said) > 1:
        raise RunError(f"the runs score by different methods: {', '.join(sorted(said))}", hint="--method model")
    return asked or said.pop()


def _range_check(run: Run) -> RangeCheck | None:
    """That of one run's models: the mean rate of those that judge. None where any is not known."""
    known = [card.range_check for card in run.cards if card.range_check is not None]
    if not known or len(known) < len(run.cards):
        return None
    judged = [check for check in known if check.rate is not None]
    rate = float(np.mean([check.rate for check in judged])) if judged else None
    return RangeCheck(min(check.people for check in judged or known), rate)


def _check_alike(first: Run, run: Run) -> None:
    for what, mine, theirs in (
        ("targets", first.card.targets, run.card.targets),
        ("clips", first.card.clips, replace(run.card.clips, context_edges=first.card.clips.context_edges)),
        ("sample_fps", first.config.features.sample_fps, run.config.features.sample_fps),
        ("stream", first.config.features.stream, run.config.features.stream),
        ("faces", first.config.features.faces, run.config.features.faces),
    ):
        if mine != theirs:
            raise RunError(
                f"runs {first.path} and {run.path} differ in {what}: {mine} and {theirs}",
                hint="only runs of the same targets, clips and faces can be one",
            )
