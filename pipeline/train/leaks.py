"""What the sides of a fold share besides people's names: frames, a file under two names, the one person of a video."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...cache.predictions import FEWEST_PEOPLE, RangeCheck
from ...cache.records import Array
from ...configs.schema import Config
from ...errors import ManifestError
from ...stages.temporal.clips import ClipTable
from ...stages.temporal.overlaps import overlapping_clips
from ...stages.temporal.splits import ALLOW, PAIRS, SIDES, Finding, Fold, few
from .training_set import TrainingSet

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """A file that the store holds under several names, or a video whose one person has several subjects' labels."""

    videos: tuple[str, ...]
    subjects: tuple[str, ...]
    rows: Array  # of the manifest

    @property
    def named(self) -> str:
        """What it is, with its names."""
        if len(self.videos) > 1:
            return f"the file {' = '.join(map(repr, self.videos))}"
        return f"the person in {self.videos[0]!r} ({' = '.join(map(repr, self.subjects))})"


def check_recordings(data: TrainingSet, folds: Sequence[Fold], config: Config) -> list[Fold]:
    """The folds, with what their sides share of frames, files and people, and what stands twice or is too little.

    Errors: ManifestError for a fold whose sides share any, unless `evaluation.allow_shared_subjects`.
    """
    people = data.people
    twins = _twins(data, people)
    checked = []
    for fold in folds:
        side = np.full(len(data.manifest), -1)
        for number, rows in enumerate(fold.sides.values()):
            side[rows] = number
        frames = _shared_frames(data.clips, side)
        shared = {pair: [twin for twin in twins if _on_both(side[twin.rows], pair)] for pair in PAIRS}
        if not config.evaluation.allow_shared_subjects:
            _refuse(data, frames, [twin for of_pair in shared.values() for twin in of_pair], side)
        kept = [twin for twin in twins if not any(twin in of_pair for of_pair in shared.values())]
        found = [
            *(Finding(frames[pair], frames[pair], pair) for pair in frames),
            *(
                Finding(few([twin.named for twin in some]), _counted(some), pair)
                for pair, some in shared.items()
                if some
            ),
        ]
        train = fold.sides_of(refit=config.training.refit)["train"]
        trained_on = len(np.unique(people[data.clips_of(train)]))
        notes = [*_notes(kept, config.clips.subject), *_too_few(trained_on)]
        checked.append(replace(fold, findings=(*fold.findings, *found, *notes)))
    return checked


def _shared_frames(clips: ClipTable, side: Array) -> dict[Pair, str]:
    seen = overlapping_clips(clips, side[clips.span])
    return {pair: f"frames ({count} clips see frames of another side)" for pair, count in seen.items()}


def _twins(data: TrainingSet, people_of_clips: Array) -> list[Twin]:
    """Files with several names, and videos with several subjects, among the spans that are used."""
    spans, clip = np.unique(data.clips.span, return_index=True)
    video, person = data.clips.video[clip], people_of_clips[clip]
    ids = np.array(data.clips.table.ids)
    marks = [mark or name for name, mark in zip(ids.tolist(), data.clips.table.frames.fingerprints, strict=True)]
    file_of = np.unique(np.array(marks), return_inverse=True)[1]  # (V,)
    people = int(person.max()) + 1
    pairs = np.unique(video * people + person)  # one for each person of each video
    twins = []
    for number in np.flatnonzero(np.bincount(file_of[pairs // people]) > 1):
        mine = file_of[video] == number
        rows = spans[mine]
        names = np.unique(ids[video[mine]]).tolist()
        twins.append(Twin(tuple(names), tuple(sorted({data.manifest.subjects[row] for row in rows})), rows))
    return twins


def _on_both(side: Array, pair: Pair) -> bool:
    return all(SIDES.index(name) in side for name in pair)


def _counted(twins: Sequence[Twin]) -> str:
    files = sum(len(twin.videos) > 1 for twin in twins)
    words = {"files that have several names": files, "people who have several subjects' labels": len(twins) - files}
    return ", ".join(f"{what} ({count})" for what, count in words.items() if count)


def _notes(twins: Sequence[Twin], subject: str) -> list[Finding]:
    """Sentences on files and people that stand twice, but on one side."""
    files = [" and ".join(map(repr, twin.videos)) for twin in twins if len(twin.videos) > 1]
    people = [twin.named for twin in twins if len(twin.videos) == 1]
    notes = []
    if files:
        words = "one file under several names, which counts several times"
        notes.append(Finding(f"{few(files, '; ')}: {words}", f"{len(files)} times {words}"))
    if people:
        words = f"of several subjects, and clips.subject={subject} takes one person"
        notes.append(Finding(f"{few(people, '; ')}: {words}", f"{len(people)} videos are {words}"))
    return notes


def _too_few(people: int) -> list[Finding]:
    words = RangeCheck(people, None).sentence
    return [Finding(words, words)] if people < FEWEST_PEOPLE else []


def _refuse(data: TrainingSet, frames: dict[Pair, str], twins: Sequence[Twin], side: Array) -> None:
    where = data.manifest.path or "the manifest"
    if frames:
        words = "; ".join(f"{' and '.join(pair)} share {said}" for pair, said in frames.items())
        raise ManifestError(
            f"{where}: a video is on two sides of the split: {words}",
            hint=f"give all spans of a video one split; or {ALLOW}",
        )
    if not twins:
        return
    twin = twins[0]
    first = {int(side[row]): row for row in twin.rows[::-1]}  # side -> its first row
    lines = " and ".join(
        f"{SIDES[number]} (line {data.manifest.line(row)})" for number, row in sorted(first.items()) if number >= 0
    )
    raise ManifestError(
        f"{where}: {twin.named} is in {lines}; expected each file and each person on one side "
        f"({len(set(map(id, twins)))} are on two)",
        hint=f"give all of its spans one subject and one split, or leave one of the names out; or {ALLOW}",
    )
