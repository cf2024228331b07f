"""What the viewer shows of many targets, many people, long names, and where there is nothing to show."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect.cache.description import Description
from affect.cache.predictions import PersonPrediction, VideoPrediction
from affect.cache.records import Target

from .test_viewer import WORTH, _press, _time, _until, write_viewer

Person = Callable[..., PersonPrediction]
Made = Callable[..., VideoPrediction]
Open = Callable[..., Any]
PHONE = {"viewport": {"width": 390, "height": 844}}
LONG = "negative_symptoms_blunted_affect_rated_by_two_clinicians_in_consensus_after_a_second_look"


def measured(person: PersonPrediction, targets: int, size: float = 1.0) -> PersonPrediction:
    """The same clips with other scores, one curve a target."""
    middle = (person.start_s + person.end_s) / 2
    mean = np.stack([size * np.sin(middle / 7 + k) for k in range(targets)], 1).astype(np.float32)
    mean[person.clips.reason > 0] = np.nan
    return replace(person, clips=replace(person.clips, mean=mean, std=np.full_like(mean, np.nan)))


def unjudged(person: PersonPrediction) -> PersonPrediction:
    clips = person.clips
    unknown, never = np.full_like(clips.distance, np.nan), np.zeros_like(clips.out_of_range)
    return replace(person, clips=replace(clips, distance=unknown, out_of_range=never))


def of(prediction: Made, person: PersonPrediction, *targets: Target) -> VideoPrediction:
    """Measures of one person that no model made."""
    means = (None,) * len(targets)
    said = Description((), ())
    return replace(prediction(), targets=targets, training_means=means, models=1, persons=(person,), description=said)


@pytest.fixture
def show(open_page: Open, tmp_path: Path) -> Callable[..., Any]:
    def shown(prediction: VideoPrediction, worth: str = "", *, with_video: bool = True, **settings: Any) -> Any:
        write_viewer([prediction], tmp_path / "viewer.html", worth=worth, with_video=with_video)
        page = open_page(tmp_path / "viewer.html", **settings)
        assert page.troubles == []
        return page

    return shown


def test_time_and_length_are_told_to_the_same_place(person: Person, prediction: Made, show: Any) -> None:
    page = show(prediction(person(1), duration_s=59.84), with_video=False)
    assert page.locator("#clock").inner_text() == "0:00.0 / 0:59.8"
    _press(page, "End")
    assert page.locator("#clock").inner_text() == "0:59.8 / 0:59.8"
    page.close()


def test_the_only_doubt_is_not_gone_back_to(person: Person, prediction: Made, show: Any) -> None:
    one = person(1)
    one.clips.out_of_range[:] = False
    page = show(prediction(one), with_video=False)
    button = page.get_by_role("button", name="Next doubt")
    button.click()
    assert _time(page) == pytest.approx(32.5) and page.locator("#said").inner_text() == ""
    for time_s in (32.5, 50.0):
        page.evaluate(f"affect.seek({time_s})")
        button.click()
        assert _time(page) == pytest.approx(time_s)
        assert page.locator("#said").inner_text() == "No other: the only doubtful stretch begins at 0:30.0."
    page.close()


def test_after_the_last_of_several_doubts_the_first_comes_and_without_any_there_is_no_button(
    person: Person, prediction: Made, show: Any
) -> None:
    page = show(prediction(person(1), person(2)), with_video=False)
    _press(page, "End", "n")
    assert _time(page) == pytest.approx(32.5) and page.locator("#said").inner_text() == "From the first again."
    _press(page, "ArrowRight")
    assert page.locator("#said").inner_text() == ""
    page.close()
    sure = person(1, duration_s=25.0)
    page = show(prediction(sure, duration_s=25.0), with_video=False)
    assert page.get_by_role("button", name="Next doubt").is_disabled()
    page.close()


def test_a_recording_that_moved_leaves_neither_a_black_stage_nor_a_face_box(
    person: Person, prediction: Made, face_video: Path, show: Any
) -> None:
    page = show(prediction(person(1), person(2), source=face_video.with_name("gone.mp4")))
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.locator("#stage").is_hidden() and page.evaluate("affect.labels") == []
    assert page.locator("#play").is_disabled()
    page.locator("#file").set_input_files(str(face_video))
    _until(page, "affect.pictured && affect.labels.length === 2")
    assert page.locator("#stage").is_visible() and page.locator("#play").is_enabled()
    page.close()


@pytest.mark.parametrize("settings", [PHONE, {}], ids=["phone", "desk"])
def test_labels_of_five_people_close_together_do_not_lie_on_one_another(
    person: Person, prediction: Made, face_video: Path, show: Any, settings: Any
) -> None:
    people = []
    for number, track in enumerate((0, 3, 4, 7, 12)):
        one = person(track)
        box = np.array([[20 + 22 * number, 60, 40 + 22 * number, 90]], np.float32)
        people.append(replace(one, face_box_px=np.repeat(box, len(one.face_time_s), 0)))
    page = show(prediction(*people, source=face_video), **settings)
    _until(page, "affect.pictured && affect.labels.length > 0")
    labels = page.evaluate("affect.labels")
    assert {label["words"] for label in labels} >= {"Person 0"} and len(labels) >= 3
    for number, one in enumerate(labels):
        for other in labels[:number]:
            apart = abs(one["y"] - other["y"]) >= 16
            assert apart or one["x"] >= other["x"] + other["wide"] or other["x"] >= one["x"] + one["wide"]
    buttons = [button.bounding_box() for button in page.locator("#persons button").all()]
    assert all(one["x"] + one["width"] <= page.viewport_size["width"] for one in buttons)
    assert "Person 0 is track 0 of this recording" in page.locator("#words").inner_text()
    page.close()


def test_a_score_beyond_its_scale_is_said_and_its_meter_has_the_numbers_of_both_ends(
    person: Person, prediction: Made, show: Any
) -> None:
    one = person(1)
    one.clips.mean[0, 0], one.clips.mean[1, 0], one.clips.mean[2, 0] = -1.23, 1.3, 0.5
    page = show(prediction(one), with_video=False)
    row = page.locator("#values tr").first
    assert row.locator(".ends small").all_inner_texts() == ["\N{MINUS SIGN}1", "1"]
    assert "\N{MINUS SIGN}1.23 ± 0.10" in row.inner_text() and "below its scale" in row.inner_text()
    assert row.locator(".scale b").get_attribute("class") == "below"
    _press(page, "ArrowRight")
    assert "above its scale" in row.inner_text()
    _press(page, "ArrowRight")
    assert "its scale" not in row.inner_text()
    said = "Note: values lie beyond their scale: valence (2 of 10; the scale is \N{MINUS SIGN}1 to 1)"
    assert page.locator("#words").inner_text().count(said) == 1
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_twenty_targets_with_units_and_without_scales_are_shown_a_few_at_a_time(
    person: Person, prediction: Made, show: Any, width: int, scheme: str
) -> None:
    targets = [
        Target("turn", -60, 60, "degrees"),
        *(Target(f"measure {k}", unit="eye distances") for k in range(1, 20)),
    ]
    made = of(prediction, unjudged(measured(person(0), 20, 0.2)), *targets)
    page = show(made, with_video=False, viewport={"width": width, "height": 844}, color_scheme=scheme)
    lanes = page.locator(".lane.score")
    assert lanes.count() == page.locator("#values tr").count() == 6
    assert lanes.nth(1).inner_text() == "measure 1 (eye distances)"
    row = page.locator("#values tr").nth(1)
    assert "eye distances" in row.inner_text() and len(row.locator(".ends small").all_inner_texts()) == 2
    page.locator("#curves").get_by_role("button", name="measure 12").focus()
    _press(page, "Enter")
    assert lanes.count() == 7 and "measure 12" in page.locator("#values").inner_text()
    page.get_by_role("button", name="All 20").click()
    assert lanes.count() == 20 and page.get_by_role("button", name="All 20").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="turn").click()
    assert lanes.count() == 19 and page.evaluate("affect.ranges.flat().every(Number.isFinite)")
    for other in ("unlike", "models", "training labels"):
        assert page.locator("#legend li:visible", has_text=other).count() == 0
    assert "training recordings" not in page.locator("#words").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width and page.troubles == []
    page.close()


def test_an_end_that_is_not_known_is_null_on_the_page(person: Person, prediction: Made, show: Any) -> None:
    page = show(of(prediction, person(1), Target("free"), Target("half", 0)), with_video=False)
    found = json.loads(page.locator("script.affect-video").inner_text())["targets"]
    assert [(one["low"], one["high"]) for one in found] == [(None, None), (None, None)]
    page.close()


def test_long_names_take_two_lines_at_most_on_a_phone_and_are_whole_where_pressed(
    person: Person, prediction: Made, show: Any
) -> None:
    made = of(prediction, measured(person(1), 2), Target(LONG, -1, 1, LONG), Target("short", -1, 1))
    page = show(replace(made, video=f"{LONG}/{LONG}.mp4", warnings=(LONG * 3,)), with_video=False, **PHONE)
    tall = """() => [...document.querySelectorAll('.long, .name, .unit, #curves span')].filter(item =>
      item.clientHeight / parseFloat(getComputedStyle(item).lineHeight || 20) > 2.3).map(item => item.textContent)"""
    assert page.evaluate(tall) == [] and page.evaluate("document.documentElement.scrollWidth") <= 390
    name = page.locator("#values .long").first
    assert name.inner_text() == name.get_attribute("title") == LONG
    before = name.bounding_box()["height"]
    name.click()
    assert name.bounding_box()["height"] > before
    page.close()


def test_what_the_scores_are_worth_leaves_room_for_the_recording_on_a_phone(
    person: Person, prediction: Made, face_video: Path, show: Any
) -> None:
    page = show(prediction(person(1), source=face_video), WORTH * 3, **PHONE)
    _until(page, "affect.pictured")
    stage = page.locator("#stage").bounding_box()
    assert stage["y"] + stage["height"] < 844
    page.get_by_role("button", name="Read all of it").focus()
    _press(page, "Enter")
    assert page.locator("#stage").bounding_box()["y"] > stage["y"] + 200
    page.close()


def test_where_nobody_was_seen_a_sentence_stands_in_place_of_empty_curves(
    person: Person, prediction: Made, show: Any
) -> None:
    one = person(1)
    one.clips.mean[:], one.clips.std[:], one.clips.reason[:], one.clips.out_of_range[:] = np.nan, np.nan, 1, False
    page = show(prediction(replace(one, track=-1)), with_video=False)
    assert page.locator("#silent").inner_text() == "There is no curve to draw: no face in the clip."
    assert page.locator(".lane.score").first.is_hidden() and page.locator("#legend").is_hidden()
    page.close()


def test_the_weights_of_neighbouring_clips_are_not_called_a_look(person: Person, prediction: Made, show: Any) -> None:
    page = show(prediction(person(1)), with_video=False)
    assert "looked" not in page.locator("body").inner_text()
    assert (
        page.locator("#attention figcaption").inner_text() == "How much each neighbouring clip counts in these scores"
    )
    page.close()


def test_curves_that_share_the_overview_have_their_own_dashes_and_names(
    person: Person, prediction: Made, show: Any
) -> None:
    targets = [Target(name, -1, 1) for name in "abcdefgh"]
    page = show(of(prediction, measured(person(1), 8), *targets), with_video=False)
    looks = page.evaluate(
        """() => [...document.querySelectorAll('#curves button')].map(button => {
        const line = button.querySelector('line');
        return [button.textContent, line.getAttribute('stroke'), line.getAttribute('stroke-dasharray')].join() })"""
    )
    assert len({look.split(",", 1)[1] for look in looks}) == 8 and [look[0] for look in looks] == list("abcdefgh")
    page.close()
