"""What is wrong with a page for those who have no mouse: the Tab key is pressed until it has been everywhere."""

from typing import Any

MOST_STOPS = 2000

# What can be worked, is shown, and is meant for the Tab key: of a group of radio buttons the browser takes one.
WORKED = """
() => {
    const chosen = 'a[href], button, input, select, textarea, summary, video[controls], audio[controls], [tabindex]';
    const shown = (item) => item.checkVisibility({visibilityProperty: true}) && item.getClientRects().length > 0;
    window.worked = [...document.querySelectorAll(chosen)].filter((item) =>
        item.tabIndex >= 0 && !item.disabled && item.type !== 'radio' && shown(item));
    window.bare = window.worked.map((item) => looks(item));
    window.stops = new Set();
    function looks(item) {
        const style = getComputedStyle(item);
        return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow, style.borderColor,
                style.backgroundColor, style.textDecoration].join(' ');
    }
    window.looks = looks;
    return window.worked.length;
}
"""

# Where the focus is: null at the end, else what is wrong with it there.
STOP = """
() => {
    const item = document.activeElement;
    if (!item || item === document.body || item === document.documentElement) return null;
    const name = item.outerHTML.slice(0, 120);
    if (window.stops.has(item)) return {again: true, wrong: []};
    window.stops.add(item);
    const wrong = [], boxes = [...item.getClientRects()].filter((box) => box.width > 0 && box.height > 0);
    const inside = boxes.filter((box) =>
        box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth);
    if (!inside.length) wrong.push('is outside of the window: ' + name);
    const seen = inside.some((box) => [0.1, 0.5, 0.9].some((down) => [0.1, 0.5, 0.9].some((across) => {
        const at = document.elementFromPoint(box.left + across * box.width, box.top + down * box.height);
        return at && (item.contains(at) || at.contains(item) && !at.matches('header, nav, footer'));
    })));
    if (inside.length && !seen) wrong.push('is covered: ' + name);
    const number = window.worked.indexOf(item);
    if (number >= 0 && item.tagName !== 'VIDEO' && window.bare[number] === window.looks(item))
        wrong.push('looks the same with the focus: ' + name);
    return {again: false, wrong};
}
"""

MISSED = "() => window.worked.filter((item) => !window.stops.has(item)).map((item) => item.outerHTML.slice(0, 120))"


def walk(page: Any) -> list[str]:
    """A sentence for each thing that the Tab key misses, or that is not seen to have the focus."""
    expected, found = page.evaluate(WORKED), []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(STOP)
        if stop is None or stop["again"]:
            break
        found += stop["wrong"]
    else:
        found.append("the Tab key never comes to an end")
    assert page.evaluate("() => window.stops.size") > 0 or expected == 0, "the Tab key was pressed"
    return found + [f"is never reached: {html}" for html in page.evaluate(MISSED)]
