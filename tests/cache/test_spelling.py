"""Spellings of one name are one person; names of different people stay apart."""

import random
import unicodedata
from collections.abc import Callable

import pytest

from affect.cache.spelling import people_of

NAMES = ["S0004", "p12", "anna", "Ünal-3", "site2_p7", "4", "1-11", "M. Ångström 02", "ID-0100b", "王小明"]
INVISIBLE = "\u200b\u200c\u200d\u00ad\ufeff\u2060\ufe0f"
BETWEEN = "-_. \u00a0\u2013\u2212/:'"
WIDE = {ord(char): chr(ord(char) + 0xFEE0) for char in map(chr, range(0x21, 0x7F))}
ARABIC = {ord("0") + digit: 0x0660 + digit for digit in range(10)}


def _anywhere(text: str, piece: str, draw: random.Random) -> str:
    place = draw.randint(0, len(text))
    return text[:place] + piece + text[place:]


def _punctuated(text: str, draw: random.Random) -> str:
    """Punctuation where it parts no number in two."""
    places = [n for n in range(len(text) + 1) if not (text[n - 1 : n].isdecimal() and text[n : n + 1].isdecimal())]
    place = draw.choice(places)
    return text[:place] + draw.choice(BETWEEN) * draw.randint(1, 2) + text[place:]


def _zeros(text: str, draw: random.Random) -> str:
    """Zeros before one of the numbers."""
    starts = [n for n, char in enumerate(text) if char.isdecimal() and not text[n - 1 : n].isdecimal()]
    if not starts:
        return text
    place = draw.choice(starts)
    return text[:place] + "0" * draw.randint(1, 4) + text[place:]


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "case": lambda text, draw: "".join(draw.choice([char.upper(), char.lower()]) for char in text),
    "width": lambda text, draw: text.translate(WIDE),
    "invisible": lambda text, draw: _anywhere(text, draw.choice(INVISIBLE), draw),
    "punctuation": _punctuated,
    "zeros": _zeros,
    "composition": lambda text, draw: unicodedata.normalize(draw.choice(["NFD", "NFC", "NFKD"]), text),
    "digits": lambda text, draw: text.translate(ARABIC),
    "float": lambda text, draw: f"{text}.{'0' * draw.randint(1, 3)}" if text.isdecimal() else text,
}


def respelt(name: str, seed: int, *kinds: str) -> str:
    """The name after some changes that make no other person of it."""
    draw = random.Random(f"{name} {seed}")
    chosen = kinds or tuple(draw.choices([kind for kind in CHANGES if kind != "float"], k=draw.randint(1, 4)))
    for kind in chosen:
        name = CHANGES[kind](name, draw)
    return name


@pytest.mark.parametrize("kind", CHANGES)
def test_each_way_to_write_a_name_leaves_the_person(kind: str) -> None:
    for name in NAMES:
        for seed in range(10):
            other = respelt(name, seed, kind)
            keys = people_of([name, other])
            assert len(set(keys.values())) == 1, (name, other, keys)


def test_many_ways_at_once_leave_the_person() -> None:
    for seed in range(400):
        name = NAMES[seed % len(NAMES)]
        other = respelt(name, seed)
        assert len(set(people_of([name, other]).values())) == 1, (name, other)


@pytest.mark.parametrize(
    "names",
    [
        ["S0004", "s0004", "\uff33\uff10\uff10\uff10\uff14", "S00\u200b04", "s-0004", "s4", "S 0004", "S00-04", "S.4"],
        ["4", "04", "4.0", "4,00", "\u0664", " 4", "4\u00a0"],
        ["12-34", "1234", "12 34"],
        ["2021-03-01", "2021-3-1", "2021/03/01"],
        ["Straße", "STRASSE"],
    ],
)
def test_spellings_found_in_tables_are_of_one_person(names: list[str]) -> None:
    assert len(set(people_of(names).values())) == 1, people_of(names)


@pytest.mark.parametrize(
    "names",
    [
        ["P1", "P11", "P111", "P10", "P100", "P101", "P110"],
        ["1-11", "11-1", "1-1-1"],
        ["P1a", "P1b", "P1", "aP1"],
        ["4", "40", "4.5", "4.01"],
        ["A+", "A-", "B"],
        ["?", "-", "!"],
        ["anna", "anne", "hannah"],
        ["\u0430nna1", "anna2"],
    ],
)
def test_names_of_different_people_stay_apart(names: list[str]) -> None:
    assert len(set(people_of(names).values())) == len(names), people_of(names)


def test_numbered_people_of_many_sites_stay_apart() -> None:
    by_site = [f"{site}-{number:03d}" for site in range(1, 25) for number in range(1, 25)]
    lettered = [f"{letter}{number}" for letter in "PSX" for number in range(300)]
    for names in (by_site, lettered, [f"{site}p{number}" for site in range(1, 25) for number in range(1, 25)]):
        assert len(set(people_of(names).values())) == len(names)
