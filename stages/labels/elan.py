"""ELAN documents: the tiers of an .eaf, each as a table of start, end and value in milliseconds of the player's clock.

Source: the EAF 3.0 schema of the Max Planck Institute for Psycholinguistics.
"""

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.parsers import expat

import numpy as np
import pyarrow as pa

from ...cache.records import Array
from ...cache.tables import Table, read_bounded
from ...errors import ManifestError, shown

COLUMNS = ("start_ms", "end_ms", "value")
MOST_DEPTH = 64  # of elements in each other; a document has six


@dataclass(frozen=True, slots=True)
class Tier:
    """The annotations of one tier, in order of time."""

    name: str
    participant: str
    table: Table  # COLUMNS


@dataclass(frozen=True, slots=True)
class Document:
    """What an .eaf says of its recordings, and its tiers that have annotations."""

    path: Path
    media: tuple[tuple[str, float], ...]  # names of recordings, and the time in each at which the document begins
    tiers: tuple[Tier, ...]


@dataclass(slots=True)
class _Annotation:
    line: int
    tier: str
    begin: str  # a slot, or the annotation that it belongs to
    end: str  # a slot; empty for one that belongs to another
    text: list[str] = field(default_factory=list)


def read_eaf(path: Path) -> Document:
    """The document in a file. A document type, and so every entity, is refused.

    Errors: ManifestError naming the line where it is no ELAN document.
    """
    reading = _Reading(path)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    reading.parser = parser
    parser.StartDoctypeDeclHandler = reading.refuse_doctype
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    try:
        parser.Parse(read_bounded(path), True)
    except expat.ExpatError as error:
        raise ManifestError(
            f"{path}, line {error.lineno}: {expat.ErrorString(error.code)}; expected an ELAN document (.eaf)"
        ) from error
    if reading.root != "ANNOTATION_DOCUMENT":
        raise ManifestError(f"{path} is {shown(reading.root, 60)}; expected an ELAN document (ANNOTATION_DOCUMENT)")
    return Document(path, tuple(reading.media), reading.tiers())


