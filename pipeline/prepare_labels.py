"""`affect prepare-labels`: a data set's own annotation files to one manifest, and a list of what is missing on disk."""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from ..cache.manifest import shared_subjects, write_manifest
from ..cache.records import Array
from ..errors import InputError, VideoError
from ..stages.labels import aff_wild2, amigos, ness, omg
from ..stages.labels.tables import LabelRow, Prepared, Problem, VideoFiles
from .extract.videos import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from av import Packet, VideoStream

Value = TypeVar("Value")
DataSet = Literal["amigos", "omg", "ness", "panss", "cains", "aff-wild2"]
DATA_SETS: tuple[DataSet, ...] = ("amigos", "omg", "ness", "panss", "cains", "aff-wild2")


@dataclass(frozen=True, slots=True)
class LabelsSummary:
    """What was written, and what was not: `problems` one by one, `counts` by kind."""

    manifest: Path
    tables: tuple[Path, ...]  # what the labels were read from
    rows: int
    videos: int
    subjects: int
    targets: tuple[str, ...]
    splits: dict[str, int]  # rows of each; empty without a split
    counts: dict[str, int]
    problems: tuple[Problem, ...]
    problems_file: Path | None  # the same as CSV
    warnings: tuple[str, ...] = ()


def prepare_labels(
    data_set: DataSet,
    root: str | Path,
    output: str | Path,
    *,
    videos: str | Path | None = None,
    table: str | Path | None = None,
    span_s: float = 2.0,
) -> LabelsSummary:
    """Write the manifest of a data set under `root` to `output`, with ranges and units beside it.

    `videos`: the folder of recordings, `root` unless said; `table`: the annotation file, found under `root` unless
    said; `span_s`: the length of a labelled span where a data set labels every frame.
    Errors: InputError or ManifestError where there are no tables, more than one fits, or no label is left.
    """
    root, output = Path(root), Path(output)
    for folder in (root, Path(videos or root)):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; expected the data set's", hint="affect prepare-labels --help")
    if span_s <= 0:
        raise InputError(f"the span is {span_s:g} s; expected more than 0")
    files = find_files(Path(videos or root), output)
    tables = [Path(table)] if table else find_tables(data_set, root, output)
    prepared = _read(data_set, tables, files, Path(videos or root), span_s)
    manifest = prepared.manifest()
    write_manifest(manifest, output)
    shared = shared_subjects(manifest)
    return LabelsSummary(
        manifest=output,
        tables=tuple(tables),
        rows=len(manifest),
        videos=len(set(manifest.videos)),
        subjects=len(set(manifest.subjects)),
        targets=manifest.target_names,
        splits=dict(Counter(manifest.splits or [])),
        counts=dict(Counter(problem.kind for problem in prepared.problems)),
        problems=prepared.problems,
        problems_file=_write_problems(output, prepared.problems),
        warnings=tuple(f"subject {name} is in {' and '.join(splits)}" for name, splits in shared.items()),
    )


def find_files(folder: Path, output: Path) -> VideoFiles:
    """Every video below the folder, by its path there, with its path from the manifest's own folder."""
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file())
    start = output.parent.resolve()
    relative = {file: Path(os.path.relpath(file.resolve(), start)).as_posix() for file in found}
    return VideoFiles({file.relative_to(folder).as_posix(): path for file, path in relative.items()})


