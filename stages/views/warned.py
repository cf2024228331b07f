"""Warnings as they are read: each once, with all that it is said of, and first what changes the meaning of results."""

import re
from collections.abc import Iterable

from ...errors import listed

# In this order; what fits none of them is a note. They are words, since they come out of files of older runs too.
WEIGHTS = tuple(
    re.compile(words)
    for words in (
        r"NOT subject-independent|share people",  # the numbers say nothing about new people
        r"\bfailed\b|\bmissing\b|has not ended|models used|metrics\.json",  # they are not of all there was
        r"unlike the training|may mean nothing|broke down|no number",  # the model does not know such clips
        r"cut short|damaged:|left out|could be meant|of several subjects|several names|tell of changes"
        r"|the test people are new",
    )
)
NAMED = 3  # videos or runs in front of a warning


def weight(words: str) -> int:
    """0 for what turns the numbers over, more for what matters less."""
    return next((number for number, kind in enumerate(WEIGHTS) if kind.search(words)), len(WEIGHTS))


def matters(words: str) -> bool:
    """Whether a warning changes what the results mean, so that it is said to who wants to read nothing else."""
    return weight(words) < len(WEIGHTS)


def in_order(warnings: Iterable[str]) -> list[str]:
    """Each once, the weightiest first."""
    return sorted(dict.fromkeys(warnings), key=weight)


def together(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Warnings of videos, or of runs, by name: each once, behind the names of those it is said of, in order."""
    names: dict[str, list[str]] = {}
    for name, words in pairs:
        names.setdefault(words, []).append(name)
    return [f"{listed(list(dict.fromkeys(names[words])), NAMED)}: {words}" for words in in_order(names)]
