"""YAML as settings need it: mappings, lists and plain values, in a file and a depth that no setting goes beyond.

PyYAML's safe loader builds no objects, but an alias may stand for a thing that is a billion times as large as the file,
and what is nested thousands deep ends in a RecursionError. Neither has a use here; both are refused where they stand.
"""

import stat
from pathlib import Path
from typing import Any

import yaml

MOST_CHARACTERS = 1 << 20  # a run's configuration with the ranges of 4,000 targets has a quarter of it
MOST_DEPTH = 32  # sections and lists within each other; a configuration has four


class WrittenInt(int):
    """A whole number, and how it is written: 010 is 8 to YAML, and a person's name to who wrote it."""

    text: str


class WrittenFloat(float):
    """A number, and how it is written."""

    text: str


class Switch(str):
    """`yes`, `no`, `on` or `off`: a word, or true and false where a setting asks for that."""

    @property
    def on(self) -> bool:
        """What it stands for."""
        return self.lower() in ("yes", "on")


class NotPlainYamlError(ValueError):
    """Text that is not such YAML: what, in one line, with its line and column."""


def read_plain_yaml(path: Path) -> Any:
    """The value in a file. Errors: OSError; NotPlainYamlError, also for no plain file, too large or no UTF-8."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise NotPlainYamlError("it is no plain file")
    with path.open("rb") as file:
        data = file.read(4 * MOST_CHARACTERS + 1)
    try:
        text = data[: 4 * MOST_CHARACTERS].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotPlainYamlError(f"line {line}: byte 0x{data[error.start]:02x} is not UTF-8") from error
    if len(data) > 4 * MOST_CHARACTERS:
        raise NotPlainYamlError(f"it has more than {4 * MOST_CHARACTERS >> 20} MiB")
    return load_plain_yaml(text)


def load_plain_yaml(text: str) -> Any:
    """The value of a YAML text; numbers are `WrittenInt` and `WrittenFloat`, and dates are text.

    Errors: NotPlainYamlError.
    """
    if len(text) > MOST_CHARACTERS:
        raise NotPlainYamlError(f"it has more than {MOST_CHARACTERS} characters")
    try:
        return yaml.load(text, _PlainLoader)
    except yaml.MarkedYAMLError as error:
        raise NotPlainYamlError(f"{_place(error.problem_mark)}{error.problem or error.context}") from error
    # A date without such a day, a number of 5,000 digits or of none: PyYAML's own conversions fail in their own ways.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        raise NotPlainYamlError(" ".join(str(error).split())[:200]) from error


class _PlainLoader(yaml.SafeLoader):
    """The safe loader, without aliases, and only so deep."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors (&) and aliases (*) are not read; write the value itself",
                problem_mark=event.start_mark,
            )
        if self.depth >= MOST_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"more than {MOST_DEPTH} levels within each other", problem_mark=event.start_mark
            )
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def written_int(self, node: Any) -> WrittenInt:
        """A number that knows its text."""
        found = WrittenInt(self.construct_yaml_int(node))
        found.text = str(node.value)
        return found

    def written_float(self, node: Any) -> WrittenFloat:
        """The same for one with a point."""
        found = WrittenFloat(self.construct_yaml_float(node))
        found.text = str(node.value)
        return found

    def switch(self, node: Any) -> "bool | Switch":
        """true and false, or another word for them."""
        word = node.value.lower()
        value = bool(self.bool_values[word])
        return value if word in ("true", "false") else Switch(node.value)


for _tag, _act in (
    ("int", _PlainLoader.written_int),
    ("float", _PlainLoader.written_float),
    ("bool", _PlainLoader.switch),
    ("timestamp", yaml.SafeLoader.construct_yaml_str),
):
    _PlainLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _act)


def _place(mark: Any) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