def find_tables(data_set: DataSet, root: Path, output: Path) -> list[Path]:
    """The data set's annotation files below `root`, sorted. Errors: InputError for none, or too many to tell."""
    suffixes = {".txt"} if data_set == "aff-wild2" else {".xlsx"} if data_set == "amigos" else {".csv", ".xlsx"}
    mine = {output.resolve(), _problems_path(output).resolve()}
    candidates = sorted(file for file in root.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
    candidates = [file for file in candidates if file.resolve() not in mine and not file.name.startswith("~$")]
    found = [file for file in candidates if _fits(data_set, file)]
    if not found:
        raise InputError(
            f"{root} holds no annotations of {data_set}; looked into {len(candidates)} files for {EXPECTED[data_set]}",
            hint="--table FILE names the annotation file",
        )
    if len(found) > 1 and data_set not in ("omg", "aff-wild2"):
        raise InputError(
            f"{root} holds {len(found)} tables that may be meant: {', '.join(str(file) for file in found[:4])}",
            hint="--table FILE names the annotation file",
        )
    return found


EXPECTED = {
    "amigos": "External_Annotations.xlsx",
    "omg": f"CSV tables of {','.join(omg.COLUMNS)}",
    "ness": "a table of PANSS or CAINS items, one row per interview",
    "panss": "a table with columns n1, n3 and n6, one row per interview",
    "cains": "a table with columns facial, vocal, gestures and speech, one row per interview",
    "aff-wild2": "text files that begin with valence,arousal",
}


def _fits(data_set: DataSet, file: Path) -> bool:
    if data_set == "amigos":
        return file.stem.lower().startswith("external_annotations")
    if file.suffix.lower() == ".xlsx":
        return data_set != "omg" and bool(_scales_in(file, data_set))
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        header = [word.strip().lower() for word in lines.readline().split(",")]
    if data_set == "aff-wild2":
        return header == ["valence", "arousal"]
    if data_set == "omg":
        return {"utterance", "arousal", "valence"} <= set(header)
    return "start_s" not in header and bool(_scales_in(file, data_set))


def _scales_in(file: Path, data_set: DataSet) -> list[ness.ScaleName]:
    return [scale for scale in ness.scales_in(file) if data_set in ("ness", scale)]


def _read(data_set: DataSet, tables: Sequence[Path], files: VideoFiles, folder: Path, span_s: float) -> Prepared:
    if data_set == "amigos":
        return _read_amigos(tables[0], files, folder)
    if data_set == "omg":
        return omg.read_omg([(table, omg.split_of(table)) for table in tables], files)
    if data_set == "aff-wild2":
        return _read_aff_wild2(tables, files, folder, span_s)
    scales = _scales_in(tables[0], data_set)
    if len(scales) > 1:
        raise InputError(f"{tables[0]} holds {' and '.join(scales)}; expected one", hint="prepare-labels panss")
    wanted: ness.ScaleName = "cains" if "cains" in (data_set, *scales) else "panss"
    return ness.read_ness(tables[0], wanted, files)


def _read_amigos(table: Path, files: VideoFiles, folder: Path) -> Prepared:
    named = [path for path in files.paths if amigos.video_key(path) is not None]
    times, unreadable = _each_readable(named, folder, duration_s)
    readable = VideoFiles({path: name for path, name in files.paths.items() if path in times or path not in named})
    prepared = amigos.read_amigos(table, readable, times)
    return Prepared(prepared.rows, prepared.scales, (*unreadable, *prepared.problems))


def _read_aff_wild2(tables: Sequence[Path], files: VideoFiles, folder: Path, span_s: float) -> Prepared:
    rows: list[LabelRow] = []
    problems: list[Problem] = []
    used: set[str] = set()
    for table in tables:
        stem = table.stem
        for word in aff_wild2.PERSON_WORDS:
            if stem.endswith(word):
                problems.append(Problem("one of several people", stem, "whose face it is cannot be told; left out"))
                used.update(files.with_stem(stem.removesuffix(word)))
                break
        else:
            found = files.with_stem(stem)
            if not found:
                problems.append(Problem("labels without a video", stem))
                continue
            used.add(found[0])
            times, unreadable = _each_readable(found[:1], folder, frame_times_s)
            problems += unreadable
            for path, time_s in times.items():
                values = aff_wild2.read_annotations(table)
                split = aff_wild2.split_of(table)
                more, wrong = aff_wild2.span_rows(
                    values, time_s, span_s, video=files.paths[path], subject=stem, split=split
                )
                rows += more
                problems += wrong
    return Prepared(tuple(rows), aff_wild2.SCALES, (*problems, *files.unused(used)))


def _each_readable(
    paths: Sequence[str], folder: Path, read: Callable[[Path], Value]
) -> tuple[dict[str, Value], list[Problem]]:
    values: dict[str, Value] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            values[path] = read(folder / path)
        except VideoError as error:
            problems.append(Problem("video cannot be read", path, error.message))
    return values, problems


def frame_times_s(path: Path) -> Array:
    """Presentation time of every frame, (F,) float64 from the first, out of the packets: nothing is decoded.

    Errors: VideoError for a file without video, or whose packets carry no times.
    """
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"{path} holds no video")
            stream = container.streams.video[0]
            base = float(stream.time_base or 0)
            stamps = np.array([pts * base for pts in _stamps(container.demux(stream))], np.float64)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path} cannot be read: {error}") from error
    if len(stamps) == 0:
        raise VideoError(f"{path} says no times of its frames")
    stamps.sort()
    return np.asarray(stamps - stamps[0])


def duration_s(path: Path) -> float:
    """From the first frame to the end of the last, taken to last as long as the one before. Errors: VideoError."""
    time_s = frame_times_s(path)
    last_s = float(time_s[-1] - time_s[-2]) if len(time_s) > 1 else 0.0
    return float(time_s[-1]) + last_s


def _stamps(packets: "Iterator[Packet[VideoStream]]") -> Iterator[int]:
    """Times of the packets that become frames, in the stream's own unit."""
    for packet in packets:
        if packet.size and packet.pts is not None and not packet.is_discard:
            yield packet.pts


def _problems_path(output: Path) -> Path:
    return output.with_name(f"{output.stem}-problems.csv")


def _write_problems(output: Path, problems: Sequence[Problem]) -> Path | None:
    path = _problems_path(output)
    if not problems:
        path.unlink(missing_ok=True)
        return None
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["problem", "name", "detail"])
        writer.writerows([problem.kind, problem.name, problem.detail] for problem in problems)
    return path
