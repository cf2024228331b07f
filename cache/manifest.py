"""The label table: which span of which video, whose face, in which split, with which target values."""

import difflib
import os
import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pandas as pd

from ..errors import ManifestError
from .cell_values import TimeUnit, decimal_sign, missing_words
from .csv_cells import to_cells
from .files import write_whole
from .ids import entry_id
from .manifest_csv import (
    FIRST_LINE,
    IN_MS,
    REQUIRED,
    SPLITS,
    check_required,
    choose_targets,
    is_manifest,
    manifest_names,
    read_labels,
    read_spans,
    read_splits,
    read_words,
)
from .manifest_sidecar import read_sidecar, sidecar_path, sidecar_text, write_sidecar
from .records import Array, Target
from .tables import few, read_table
from .walk import without_video_suffix


@dataclass(frozen=True, slots=True)
class Manifest:
    """M labelled spans with K targets. A span is `[start_s, end_s)` from the video's first frame."""

    videos: list[str]  # (M,) path relative to the manifest, or a store's id
    subjects: list[str]  # (M,)
    start_s: Array  # (M,) float64
    end_s: Array  # (M,) float64, infinite where the span goes to the video's end
    splits: list[str] | None  # (M,) of SPLITS
    targets: tuple[Target, ...]  # (K,)
    labels: Array  # (M, K) float64, NaN where missing
    path: Path | None = None
    lines: Array | None = None  # (M,) int64, line of the file
    time_unit: TimeUnit = "s"  # in which the file has its times; auto: nobody has said that its numbers are seconds
    times: str = "seconds"  # the same in words, as a clock's hh:mm:ss
    layout: tuple[str, ...] = ()  # how the file was read, where that is not the usual way, in words

    def __post_init__(self) -> None:
        rows = len(self.videos)
        assert len(self.subjects) == len(self.start_s) == len(self.end_s) == rows, "columns differ in length"
        assert self.splits is None or len(self.splits) == rows, "splits differ in length"
        assert self.labels.shape == (rows, len(self.targets)), f"labels have shape {self.labels.shape}"

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def target_names(self) -> tuple[str, ...]:
        """(K,), in the columns' order."""
        return tuple(target.name for target in self.targets)

    def line(self, row: int) -> int:
        """The line of the file that a row stands in."""
        return row + FIRST_LINE if self.lines is None else int(self.lines[row])

    def where(self, row: int) -> str:
        """`FILE, line N` of a row, for messages."""
        return f"{self.path or 'manifest'}, line {self.line(row)}"

    @property
    def understood(self) -> str:
        """In one line, what the file was read as."""
        count, videos = len(self), len(set(self.videos))
        spans = f"{count} span{'s' if count != 1 else ''} of {videos} video{'s' if videos != 1 else ''}"
        words = (spans, f"targets {few(self.target_names)}", *self.layout, f"times {self.times}")
        return f"{self.path.name if self.path else 'labels'}: {'; '.join(words)}"


def read_manifest(
    path: str | Path,
    targets: Sequence[str] = (),
    ranges: Mapping[str, tuple[float, float]] | None = None,
    *,
    time_unit: TimeUnit = "auto",
    sheet: str = "",
) -> Manifest:
    """The manifest in a CSV file or a workbook, with the ranges and units of `<stem>.yaml` beside it if there is one.

    `targets` empty: every column that is not one of the manifest's own. `ranges` overrides the sidecar's.
    time_unit: of the spans; auto: numbers are taken as seconds, or as what their column's name says.
    Errors: ManifestError naming file, line, column, value and what was expected.
    """
    path = Path(path)
    table = read_table(path, is_manifest, sheet)
    check_required(table.names, table.place, table.header_line)
    names = choose_targets(table, tuple(targets))
    if not len(table):
        raise ManifestError(f"{table.place} has column names but no rows", hint="one row per labelled span")
    described = read_sidecar(path, table.names)
    known = [described.get(name, Target(name)) for name in names]
    for name, (low, high) in (ranges or {}).items():
        known = [replace(target, low=low, high=high) if target.name == name else target for target in known]
    sign = decimal_sign(table, [name for name in table.names if name in {*IN_MS, *IN_MS.values(), *names}])
    spans = read_spans(table, time_unit, sign)
    layout = (*table.layout, "decimal comma" if sign == "," else "", missing_words(table, names))
    manifest = Manifest(
        videos=read_words(table, "video"),
        subjects=read_words(table, "subject"),
        start_s=spans.start_s,
        end_s=spans.end_s,
        splits=read_splits(table),
        targets=tuple(known),
        labels=read_labels(table, names, sign),
        path=path,
        lines=table.lines,
        time_unit=spans.unit,
        times=spans.words,
        layout=tuple(filter(None, layout)),
    )
    _check_values(manifest)
    check_duplicates(manifest, manifest.videos, manifest.subjects)
    return manifest


