"""The manual of the settings, made of the settings themselves: `affect settings`, and docs/settings.md."""

import difflib
import json
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from operator import attrgetter
from typing import Any

from ..errors import ConfigError, shown
from .changes import CHANGEABLE
from .load import load_config, preset_names, preset_tree
from .ranges import Range
from .schema import BY_SIZE, Config
from .sizes import SIZES

PAGE = f"""# Settings

Every setting with its default, what it takes, what it means, and what each preset makes of it. This page is made by
`affect settings --markdown`. `affect settings WORD` shows those that are called so, or have the word in their meaning,
or that a preset of this name sets; `--json` is for programs.

`--set KEY=VALUE` sets one and may be repeated; `--config` takes a preset's name, or a YAML file with these sections.
What is typed counts before what a file says. `extract-features`, `check-videos` and `check-backbone` go by the section
`features`, `train-temporal` by all others; `predict` goes by the run, but for {", ".join(CHANGEABLE)}.

*By size*: `train-temporal` chooses it by the labelled spans and people
there are, unless it is set. What each default is worth, as measured: [defaults.md](defaults.md)."""
COLUMNS = ("setting", "default", "takes", "meaning", "presets")
WIDTH = 110  # of a terminal's lines


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, in words and plain values."""

    key: str
    meaning: str
    unit: str  # empty: none, or the meaning says it
    takes: str
    choices: tuple[str, ...]  # words that it takes; empty: others too, or none
    range: Range | None  # numbers that it takes
    default: Any
    by_size: Mapping[str, Any] = field(default_factory=dict)  # name of a size -> what is chosen with it
    presets: Mapping[str, Any] = field(default_factory=dict)  # those that say it -> what they say

    @property
    def default_words(self) -> str:
        """The default as it is typed, or how it is chosen."""
        return f"by size: {_each(self.by_size)}" if self.by_size else typed(self.default)

    @property
    def takes_words(self) -> str:
        """What it takes, in its unit."""
        return f"{self.takes} ({self.unit})" if self.unit else self.takes

    @property
    def preset_words(self) -> str:
        """What each preset makes of it, in one line; empty where none says it."""
        return _each(self.presets)


def manual() -> tuple[Setting, ...]:
    """Every setting that `--set` takes, in the order of the schema."""
    said = [(name, load_config(name), preset_tree(name)) for name in preset_names()]
    found = []
    for where, section in _sections(Config()):
        kinds = typing.get_type_hints(type(section))
        for item in fields(section):
            value, key = getattr(section, item.name), f"{where}.{item.name}"
            if not is_dataclass(value):
                presets = {name: attrgetter(key)(config) for name, config, tree in said if _says(tree, key)}
                by_size = {size.name: size.settings[key] for size in SIZES} if key in BY_SIZE else {}
                kind, meaning, unit = kinds[item.name], item.metadata["meaning"], item.metadata["unit"]
                span = item.metadata.get("range")
                found.append(
                    Setting(key, meaning, unit, _takes(kind, span), _choices(kind), span, value, by_size, presets)
                )
    return tuple(found)


def _sections(section: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every section inside a section with its full name, outer ones first."""
    for item in fields(section):
        if is_dataclass(value := getattr(section, item.name)):
            yield f"{where}{item.name}", value
            yield from _sections(value, f"{where}{item.name}.")


def find(word: str | None) -> tuple[Setting, ...]:
    """The setting of this name, or those of a section; else those with the word in their name or meaning, and
    those that a preset of this name sets. None: all of them. Errors: ConfigError where there are none.
    """
    known = manual()
    if word is None:
        return known
    low = word.strip().lower()
    found = tuple(item for item in known if item.key == low or item.key.startswith(f"{low}."))
    if not found:
        found = tuple(item for item in known if low in f"{item.key} {item.meaning}".lower() or low in item.presets)
    if not found:
        near = difflib.get_close_matches(low, [item.key for item in known], n=1)
        raise ConfigError(
            f"no setting has {shown(word)} in its name or meaning, and no preset is called so",
            hint=f"did you mean {near[0]}?" if near else "affect settings lists all of them",
        )
    return found


def lines(found: Sequence[Setting]) -> Iterator[str]:
    """Each setting as a terminal shows it: what is typed, what it means, what it takes, and what presets say."""
    for number, item in enumerate(found):
        if number:
            yield ""
        yield f"{item.key} = {item.default_words}"
        for words in (item.meaning, f"takes {item.takes_words}", f"presets: {item.preset_words}"):
            if words != "presets: ":
                yield from textwrap.wrap(words, WIDTH, initial_indent="  ", subsequent_indent="    ")


def page() -> str:
    """docs/settings.md."""
    known, parts = manual(), [PAGE]
    for where, section in _sections(Config()):
        purpose = " ".join((type(section).__doc__ or "").split())
        parts += [f"\n## {where}", purpose, "", f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
        for item in known:
            section_of, _, name = item.key.rpartition(".")
            if section_of == where:
                cells = [f"`{name}`", item.default_words, item.takes_words, item.meaning, item.preset_words]
                parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(parts) + "\n"


def to_json(found: Sequence[Setting]) -> dict[str, Any]:
    """The same as plain values."""
    return {"settings": [asdict(item) for item in found], "presets": preset_names()}


def typed(value: Any) -> str:
    """A value as it is typed after KEY=, in YAML."""
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(typed, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {typed(item)}' for key, item in value.items())}}}"
    return json.dumps(value)


def _each(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={typed(value)}" for name, value in values.items())


def _takes(kind: Any, span: object) -> str:
    """What a setting of this type takes, in words; a number: what its range says."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(_takes(option, span) for option in arguments)
    if origin is typing.Literal:
        return ", ".join(map(str, arguments))
    if origin is tuple:
        return "names: [NAME, NAME]"
    if origin is dict:
        return "[LOW, HIGH] for each name"
    words = {type(None): "null", bool: "true, false", str: "text"}
    return words[kind] if kind in words else str(span)


def _choices(kind: Any) -> tuple[str, ...]:
    """The words that a type lists."""
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)
    return tuple(word for option in typing.get_args(kind) for word in _choices(option))


def _says(tree: Any, key: str) -> bool:
    section, _, rest = key.partition(".")
    return isinstance(tree, Mapping) and section in tree and (not rest or _says(tree[section], rest))
