"""Names of people that differ in nothing but the way they are written."""

import re
import unicodedata
from collections.abc import Iterable

# Besides the characters of category Cf: joiners, fillers and variation selectors, which show nothing either.
UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
FLOAT = re.compile(r"(\d+)[.,]0+")  # what a spreadsheet makes of a whole number
ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
BESIDE_NO_DIGIT = re.compile(r"(?<!\d) | (?!\d)")


def people_of(names: Iterable[str]) -> dict[str, str]:
    """Name -> a key, which is one for all spellings of a name.

    Case, width, what cannot be seen, punctuation, blanks and a number's leading zeros do not count, and 4.0 is 4.
    Between two digits punctuation does count, since 1-11 is not 11-1; unless the same digits also stand without any,
    as 12-34 and 1234.
    """
    keys = {name: folded(name) for name in names}
    whole = {key for key in keys.values() if " " not in key}
    joined = {name: ZEROS.sub("", key.replace(" ", "")) for name, key in keys.items()}
    return {name: joined[name] if joined[name] in whole else key for name, key in keys.items()}


def folded(name: str) -> str:
    """A name without what does not count, with a blank where words of it part: `S_01 (a)` is `s1 a`."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    text = "".join(map(_plain, UNSEEN.sub("", text))).strip()
    if number := FLOAT.fullmatch(text):
        text = number[1]
    words = " ".join("".join(" " if _parts(char) else char for char in text).split())
    return ZEROS.sub("", BESIDE_NO_DIGIT.sub("", words)) or text


def _plain(char: str) -> str:
    """A character, a digit of any script as 0 to 9; nothing where it cannot be seen."""
    if char.isspace():
        return " "
    if unicodedata.category(char) in {"Cf", "Cc"}:
        return ""
    return str(unicodedata.decimal(char, char))


def _parts(char: str) -> bool:
    return unicodedata.category(char)[0] in "PZ" or char == "\N{MINUS SIGN}"
