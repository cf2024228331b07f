"""The documentation as a site that needs no network: README.md, docs/ and the pages of the root.

    python docs/site/build.py [FOLDER]     # build/docs by default; the pages are in FOLDER/html

A warning is an error: a link that leads nowhere, a page that no list names, a picture that is not there.
"""

import re
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

ROOT = Path(__file__).resolve().parent.parent.parent
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)([^)#\s]+)(?=[)#])")
PICTURES = (".jpg", ".png", ".svg")
CODE = re.compile(r'(?<=<span class="pre">)[^<]+')
PARTS = re.compile(r"(?<=[A-Za-z0-9])([._/])(?=[A-Za-z0-9])")  # of a long name: a line may end behind each
# What the theme leaves out for who uses a keyboard or a screen reader.
REACHABLE = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    '<aside class="toc-drawer': '<aside aria-label="This page" class="toc-drawer',
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
}


def names() -> dict[Path, str]:
    """Each page and picture of the repository -> what it is called in the site. The README is the start page."""
    found = {path: path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".md", *PICTURES)}
    found |= {path: path.name.lower() for path in ROOT.glob("*.md")}
    return found | {ROOT / "README.md": "index.md", ROOT / "docs" / "README.md": "contents.md"}


def contents() -> str:
    """The lists of docs/README.md as tables of contents, for the margin of each page."""
    listed = "\n```{toctree}\n:hidden:\n\ncontents\n```\n"
    for part in (ROOT / "docs" / "README.md").read_text("utf-8").split("\n## ")[1:]:
        caption, *lines = part.splitlines()
        pages = [names()[(ROOT / "docs" / target).resolve()] for target in LINK.findall("\n".join(lines))]
        listed += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"
    return listed


def gather(folder: Path) -> None:
    """Copy everything into one folder, with links that lead from there. Errors: SystemExit for one that leads out."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    known = names()
    for path, name in known.items():
        if path.suffix in PICTURES:
            shutil.copy(path, folder / name)
            continue

        def moved(link: re.Match[str], page: Path = path) -> str:
            target = (page.parent / link[1]).resolve()
            if target not in known:
                raise SystemExit(f"{page.relative_to(ROOT)}: {link[1]} is no page of the site")
            return known[target]

        text = LINK.sub(moved, path.read_text("utf-8"))
        (folder / name).write_text(text + contents() if name == "index.md" else text, "utf-8")


def build(folder: Path) -> int:
    """Gather into FOLDER/source, and build FOLDER/html; 0 if nothing is wrong."""
    gather(folder / "source")
    shutil.rmtree(folder / "html", ignore_errors=True)
    words = ["-W", "--keep-going", "-n", "-q", "-E", "-c", str(Path(__file__).parent)]
    words += ["-d", str(folder / "doctrees"), "-b", "html", str(folder / "source"), str(folder / "html")]
    if code := build_main(words):
        return code
    for page in (folder / "html").glob("*.html"):
        text = page.read_text("utf-8")
        for theirs, ours in REACHABLE.items():
            text = text.replace(theirs, ours)
        text = CODE.sub(lambda name: PARTS.sub(r"\1<wbr>", name[0]), text)
        page.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs"))
