"""Commands of the pages in docs/ run too, on the recordings they speak of."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from affect.cli import main

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACES = r"(?<![\w/.-])(?:benchmarks|cache|configs|docs|pipeline|stages|tests)/[\w./-]*\w"
RECORDINGS = ROOT.parent / "shared" / "videos"


def commands() -> list[str]:
    pages = [page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in re.findall(r"```console\n(.*?)```", page, re.S)]
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_there_are_commands_to_run() -> None:
    assert len(commands()) >= 2


@pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not here")
def test_every_command_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("talking_face.mp4", "talking_face_2.mp4", "talking_face.csv"):
        shutil.copy(RECORDINGS / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in commands():
        program, *words = command.split()
        assert program == "affect"
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, f"{command}\n{result.output}\n{result.exception!r}"


def test_every_link_of_the_docs_leads_somewhere() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
            file = (page.parent / target.partition("#")[0]) if target.partition("#")[0] else page
            assert target.startswith("https://") or file.exists(), f"{page.name}: {target}"
            if (heading := target.partition("#")[2]) and not target.startswith("https://"):
                headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.M)
                anchors = {re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in headings}
                assert heading in anchors, f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(PLACES, page.read_text("utf-8")))
    assert {name for name in named if not (ROOT / name).exists()} == set()