def write_manifest(manifest: Manifest, path: str | Path) -> None:
    """Write the manifest as CSV, and its ranges and units as `<stem>.yaml`; each file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, object] = {"video": manifest.videos, "subject": manifest.subjects}
    columns["start_s"] = manifest.start_s
    columns["end_s"] = np.where(np.isfinite(manifest.end_s), manifest.end_s, np.nan)
    if manifest.splits is not None:
        columns["split"] = manifest.splits
    columns |= {name: manifest.labels[:, number] for number, name in enumerate(manifest.target_names)}
    text = to_cells(pd.DataFrame(columns)).to_csv(index=False, lineterminator="\n")
    write_sidecar(path, manifest.targets)
    write_whole(path, text)


def check_replaced(manifest: Manifest, path: Path) -> None:
    """Refuse to write over what is no older manifest of the same targets, with no other sidecar than such a one has.

    Errors: ManifestError for a file that is there and cannot be told to be one.
    """
    sidecar, hint = sidecar_path(path), "name another --output, or move that file away"
    header: list[str] = []
    for place in (path, sidecar):
        if place.is_symlink() or (place.exists() and not place.is_file()):
            raise ManifestError(f"{place} is a link or a folder; nothing was written", hint=hint)
    columns = {*REQUIRED, *manifest.target_names}
    if path.exists():
        try:
            header = [name for name in manifest_names(path) if name != "split"]
        except ManifestError:
            header = []
        if set(header) != columns and not _written_here(path, header):
            raise ManifestError(
                f"{path} exists, and is no label table of {', '.join(manifest.target_names)}; nothing was written",
                hint=f"{hint}; only a table with the columns {', '.join(REQUIRED)} and the same targets is replaced, "
                "or one that prepare-labels has made, with its .yaml",
            )
    if sidecar.exists():
        try:
            if path.exists():
                read_sidecar(path, header)
            ours = path.exists() or sidecar.read_text("utf-8") == sidecar_text(manifest.targets)
        except (ManifestError, UnicodeDecodeError):
            ours = False
        if not ours:
            raise ManifestError(f"{sidecar} exists, and does not describe {path}; nothing was written", hint=hint)


def _written_here(path: Path, header: Sequence[str]) -> bool:
    """Whether a table of any targets has the sidecar that `write_manifest` leaves, to the byte."""
    names = tuple(header[len(REQUIRED) :])
    try:
        described = read_sidecar(path, header)
        text = sidecar_path(path).read_text("utf-8")
    except (ManifestError, OSError, UnicodeDecodeError):
        return False
    ours = tuple(header[: len(REQUIRED)]) == REQUIRED and tuple(described) == names
    return ours and text == sidecar_text(list(described.values()))


def check_targets_vary(manifest: Manifest, rows: Array, which: str = "training") -> None:
    """Refuse a target that is constant, or missing, over `rows` (numbers or a mask): nothing can be learnt from it."""
    for number, name in enumerate(manifest.target_names):
        values = manifest.labels[rows, number]
        values = values[np.isfinite(values)]
        if len(values) == 0:
            raise ManifestError(
                f"{manifest.path or 'manifest'}: target {name!r} has no value in any of the {which} rows",
                hint="leave it out with --set labels.targets=[...], or label some of these rows",
            )
        if values.min() == values.max():
            raise ManifestError(
                f"{manifest.path or 'manifest'}: target {name!r} is {values[0]:g} in every one of the {len(values)} "
                f"{which} rows; expected values that vary",
                hint="leave it out with --set labels.targets=[...]",
            )


def shared_subjects(manifest: Manifest) -> dict[str, list[str]]:
    """Subjects that stand in more than one split -> those splits."""
    if manifest.splits is None:
        return {}
    pairs = pd.DataFrame({"subject": manifest.subjects, "split": manifest.splits}).drop_duplicates()
    shared = pairs[pairs.duplicated("subject", keep=False)]
    return {str(name): sorted(group["split"], key=SPLITS.index) for name, group in shared.groupby("subject")}


def _check_values(manifest: Manifest) -> None:
    for number, target in enumerate(manifest.targets):
        if not target.bounded:
            continue
        slack = 1e-6 * (target.high - target.low)
        values = manifest.labels[:, number]
        outside = (values < target.low - slack) | (values > target.high + slack)
        if outside.any():
            row = int(outside.argmax())
            raise ManifestError(
                f"{manifest.where(row)}: column {target.name!r} is {values[row]:g}; expected "
                f"{target.low:g} to {target.high:g} ({int(outside.sum())} rows lie outside)",
                hint="correct the values, or the range in the .yaml beside the manifest or in labels.ranges",
            )


def check_duplicates(manifest: Manifest, videos: Sequence[str], people: Sequence[object]) -> None:
    """Refuse a span that stands twice. videos, people: (M,), whose and who it is, however they are spelled.

    Errors: ManifestError.
    """
    keys = pd.DataFrame({"video": videos, "person": people, "start": manifest.start_s, "end": manifest.end_s})
    again = keys.duplicated().to_numpy()
    if again.any():
        row = int(again.argmax())
        first = int((keys == keys.iloc[row]).all(axis=1).to_numpy().argmax())
        raise ManifestError(
            f"{manifest.where(row)}: {manifest.videos[row]} {manifest.start_s[row]:g} to {manifest.end_s[row]:g} s "
            f"stands already in line {manifest.line(first)}; {int(again.sum())} rows repeat a span",
            hint="keep one row per span",
        )


def match_videos(manifest: Manifest, ids: Sequence[str]) -> list[str]:
    """The store id of each row's video, (M,): equal to an id, encoded as one, or the one id with the same path ending.

    Where there is none, the one that differs in the ending of a video's file alone: `S01.mp4` is also `S01`.
    Errors: ManifestError for a video that is no id, that may be several, or that shares its id with another video.
    """
    known = set(ids)
    by_name: dict[str, list[str]] = {}
    by_bare_name: dict[str, list[str]] = {}
    composed = {store_id: _composed(store_id) for store_id in ids}
    for store_id, path in composed.items():
        name = path.rpartition("/")[2]
        by_name.setdefault(name, []).append(store_id)
        by_bare_name.setdefault(without_video_suffix(name), []).append(store_id)
    first_row: dict[str, int] = {}
    for row, video in enumerate(manifest.videos):
        first_row.setdefault(video, row)
    found: dict[str, str] = {}
    owner: dict[str, str] = {}
    for video, row in first_row.items():
        path = entry_id(posixpath.normpath(video.replace("\\", "/")).lstrip("/"))
        candidates = [name for name in (video, entry_id(video), path) if name in known][:1]
        path = _composed(path)
        if not candidates:
            same = by_name.get(path.rpartition("/")[2], [])
            candidates = [name for name in same if _same_ending(composed[name], path)]
        if not candidates:
            bare = without_video_suffix(path)
            same = by_bare_name.get(bare.rpartition("/")[2], [])
            candidates = [name for name in same if _same_ending(without_video_suffix(composed[name]), bare)]
        if len(candidates) != 1:
            raise _no_match(manifest, row, candidates, ids)
        found[video] = candidates[0]
        other = owner.setdefault(candidates[0], path)
        if other != path:
            raise ManifestError(
                f"{manifest.where(row)}: video {video!r} and {other!r} are both {candidates[0]!r} in the "
                "store; expected one entry per video",
                hint="extract both, or write the store's ids into the manifest",
            )
    return [found[video] for video in manifest.videos]


def _composed(store_id: str) -> str:
    """An id with its letters in one form of Unicode: macOS keeps `ü` as `u` and two dots, a spreadsheet as one letter.

    The hash of a long id stays as it is.
    """
    if "%" not in store_id or "%~" in store_id:
        return store_id
    return entry_id(unicodedata.normalize("NFC", os.fsdecode(unquote_to_bytes(store_id))))


def _same_ending(first: str, second: str) -> bool:
    a, b = first.split("/"), second.split("/")
    shorter = min(len(a), len(b))
    return a[-shorter:] == b[-shorter:]


def _no_match(manifest: Manifest, row: int, candidates: Sequence[str], ids: Sequence[str]) -> ManifestError:
    video = manifest.videos[row]
    if candidates:
        return ManifestError(
            f"{manifest.where(row)}: video {video!r} may be {' or '.join(map(repr, sorted(candidates)[:4]))}",
            hint="write more of the path, or the store's id, into the manifest",
        )
    alike = {name.casefold(): name for name in reversed(ids)}
    near = [alike[name] for name in difflib.get_close_matches(video.casefold(), alike, n=1, cutoff=0.3)]
    hint = f"did you mean {near[0]}?" if near else "affect inspect-cache STORE lists what it holds"
    return ManifestError(f"{manifest.where(row)}: video {video!r} is not in the store ({len(ids)} videos)", hint=hint)
