"""docs/commands.md, out of the commands' own help.

python docs/site/commands.py     # writes it; a test holds the page against it
"""

import inspect
import re
from pathlib import Path

import click

from affect.cli import main

BAR = "\\|"  # within a cell of a table
PAGE = Path(__file__).resolve().parent.parent / "commands.md"
HEAD = """# Commands

Every command with its options, as `--help` shows them. This page is made by `docs/site/commands.py`.
Exit codes: 0 all done, 1 some videos or folds failed, 2 a wrong option, setting or input. Keys for `--set`
are in [settings](settings.md).
"""


def page() -> str:
    """The page in Markdown."""
    parts = [HEAD]
    for name in sorted(main.commands):
        parts.append(section(f"affect {name}", main.commands[name]))
    return "\n".join(parts)


def section(name: str, command: click.Command) -> str:
    """One command: what it does, how it is called, and its options."""
    prose: list[str] = []
    shown = [" ".join([name, *command.collect_usage_pieces(click.Context(command, info_name=name))])]
    for block in inspect.cleandoc(command.help or "").split("\n\n"):
        if block.startswith("\b"):
            shown += inspect.cleandoc(block.removeprefix("\b")).strip().splitlines()
        else:
            text, _, example = " ".join(block.split()).partition("Example: ")
            prose += [escaped(text.strip()), ""] if text else []
            shown += [example] if example else []
    lines = [f"## {name}", "", *prose, "```text", *shown, "```", "", "| option | meaning |", "|---|---|"]
    lines += [row(option) for option in command.params if isinstance(option, click.Option)]
    return "\n".join([*lines, ""])


def row(option: click.Option) -> str:
    """An option in a table. It says what click's own help says, which other versions of click write otherwise."""
    takes = option.metavar or (
        "|".join(map(str, option.type.choices))
        if isinstance(option.type, click.Choice)
        else option.type.name.removesuffix(" range").upper()
    )
    names = ", ".join(option.opts) + ("" if option.is_flag else f" {takes}")
    default = f" By default {option.default}." if option.show_default and option.default is not None else ""
    return f"| `{names.replace('|', BAR)}` | {escaped((option.help or '') + default)} |"


def escaped(text: str) -> str:
    """Help as Markdown: what would be a mark is shown as it is."""
    return re.sub(r"([|*_<\[\]`])", r"\\\1", " ".join(text.split()))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
