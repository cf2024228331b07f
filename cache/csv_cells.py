"""Tables on their way into a CSV file that somebody opens in a spreadsheet, and back."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..configs.plain_text import cell, from_cell

if TYPE_CHECKING:
    import pandas as pd


def to_cells(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table as it is written to a CSV: every name and every cell of text through `cell`; numbers as they are."""
    return _each_text(table, cell)


def rows_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows of text alone as a CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(map(cell, row) for row in rows)
    return text.getvalue()


def from_cells(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table that `to_cells` made this one of."""
    return _each_text(table, from_cell)


def _each_text(table: "pd.DataFrame", change: Callable[[str], str]) -> "pd.DataFrame":
    changed = table.rename(columns=lambda name: change(str(name)))
    for name, kind in zip(changed.columns, changed.dtypes, strict=True):
        if getattr(kind, "kind", "O") == "O":
            changed[name] = [change(value) if isinstance(value, str) else value for value in changed[name]]
    return changed
