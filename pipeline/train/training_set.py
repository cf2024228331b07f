"""A store and a label table joined: the clips a run trains and is judged on, and what could not be used."""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...cache import open_store
from ...cache.manifest import Manifest, check_duplicates, check_targets_vary, match_videos, read_manifest
from ...cache.manifest_sidecar import sidecar_path
from ...cache.records import Array, Recipe, Target
from ...cache.store import Store
from ...configs.schema import Config
from ...configs.subject import Subject
from ...errors import ConfigError, ManifestError, StoreError, shown
from ...stages.temporal.centring import one_span_each
from ...stages.temporal.clips import ClipTable, FeatureTable, index_clips
from ...stages.temporal.pauses import mixed_lengths
from ...stages.temporal.scaling import LabelScaling
from ...stages.temporal.splits import people_by_row
from ...stages.temporal.time_units import ends_beyond, in_fitting_unit

LEVELS_LOST = (
    "clips.centre=person takes each person's mean feature away: scores tell of changes within a recording, not of "
    "levels between people"
)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """C clips of M labelled spans, with all that a run must record of where they came from."""

    manifest: Manifest  # every target's range is known
    clips: ClipTable
    mirrored: ClipTable | None  # the same clips in a store of mirrored frames
    scaling: LabelScaling
    recipe: Recipe
    weights: str | None  # the file of the backbone that made the features, where it lay then
    store_digest: str  # of the ids and fingerprints of the videos used
    skipped: tuple[tuple[str, str, str], ...]  # where in the manifest, video, why
    warnings: tuple[str, ...]  # without the name of a recording
    of_recordings: tuple[str, ...] = ()  # those that name one: it is left out, or others could be meant

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """Those that name recordings first."""
        return (*self.of_recordings, *self.warnings)

    @property
    def counted_warnings(self) -> tuple[str, ...]:
        """All, the recordings counted in place of their names."""
        count = len(self.of_recordings)
        counted = f"recordings that are left out, or show others who could be meant: {count}, named in metrics.json"
        return (*([counted] if count else []), *self.warnings)

    @property
    def labels(self) -> Array:
        """(C, K) float64 in the targets' own units: each clip's is its span's."""
        labels: Array = self.manifest.labels[self.clips.span]
        return labels

    @property
    def people(self) -> Array:
        """(C,) int64 number of the person in each clip, one for all spellings of a subject's name."""
        numbers: Array = people_by_row(self.manifest.subjects)[self.clips.span]
        return numbers

    def clips_of(self, rows: Array) -> Array:
        """Numbers of the clips of some rows of the manifest, clips that are neighbours in a video side by side."""
        chosen = np.flatnonzero(np.isin(self.clips.span, rows))
        order: Array = chosen[np.lexsort((self.clips.first[chosen], self.clips.video[chosen]))]
        return order


def build_training_set(
    store_location: str, labels: Path, config: Config, device: str, mirrored_location: str | None = None
) -> TrainingSet:
    """The training set of a run.

    Errors: ManifestError for a table that cannot be read, an unknown video, a constant target, or no usable span;
    StoreError for a store that cannot be opened, or a mirrored one that does not go with it.
    """
    said = config.labels
    manifest = read_manifest(labels, said.targets, said.ranges, time_unit=said.time_unit, sheet=said.sheet)
    check_targets_vary(manifest, np.ones(len(manifest), bool), "labelled")
    manifest, warnings = _with_ranges(manifest)
    warnings += _misnamed(manifest, said.ranges)
    store = open_store(store_location)
    ids = match_videos(manifest, store.ids())
    check_duplicates(manifest, ids, people_by_row(manifest.subjects).tolist())
    subject = Subject.parse(config.clips.subject)
    centre = config.clips.centre
    table = FeatureTable.from_store(store, sorted(set(ids)), subject, device, skip_unread=True, centre=centre)
    labelled: Array = np.any(np.isfinite(manifest.labels), axis=1)
    if centre == "person":
        _check_levels_remain(np.array(ids)[labelled])
        warnings += (LEVELS_LOST,)
    manifest = in_fitting_unit(manifest, table, ids, lambda name: store.info(name).decoded_frames)
    warnings += ends_beyond(manifest, table, ids)
    clips = index_clips(table, ids, manifest.start_s, manifest.end_s, config.clips)
    skipped = _skipped(manifest, clips, labelled, {row: table.unread.get(name, "") for row, name in enumerate(ids)})
    left_out = tuple(f"{name} is left out: {why.splitlines()[0]}" for name, why in table.unread.items())
    clips = clips.subset(labelled[clips.span])
    if len(clips) == 0:
        raise ManifestError(
            f"{labels}: none of the {len(manifest)} spans has a label and a frame with the person in it",
            hint=f"{skipped[0][0]}: {skipped[0][2]}" if skipped else None,
        )
    warnings += mixed_lengths(table.pauses.step_s, config.clips.length, store.recipe.fields.get("sample_fps"))
    longest = int(clips.length.max())
    if longest < config.clips.length:
        # A model that has only ever seen short clips says nothing of longer ones, and padding costs time.
        clips = replace(clips, clip_length=longest)
        sampled = store.recipe.fields.get("sample_fps") != "source"
        warnings += (
            f"the longest labelled span holds {longest} kept frames, so clips are that long, not "
            f"{config.clips.length}{'; features.sample_fps=source keeps every frame' if sampled else ''}",
        )
    signs_only = config.loss.relational == "matrix" and config.loss.label_similarity != "distance"
    if len(manifest.targets) == 1 and config.loss.relational_weight and signs_only:
        warnings += ("one target: the cosine similarity of labels is only their sign; loss.label_similarity=distance",)
    return TrainingSet(
        manifest=manifest,
        clips=clips,
        mirrored=_mirrored(mirrored_location, store, clips, device, config) if mirrored_location else None,
        scaling=LabelScaling.from_ranges(manifest.targets),
        recipe=store.recipe,
        weights=store.weights,
        store_digest=_digest(store, clips.table),
        skipped=skipped,
        warnings=warnings,
        of_recordings=(*left_out, *table.doubts),
    )


