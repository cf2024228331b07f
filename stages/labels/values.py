"""Columns of labels as targets: one of numbers as it stands, one of words as a target for each word."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ...cache.cell_values import GROUPED, is_missing, is_numeric, numbers
from ...cache.manifest_csv import label_values
from ...cache.records import Array, Target
from ...cache.tables import Table
from ...errors import ManifestError, shown
from .tables import Problem

MOST_CATEGORIES = 20  # words of a column that become a target each
# What somebody meant as a number, rightly written or not: -0.5, 1_000, 10%, 0.5?, another minus, digits of full width.
# Letters make a word of it (2nd, AU12), and so does a sign between digits (18-25, 1/2).
_SIGN, _DIGIT, _BESIDE = r"[+\-\x{2010}-\x{2015}\x{2212}\x{fe63}\x{ff0b}\x{ff0d}]", r"\p{Nd}", r"[\p{Sc}%‰°?]"
NUMBER_LIKE = (
    rf"^\p{{Sc}}?\s?{_SIGN}?\s?\p{{Sc}}?\s?[.,]?{_DIGIT}({_DIGIT}|[.,_\x{{ff0c}}\x{{ff0e}}])*"
    rf"([eE]{_SIGN}?{_DIGIT}+)?(\s?{_BESIDE})*$"
)
TRUTH = r"^(?i:true|false)$"
FAILED = r"^(#[¡¿]?[\p{Lu}\d/_]+[!?]|Err:\d+)$"  # a formula of a spreadsheet, in any language: #REF!, #WERT!, Err:502


@dataclass(frozen=True, slots=True)
class Source:
    """What a target was made of."""

    place: str  # `FILE, line N`
    column: str
    word: str = ""  # as it is first written there; empty for a column of numbers

    def __str__(self) -> str:
        return f"column {self.column!r}{' is ' + shown(self.word) if self.word else ''}"


def of_numbers(table: Table, name: str) -> bool:
    """Whether a column is one of numbers: more than half of what it says looks like one, or all does or is a truth."""
    if is_numeric(table, name):
        return True
    said = _said(table, name)
    like, grouped, truth = (
        np.asarray(pc.match_substring_regex(said, pattern)) for pattern in (NUMBER_LIKE, GROUPED, TRUTH)
    )
    like = like | grouped
    return bool(2 * like.sum() > len(like) or (like | truth).all())


def values_of(
    table: Table, names: Sequence[str], sign: str, problems: list[Problem], name: str = ""
) -> tuple[tuple[Target, ...], Array, tuple[Source, ...]]:
    """K targets, their values (R, K), and what each was made of. name: of the one column, in place of its own.

    Errors: ManifestError for a cell that is no number in a column of them, or what a failed formula left in any.
    """
    targets: list[Target] = []
    columns: list[Array] = []
    sources: list[Source] = []
    for column in names:
        called = name or column
        if of_numbers(table, column):
            values = label_values(table, column, sign)
            if np.isnan(values).all():
                problems.append(Problem("column is no target", called, "it has no value"))
                continue
            targets.append(Target(called))
            columns.append(values)
            sources.append(Source(f"{table.place}, line {table.header_line}", called))
            continue
        _check_formulas(table, column)
        typed = pc.if_else(is_missing(table, column), "", table.cells[column]).to_pylist()
        known = [word.lower() for word in typed]
        words = sorted(set(known) - {""})
        if len(words) > MOST_CATEGORIES:
            detail = f"it has {len(words)} different words; up to {MOST_CATEGORIES} become a target each"
            problems.append(Problem("column is no target", called, detail))
            continue
        for word in words:
            row = known.index(word)
            targets.append(Target(f"{called}_{_slug(word)}", 0, 1))
            columns.append(np.array([float(one == word) if one else np.nan for one in known]))
            sources.append(Source(table.where(row), called, typed[row]))
    return tuple(targets), np.column_stack(columns) if columns else np.zeros((len(table), 0)), tuple(sources)


def check_apart(targets: Iterable[tuple[Target, Source]]) -> None:
    """Refuse two words, or a word and a column of numbers, that would become one target.

    Errors: ManifestError naming both with their lines.
    """
    seen: dict[str, Source] = {}
    for target, source in targets:
        other = seen.setdefault(target.name, source)
        if other.word.lower() != source.word.lower():
            raise ManifestError(
                f"{source.place}: {source}, and {other} in {other.place}; both would become the target {target.name!r}",
                hint="names of targets keep letters, digits and _: rename one, as 'A plus' for 'A+'; or write both "
                "alike, if they mean the same",
            )


def _check_formulas(table: Table, column: str) -> None:
    """Refuse what a failed formula left in a column of words, as in one of numbers."""
    failed = pc.and_(pc.match_substring_regex(table.cells[column], FAILED), pc.invert(is_missing(table, column)))
    if pc.any(failed).as_py():
        cells = {column: table.cells[column].filter(failed)}
        numbers(replace(table, cells=cells, lines=table.lines[np.asarray(failed)]), column, ".")  # has the words for it


def _slug(word: str) -> str:
    """A word as the end of a column's name."""
    return re.sub(r"\W+", "_", word.lower()).strip("_") or "other"


def _said(table: Table, name: str) -> Any:
    """The cells of a column that are not missing."""
    return table.cells[name].filter(pc.invert(is_missing(table, name)))
