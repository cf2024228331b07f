"""Scores as annotations: ELAN documents and WebVTT captions, one annotation a clip."""

import contextlib
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime
from html import escape
from pathlib import Path

import numpy as np

from ...cache.predictions import PersonPrediction, ScoreReason, VideoPrediction
from ...cache.records import Target
from ...configs.plain_text import spelled

EAF_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
SCORES = "scores"  # ELAN's name for the kind of our tiers
MIME_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
}


def elan(prediction: VideoPrediction, folder: Path, date: datetime) -> bytes:
    """An `.eaf` document: a tier per person and target, and one for remarks; times on the player's clock.

    folder: where the document will lie, to name the recording from there; date: with its time zone.
    ELAN's tiers cannot overlap: where clips do, each annotation covers the stretch its clip alone stands for.
    Source: the EAF 3.0 schema of the Max Planck Institute for Psycholinguistics.
    """
    document = ET.Element("ANNOTATION_DOCUMENT", {
        "AUTHOR": "affect", "DATE": date.isoformat(timespec="seconds"),
        "FORMAT": "3.0", "VERSION": "3.0", "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
        "xsi:noNamespaceSchemaLocation": EAF_SCHEMA,
    })  # fmt: skip
    header = ET.SubElement(document, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    if prediction.source is not None:
        ET.SubElement(header, "MEDIA_DESCRIPTOR", _media(prediction.source, folder))
    slots = ET.SubElement(document, "TIME_ORDER")
    written = _Slots()
    for person in prediction.persons:
        for name, rows in _tiers(prediction, person):
            tier = ET.SubElement(document, "TIER", {"LINGUISTIC_TYPE_REF": SCORES, "TIER_ID": name})
            for start_ms, end_ms, text in rows:
                written.annotate(tier, start_ms, end_ms, text)
    written.write(slots)
    ET.SubElement(document, "LINGUISTIC_TYPE", {
        "GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": SCORES, "TIME_ALIGNABLE": "true",
    })  # fmt: skip
    ET.indent(document)
    content: bytes = ET.tostring(document, encoding="utf-8", xml_declaration=True)
    return content


class _Slots:
    """ELAN's points in time, shared by the annotations that begin or end there."""

    def __init__(self) -> None:
        self.annotations = 0
        self.references: list[tuple[int, ET.Element, str]] = []  # time, annotation, which attribute

    def annotate(self, tier: ET.Element, start_ms: int, end_ms: int, text: str) -> None:
        self.annotations += 1
        holder = ET.SubElement(tier, "ANNOTATION")
        aligned = ET.SubElement(holder, "ALIGNABLE_ANNOTATION", {"ANNOTATION_ID": f"a{self.annotations}"})
        ET.SubElement(aligned, "ANNOTATION_VALUE").text = text
        self.references += [(start_ms, aligned, "TIME_SLOT_REF1"), (end_ms, aligned, "TIME_SLOT_REF2")]

    def write(self, order: ET.Element) -> None:
        """Number the points in order of time, as ELAN wants them."""
        times = sorted({time_ms for time_ms, _, _ in self.references})
        names = {time_ms: f"ts{number}" for number, time_ms in enumerate(times, 1)}
        for time_ms in times:
            ET.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": names[time_ms], "TIME_VALUE": str(time_ms)})
        for time_ms, annotation, attribute in self.references:
            annotation.set(attribute, names[time_ms])


def _media(source: Path, folder: Path) -> dict[str, str]:
    target = source.resolve()
    values = {"MEDIA_URL": target.as_uri(), "MIME_TYPE": MIME_TYPES.get(target.suffix.lower(), "unknown")}
    with contextlib.suppress(ValueError):  # another drive
        values["RELATIVE_MEDIA_URL"] = Path(os.path.relpath(target, folder.resolve())).as_posix()
    return values


def _tiers(prediction: VideoPrediction, person: PersonPrediction) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Each tier's name and its (start, end, text)."""
    edges = _edges_ms(prediction, person)
    prefix = f"{person.label} " if len(prediction.persons) > 1 else ""
    for number, target in enumerate(prediction.targets):
        rows = [
            (start, end, score_text(person, clip, number, target))
            for clip, (start, end) in enumerate(edges)
            if start < end and not np.isnan(person.clips.mean[clip, number])
        ]
        yield prefix + spelled(target.name), rows
    remarks = [
        (start, end, text)
        for clip, (start, end) in enumerate(edges)
        for text in [remark(person, clip)]
        if start < end and text
    ]
    if remarks:
        yield prefix + "remarks", remarks


def webvtt(prediction: VideoPrediction) -> str:
    """Captions: one cue a clip and person, with every target's score; times on the player's clock."""
    cues = []
    for person in prediction.persons:
        who = f"{person.label}\n" if len(prediction.persons) > 1 else ""
        for clip, (start, end) in enumerate(_edges_ms(prediction, person)):
            scores = [
                f"{spelled(target.name)} {score_text(person, clip, number, target)}"
                for number, target in enumerate(prediction.targets)
                if not np.isnan(person.clips.mean[clip, number])
            ]
            lines = [*scores, *filter(None, [remark(person, clip)])]
            if start < end and lines:
                text = escape(who + "\n".join(lines), quote=False)  # an arrow would begin another cue
                cues.append((start, end, text))
    blocks = [f"{_vtt_time(start)} --> {_vtt_time(end)}\n{text}" for start, end, text in sorted(cues)]
    return "\n\n".join(["WEBVTT", *blocks]) + "\n"


def score_text(person: PersonPrediction, clip: int, number: int, target: Target) -> str:
    """`0.31 ± 0.05 unit`, without what is unknown."""
    spread = person.clips.std[clip, number]
    text = f"{person.clips.mean[clip, number]:z.2f}" + ("" if np.isnan(spread) else f" ± {spread:.2f}")
    return f"{text} {spelled(target.unit)}" if target.unit else text


def remark(person: PersonPrediction, clip: int) -> str:
    """Why a clip's score is missing or doubtful; empty where it is neither."""
    if person.clips.reason[clip]:
        return ScoreReason(int(person.clips.reason[clip])).sentence
    return "unlike the training recordings" if person.clips.out_of_range[clip] else ""


def _edges_ms(prediction: VideoPrediction, person: PersonPrediction) -> list[tuple[int, int]]:
    left, right = (np.rint((edge + prediction.clock_offset_s) * 1000).astype(np.int64) for edge in person.edges_s())
    return list(zip(np.maximum(left, 0).tolist(), np.maximum(right, 0).tolist(), strict=True))


def _vtt_time(time_ms: int) -> str:
    seconds, thousandths = divmod(time_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{thousandths:03d}"
