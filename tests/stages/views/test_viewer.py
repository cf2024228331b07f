"""The viewer in a real browser: what it shows, what it does when asked, and that it asks nothing of a network."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect.cache.predictions import PersonPrediction, RangeCheck, VideoPrediction
from affect.stages.features.video.times import clock_offset_s
from affect.stages.views.rules import COLOURS, OUT_OF_RANGE
from affect.stages.views.viewer import page_head, page_tail, video_block

Person = Callable[..., PersonPrediction]
Made = Callable[..., VideoPrediction]
Open = Callable[..., Any]


def write_viewer(predictions: list[VideoPrediction], path: Path, *, with_video: bool = True, worth: str = "") -> None:
    blocks = [video_block(item, path.parent, with_video=with_video) for item in predictions]
    path.write_text(page_head(worth, with_video=with_video) + "".join(blocks) + page_tail(), "utf-8")


@pytest.fixture
def page(person: Person, prediction: Made, open_page: Open, face_video: Path, tmp_path: Path) -> Any:
    """Two people in a minute's scores beside a recording of two seconds."""
    made = prediction(person(1), person(2), source=face_video)
    write_viewer([made], tmp_path / "viewer.html")
    page = open_page(tmp_path / "viewer.html")
    _until(page, "document.getElementById('video').readyState >= 2")
    yield page
    assert page.troubles == []
    assert {address.split(":")[0] for address in page.asked} == {"file"}
    page.close()


