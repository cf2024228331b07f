"""What a `predict` call is given: its options, words for recordings and stored entries, and a folder to write to."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...cache.ids import entry_id
from ...cache.opening import open_store, store_exists
from ...cache.pictures import is_pattern
from ...cache.walk import VIDEO_SUFFIXES
from ...configs.schema import Method
from ...errors import InputError
from ..extract.videos import Search, Source, search_videos

MEMORY = ":memory:"  # in the place of a store: features are dropped once they are scored


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """How to predict, and what to write besides the tables, plots and viewer."""

    stride: int | None = None  # kept frames between clips; None: a clip's length, 1: dense
    subject: str | None = None  # main, largest, track:N or all; None: as the run was trained
    method: Method | None = None  # whose scores: blend, model or ridge; None: as the run says
    device: str = "auto"
    jobs: int = 1
    store_format: str | None = None  # of a store that is made; None: zarr
    overwrite: bool = False  # extract again what is stored
    overlay: Path | None = None  # a video file; with several videos a folder for them
    exports: tuple[str, ...] = ()  # names of further outputs: eaf, vtt, bids
    with_video: bool = True  # in the viewer; without, neither the recording nor face boxes
    key_file: Path | None = None  # names become hashes under this key
    backbone: str | None = None  # the run's own, said again where that names code or a graph, which a run alone may not
    picture_fps: str | float | None = None  # of numbered pictures: a number, or a table of them
    weights: str | None = None  # the file of the backbone's weights, where the run's word for it is not enough
    min_valid: float | None = None  # share of a clip's frames that must show the person; None: as the run was trained


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the words of a call mean."""

    sources: list[Source]
    stored: list[str]  # ids in the store, without their recording
    missing: list[str]
    left_out: tuple[str, ...] = ()  # in sentences, as of `Search`

    @property
    def all_ids(self) -> list[str]:
        """Ids of what is there, and the words for what is not."""
        return [*(source.id for source in self.sources), *self.stored, *self.missing]


def find_inputs(words: Sequence[str], location: str, picture_fps: str | float | None = None) -> Inputs:
    """Files, folders and globs as sources; ids of the store at `location` as themselves; the rest is missing.

    picture_fps: of numbered pictures. Errors: InputError where nothing at all is there, and as `find_videos`.
    """
    known = set(open_store(location).ids()) if location != MEMORY and store_exists(location) else set()
    files, stored, missing, other = [], [], [], []
    for word in words:
        matches = [] if Path(word).exists() else sorted(glob.glob(word, recursive=True))  # noqa: PTH207 - a pattern may be absolute
        if Path(word).exists() or is_pattern(Path(word)):
            files.append(word)
        elif matches:
            videos = [match for match in matches if Path(match).suffix.lower() in VIDEO_SUFFIXES]
            files += videos
            if len(videos) < len(matches):
                other.append(f"{word}: {len(matches) - len(videos)} of {len(matches)} are left out by their ending")
        elif word in known or entry_id(word) in known:
            stored.append(word if word in known else entry_id(word))
        else:
            missing.append(word)
    if not files and not stored:
        place = "" if location == MEMORY or not known else f", nor an id in the store {location}"
        raise InputError(
            f"{', '.join(missing)}: no such file, folder or pattern{place}",
            hint="affect inspect-cache STORE lists the ids of a store; a pattern needs quotes",
        )
    search = search_videos(files, picture_fps) if files else Search([], ())
    return Inputs(search.sources, list(dict.fromkeys(stored)), missing, (*other, *search.left_out))
