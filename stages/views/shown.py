"""Results in lines for people, with failures apart; a result that has such lines shows itself, in a notebook too."""

from dataclasses import dataclass

from ...configs.plain_text import spelled
from .rules import escaped


@dataclass(frozen=True, slots=True)
class Text:
    """`lines` for the output, `failures` for the error stream; a failure makes the exit code 1."""

    lines: tuple[str, ...]
    failures: tuple[str, ...] = ()


class Shown:
    """Something whose lines are what a command prints of it."""

    __slots__ = ()

    def text(self) -> Text:
        """What there is to say."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """The lines of its text, each without what a terminal would obey."""
        said = self.text()
        return "\n".join(spelled(line) for line in (*said.lines, *said.failures))

    def _repr_html_(self) -> str:
        return f"<pre>{escaped(repr(self))}</pre>"
