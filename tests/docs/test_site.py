"""The documentation's site: built without a network, asks for nothing outside, and every link in it leads somewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from affect.docs.site import build as site
from affect.docs.site import commands
from affect.tests.axe import findings
from affect.tests.pages import ROOT

# Nothing of it may reach a network: a first look at a name is an error.
ALONE = """
import runpy, sys
def refuse(event, words):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise SystemExit(f"reached for a network: {event} {words}")
sys.addaudithook(refuse)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Page(HTMLParser):
    """What a page asks for by itself, where its links lead, and where links may lead to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.asks: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.ids |= {said["id"]} if "id" in said else set()
        if tag == "a" and "href" in said:
            self.links.append(said["href"])
        elif tag == "link" and said.get("rel") not in ("next", "prev", "index", "search", "canonical", "author"):
            self.asks.append(said["href"])
        self.asks += [said[name] for name in ("src", "data", "poster", "srcset") if name in said and tag != "a"]
        self.asks += re.findall(r"url\(([^)]+)\)", said.get("style", ""))


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-c", ALONE, str(ROOT / "docs" / "site" / "build.py"), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


def test_the_network_is_really_taken_away(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text("import socket\nsocket.create_connection(('127.0.0.1', 9))\n", "utf-8")
    words = [sys.executable, "-c", ALONE, str(tmp_path / "asks.py")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "reached for a network" in done.stderr


def test_every_page_of_the_repository_is_a_page_of_the_site(html: Path) -> None:
    made = {path.stem for path in html.glob("*.html")}
    pages = {path.stem for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"}
    assert pages | {"index", "contents", "contributing", "security", "changelog"} <= made


def test_no_page_asks_for_anything_from_elsewhere(html: Path) -> None:
    for path in html.glob("*.html"):
        for asked in Page(path).asks:
            assert asked.startswith("data:") or (html / unquote(asked).partition("?")[0].partition("#")[0]).is_file(), (
                path.name,
                asked,
            )
    for path in html.rglob("*.css"):
        found = re.findall(r"url\(([^)]+)\)|@import\s+[\"']([^\"']+)", path.read_text("utf-8"))
        outside = [one for pair in found for one in pair if re.match(r"[\"']?(https?:)?//", one)]
        assert not outside, (path.name, outside)


def test_every_link_and_anchor_within_the_site_leads_somewhere(html: Path) -> None:
    pages = {path.name: Page(path) for path in html.glob("*.html")}
    count = 0
    for name, page in pages.items():
        for link in page.links:
            if re.match(r"https://|mailto:", link):
                continue
            assert not re.match(r"[a-z]+:|//", link), (name, link)
            file, _, anchor = unquote(link).partition("#")
            assert (html / (file or name)).is_file(), (name, link)
            if anchor and (file or name) in pages:
                assert anchor in pages[file or name].ids, (name, link)
            count += 1
    assert count > 1000


def test_a_browser_shows_it_alone_and_nothing_is_wider_than_a_phone(html: Path, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    wrong: list[str] = []
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for path in sorted(html.glob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path.name
    page.goto(f"{(html / 'search.html').as_uri()}?q=ridge")
    page.wait_for_selector("#search-results li a")
    assert wrong == []
    context.close()


def test_who_uses_a_keyboard_or_a_screen_reader_gets_what_the_theme_leaves_out(html: Path) -> None:
    text = "\n".join(path.read_text("utf-8") for path in html.glob("*.html"))
    for theirs, ours in site.REACHABLE.items():
        assert ours in text and theirs not in text, theirs


def small(folder: Path, page: str, contents: str = "- [a](a.md)\n") -> None:
    """A repository of two pages."""
    (folder / "docs").mkdir()
    (folder / "README.md").write_text("# Start\n\n[all](docs/README.md)\n", "utf-8")
    (folder / "docs" / "README.md").write_text(f"# All\n\n## Part\n{contents}", "utf-8")
    (folder / "docs" / "a.md").write_text(page, "utf-8")


@pytest.mark.filterwarnings("ignore:'myst_parser.*deprecated")
@pytest.mark.parametrize(
    ("page", "contents", "fails"),
    [
        ("# A\n\n## B c\n\n[here](#b-c), [start](../README.md)\n", "- [a](a.md)\n", False),
        ("# A\n\n[nowhere](b.md)\n", "- [a](a.md)\n", True),
        ("# A\n\n[nowhere](#no-such-heading)\n", "- [a](a.md)\n", True),
        ("# A\n\n![gone](gone.png)\n", "- [a](a.md)\n", True),
        ("# A\n\n[code](../cli.py)\n", "- [a](a.md)\n", True),
        ("# A\n", "", True),
    ],
    ids=["whole", "page", "anchor", "picture", "no page", "in no list"],
)
def test_a_link_that_leads_nowhere_fails(
    page: str, contents: str, fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(tmp_path, page, contents)
    monkeypatch.setattr(site, "ROOT", tmp_path)
    try:
        code = site.build(tmp_path / "out")
    except SystemExit as left:
        code = 1
        assert "is no page of the site" in str(left)
    assert (code != 0) == fails


def test_the_page_of_commands_is_what_their_help_says() -> None:
    assert commands.PAGE.read_text("utf-8") == commands.page(), "python docs/site/commands.py"


@pytest.mark.parametrize("page", ["index.html", "no-labels.html", "commands.html", "trust.html"])
def test_a_page_breaks_no_rule_of_accessibility(html: Path, browser: Any, page: str) -> None:
    assert findings(browser, html / page) == []
