import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from affect.errors import RunError
from affect.pipeline.report.report import write_report

from .conftest import held_out, write_run

SHARED = "NOT subject-independent: train and test share 'p1'; these numbers say nothing about new people"


class Reader(HTMLParser):
    """Tags with their attributes, checked to close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"


@pytest.fixture(scope="module")
def page(trained_run: Path) -> str:
    return write_report(trained_run).read_text("utf-8")


def words(text: str) -> str:
    """The page's text in reading order."""
    body = text[text.index("<body>") :]
    return unescape(re.sub(r"<[^>]+>", " ", body))


def test_the_page_is_one_file_that_loads_nothing(page: str) -> None:
    reader = Reader(page)
    assert reader.open == []
    assert not {"script", "link", "iframe", "img", "object"} & {tag for tag, _ in reader.tags}
    for tag, attributes in reader.tags:
        for name in ("src", "href", "xlink:href", "srcset"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert "url(" not in page and "@import" not in page
    assert "default-src 'none'" in unescape(page)


def test_every_picture_says_in_words_what_it_shows(page: str) -> None:
    pictures = [attributes for tag, attributes in Reader(page).tags if tag == "svg"]
    assert len(pictures) >= 2 * 4 + 12 + 2
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"] or "") > 20
    tables = [attributes for tag, attributes in Reader(page).tags if tag == "th"]
    assert tables and all(attributes.get("scope") in {"col", "row", "rowgroup"} for attributes in tables)


def test_the_numbers_are_those_of_the_metrics_file(page: str, trained_run: Path) -> None:
    metrics = json.loads((trained_run / "metrics.json").read_text())
    shown = words(page)
    for method in ("model", "ridge", "mean"):
        for score in metrics["spans"][method]["valence"].values():
            assert f"{score['value']:.3f}".replace("-", "\N{MINUS SIGN}") in shown, (method, score)
    subjects = {attributes["aria-label"] for tag, attributes in Reader(page).tags if tag == "svg"}
    assert any("CCC of valence by subject. 6 subjects" in (label or "") for label in subjects)


def test_what_made_the_features_and_the_settings_are_on_the_page(page: str, trained_run: Path) -> None:
    environment = json.loads((trained_run / "environment.json").read_text())
    shown = words(page)
    for name in ("recipe_digest", "store_digest", "labels_sha256"):
        assert environment[name] in shown
    assert environment["versions"]["torch"] in shown
    assert "relational_weight: 0.1" in shown


def test_shared_subjects_are_said_before_any_number(tmp_path: Path) -> None:
    run = write_run(tmp_path / "leaky", held_out(4, 20, 0.1), ("valence",), ("no range is given", SHARED), True)
    shown = words(write_report(run).read_text("utf-8"))
    assert SHARED in shown
    assert not re.search(r"\d\.\d{3}", shown[: shown.index(SHARED)])
    assert "never seen" not in shown


def test_failed_folds_and_unused_spans_are_listed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", held_out(3, 10, 0.1), ("valence",))
    (run / "failures.csv").write_text("fold,subjects,reason\n01,p7,the loss is nan in epoch 3\n")
    (run / "skipped.csv").write_text(
        'where,video,reason\n"labels.csv, line 4",p2/v,the video has no frame in this time\n'
    )
    shown = words(write_report(run).read_text("utf-8"))
    assert "the loss is nan in epoch 3" in shown and "1 failed" in shown
    assert "labels.csv, line 4" in shown and "no frame in this time" in shown


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    clips = held_out(3, 12, 0.2)
    clips["subject"] = clips["subject"].replace("p1", '<script>alert("x")</script> & é')
    clips["video"] = clips["video"].replace("p1/v", "</svg><b>&amp;'\"")
    text = write_report(write_run(tmp_path / "<i>&run", clips, ("valence",))).read_text("utf-8")
    reader = Reader(text)
    assert reader.open == [] and not {"script", "b", "i"} & {tag for tag, _ in reader.tags}
    assert '<script>alert("x")</script> & é' in unescape(text)


@pytest.mark.parametrize("case", ["constant", "one span", "no label", "one subject"])
def test_data_that_define_no_metric_still_make_a_page(tmp_path: Path, case: str) -> None:
    clips = held_out(3, 8, 0.2)
    if case == "constant":
        clips["valence"] = 0.25
    elif case == "one span":
        clips = clips.iloc[:1]
    elif case == "no label":
        clips["valence_label"] = np.nan
    else:
        clips = clips[clips["subject"] == "p0"]
    text = write_report(write_run(tmp_path / "run", clips, ("valence",))).read_text("utf-8")
    assert Reader(text).open == []
    assert not re.search(r"\bnan\b", text), "a number that is none has words"


def damaged_log(run: Path) -> None:
    (run / "folds/00/log.jsonl").write_text('{"epoch": 1\n')


def foreign_log(run: Path) -> None:
    (run / "folds/00/log.jsonl").write_text("{}\n")


def words_in_log(run: Path) -> None:
    (run / "folds/00/log.jsonl").write_text('{"phase": "supervised", "epoch": 1, "loss": "low"}\n')


def foreign_environment(run: Path) -> None:
    (run / "environment.json").write_text('{"recipe": ""}')


def words_in_predictions(run: Path) -> None:
    table = pd.read_csv(run / "predictions.csv")
    table.astype({"coverage": str}).assign(coverage="much").to_csv(run / "predictions.csv", index=False)


def lost_predictions(run: Path) -> None:
    (run / "predictions.csv").unlink()


def foreign_predictions(run: Path) -> None:
    pd.DataFrame({"a": [1]}).to_csv(run / "predictions.csv")


def foreign_metrics(run: Path) -> None:
    (run / "metrics.json").write_text('{"spans": [1, 2]}')


def unfinished(run: Path) -> None:
    (run / "folds/00/fold.json").unlink()


@pytest.mark.parametrize(
    "harm",
    [
        damaged_log, foreign_log, words_in_log, foreign_environment, lost_predictions, foreign_predictions,
        words_in_predictions, foreign_metrics, unfinished,
    ],
)  # fmt: skip
def test_a_folder_that_is_no_whole_run_is_refused_by_name(tmp_path: Path, harm: Any) -> None:
    run = write_run(tmp_path / "run", held_out(3, 8, 0.2), ("valence",))
    harm(run)
    with pytest.raises(RunError, match=re.escape(str(run))):
        write_report(run)
    assert not (run / "report.html").exists()


def test_people_stand_in_the_order_a_person_would_give_them(tmp_path: Path) -> None:
    shown = words(write_report(write_run(tmp_path / "run", held_out(12, 3, 0.3), ("valence",))).read_text("utf-8"))
    assert 0 < shown.index("Subject p2 ") < shown.index("Subject p10 ")


def test_ten_thousand_spans_stay_a_page_one_can_send(tmp_path: Path) -> None:
    path = write_report(write_run(tmp_path / "run", held_out(20, 500, 0.3), ("valence",)))
    assert path.stat().st_size < 2e6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_a_desk_in_chromium(browser: Any, trained_run: Path, page: str, scheme: Any) -> None:
    for width in (360, 1280):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        tab = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        tab.on("console", lambda message, said=said: said.append(message.text))
        tab.on("pageerror", lambda error, said=said: said.append(str(error)))
        tab.on("request", lambda request, asked=asked: asked.append(request.url))
        tab.goto((trained_run / "report.html").as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(item => item.open = true)")
        assert said == [] and len(asked) == 1, (said, asked)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate(OUTSIDE) == []
        assert tab.evaluate(OVERLAPPING) == []
        assert tab.evaluate(CONTRAST) >= 4.5
        context.close()


OUTSIDE = """[...document.querySelectorAll('svg text')].filter(item => {
  const a = item.getBoundingClientRect(), b = item.ownerSVGElement.getBoundingClientRect();
  return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
}).map(item => item.textContent)"""

# Ticks of one picture, axis names among them, that cover one another.
OVERLAPPING = """[...document.querySelectorAll('svg')].flatMap(svg => {
  const all = [...svg.querySelectorAll('text.tick:not(.halo), text.name')].map(t => [t, t.getBoundingClientRect()]);
  return all.flatMap(([t, a], i) => all.slice(i + 1).filter(([_, b]) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3
  ).map(([u, _]) => svg.getAttribute('aria-label').slice(0, 40) + ': ' + t.textContent + ' / ' + u.textContent));
})"""

CONTRAST = """(() => {
  const light = text => { const v = text.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255)
    .map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const page = light(getComputedStyle(document.body).backgroundColor);
  return Math.min(...[...document.querySelectorAll('p, th, td, svg text')].map(item => {
    const style = getComputedStyle(item), ink = light(item.tagName === 'text' ? style.fill : style.color);
    return (Math.max(ink, page) + .05) / (Math.min(ink, page) + .05); }));
})()"""
