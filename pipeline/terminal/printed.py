"""What may reach a terminal: lines on which nothing from outside moves the cursor, sets a title or forges a line."""

from ...cache.plain_text import sentence, spelled
from ...errors import AffectError

__all__ = ["lines_of", "sentence", "spelled"]


def lines_of(error: AffectError) -> list[str]:
    """An error as it is printed: what happened on one line, and its hint on another."""
    hints = [f"Hint: {sentence(error.hint)}"] if error.hint else []
    return [f"Error: {sentence(error.message)}", *hints]
