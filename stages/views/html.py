"""The page around a report's numbers and pictures: one file of HTML, without scripts and without the network."""

from collections.abc import Iterable, Sequence

from ...cache.metrics import Score
from .rules import css, escaped, score_text

# No address at all may be loaded; the pictures are part of the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

MOST_WARNINGS = 3  # that are not folded

STYLE = f""":root {{ color-scheme: light dark; {css(dark=False)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {css(dark=True)} }} }}
"""
STYLE += """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem clamp(.8rem, 3vw, 2.5rem) 4rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .6rem 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .4rem; padding-top: .8rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; overflow-wrap: anywhere; }
p { margin: .3rem 0 .7rem; max-width: 70ch; }
.lead, figcaption, caption, .note { color: var(--quiet); }
.note, figcaption, caption { font-size: .875rem; }
nav a { margin-right: 1rem; white-space: nowrap; } a { color: var(--accent); }
.warning { background: var(--warn); color: var(--warn-ink); border-left: 5px solid var(--other); border-radius: 4px;
  padding: .7rem 1rem; margin: 1rem 0; } .warning p { margin: .2rem 0; max-width: none; }
.scroll { overflow-x: auto; margin: .5rem 0 1rem; border: 1px solid var(--rule); border-radius: 6px; }
.scroll:focus-visible { outline: 2px solid var(--accent); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .5rem .7rem; }
th, td { padding: .35rem .7rem; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child, td.words, .names th { text-align: left; }
tbody th { white-space: normal; min-width: 5.5rem; position: sticky; left: 0; background: var(--page); }
thead th { color: var(--quiet); font-weight: 600; }
tbody tr { border-top: 1px solid var(--rule); }
tbody th { font-weight: 500; }
tbody tr.group { border-top-width: 3px; }
td.words { white-space: normal; overflow-wrap: anywhere; } td small { display: block; color: var(--quiet); }
td small.why { white-space: normal; }
tr.group { background: var(--panel); }
tr.group th { background: var(--panel); font-weight: 650; position: static; }
tr.main > * { background: var(--panel); }
tr.main td, tr.main th { font-weight: 650; } tr.main small { font-weight: 400; }
.names th, .names td { padding-top: .2rem; padding-bottom: .2rem; font-size: .9rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem;
  margin: 1rem 0; padding: 0; }
.facts div { background: var(--panel); border-radius: 6px; padding: .5rem .8rem; }
.facts dt { color: var(--quiet); font-size: .85rem; }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.pictures.pairs { grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1.2rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .9rem; margin-bottom: .2rem; color: var(--ink); overflow-wrap: anywhere; }
svg { display: block; width: 100%; max-width: 30rem; height: auto; }
details { border: 1px solid var(--rule); border-radius: 6px; padding: .4rem .8rem; margin: .5rem 0; }
summary { cursor: pointer; font-weight: 600; padding: .2rem 0; overflow-wrap: anywhere; }
details > .pictures { margin: .8rem 0; }
pre { overflow-x: auto; background: var(--panel); padding: .8rem; border-radius: 6px; font-size: .85rem; }
svg text { fill: var(--quiet); font-size: 11px; } svg .name { font-size: 12px; fill: var(--ink); }
svg .strip { font-size: 12px; fill: var(--ink); font-weight: 600; }
svg .strong { fill: var(--ink); }
svg .halo { paint-order: stroke; stroke: var(--page); stroke-width: 3px; fill: var(--ink); }
svg path { fill: none; stroke: var(--quiet); stroke-width: 1.6; stroke-linejoin: round; }
svg .grid { stroke: var(--rule); stroke-width: 1; } svg .zero { stroke: var(--quiet); stroke-width: 1.2; }
svg .agree, svg .limit { stroke: var(--quiet); stroke-width: 1.3; stroke-dasharray: 5 4; }
svg .bias { stroke: var(--other); stroke-width: 2; }
svg .model { stroke: var(--accent); stroke-width: 2; }
svg .true { stroke: var(--ink); stroke-width: 1.4; stroke-dasharray: 4 2.5; }
svg .plain { stroke-width: 2; }
svg .other { stroke: var(--other); stroke-width: 2; }
svg .fold { stroke: var(--accent); stroke-opacity: .8; stroke-width: 1.3; }
/* A single dot stands out at 3:1 and more; where several lie on one another it is darker still. */
svg .dots { stroke-linecap: round; stroke-width: 4; stroke-opacity: .75; stroke-dasharray: none; }
svg .many { stroke-width: 3; }
svg .large { stroke-width: 9; stroke-opacity: 1; }
svg .chosen { stroke: var(--other); stroke-width: 6; stroke-opacity: 1; }
svg .bar { fill: var(--accent); fill-opacity: .8; }
/* A long name takes two lines; all of it shows where it is touched or the mouse rests. */
h1, summary > span, figcaption, dd, th > span { display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 2; overflow: hidden; overflow-wrap: anywhere; }
h1:hover, summary:hover > span, summary:focus > span, figcaption:hover, dd:hover, th:hover > span {
  -webkit-line-clamp: none; }
summary > span { display: -webkit-inline-box; max-width: calc(100% - 1.5rem); vertical-align: top; }
@media (max-width: 30rem) { th, td { padding: .3rem .45rem; } }
@media print { details::details-content { content-visibility: visible; } .scroll { overflow: visible; } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """The whole document."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escaped(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def section(name: str, title: str, *parts: str) -> str:
    """A part of the page with its heading; empty without content."""
    content = "\n".join(part for part in parts if part)
    return (
        f'<section aria-labelledby="{name}"><h2 id="{name}">{escaped(title)}</h2>\n{content}</section>'
        if content
        else ""
    )


