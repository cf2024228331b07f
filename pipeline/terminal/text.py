"""What the commands say of their results: lines for people, and failures apart; `cli.py` spells out what is obeyed."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cache.json_files import finite
from ...cache.records import VideoCheck
from ...configs.plain_text import sentence
from ...stages.views import shown, warned
from ...stages.views.rules import METRICS
from ...stages.views.text_table import metrics_table, number_text, table
from ...stages.views.verdict import verdict
from ...stages.views.warned import in_order, together
from ..extract.inspect import StoreReport

if TYPE_CHECKING:
    from ...stages.features.layers import BackboneReport
    from ..demo.demo import DemoSummary
    from ..extract.edit_cache import EditSummary
    from ..extract.export_features import ExportSummary
    from ..info.info import Info
    from ..predict.outputs import PredictSummary
    from ..prepare_labels import LabelsSummary, ManifestSummary
    from ..train.sweep import SweepSummary

Text = shown.Text
matters = warned.matters
SPANS_SHOWN = 10
NOT_INSTALLED = "not installed"
TOLD_MEASURES = 6  # on the terminal; people.csv has all
TOLD_P = 0.05
LEVELS_SHOWN = 2  # of layers inside layers


def as_json(value: dict[str, Any]) -> str:
    """Strict JSON in a line: NaN and infinity become null, and what JSON has no word for its own words."""
    return json.dumps(finite(value), ensure_ascii=False, allow_nan=False, default=str)


def of_plan(rows: Sequence[tuple[str, str]], understood: Sequence[str] = (), failed: Sequence[str] = ()) -> Text:
    """What a command would do with each video; understood: what was read of its tables; failed: ids that would."""
    said = tuple(f"failed: {name}: {sentence(words)}" for name, words in rows if name in failed)
    return Text((*understood, *table(["video", "would be"], [row for row in rows if row[0] not in failed])), said)


def of_store(report: StoreReport, *, verified: bool, tracks: bool) -> Text:
    """What a store holds: its recipe, and a row a video or a row a track."""
    hours = sum(video.end_s for video in report.videos) / 3600
    rows = sum(video.rows for video in report.videos)
    lines = [
        f"{report.location}: {report.format}, {len(report.videos)} videos, {hours:.2f} hours, {rows} rows; "
        f"recipe {report.digest[:12]}",
        *(f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in report.recipe.items()),
        *(f"  written with {package} {', '.join(found)}" for package, found in report.versions.items()),
        *(
            f"warning: entries were written with different versions of {package}"
            for package, found in report.versions.items()
            if len(found) > 1
        ),
        *(_tracks(report) if tracks else _videos(report)),
        *_warnings((video.id, words) for video in report.videos for words in video.warnings),
    ]
    failures = [
        f"damaged: {entry}: {sentence(problem)}" for entry, found in report.damaged.items() for problem in found
    ]
    if failures:
        how = "import-features TABLES" if "source" in report.recipe else "extract-features VIDEOS"
        failures.append(f"Hint: affect {how} --store {report.location} --verify makes them again")
    if report.unreadable:
        failures += [f"cannot be read now: {entry}: {why}" for entry, why in report.unreadable.items()]
        failures.append(
            "Hint: run the same command again when they can be read; extract-features replaces none of them"
        )
    if verified and not failures:
        lines.append("every checksum holds")
    return Text(tuple(lines), tuple(failures))


def _warnings(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Of videos: (id, words)."""
    return [f"warning: {words}" for words in together(pairs)]


def _tracks(report: StoreReport) -> Iterator[str]:
    columns = ["video", "track", "person", "from s", "to s", "rows", "share", "size px", "kind"]
    rows = [
        [item.id, str(item.track), str(item.person), f"{item.start_s:.2f}", f"{item.end_s:.2f}", str(item.rows),
         f"{item.share:.1%}", f"{item.size_px:.0f}", item.kind or "-"]
        for item in report.tracks
    ]  # fmt: skip
    return table(columns, rows)


def _videos(report: StoreReport) -> Iterator[str]:
    columns = ["video", "frames", "rows", "with a face", "people", "last s", "header", "decoded"]
    rows = [
        [item.id, str(item.frames), str(item.rows), f"{item.face_share:.1%}", str(item.people), f"{item.end_s:.2f}",
         _count(item.header_frames), str(item.decoded_frames)]
        for item in report.videos
    ]  # fmt: skip
    return table(columns, rows)


def of_edit(summary: "EditSummary") -> Text:
    """What was changed in a store, and what was left."""
    lines = [f"{item.id}: {item.reason}" for item in summary.videos if item.status != "failed"]
    failed = tuple(f"failed: {item.id}: {sentence(item.reason)}" for item in summary.videos if item.status == "failed")
    return Text((*lines, f"{len(lines)} as said, {len(failed)} failed; store {summary.store}"), failed)


