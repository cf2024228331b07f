"""The unit of a label table's times, told by the videos that its spans have to lie in."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ...cache.manifest import Manifest
from ...cache.records import Array
from ...errors import ManifestError
from .clips import first_frame_from
from .feature_table import FeatureTable

FITS = 0.9  # least share of the spans that lie in their videos, in a unit that is to be theirs
MISSES = 0.1  # most of them that lie there in seconds, if it is to be another
BEYOND_S = 1.0  # behind a video's last frame a span may end without a word
SAYS = "--set labels.time_unit=s, or =ms"


def in_fitting_unit(
    manifest: Manifest, table: FeatureTable, ids: Sequence[str], decoded_frames: Callable[[str], int]
) -> Manifest:
    """The manifest with its spans in seconds.

    Numbers whose unit nobody has said are seconds, as their columns are called. Where most of these spans lie outside
    of their videos, they are milliseconds if that is the only unit that fits, and `times` says so.
    ids: (M,) of the videos; decoded_frames: how many frames a video has.
    Errors: ManifestError where it cannot be told, or they are numbers of frames.
    """
    if manifest.time_unit != "auto":
        return manifest
    video, length_s = table.number(ids), _length_s(table)
    votes = np.isfinite(manifest.end_s) & (length_s[video] > 0)
    if not votes.any():
        return manifest
    video, spans = video[votes], np.stack([manifest.start_s, manifest.end_s])[:, votes]
    seconds = _inside(length_s[video], spans).mean()
    shares = {"ms": _holding(table, video, length_s, spans / 1000).mean()}
    if seconds >= 0.5:  # the others are listed as what is not used
        if shares["ms"] >= FITS and (spans == np.round(spans)).all():
            return replace(manifest, times="seconds, as start_s says; milliseconds would fit too (labels.time_unit=ms)")
        return manifest
    if (spans == np.round(spans)).all():
        frames = np.array([0 if name in table.unread else decoded_frames(name) for name in table.ids])
        frame_s = length_s / np.maximum(frames, 1)
        shares["frame"] = _holding(table, video, length_s, spans * frame_s[video]).mean()
    fitting = [unit for unit, share in shares.items() if share >= FITS]
    if not fitting:
        return manifest
    where = f"{manifest.path or 'the manifest'}: as seconds {seconds:.0%} of the spans lie in their videos"
    if fitting == ["frame"]:
        raise ManifestError(
            f"{where}; they look like numbers of frames",
            hint="affect prepare-labels spans FOLDER --time-unit frame makes a table in seconds of them",
        )
    if len(fitting) > 1 or seconds > MISSES:
        other = "milliseconds, or numbers of frames," if len(fitting) > 1 else "milliseconds"
        raise ManifestError(f"{where}, as {other} {shares['ms']:.0%}; expected to be told the unit", hint=SAYS)
    return replace(
        manifest,
        start_s=manifest.start_s / 1000,
        end_s=manifest.end_s / 1000,
        time_unit="ms",
        times=f"milliseconds, the only unit in which they fit the videos ({SAYS} says it)",
    )


def ends_beyond(manifest: Manifest, table: FeatureTable, ids: Sequence[str]) -> tuple[str, ...]:
    """A sentence where spans begin in their video and end far behind its end: a slip, or another unit."""
    length_s = _length_s(table)[table.number(ids)]
    beyond = np.isfinite(manifest.end_s) & (manifest.start_s < length_s) & (manifest.end_s > length_s + BEYOND_S)
    if not beyond.any():
        return ()
    row = int(beyond.argmax())
    return (
        f"spans that end more than a second behind the end of their video: {int(beyond.sum())}, cut there; the first "
        f"stands in line {manifest.line(row)} (to {manifest.end_s[row]:g} s of {length_s[row]:.1f})",
    )


def _length_s(table: FeatureTable) -> Array:
    """(V,) float64: the time of each video's last kept frame and the mean step behind it; 0 without any."""
    first, time_s = table.frames.first, table.frames.time_s
    count = np.diff(first)
    last = time_s[np.maximum(first[1:] - 1, 0)] if len(time_s) else np.zeros(len(count))
    lengths: Array = np.where(count > 0, last + last / np.maximum(count - 1, 1), 0.0)
    return lengths


def _inside(length_s: Array, spans: Array) -> Array:
    """(S,) bool: whether the middle of a span lies in its video, which is so long (S,)."""
    inside: Array = spans.mean(axis=0) <= length_s
    return inside


def _holding(table: FeatureTable, video: Array, length_s: Array, spans: Array) -> Array:
    """(S,) bool: whether it does, and a kept frame lies in the span: of the wrong unit many are far too short."""
    first, behind = (first_frame_from(table, video, edge) for edge in spans)
    holding: Array = _inside(length_s[video], spans) & (behind > first)
    return holding
