"""Annotations and captions: as their readers expect them."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from affect.cache.predictions import PersonPrediction, VideoPrediction
from affect.stages.views.annotations import elan, webvtt

Person = Callable[..., PersonPrediction]
Made = Callable[..., VideoPrediction]
DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


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
    document = ET.fromstring(elan(prediction(person(1), person(2), source=face_video), tmp_path, DATE))
    order = [child.tag for child in document]
    assert order == ["HEADER", "TIME_ORDER", *["TIER"] * 6, "LINGUISTIC_TYPE"]
    assert {"AUTHOR", "DATE", "VERSION", "FORMAT"} <= set(document.attrib)
    assert document.get("DATE") == "2026-01-02T03:04:05+00:00"
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
    document = ET.fromstring(elan(prediction(person(1, hop_s=hop_s)), tmp_path, DATE))
    for rows in _annotations(document).values():
        for (start, end, _), (following, _, _) in pairwise(rows):
            assert start < end <= following


def test_captions_say_every_score_on_the_players_clock(person: Person, prediction: Made) -> None:
    blocks = webvtt(replace(prediction(person(1)), clock_offset_s=1.5)).strip().split("\n\n")
    assert blocks[0] == "WEBVTT" and len(blocks) == 13
    timing, *lines = blocks[1].splitlines()
    assert timing == "00:00:01.500 --> 00:00:06.500"
    assert lines[0].startswith("valence ") and lines[1].endswith(" points")
    assert blocks[7].splitlines()[1:] == ["no face in the clip"]
