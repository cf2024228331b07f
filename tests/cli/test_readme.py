"""The README, word for word, as a newcomer follows it: in a fresh copy of what the repository holds.

Its commands are typed into a shell, in its order, on three recordings with labels and then without. Nothing is
installed again: `affect` and `make` find the libraries of these tests, and the code of the copy.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from affect.cli import main
from affect.pipeline.demo.film import DemoDataConfig
from affect.tests.desk import make_desk
from affect.tests.pages import ROOT, assert_said, blocks, commands, text_of

README = text_of("README.md")
PAGES = ("README.md", *(f"docs/{name}.md" for name in (
    "amigos", "backbones", "clinic", "faq", "inputs", "labels", "library", "machines", "no-labels", "own-videos",
    "publishing", "s3", "scores", "several-people", "sharing", "start", "store", "trust")))  # fmt: skip
OTHERS = {"--help", "--version", "--nproc-per-node", "--no-dev"}  # click's own, torchrun's and uv's


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What git knows of this checkout, as it is now, in a folder `affect`."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no checkout of git")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / "affect" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "affect" / name)
    return tmp_path / "affect"


@pytest.mark.timeout(1800)
def test_a_newcomer_follows_the_readme_word_for_word(clone: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "affect"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m affect "$@"\n', "utf-8")
    program.chmod(0o755)
    # make would install into .venv; with BIN it finds the command that is there.
    (tmp_path / "bin" / "make").write_text(
        f'#!/bin/sh\nexec {shutil.which("make")} "$@" BIN="{program.parent}"\n', "utf-8"
    )
    (tmp_path / "bin" / "make").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(tmp_path), "MPLBACKEND": "Agg",
    }  # fmt: skip
    config = DemoDataConfig(splits=(("train", 2), ("test", 1)), seconds=8.0)
    make_desk(clone, {"S01": "anna", "S02": "ben", "S03": "dora"}, config)
    table = (clone / "labels.csv").read_text("utf-8")
    assert table.splitlines()[0] == blocks(README, "csv")[0].splitlines()[0], "the README's table is such a one"
    typed = commands(README)
    assert next(command for command, _ in typed) == "make demo" and len(typed) == 5
    for command, shown in typed:
        done = subprocess.run(["bash", "-c", command], cwd=clone, env=environment, capture_output=True, text=True,
                              check=False, stdin=subprocess.DEVNULL)  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert_said(command, shown, done.stdout)
    for made in ("demo/predictions/viewer.html", "runs/first/metrics.json", "out/viewer.html", "out/predictions.csv",
                 "faces/viewer.html", "faces/people.csv"):  # fmt: skip
        assert (clone / made).is_file(), made
    code = "import affect; print(affect.__file__)"
    where = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(clone), "the code that ran was the copy's"


def test_the_readme_is_a_page() -> None:
    assert len(README.splitlines()) <= 120
    assert README.count("![") == 1, "one picture"


def test_the_readme_promises_no_package_of_an_index() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert not re.search(r"pip install ['\"]?affect", page.read_text("utf-8")), page.name


def test_every_command_named_in_the_text_exists() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        named = set(re.findall(r"`affect ([a-z]+-[a-z]+|predict|report|demo|info|settings)", page.read_text("utf-8")))
        assert named <= set(main.commands), (page.name, named - set(main.commands))


@pytest.mark.parametrize("page", PAGES)
def test_every_option_named_in_the_text_exists(page: str) -> None:
    known = {name for command in main.commands.values() for option in command.params for name in option.opts}
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", text_of(page))) - OTHERS
    assert named <= known, named - known
