"""What is wrong with a page for those who see, hear or move otherwise: axe-core's rules, and a walk with the Tab key.

On a wide screen and on a phone's, in the light theme and the dark one. The walk is long: it sees each screen and each
theme once.
"""

from importlib import resources
from pathlib import Path
from typing import Any

from affect.tests.keyboard import walk

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDE, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
WALKED = [("light", WIDE), ("dark", PHONE)]


def findings(browser: Any, page: Path, *, opened: str = "") -> list[str]:
    """A sentence for each rule that is broken and each stop that is missed or not seen; empty where there is none.

    opened: a CSS selector of what is opened before (folds), or nothing.
    """
    script = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    found = []
    for theme in ("light", "dark"):
        for size in (WIDE, PHONE):
            context = browser.new_context(viewport=size, color_scheme=theme, bypass_csp=True, reduced_motion="reduce")
            shown = context.new_page()
            shown.goto(page.resolve().as_uri())
            shown.wait_for_timeout(300)
            if opened:
                shown.evaluate(
                    "selector => document.querySelectorAll(selector).forEach((fold) => fold.open = true)", opened
                )
            shown.evaluate(script)
            result = shown.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", RULES)
            assert len(result["passes"]) > 1, "axe has looked"
            found += [
                f"{theme}, {size['width']} px: {broken['id']}: {broken['help']}: {broken['nodes'][0]['html'][:200]}"
                for broken in result["violations"]
            ]
            if (theme, size) in WALKED:
                found += [f"{theme}, {size['width']} px, Tab key: {sentence}" for sentence in walk(shown)]
            context.close()
    return found
