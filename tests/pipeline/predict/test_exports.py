"""Annotations, captions, pictures and pseudonyms: as their readers expect them."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from affect.cache.predictions import PersonPrediction, VideoPrediction
from affect.pipeline.predict.annotations import write_elan, write_webvtt
from affect.pipeline.predict.pseudonyms import Pseudonyms
from affect.stages.views.plot import plot_person

Person = Callable[..., PersonPrediction]
Made = Callable[..., VideoPrediction]


def _annotations(document: ET.Element) -> dict[str, list[tuple[int, int, str]]]:
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE", "-1")) for slot in document.iter("TIME_SLOT")}
    return {
        tier.get("TIER_ID", ""): [
            (
                slots[item.get("TIME_SLOT_REF1")],
                slots[item.get("TIME_SLOT_REF2")],
                item.findtext("ANNOTATION_VALUE", ""),
            )
            for item in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        for tier in document.iter("TIER")
    }


def test_an_elan_document_follows_its_schema(
    person: Person, prediction: Made, face_video: Path, tmp_path: Path
) -> None:
    write_elan(prediction(person(1), person(2), source=face_video), tmp_path / "scores.eaf")
    document = ET.parse(tmp_path / "scores.eaf").getroot()
    order = [child.tag for child in document]
    assert order == ["HEADER", "TIME_ORDER", *["TIER"] * 6, "LINGUISTIC_TYPE"]
    assert {"AUTHOR", "DATE", "VERSION", "FORMAT"} <= set(document.attrib)
    times = [int(slot.get("TIME_VALUE", "-1")) for slot in document.iter("TIME_SLOT")]
    assert times == sorted(times) and len(set(times)) == len(times)
    names = [item.get("ANNOTATION_ID") for item in document.iter("ALIGNABLE_ANNOTATION")]
    assert len(set(names)) == len(names)
    media = document.find("HEADER/MEDIA_DESCRIPTOR")
    assert media is not None and media.get("MIME_TYPE") == "video/mp4"
    assert (tmp_path / media.get("RELATIVE_MEDIA_URL", "")).resolve() == face_video.resolve()
    tiers = _annotations(document)
    assert tiers["person 1 valence"][1][:2] == (5000, 10000)
    assert tiers["person 1 remarks"][0] == (30000, 35000, "no face in the clip")
    assert re.fullmatch(r"-?\d\.\d\d ± 0\.10 points", tiers["person 2 PANSS N1"][0][2])


@pytest.mark.parametrize("hop_s", [5.0, 0.32, 7.0])
def test_annotations_of_a_tier_never_overlap(person: Person, prediction: Made, tmp_path: Path, hop_s: float) -> None:
    write_elan(prediction(person(1, hop_s=hop_s)), tmp_path / "scores.eaf")
    for rows in _annotations(ET.parse(tmp_path / "scores.eaf").getroot()).values():
        for (start, end, _), (following, _, _) in pairwise(rows):
            assert start < end <= following


def test_captions_say_every_score_on_the_players_clock(person: Person, prediction: Made, tmp_path: Path) -> None:
    write_webvtt(replace(prediction(person(1)), clock_offset_s=1.5), tmp_path / "scores.vtt")
    blocks = (tmp_path / "scores.vtt").read_text("utf-8").strip().split("\n\n")
    assert blocks[0] == "WEBVTT" and len(blocks) == 13
    timing, *lines = blocks[1].splitlines()
    assert timing == "00:00:01.500 --> 00:00:06.500"
    assert lines[0].startswith("valence ") and lines[1].endswith(" points")
    assert blocks[7].splitlines()[1:] == ["no face in the clip"]


def test_a_picture_shows_curve_band_and_gap(person: Person, prediction: Made, tmp_path: Path) -> None:
    import cv2

    made = prediction(person(1))
    plot_person(made, made.persons[0], tmp_path / "plot.png")
    image = cv2.imread(str(tmp_path / "plot.png"))
    assert image is not None and image.shape[1] > 1000
    blue = np.array([0xA8, 0x67, 0x00])
    curve = np.abs(image[:180].astype(int) - blue).sum(2) < 40
    columns = np.flatnonzero(curve[:, 120:].any(0)) + 120
    gaps = np.diff(columns)
    # One gap of about ten seconds and a clip's half on both sides, in a minute.
    assert gaps.max() == pytest.approx((columns[-1] - columns[0]) * 15 / 55, rel=0.1)
    assert len(gaps[gaps > 10]) == 1


def test_a_score_outside_its_scale_is_in_the_picture_with_its_band(
    person: Person, prediction: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *words, **more: drawn.append(figure))
    made = prediction(person(1))
    made.persons[0].mean[2, 0], made.persons[0].std[2, 0] = 1.3, 0.4
    plot_person(made, made.persons[0], tmp_path / "plot.png")
    low, high = drawn[0].axes[0].get_ylim()
    assert low < -1 and 1.7 < high < 2
    explained = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert "nothing to say" in explained and "± one standard deviation over the models" in explained


def test_a_pseudonym_depends_on_name_and_key_alone_and_hides_every_form_of_the_name() -> None:
    first, second = Pseudonyms(b"k" * 32), Pseudonyms(b"l" * 32)
    assert first.of("clinic/anna.mp4") == first.of("clinic/anna.mp4") != second.of("clinic/anna.mp4")
    assert Pseudonyms().of("anna.mp4") == "anna.mp4"
    path = Path("/data/clinic/anna.mp4")
    message = "/data/clinic/anna.mp4: cannot be read; anna.mp4 (anna) is empty"
    cleaned = first.cleaned(message, "clinic/anna.mp4", path)
    assert "anna" not in cleaned and "clinic" not in cleaned and "k" * 8 not in repr(first)
