"""Every command and snippet of the README runs, in the order a newcomer would type them, and says what is shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from affect.cli import main
from affect.pipeline.demo.film import DemoDataConfig
from affect.tests.desk import make_desk

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text("utf-8")
NAMES = {"S01": "anna", "S02": "ben", "S03": "cleo", "S04": "fay", "S05": "dora", "S06": "emil"}  # two are held out
MAKE = {"make demo", "make test"}  # the first runs `affect demo`, which tests/demo does; the second is this


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def commands() -> list[tuple[str, list[str]]]:
    """Each command, and the lines that the README shows below it."""
    pieces = [piece.splitlines() for block in blocks("console") for piece in re.split(r"^\$ ", block, flags=re.M)[1:]]
    return [(command, [line for line in shown if line != "..."]) for command, *shown in pieces]


def words(line: str) -> list[str]:
    """What does not depend on the videos: no numbers, nothing in brackets, no mark of the chosen row or best method."""
    text = line.partition("(")[0].partition("<-")[0]
    text = re.sub("^(Held out best .*): (blend|model|ridge regression) $", r"\1", text)
    return [word for word in text.split() if re.fullmatch(r"\D*[A-Za-z]\D*", word) and word != "to"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the README supposes it: `interviews/`, `labels.csv`, `labels.yaml`."""
    folder = tmp_path_factory.mktemp("desk")
    config = DemoDataConfig(splits=(("train", 3), ("validation", 1), ("test", 2)), seconds=8.0)
    make_desk(folder, NAMES, config)
    (folder / "labels.yaml").write_text(blocks("yaml")[0], "utf-8")
    return folder


def test_there_are_commands_to_run() -> None:
    assert len(commands()) >= 8


def test_every_command_of_the_readme_runs(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command, shown in commands():
        if command in MAKE:
            assert f"\n{command.split()[1]}:" in makefile
            continue
        program, *arguments = command.split()
        assert program == "affect"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"
        said = [words(line) for line in result.output.splitlines()]
        for line in shown:
            assert words(line) in said, f"{command}\nshown: {line}\nfound:\n{result.output}"
    for snippet in blocks("python"):
        subprocess.run([sys.executable, "-c", snippet], check=True, env={**os.environ, "MPLBACKEND": "Agg"})


def test_every_command_named_in_the_text_exists() -> None:
    named = set(re.findall(r"affect ([a-z]+-[a-z]+|predict|report|demo)", README))
    assert named <= set(main.commands), named - set(main.commands)


def test_every_option_named_in_the_text_exists() -> None:
    known = {name for command in main.commands.values() for option in command.params for name in option.opts}
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", README)) - {"--help", "--nproc-per-node"}
    assert named <= known, named - known


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("https://"):
            continue
        file, _, heading = target.partition("#")
        assert (ROOT / file).exists(), target
        headings = re.findall(r"^#+ (.*)$", (ROOT / file).read_text("utf-8"), re.M) if heading else []
        anchors = {re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in headings}
        assert not heading or heading in anchors, target