def _check_levels_remain(video: Array) -> None:
    """Errors: ConfigError where a recording has one score: without its mean, nothing would be left to learn from.

    video: (n,), that of each labelled span.
    """
    if single := one_span_each(video.tolist()):
        raise ConfigError(
            f"clips.centre is 'person', and {len(single)} of {len(np.unique(video))} recordings have one labelled "
            f"span: what differs between recordings would be taken away, such as that of {shown(single[0])}",
            hint="--set clips.centre=none",
        )


def labels_sha256(labels: Path) -> str:
    """sha256 of the label table and of the description beside it."""
    digest = hashlib.sha256(labels.read_bytes())
    sidecar = sidecar_path(labels)
    digest.update(sidecar.read_bytes() if sidecar.is_file() else b"")
    return digest.hexdigest()


def _with_ranges(manifest: Manifest) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest with every target's range, from its values where none is given; a sentence for each such range."""
    targets: list[Target] = []
    guessed: dict[tuple[float, float], list[str]] = {}
    for target, values in zip(manifest.targets, manifest.labels.T, strict=True):
        if target.bounded:
            targets.append(target)
            continue
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        common = [pair for pair in ((0.0, 1.0), (-1.0, 1.0)) if pair[0] <= low and high <= pair[1]]
        low, high = common[0] if common else (low, high)
        targets.append(replace(target, low=low, high=high))
        guessed.setdefault((low, high), []).append(target.name)
    warnings = tuple(
        f"no range is given for {', '.join(names)}: taken as {low:g} to {high:g} from "
        f"{'its' if len(names) == 1 else 'their'} values; labels.ranges.{names[0]} says it"
        for (low, high), names in guessed.items()
    )
    return replace(manifest, targets=tuple(targets)), warnings


def _misnamed(manifest: Manifest, ranges: Mapping[str, object]) -> tuple[str, ...]:
    """A sentence for each range of a name that no target has, if one without a range has nearly that name."""
    known = manifest.target_names
    near = {
        name: difflib.get_close_matches(name, set(known) - ranges.keys(), n=1) for name in ranges.keys() - set(known)
    }
    return tuple(
        f"labels.ranges names {shown(name)}, and no target is called so; did you mean {found[0]}?"
        for name, found in sorted(near.items())
        if found
    )


def _skipped(
    manifest: Manifest, clips: ClipTable, labelled: Array, unread: Mapping[int, str]
) -> tuple[tuple[str, str, str], ...]:
    """Where, video and why of each span that is not used; unread: why the video of a row cannot be read."""
    reasons = dict.fromkeys(clips.unseen_spans.tolist(), "the person is not seen, or too rarely")
    reasons |= dict.fromkeys(clips.empty_spans.tolist(), "the video has no frame in this time")
    reasons |= {row: why.splitlines()[0] for row, why in unread.items() if why}
    reasons |= dict.fromkeys(np.flatnonzero(~labelled).tolist(), "no target has a label")
    table = replace(manifest, path=manifest.path and Path(manifest.path.name))  # the run is passed on without its place
    return tuple((table.where(row), manifest.videos[row], reasons[row]) for row in sorted(reasons))


def _mirrored(location: str, store: Store, clips: ClipTable, device: str, config: Config) -> ClipTable:
    mirror = open_store(location)
    differing = sorted(store.recipe.differences(mirror.recipe))
    missing = sorted(set(clips.table.ids) - set(mirror.ids()))
    if missing:
        raise StoreError(f"store {location} lacks {missing[0]} and {len(missing) - 1} more videos of the plain one")
    if differing != ["view"]:
        raise StoreError(
            f"store {location} is no other view of the same features: {', '.join(differing) or 'nothing'} differs",
            hint="affect extract-features VIDEOS --set features.view=hflip --store STORE",
        )
    subject, centre = Subject.parse(config.clips.subject), config.clips.centre
    table = FeatureTable.from_store(mirror, clips.table.ids, subject, device, centre=centre)
    if not np.array_equal(table.frames.first, clips.table.frames.first):
        raise StoreError(f"store {location} has other frames than the plain one; extract both from the same videos")
    return replace(clips, table=table)


def _digest(store: Store, table: FeatureTable) -> str:
    words = "\n".join(f"{name} {mark}" for name, mark in zip(table.ids, table.frames.fingerprints, strict=True))
    return hashlib.sha256(f"{store.recipe.digest}\n{words}".encode()).hexdigest()