def _until(page: Any, expression: str) -> None:
    """Wait until a JavaScript expression holds; the page's own policy forbids Playwright's way of waiting."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never came true: {expression}")


def _time(page: Any) -> float:
    return float(page.evaluate("affect.time"))


def _x_of(page: Any, time_s: float) -> float:
    """Where a time lies across the timeline, in pixels of the window."""
    box = page.locator("#timeline").bounding_box()
    view = page.evaluate("affect.view")
    return float(box["x"] + 44 + (time_s - view["from"]) / (view["to"] - view["from"]) * (box["width"] - 52))


def _press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_a_click_on_the_curve_seeks_the_recording(page: Any) -> None:
    box = page.locator("#timeline").bounding_box()
    page.mouse.click(_x_of(page, 1.0), box["y"] + 30)
    assert _time(page) == pytest.approx(1.0, abs=0.1)
    _until(page, "Math.abs(document.getElementById('video').currentTime - 1.0) < 0.1")
    assert page.locator("#span").inner_text() == "Clip 0:00.0 to 0:05.0"


def test_hovering_tells_the_scores_and_doubts_of_a_moment(page: Any) -> None:
    box = page.locator("#timeline").bounding_box()
    page.mouse.move(_x_of(page, 22.0), box["y"] + 30)
    tip = page.locator("#tip").inner_text()
    expected = np.sin(22.5 / 7 + 1) * 0.8
    assert f"{expected:.2f} ± 0.10".replace("-", "\N{MINUS SIGN}") in tip and "90 %" in tip
    page.mouse.move(_x_of(page, 36.0), box["y"] + 30)
    assert "no face in the clip" in page.locator("#tip").inner_text()
    page.mouse.move(_x_of(page, 47.0), box["y"] + 30)
    assert "unlike the training recordings" in page.locator("#tip").inner_text()


def test_what_hovering_told_goes_when_something_else_comes_under_the_mouse(page: Any) -> None:
    box = page.locator("#timeline").bounding_box()
    for key in ("+", "0", "p"):
        page.mouse.move(_x_of(page, 20.0), box["y"] + 30)
        page.mouse.move(_x_of(page, 22.0), box["y"] + 30)
        assert page.locator("#tip").is_visible()
        _press(page, key)
        assert page.locator("#tip").is_hidden() and page.locator("#hover").is_hidden()


def test_choosing_a_person_changes_the_curves_and_the_words(page: Any) -> None:
    before = page.locator("#words").inner_text(), page.locator("#values").inner_text()
    page.get_by_role("radio", name="Person 2").click()
    assert page.evaluate("affect.person.track") == 2
    assert page.get_by_role("radio", name="Person 2").get_attribute("aria-checked") == "true"
    after = page.locator("#words").inner_text(), page.locator("#values").inner_text()
    assert before[0] != after[0] and before[1] != after[1] and after[0].startswith("Person 2:")


def test_the_summary_leads_to_the_least_and_the_greatest_score(page: Any) -> None:
    row = page.locator("#words tr", has_text="valence")
    scores = np.sin((np.arange(0, 56, 5) + 2.5) / 7 + 1) * 0.8
    scores[6:8] = np.nan
    greatest = int(np.nanargmax(scores))
    assert f"{scores[greatest]:.2f} ± 0.10 at" in row.inner_text() and "−1 to 1" in row.inner_text()  # noqa: RUF001
    row.get_by_role("button").last.click()
    assert _time(page) == pytest.approx(greatest * 5 + 2.5)


@pytest.mark.parametrize(
    ("check", "odd", "words"),
    [
        (RangeCheck(6, 0.034), False, "About 3 % of a new person's clips are marked by chance (measured on 6 people)."),
        (
            RangeCheck(6, 0.034),
            True,
            "All 10 scored clips are unlike the training recordings: the scores may mean nothing.",
        ),
        (None, False, "None is unlike the training recordings."),
    ],
)
def test_the_summary_says_how_far_the_marks_can_be_trusted(
    person: Person, prediction: Made, open_page: Open, tmp_path: Path, check: RangeCheck | None, odd: bool, words: str
) -> None:
    one = person(1)
    one.clips.out_of_range[:] = odd & (one.clips.reason == 0)
    write_viewer([replace(prediction(one), range_check=check)], tmp_path / "viewer.html")
    page = open_page(tmp_path / "viewer.html")
    said = page.locator("#words").inner_text()
    assert words in said and ("by chance" in said) == (check is not None)
    assert "it does not rank errors" in page.locator("#legend").inner_text()
    page.close()


WORTH = (
    "Held out best on 6 people never seen: ridge regression (mean CCC 0.884, 95 % 0.721 to 0.947). Blend minus ridge "
    "regression \N{MINUS SIGN}0.086: <i>a straight line</i> is as good here. " + "x" * 200
)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_words_on_the_page_are_what_the_scores_are_worth(
    person: Person, prediction: Made, open_page: Open, tmp_path: Path, width: int, scheme: str
) -> None:
    write_viewer([prediction(person(1))], tmp_path / "viewer.html", worth=WORTH)
    page = open_page(tmp_path / "viewer.html", viewport={"width": width, "height": 844}, color_scheme=scheme)
    first = page.get_by_role("note")
    assert first.inner_text() == f"{WORTH} CCC is agreement with the labels: 1 is complete, 0 is none."
    box, screen = first.bounding_box(), page.locator("#screen").bounding_box()
    title = page.locator("#title").bounding_box()
    assert title["y"] + title["height"] <= box["y"] and box["y"] + box["height"] <= screen["y"]
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width and page.troubles == []
    page.close()


def test_a_page_that_is_told_nothing_says_nothing_of_its_worth(
    person: Person, prediction: Made, open_page: Open, tmp_path: Path
) -> None:
    write_viewer([prediction(person(1))], tmp_path / "viewer.html")
    page = open_page(tmp_path / "viewer.html")
    assert page.get_by_role("note").count() == 0 and "@@" not in page.content()
    page.close()


def test_one_clip_is_counted_and_doubted_in_words(
    person: Person, prediction: Made, open_page: Open, tmp_path: Path
) -> None:
    one = person(1, duration_s=5.0)
    one.clips.out_of_range[:] = True
    write_viewer([prediction(one, duration_s=5.0)], tmp_path / "viewer.html")
    page = open_page(tmp_path / "viewer.html")
    said = page.locator("#words").inner_text()
    assert (
        "1 clip over 0:05" in said and "The only scored clip is unlike the training recordings: the scores may" in said
    )
    page.close()


def test_no_name_lies_over_a_curve(page: Any) -> None:
    covered = page.evaluate(
        """() => [...document.querySelectorAll('.lane .name')].map((name) =>
        name.getBoundingClientRect().bottom - name.nextSibling.getBoundingClientRect().top)"""
    )
    assert len(covered) == 4 and max(covered) <= 1


def test_every_key_does_what_the_list_says(page: Any) -> None:
    _press(page, "ArrowRight", "ArrowRight", "ArrowLeft")
    assert _time(page) == pytest.approx(7.5)
    _press(page, "Shift+ArrowRight")
    assert _time(page) == pytest.approx(57.5)
    _press(page, "Home", "n")
    assert _time(page) == pytest.approx(32.5)  # the gap
    _press(page, "n")
    assert _time(page) == pytest.approx(47.5)  # the stretch out of range
    _press(page, "End")
    assert _time(page) == pytest.approx(60)
    _press(page, "+")
    view = page.evaluate("affect.view")
    assert view["to"] - view["from"] == pytest.approx(30) and view["to"] == pytest.approx(60)
    _press(page, "0", "p", "y", "t", "?")
    assert page.evaluate("affect.view.to") == pytest.approx(60)
    assert page.evaluate("affect.person.track") == 2
    assert page.evaluate("affect.fit") and page.locator("#keys").is_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_cursor_follows_the_playing_recording(page: Any) -> None:
    page.evaluate("document.getElementById('video').muted = true")
    _press(page, "Space")
    _until(page, "affect.time > 0.4")
    _press(page, "Space")
    _until(page, "document.getElementById('video').paused")
    assert _time(page) == pytest.approx(page.evaluate("document.getElementById('video').currentTime"), abs=0.05)


def test_the_face_box_lies_on_the_picture(page: Any) -> None:
    # Person 1's box is (100, 80, 160, 160) of 240 x 180; the stage is as high as the picture.
    colour = page.evaluate(
        """() => { const canvas = document.getElementById('boxes'), scale = canvas.height / 180;
        const left = (canvas.width - 240 * scale) / 2;
        const pen = canvas.getContext('2d'), x = Math.round(left + 100 * scale), y = Math.round(120 * scale);
        return [...pen.getImageData(x, y, 1, 1).data] }"""
    )
    assert colour[0] > 200 and colour[1] > 160 and colour[2] < 150 and colour[3] > 200


def test_a_screen_reader_hears_the_scores_at_the_slider(page: Any) -> None:
    _press(page, "ArrowRight")
    slider = page.get_by_role("slider", name="Time in the recording")
    spoken = slider.get_attribute("aria-valuetext")
    assert spoken.startswith("0:07 of 1:00; valence") and "PANSS N1" in spoken
    page.get_by_text("The numbers as a table").click()
    table = page.locator("#rows table")
    table.wait_for()
    assert table.locator("tbody tr").count() == 12
    assert "no face in the clip" in table.inner_text()


def test_the_page_draws_by_the_rules_of_every_picture(page: Any) -> None:
    colours = page.evaluate(
        """() => { const style = getComputedStyle(document.documentElement);
        return ['t0', 't1', 't2', 't3', 't4', 't5', 't6', 't7', 'odd'].map((k) => style.getPropertyValue('--' + k)) }"""
    )
    assert colours == [*COLOURS, "", OUT_OF_RANGE]


def test_names_cannot_put_anything_on_the_page(
    person: Person, prediction: Made, open_page: Open, tmp_path: Path
) -> None:
    name = 'a</script><img src=x onerror="document.title=1">"&.mp4'
    write_viewer([replace(prediction(person(1)), video=name, warnings=("<b>bold</b>",))], tmp_path / "viewer.html")
    page = open_page(tmp_path / "viewer.html")
    assert page.locator("#title").inner_text() == name and page.title().startswith("a</script>")
    assert "<b>bold</b>" in page.locator("#words").inner_text() and page.troubles == []
    page.close()


def test_without_video_neither_recording_nor_boxes_are_on_the_page(
    person: Person, prediction: Made, open_page: Open, face_video: Path, tmp_path: Path
) -> None:
    write_viewer([prediction(person(1), source=face_video)], tmp_path / "viewer.html", with_video=False)
    text = (tmp_path / "viewer.html").read_text("utf-8")
    assert "interview%207" not in text and '"face_box":{"kind":"i2","data":""}' in text
    page = open_page(tmp_path / "viewer.html")
    assert page.locator("#screen").is_hidden() and page.locator("#play").is_hidden()
    _press(page, "ArrowRight", "Space")
    assert _time(page) == pytest.approx(7.5) and page.asked == [(tmp_path / "viewer.html").as_uri()]
    assert page.troubles == []
    page.close()


def test_a_moved_recording_is_said_and_the_curves_stay(
    person: Person, prediction: Made, open_page: Open, tmp_path: Path
) -> None:
    write_viewer([prediction(person(1), source=tmp_path / "gone.mp4")], tmp_path / "viewer.html")
    page = open_page(tmp_path / "viewer.html")
    page.wait_for_selector("#trouble:not([hidden])")
    _press(page, "ArrowRight")
    assert _time(page) == pytest.approx(7.5) and page.locator("#chooser").is_visible()
    page.close()


def test_three_dense_hours_draw_smoothly_and_lose_no_peak(
    person: Person, prediction: Made, open_page: Open, tmp_path: Path
) -> None:
    hours = person(1, duration_s=10_800.0, hop_s=0.32)
    hours.clips.mean[:, 0] = 0
    hours.clips.mean[20_000, 0] = 0.9  # a third of a second in three hours
    write_viewer([prediction(hours, duration_s=10_800.0)], tmp_path / "viewer.html", with_video=False)
    page = open_page(tmp_path / "viewer.html")
    peak = """() => { const canvas = document.querySelector('#lanes canvas'), pen = canvas.getContext('2d');
        const x = 44 + (20000 * .32 + 2.5) / 10800 * (canvas.clientWidth - 52);
        const y = 6 + 0.1 / 2 * (canvas.dataset.height - 12);
        const data = pen.getImageData(x - 3, y - 1, 7, 6).data;
        return data.filter((value, i) => i % 4 === 3).some((alpha) => alpha > 200) }"""
    _until(page, peak)
    seconds = page.evaluate(
        """() => { const start = performance.now();
        for (let n = 0; n < 10; n++) affect.draw(); return (performance.now() - start) / 1e4 }"""
    )
    assert seconds < 0.25  # a whole redraw, on a busy core; a frame at rest takes a tenth of it
    page.close()


def test_a_file_whose_picture_begins_late_keeps_boxes_on_time(
    person: Person, prediction: Made, open_page: Open, face_video: Path, tmp_path: Path
) -> None:
    import av

    late = tmp_path / "late.mp4"
    with av.open(str(face_video)) as source, av.open(str(late), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.pts is not None:
                shift = round(1.5 / packet.time_base) if packet.stream.type == "video" else 0
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    assert clock_offset_s(face_video) == pytest.approx(0, abs=0.1) and clock_offset_s(late) == pytest.approx(
        1.5, abs=0.1
    )
    write_viewer(
        [replace(prediction(person(1), source=late), clock_offset_s=clock_offset_s(late))], tmp_path / "v.html"
    )
    page = open_page(tmp_path / "v.html")
    _until(page, "document.getElementById('video').readyState >= 2")
    _until(page, "affect.offset > 1.4")
    page.evaluate("affect.seek(1)")
    _until(page, "Math.abs(document.getElementById('video').currentTime - 2.5) < 0.1")
    page.close()