class _Reading:
    """An .eaf while it is parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parser: expat.XMLParserType | None = None
        self.root = ""
        self.depth = 0
        self.media: list[tuple[str, float]] = []
        self.slots: dict[str, float] = {}  # in the order of the document; NaN without a time
        self.participants: dict[str, str] = {}  # tier -> who
        self.annotations: dict[str, _Annotation] = {}
        self.tier = ""
        self.open: _Annotation | None = None
        self.inside = False  # of ANNOTATION_VALUE

    def refuse_doctype(self, *_: object) -> None:
        raise ManifestError(f"{self.path}, line {self._line}: a document type; expected an ELAN document without one")

    @property
    def _line(self) -> int:
        return self.parser.CurrentLineNumber if self.parser else 0

    def start(self, name: str, values: Mapping[str, str]) -> None:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ManifestError(f"{self.path}, line {self._line}: more than {MOST_DEPTH} elements in each other")
        self.root = self.root or name
        if name == "HEADER" and values.get("TIME_UNITS", "milliseconds") != "milliseconds":
            raise ManifestError(
                f"{self.path}, line {self._line}: its times are {shown(values['TIME_UNITS'])}; expected milliseconds",
                hint="open and save it in ELAN",
            )
        if name == "MEDIA_DESCRIPTOR":
            origin_ms = self._number(values.get("TIME_ORIGIN", "0"), "TIME_ORIGIN")
            for url in (values.get("MEDIA_URL", ""), values.get("RELATIVE_MEDIA_URL", "")):
                self.media.append((PurePosixPath(urllib.parse.unquote(url).replace("\\", "/")).name, origin_ms / 1000))
        elif name == "TIME_SLOT":
            time = values.get("TIME_VALUE")
            self.slots[self._named(values, "TIME_SLOT_ID")] = (
                float("nan") if time is None else self._number(time, "TIME_VALUE")
            )
        elif name == "TIER":
            self.tier = self._named(values, "TIER_ID")
            self.participants[self.tier] = values.get("PARTICIPANT", "")
        elif name in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
            edges = ("TIME_SLOT_REF1", "TIME_SLOT_REF2") if name[0] == "A" else ("ANNOTATION_REF",)
            found = [self._named(values, edge) for edge in edges]
            self.open = _Annotation(self._line, self.tier, found[0], found[1] if len(found) > 1 else "")
            self.annotations[self._named(values, "ANNOTATION_ID")] = self.open
        self.inside = name == "ANNOTATION_VALUE"

    def end(self, name: str) -> None:
        self.depth -= 1
        self.inside = False

    def text(self, words: str) -> None:
        if self.inside and self.open is not None:
            self.open.text.append(words)

    def tiers(self) -> tuple[Tier, ...]:
        """Every tier that has annotations, in the document's order."""
        known = np.array(list(self.slots.values()))
        timed = ~np.isnan(known)
        # A slot without a time lies between its neighbours, at equal distances, as ELAN has it.
        times = np.interp(np.arange(len(known)), np.flatnonzero(timed), known[timed]) if timed.any() else known
        slots = dict(zip(self.slots, times.tolist(), strict=True))
        spans: dict[str, tuple[float, float]] = {}
        for name, one in self.annotations.items():
            if one.end:
                spans[name] = (self._time(slots, one.begin, one), self._time(slots, one.end, one))
        self._place_dependent(spans)
        by_tier: dict[str, list[tuple[float, float, _Annotation]]] = {tier: [] for tier in self.participants}
        for name, one in self.annotations.items():
            by_tier.setdefault(one.tier, []).append((*spans[name], one))
        return tuple(
            Tier(name, self.participants.get(name, ""), self._table(found)) for name, found in by_tier.items() if found
        )

    def _place_dependent(self, spans: dict[str, tuple[float, float]]) -> None:
        """Annotations without times of their own share those of the one that they belong to, in equal parts."""
        children: dict[str, list[str]] = {}
        for name, one in self.annotations.items():
            if not one.end:
                children.setdefault(one.begin, []).append(name)
        waiting = list(spans)
        while waiting:
            parent = waiting.pop()
            by_tier: dict[str, list[str]] = {}
            for name in children.pop(parent, []):
                by_tier.setdefault(self.annotations[name].tier, []).append(name)
            begin, end = spans[parent]
            for names in by_tier.values():
                edges = np.linspace(begin, end, len(names) + 1).tolist()
                spans |= {name: (edges[number], edges[number + 1]) for number, name in enumerate(names)}
                waiting += names
        if children:
            lost = self.annotations[next(iter(children.values()))[0]]
            raise ManifestError(f"{self.path}, line {lost.line}: it belongs to {shown(lost.begin)}, which has no time")

    def _table(self, found: list[tuple[float, float, _Annotation]]) -> Table:
        found = sorted(found, key=lambda item: item[:2])
        columns = zip(*((repr(start), repr(end), "".join(one.text).strip()) for start, end, one in found), strict=True)
        cells = {name: pa.array(column, pa.string()) for name, column in zip(COLUMNS, columns, strict=True)}
        lines: Array = np.array([one.line for _, _, one in found], np.int64)
        return Table(self.path, "", COLUMNS, cells, lines, 1, False, ())

    def _time(self, slots: Mapping[str, float], name: str, one: _Annotation) -> float:
        time_ms = slots.get(name, float("nan"))
        if np.isnan(time_ms):
            raise ManifestError(f"{self.path}, line {one.line}: time slot {shown(name)} has no time")
        return time_ms

    def _named(self, values: Mapping[str, str], attribute: str) -> str:
        if attribute not in values:
            raise ManifestError(f"{self.path}, line {self._line}: no {attribute}; expected an ELAN document (.eaf)")
        return values[attribute]

    def _number(self, word: str, attribute: str) -> float:
        try:
            return float(int(word))
        except ValueError as error:
            raise ManifestError(
                f"{self.path}, line {self._line}: {attribute} is {shown(word)}; expected milliseconds"
            ) from error
