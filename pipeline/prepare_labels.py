"""`affect prepare-labels`: a data set's own annotation files to manifests, and a list of what is missing on disk."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, VideoError
from ..stages.labels.registry import READERS, REDUCTIONS, SPAN_S, TIME_UNITS, ReaderInput, Reading, reader_of

if TYPE_CHECKING:
    from ..cache.manifest import Manifest
    from ..cache.records import Array
    from ..stages.features.video.choice import Stream
    from ..stages.labels.tables import Prepared, Problem

__all__ = ["DATA_SETS", "REDUCTIONS", "SPAN_S", "TIME_UNITS", "Reading", "prepare_labels"]
# The command line offers these names, so this file imports what is heavy only where it is used.
DATA_SETS = tuple(READERS)
PROBLEMS = "problem,name,detail"  # the columns of a list of problems


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """One manifest that was written, and what is not in it: `problems` one by one, `counts` by kind."""

    manifest: Path
    part: str  # what the data set's tables hold several of, as "panss"; empty where there is one manifest
    rows: int
    videos: int
    subjects: int
    targets: tuple[str, ...]
    splits: dict[str, int]  # rows of each; empty without a split
    counts: dict[str, int]
    problems: "tuple[Problem, ...]"
    problems_file: Path | None  # the same as CSV
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelsSummary:
    """What the labels were read from, and each manifest that they became."""

    tables: tuple[Path, ...]
    manifests: tuple[ManifestSummary, ...]
    understood: tuple[str, ...] = ()  # a line for each table, or for all that are alike: what it was read as
    notes: tuple[str, ...] = ()  # what lies beside them and was passed over


def prepare_labels(
    data_set: str,
    root: str | Path,
    output: str | Path,
    *,
    videos: str | Path | None = None,
    table: str | Path | None = None,
    span_s: float | None = None,
    reading: Reading | None = None,
    picture_fps: str | float | None = None,
    stream: "Stream" = "auto",
) -> LabelsSummary:
    """What was written: the manifest of a data set under `root`, at `output`, with ranges and units beside it.

    Where a table holds labels that are not for one run (PANSS and CAINS), a manifest is written for each, named after
    `output`: labels-panss.csv and labels-cains.csv for labels.csv.
    data_set: one of `DATA_SETS`; videos: the folder of recordings, `root` unless said; table: the annotation file,
    found under `root` unless said; span_s: that of `reading`, and nothing else of it;
    picture_fps: of recordings that are folders of numbered pictures; stream: that of the recordings.
    Errors: InputError or ManifestError where there are no tables, more than one fits, no label is left, or a file that
    is no older manifest would be replaced; nothing is written then.
    """
    from ..cache.picture_rate import picture_rate
    from ..stages.labels.finding import find

    root, output, folder = Path(root), Path(output), Path(videos or root)
    reader, reading, rate = reader_of(data_set), reading or Reading(span_s), picture_rate(picture_fps)
    reading.check_used_by(data_set)
    for place in (root, folder):
        if not place.is_dir():
            raise InputError(f"{place} is not a folder; expected the data set's", hint="affect prepare-labels --help")
    own = (output, _problems_path(output))
    given = Path(table) if table else None
    found = find(data_set, reader, root, folder=folder, start=output.parent, table=given, own=own,
                 pictures=rate.known)  # fmt: skip
    tables = found.tables
    times = {path: _times_of(folder / path, stream, rate.of(path)) for path in reader.timed(tables, found.videos)}
    offsets = _clock_offsets_s(folder, times, stream) if reader.on_clock(tables) else {}
    prepared = reader.read(ReaderInput(tables, found.videos, times, reading, offsets))
    made = [(_place(part, output), part, part.manifest()) for part in prepared]
    for place, _, manifest in made:
        _check_place(place, manifest, tables)
    understood = dict.fromkeys(line for part in prepared for line in part.understood)
    return LabelsSummary(tuple(tables), tuple(_write(*one) for one in made), tuple(understood), found.notes)


def _times_of(path: Path, stream: "Stream", picture_fps: float | None) -> "Array | VideoError":
    from ..stages.features.video.times import frame_times_s

    try:
        return frame_times_s(path, stream, picture_fps)
    except VideoError as error:
        return error


def _clock_offsets_s(folder: Path, times: "Mapping[str, Array | VideoError]", stream: "Stream") -> dict[str, float]:
    from ..stages.features.video.times import clock_offset_s

    offsets = {}
    for path, found in times.items():
        if not isinstance(found, VideoError):
            with suppress(VideoError):  # its packets have times, but none can be decoded: extraction says so
                offsets[path] = clock_offset_s(folder / path, stream)
    return offsets


def _place(part: "Prepared", output: Path) -> Path:
    return output.with_stem(f"{output.stem}-{part.part}") if part.part else output


def _check_place(path: Path, manifest: "Manifest", tables: Sequence[Path]) -> None:
    """Errors: InputError or ManifestError where one of the files to be written is somebody else's."""
    from ..cache.manifest import check_replaced

    problems = _problems_path(path)
    for table in tables:
        if any(place.exists() and table.exists() and place.samefile(table) for place in (path, problems)):
            raise InputError(f"--output {path} is the annotation file itself", hint="name another file")
    check_replaced(manifest, path)
    if os.path.lexists(problems):
        ours = problems.is_file() and not problems.is_symlink()
        if not ours or problems.read_bytes()[: len(PROBLEMS)] != PROBLEMS.encode():
            raise InputError(f"{problems} exists, and is no list of problems; nothing was written",
                             hint="name another --output, or move that file away")  # fmt: skip


def _write(path: Path, part: "Prepared", manifest: "Manifest") -> ManifestSummary:
    from ..cache.manifest import shared_subjects, write_manifest

    write_manifest(manifest, path)
    return ManifestSummary(
        manifest=path,
        part=part.part,
        rows=len(manifest),
        videos=len(set(manifest.videos)),
        subjects=len(set(manifest.subjects)),
        targets=manifest.target_names,
        splits=dict(Counter(manifest.splits or [])),
        counts=dict(Counter(problem.kind for problem in part.problems)),
        problems=part.problems,
        problems_file=_write_problems(path, part.problems),
        warnings=tuple(
            f"subject {name} is in {' and '.join(splits)}" for name, splits in shared_subjects(manifest).items()
        ),
    )


def _problems_path(output: Path) -> Path:
    return output.with_name(f"{output.stem}-problems.csv")


def _write_problems(output: Path, problems: "Sequence[Problem]") -> Path | None:
    path = _problems_path(output)
    if not problems:
        path.unlink(missing_ok=True)
        return None
    from ..cache.csv_cells import rows_text
    from ..cache.files import write_whole

    rows = rows_text((problem.kind, problem.name, problem.detail) for problem in problems)
    write_whole(path, f"{PROBLEMS}\r\n{rows}")
    return path
