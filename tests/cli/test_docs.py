"""Each page in docs/ with commands has a test that runs them; this one runs those that speak of real recordings."""

import re
import shutil
from pathlib import Path

import pytest

from affect.tests.pages import ROOT, commands, run_page

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted((ROOT / "docs").glob("*.md"))
PLACES = r"(?<![\w/.-])(?:benchmarks|cache|configs|docs|pipeline|stages|tests)/[\w./-]*\w"
OF_RECORDINGS = ("docs/defaults.md",)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_with_commands_is_run_by_a_test(page: Path) -> None:
    if not commands(page.read_text("utf-8")) or page.name == "CONTRIBUTING.md":  # make, and pytest itself
        return
    name = page.relative_to(ROOT).as_posix()
    runs = re.compile(rf'(run_page|text_of)\("{re.escape(name)}"\)|"docs" / "{re.escape(page.name)}"')
    assert name in OF_RECORDINGS or any(runs.search(test.read_text("utf-8")) for test in (ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("page", OF_RECORDINGS)
def test_the_commands_of_a_page_on_real_recordings_run(
    page: str, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("talking_face.mp4", "talking_face_2.mp4", "talking_face.csv"):
        shutil.copy(recordings / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    run_page(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        name, _, heading = target.partition("#")
        file = page.parent / name if name else page
        assert target.startswith("https://") or file.exists(), target
        if heading and not target.startswith("https://"):
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.M)
            anchors = {re.sub(r"[^a-z0-9_ -]", "", line.lower()).replace(" ", "-") for line in headings}
            assert heading in anchors, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = {name for name in re.findall(PLACES, page.read_text("utf-8")) if not name.startswith("build/")}
    assert {name for name in named if not (ROOT / name).exists()} == set()