def paragraph(words: str, kind: str = "") -> str:
    """Words as a paragraph."""
    return f'<p class="{kind}">{escaped(words)}</p>' if kind else f"<p>{escaped(words)}</p>"


def warning(sentences: Sequence[str]) -> str:
    """What must be read first, what goes on beyond that folded; empty when there is nothing to warn of."""
    if not sentences:
        return ""
    first, more = ("".join(map(paragraph, some)) for some in (sentences[:MOST_WARNINGS], sentences[MOST_WARNINGS:]))
    if more:
        first += folded(count(len(sentences) - MOST_WARNINGS, "more warning"), more)
    return f'<div class="warning" role="alert">{first}</div>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Short values, each under its name."""
    items = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{items}</dl>'


def table(
    caption: str, head: Sequence[str], rows: Iterable[tuple[str, str, Sequence[str]]], *, kind: str = "numbers"
) -> str:
    """A table that scrolls by itself. A row is (class, heading, cells made by `number_cell` or `words_cell`).

    A row without cells heads the rows below it.
    """
    heads = "".join(f'<th scope="col">{escaped(name)}</th>' if name else "<td></td>" for name in head)
    body = "".join(
        f'<tr class="{style}"><th scope="row"><span>{escaped(heading)}</span></th>{"".join(cells)}</tr>'
        if cells
        else f'<tr class="group"><th scope="rowgroup" colspan="{len(head)}"><span>{escaped(heading)}</span></th></tr>'
        for style, heading, cells in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(caption)}"><table class="{kind}">'
        f"<caption>{escaped(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def words_cell(words: str) -> str:
    """A cell of text, aligned left and wrapped."""
    return f'<td class="words">{escaped(words)}</td>'


def number_cell(value: str, below: str = "") -> str:
    """A cell of a number, with its interval or the reason why there is none below."""
    if not below:
        return f"<td>{escaped(value)}</td>"
    kind = "" if any(sign.isdecimal() for sign in below) else ' class="why"'  # words may be wrapped
    return f"<td>{escaped(value)}<small{kind}>{escaped(below)}</small></td>"


def score_cell(score: Score, *, signed: bool = False) -> str:
    """A cell of a metric with its interval; where it has none, or says nothing, with the reason."""
    if not score.told:
        return number_cell("\N{EN DASH}", score.reason or "")
    below = score.no_interval or ""
    if score.bounded:
        below = f"{score_text(score.low, signed=signed)} to {score_text(score.high, signed=signed)}"
    return number_cell(score_text(score.value, signed=signed), below)


def figure(caption: str, picture: str) -> str:
    """One picture under its caption."""
    return f"<figure><figcaption>{escaped(caption)}</figcaption>{picture}</figure>"


def pictures(items: Iterable[str], kind: str = "") -> str:
    """Figures side by side, as many as the screen is wide (kind "pairs": at most two); empty without any."""
    content = "".join(items)
    return f'<div class="pictures {kind}">{content}</div>' if content else ""


def folded(summary: str, content: str, opened: bool = False) -> str:
    """What opens on a click."""
    return f"<details{' open' if opened else ''}><summary><span>{escaped(summary)}</span></summary>{content}</details>"


def code(words: str) -> str:
    """Text as it stands in a file."""
    return f'<pre tabindex="0">{escaped(words)}</pre>'


def count(number: int, noun: str) -> str:
    """ "1 target", "2 targets"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
