"""The viewer with axe-core and the Tab key: no rule is broken and nothing is out of reach, whatever it shows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affect.cache.predictions import PersonPrediction, VideoPrediction
from affect.cache.records import Target
from affect.stages.views.viewer import page_head, page_tail, video_block
from affect.tests.axe import findings
from affect.tests.stages.views.test_viewer_shown import measured, of

Person = Callable[..., PersonPrediction]
Made = Callable[..., VideoPrediction]


def write(folder: Path, *predictions: VideoPrediction, with_video: bool = True) -> Path:
    blocks = [video_block(item, folder, with_video=with_video) for item in predictions]
    (folder / "viewer.html").write_text(page_head("Held out best: the blend.") + "".join(blocks) + page_tail(), "utf-8")
    return folder / "viewer.html"


def test_two_people_beside_their_recording(
    person: Person, prediction: Made, face_video: Path, browser: Any, tmp_path: Path
) -> None:
    made = prediction(person(1), person(2), source=face_video)
    assert findings(browser, write(tmp_path, made), opened="details") == []


def test_many_measures_and_a_recording_that_is_elsewhere(
    person: Person, prediction: Made, browser: Any, tmp_path: Path
) -> None:
    targets = [Target(f"measure_{number}", 0.0, 1.0, "eye distances") for number in range(14)]
    made = of(prediction, measured(person(1), len(targets)), *targets)
    assert findings(browser, write(tmp_path, made), opened="details") == []
    moved = prediction(person(1), source=tmp_path / "moved.mp4")
    assert findings(browser, write(tmp_path, moved)) == []


def test_a_page_that_breaks_a_rule_is_found(browser: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<html><body><p style='color:#999;background:#fff'>pale</p><img src='x'></body></html>", "utf-8")
    found = findings(browser, bad)
    assert {"color-contrast", "image-alt", "html-has-lang"} <= {item.split(": ")[1] for item in found}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("<button onclick='1' tabindex='0' style='outline: none'>go</button>", "looks the same with the focus"),
        ("<a href='#' style='position: fixed; left: -500px'>away</a>", "is outside of the window"),
        (
            "<a href='#' style='position: absolute; top: 9px; left: 9px'>under</a>"
            "<div style='position: fixed; top: 0; left: 0; width: 99%; height: 99%; background: #fff'>over</div>",
            "is covered",
        ),
        (
            "<button onkeydown='event.preventDefault()' autofocus>trap</button><button>behind it</button>",
            "is never reached: <button>behind it",
        ),
    ],
    ids=["no ring", "outside", "covered", "trap"],
)
def test_what_the_tab_key_meets_is_found(browser: Any, tmp_path: Path, part: str, said: str) -> None:
    (tmp_path / "bad.html").write_text(
        f"<html lang='en'><title>a</title><body><main>{part}</main></body></html>", "utf-8"
    )
    assert any(said in item for item in findings(browser, tmp_path / "bad.html"))
