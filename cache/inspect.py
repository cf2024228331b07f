"""What a store holds, what made it, who is in each video, and what is damaged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import EntryError, UnreadableError
from .opening import open_store
from .people import kind_of
from .records import FrameFeatures, FrameStatus, Json, VideoInfo
from .store import Store


@dataclass(frozen=True, slots=True)
class StoredVideo:
    """One entry in numbers."""

    id: str
    frames: int
    rows: int
    face_share: float  # of kept frames
    end_s: float  # time of the last kept frame
    people: int
    header_frames: int | None
    decoded_frames: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredTrack:
    """One track of one video."""

    id: str
    track: int
    person: int  # the lowest of the tracks linked to it
    start_s: float
    end_s: float
    rows: int
    share: float  # of the video's kept frames
    size_px: float  # median square root of the box's area
    kind: str = ""  # live, or still: a picture of somebody; empty where it is not known


@dataclass(frozen=True, slots=True)
class StoreReport:
    """A store as a whole."""

    location: str
    format: str
    digest: str
    recipe: Mapping[str, Json]
    versions: Mapping[str, tuple[str, ...]]  # package -> every version that wrote an entry
    videos: tuple[StoredVideo, ...]
    tracks: tuple[StoredTrack, ...]
    damaged: Mapping[str, tuple[str, ...]]  # id -> what is wrong
    unreadable: Mapping[str, str]  # id -> why it cannot be read now; nothing is known to be wrong with it


def inspect_store(location: str, *, tracks: bool = False, verify: bool = False) -> StoreReport:
    """What the store at `location` holds. Errors: StoreError where there is none."""
    store = open_store(location)
    videos: list[StoredVideo] = []
    all_tracks: list[StoredTrack] = []
    damaged: dict[str, tuple[str, ...]] = {}
    unreadable: dict[str, str] = {}
    versions: dict[str, set[str]] = {}
    for entry_id in store.ids():
        try:
            if problems := tuple(store.verify(entry_id)) if verify else ():
                damaged[entry_id] = problems
                continue
            video, of_video, made_with = _stored(store, entry_id)
        except UnreadableError as error:
            unreadable[entry_id] = error.message
            continue
        except EntryError as error:
            damaged[entry_id] = (error.message,)
            continue
        videos.append(video)
        all_tracks.extend(of_video if tracks else ())
        for package, version in made_with.items():
            versions.setdefault(package, set()).add(version)
    return StoreReport(
        location, store.format, store.recipe.digest, store.recipe.fields,
        {package: tuple(sorted(found)) for package, found in sorted(versions.items())},
        tuple(videos), tuple(all_tracks), damaged, unreadable,
    )  # fmt: skip


def _stored(store: Store, entry_id: str) -> tuple[StoredVideo, list[StoredTrack], Mapping[str, str]]:
    info, layout = store.info(entry_id), store.read(entry_id, values=False)
    found = list(_tracks(entry_id, layout, info))
    frames = len(layout.time_s)
    video = StoredVideo(
        entry_id, frames, len(layout.frame), float((layout.status == FrameStatus.OK).sum() / max(1, frames)),
        float(layout.time_s[-1]) if frames else 0.0, len({track.person for track in found}),
        info.header_frames, info.decoded_frames, info.warnings,
    )  # fmt: skip
    return video, found, info.versions


def _tracks(entry_id: str, layout: FrameFeatures, info: VideoInfo) -> Iterator[StoredTrack]:
    sizes = np.sqrt(np.prod(layout.box_px[:, 2:] - layout.box_px[:, :2], axis=1))
    for track in np.unique(layout.track).tolist():
        rows = layout.track == track
        times = layout.time_s[layout.frame[rows]]
        yield StoredTrack(
            entry_id, track, info.persons.get(track, track), float(times[0]), float(times[-1]), int(rows.sum()),
            float(rows.sum() / len(layout.time_s)), float(np.median(sizes[rows])), kind_of(info.tracks.get(track)),
        )  # fmt: skip