def of_export(summary: "ExportSummary") -> Text:
    """What was written; what was kept by reason."""
    done, kept, failed = (
        [item for item in summary.recordings if item.status == status] for status in ("done", "skipped", "failed")
    )
    lines = [
        *table(["file", "frames", "rows"], [[item.file, str(item.frames), str(item.rows)] for item in done]),
        *(f"kept {item.file}: {item.reason}" for item in kept),
        f"{len(done)} written, {len(kept)} kept, {len(failed)} failed; {summary.dictionary} says what each column is",
    ]
    return Text(tuple(lines), tuple(f"failed: {item.id}: {sentence(item.reason)}" for item in failed))


def of_checks(checks: Sequence[VideoCheck]) -> Text:
    """What was found out about videos that are still to be extracted."""
    readable = [check for check in checks if check.readable]
    columns = ["video", "size", "rotation", "s", "fps", "header", "decoded", "kept", "faces", "time", "memory", "disk"]
    rows = [
        [
            Path(check.path).name, f"{check.width_px}x{check.height_px}", str(check.rotation_deg),
            f"{check.decoded_s:.1f}", ("~" if check.variable_rate else "") + f"{check.average_fps or 0:.4g}",
            _count(check.header_frames), str(check.decoded_frames), str(check.kept_frames),
            "-" if check.face_rate is None else f"{check.face_rate:.0%}", f"{check.projected_s:.0f} s",
            f"{check.projected_memory_bytes / 1e9:.1f} GB", f"{check.projected_disk_bytes / 1e6:.1f} MB",
        ]
        for check in readable
    ]  # fmt: skip
    hours = sum(check.projected_s for check in readable) / 3600
    disk = sum(check.projected_disk_bytes for check in readable) / 1e9
    lines = [
        *table(columns, rows),
        *(f"note: {check.path}: {note}" for check in checks for note in check.notes),
        f"{len(readable)} of {len(checks)} can be read; extraction would take about {hours:.2f} hours with one job "
        f"here, and {disk:.3f} GB",
    ]
    return Text(
        tuple(lines),
        tuple(f"problem: {item.path}: {sentence(problem)}" for item in checks for problem in item.problems),
    )


def of_backbone(report: "BackboneReport", *, every: bool) -> Text:
    """The layers of a backbone, in the order they end, and what it gives as it is set.

    every: also those inside of others inside of others.
    """
    shown = [layer for layer in report.layers if every or layer.name.count(".") < LEVELS_SHOWN]
    hidden = len(report.layers) - len(shown)
    rows = [
        [layer.name, str(layer.channels), " x ".join(map(str, layer.places)) or "-", f"{layer.milliseconds:.2f}"]
        for layer in shown
    ]
    return Text(
        (
            *table(["layer", "channels", "places", "ms"], rows),
            *([f"{hidden} more layers lie inside these: --all"] if hidden else []),
            f"{report.backbone} at {report.taps}: {report.feature_size} numbers a face, {report.milliseconds:.2f} ms "
            f"({report.device}, {report.precision}, {report.batch} at once); its own output has {report.pooled_size}",
        )
    )


def of_sweep(summary: "SweepSummary") -> Text:
    """A row a setting; the choice looks at validation alone."""
    chosen = summary.chosen
    shown = [metric for metric in METRICS if any(metric in item.held_out for item in summary.outcomes)]
    rows = [
        [" ".join(item.words), f"{item.validation_ccc:.3f}",
         *(number_text(item.held_out.get(metric, math.nan)) for metric in shown),
         "<- chosen" if item is chosen else ""]
        for item in summary.outcomes
    ]  # fmt: skip
    names = [METRICS[metric] for metric in shown]
    columns = ["setting", "validation CCC", *(f"held-out {name}" for name in names[:1]), *names[1:], ""]
    lines = [
        *(f"warning: {words}" for words in in_order(words for item in summary.outcomes for words in item.warnings)),
        *table(columns, rows),
        *(f"note: {words}" for words in summary.notes),
        *([f"chosen on validation: {chosen.run}"] if chosen else []),
    ]
    return Text(
        tuple(lines), tuple(f"failed: {item.name}: {sentence(item.reason)}" for item in summary.outcomes if item.reason)
    )


def _range_words(summary: "PredictSummary") -> list[str]:
    """How often clips are out of range that are not; where none is judged, a warning has said so."""
    check = summary.range_check
    return [f"out of range: {check.sentence}"] if check is not None and check.rate is not None else []


def of_prediction(summary: "PredictSummary") -> Text:
    """What was scored, and how far it may be trusted."""
    done = [item for item in summary.results if item.status == "done"]
    rows = [
        [item.video, str(item.persons), str(item.clips), str(item.scored), f"{item.coverage:.1%}",
         str(item.out_of_range) if item.judged else "-"]
        for item in done
    ]  # fmt: skip
    of_runs = (*summary.missing, *summary.warnings)  # each video's warnings begin with them
    lines = [
        *([summary.worth] if summary.worth else []),
        *(f"warning: {warning}" for warning in in_order(of_runs)),
        *table(["video", "people", "clips", "scored", "coverage", "out of range"], rows),
        *_range_words(summary),
        *_warnings((item.video, words) for item in done for words in item.warnings if words not in of_runs),
        f"{len(done)} scored, {len(summary.failed)} failed in {summary.seconds:.1f} s; "
        f"open {summary.output}/viewer.html",
    ]
    failures = [
        *(f"incomplete: {sentence(words)}" for words in summary.missing),
        *(f"failed: {sentence(words)}" for words in summary.problems),
        *(f"failed: {item.video}: {sentence(item.reason)}" for item in summary.failed),
    ]
    return Text(tuple(lines), tuple(failures))


