"""What a page of the documentation shows: its commands with what they print, its snippets; and both are run."""

import os
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from affect.cli import main

ROOT = Path(__file__).resolve().parent.parent


def text_of(page: str) -> str:
    """A page by its path in the repository."""
    return (ROOT / page).read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Each command, and the lines that the page shows below it."""
    pieces = [
        piece.splitlines() for block in blocks(text, "console") for piece in re.split(r"^\$ ", block, flags=re.M)[1:]
    ]
    return [(command, [line for line in shown if line.strip() and line != "..."]) for command, *shown in pieces]


def words(line: str) -> list[str]:
    """What does not depend on the videos: no numbers, nothing in brackets, no mark of the chosen row or best method."""
    text = line.partition("(")[0].partition("<-")[0]
    text = re.sub("^(Held out best .*): (blend|model|ridge regression) $", r"\1", text)
    return [word for word in text.split() if re.fullmatch(r"\D*[A-Za-z]\D*", word) and word != "to"]


def assert_said(command: str, shown: list[str], output: str) -> None:
    """Every line that a page shows below a command is among what it printed, up to numbers."""
    said = [words(line) for line in output.splitlines()]
    for line in shown:
        assert words(line) in said, f"{command}\nshown: {line}\nfound:\n{output}"


def run_page(page: str) -> None:
    """Run all commands, then all Python of a page in the present folder, and hold what is printed against the page."""
    text = text_of(page)
    for command, shown in commands(text):
        program, *arguments = command.split()
        assert program == "affect", command
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, f"{page}: {command}\n{result.output}\n{result.exception!r}"
        assert_said(command, shown, result.output)
    for snippet in blocks(text, "python"):
        subprocess.run([sys.executable, "-c", snippet], check=True, env={**os.environ, "MPLBACKEND": "Agg"})
