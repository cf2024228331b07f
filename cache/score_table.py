"""Scores, and descriptions of faces, as tables that say below themselves what they are worth."""

from typing import Any

import pandas as pd

from ..configs.plain_text import spelled


class ScoreTable(pd.DataFrame):
    """A DataFrame with a row for each clip. A part of it, or what is computed from it, is an ordinary DataFrame.

    `attrs`: `worth` (what the scores are worth on new people, a sentence), `warnings` (list), `failed` (video -> why).
    """

    def __repr__(self) -> str:
        return "\n".join([super().__repr__(), *self._said()])

    def _repr_html_(self) -> str:
        from html import escape

        said = "".join(f"<p>{escape(line)}</p>" for line in self._said())
        return f"{super()._repr_html_()}{said}"  # type: ignore[misc]  # pandas-stubs leave it out

    def _said(self) -> list[str]:
        attrs: dict[Any, Any] = self.attrs
        lines = [attrs.get("worth", ""), *(f"warning: {words}" for words in attrs.get("warnings", ()))]
        lines += [f"failed: {video}: {reason}" for video, reason in attrs.get("failed", {}).items()]
        return [spelled(line) for line in lines if line]


class FaceTable(ScoreTable):
    """A DataFrame with a row for each person of the videos that were described.

    `windows`: a row for each person and window of time; `pairs`: a row for each two people and measure.
    """

    windows: pd.DataFrame
    pairs: pd.DataFrame
    _metadata = ["windows", "pairs"]  # noqa: RUF012 - pandas asks for a list here
