"""Sphinx's settings. `docs/site/build.py` gathers the pages and runs it; `make docs` runs that."""

import importlib.metadata
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

project = "affect"
author = "The affect contributors"
copyright = f"2026, {author}"
release = version = importlib.metadata.version("affect")

extensions = ["myst_parser"]
myst_heading_anchors = 4
nitpicky = True
smartquotes = False  # two dashes are an option's

html_theme = "furo"
html_title = f"affect {release}"
html_static_path = [str(Path(__file__).resolve().parent / "style.css")]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # a browser does not let a page of a folder read another one
# Good contrast in both: furo's own choice for the dark, and one of its sister package for the light.
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def setup(app: Any) -> None:
    """What Sphinx calls first: tables of labels are shown as they are."""
    app.add_lexer("csv", TextLexer)
    app.add_lexer("bibtex", TextLexer)
