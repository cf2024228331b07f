"""Terminals and pipes that cannot show every character, as on Windows: nothing fails, and no number loses its sign."""

import json
import os
import subprocess
import sys

import pytest

from affect.cli import main
from affect.configs.plain_text import encodable

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "cp932"])
def test_text_is_spelled_in_the_characters_that_there_are(encoding: str) -> None:
    text = f"95 % {MINUS}0.912 to 1.000, Jürgen, 日本, 😀…"
    shown = encodable(text, encoding)
    shown.encode(encoding)
    assert "-0.912" in shown or f"{MINUS}0.912" in shown
    assert json.loads(f'"{encodable("Jürgen 日本 😀", encoding)}"') == "Jürgen 日本 😀"
    assert encodable(text, "utf-8") == encodable(text, None) == text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_commands_print_where_few_characters_can_be_shown(encoding: str) -> None:
    lines = f"import affect.cli as c; c._print('CCC {MINUS}0.912 of 日本'); c.main(['--help'])"
    where = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", lines], env=where, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(rb"CCC -0.912 of \u65e5\u672c")


def test_help_is_plain_ascii_since_the_library_prints_it() -> None:
    for name, command in main.commands.items():
        words = [command.help or "", *(getattr(option, "help", "") or "" for option in command.params)]
        assert all(text.isascii() for text in words), name