def of_description(summary: "PredictSummary") -> Text:
    """A row for each person, and the pairs that go together more than chance has it."""
    done = [item for item in summary.results if item.status == "done"]
    people = [(item.video, one) for item in done if item.description for one in item.description.people]
    measured = list(dict.fromkeys(name for _, one in people for name in one.mean))[:TOLD_MEASURES]
    rows = [
        [video, str(one.track), f"{one.seen_s:.1f}", f"{one.presence:.0%}", one.kind or "-",
         *(number_text(one.mean.get(name, math.nan)) for name in measured)]
        for video, one in people
    ]  # fmt: skip
    pairs = [(item.video, pair) for item in done if item.description for pair in item.description.pairs]
    told = [
        f"{video}: {pair.measure} of persons {pair.first} and {pair.second} goes together more than by chance "
        f"({pair.synchrony:.2f}, by chance {pair.chance:.2f}, p = {pair.p:.2f})"
        for video, pair in pairs
        if pair.p <= TOLD_P
    ]
    lines = [
        *([summary.worth] if summary.worth else []),
        *table(["video", "person", "seen s", "presence", "kind", *measured], rows),
        *(f"{item.video}: nobody was seen for long enough" for item in done if not item.persons),
        *told,
        *_warnings((item.video, words) for item in done for words in item.warnings),
        f"{len(done)} described, {len(summary.failed)} failed in {summary.seconds:.1f} s; "
        f"open {summary.output}/viewer.html",
    ]
    failures = [
        *(f"failed: {sentence(words)}" for words in summary.problems),
        *(f"failed: {item.video}: {sentence(item.reason)}" for item in summary.failed),
    ]
    return Text(tuple(lines), tuple(failures))


def of_labels(summary: "LabelsSummary") -> Text:
    """What was written, and what is missing or wrong, counted and listed."""
    lines = [*summary.understood[:SPANS_SHOWN], *(f"note: {note}" for note in summary.notes)]
    lines += [line for made in summary.manifests for line in _of_manifest(made)]
    if parts := [made.part for made in summary.manifests if made.part]:
        lines.append(f"{' and '.join(parts)} stand in one table: a manifest each, for a run each")
    return Text(tuple(lines))


def _of_manifest(made: "ManifestSummary") -> Iterator[str]:
    yield from (f"warning: {warning}" for warning in made.warnings)
    yield from (f"{count} {kind}" for kind, count in made.counts.items())
    yield from (f"  {item.kind}: {item.name} {item.detail}".rstrip() for item in made.problems[:SPANS_SHOWN])
    if (more := len(made.problems) - SPANS_SHOWN) > 0:
        yield f"  {more} more, listed in {made.problems_file}"
    splits = ", ".join(f"{rows} {name}" for name, rows in made.splits.items())
    yield (
        f"{made.rows} spans of {made.videos} videos and {made.subjects} subjects{f' ({splits})' if splits else ''} "
        f"for {', '.join(made.targets)}; manifest in {made.manifest}"
    )


def of_demo(summary: "DemoSummary") -> Text:
    """Scores on subjects that training never saw, and where to look next."""
    times = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in summary.seconds.items())
    places = [("videos", summary.videos), ("labels", summary.labels), ("features", summary.store),
              ("run", summary.run), ("predictions", summary.predictions)]  # fmt: skip
    lines = [
        *([verdict(summary.metrics)] if summary.metrics else []),
        *metrics_table(summary.metrics),
        *(f"{name}: {path}" for name, path in places),
        f"{times}; open {summary.viewer}",
    ]
    return Text(tuple(lines))


def of_info(info: "Info") -> Text:
    """What is here, as a report of a fault needs it."""
    missing = [f"{name} is missing" for name, found in info.packages.items() if found is None]
    extras = [
        f"extra {extra}: {', '.join(f'{name} {found or NOT_INSTALLED}' for name, found in packages.items())}"
        for extra, packages in info.extras.items()
    ]
    lines = [
        f"affect {info.version or 'of no installed package'}{f' ({info.commit})' if info.commit else ''}, Python "
        f"{info.python}, {info.system}",
        *(f"device {name}: {what}{'; auto' if name.split(':')[0] == info.auto else ''}"
          for name, what in info.devices.items()),
        *(f"note: {note}" for note in info.notes),
        f"{info.cores} cores, {info.threads} threads of torch",
        *(f"engine {name}: {found or NOT_INSTALLED}" for name, found in info.engines.items()),
        f"decoder: {info.decoder}",
        *extras,
        *(f"{what}: {place}" for what, place in info.places.items()),
        *(f"warning: {words}" for words in missing),
        f"packages: {', '.join(f'{name} {found}' for name, found in info.packages.items() if found)}",
    ]  # fmt: skip
    return Text(tuple(lines))


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)
