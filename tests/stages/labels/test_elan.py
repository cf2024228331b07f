"""ELAN documents: tiers to spans, on the player's clock, and what a hostile document cannot do."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import av
import numpy as np
import pytest

from affect.cache.manifest import Manifest, read_manifest
from affect.cache.predictions import ClipScores, PersonPrediction, ScoreReason, VideoPrediction
from affect.cache.records import Target
from affect.errors import InputError, ManifestError
from affect.pipeline.prepare_labels import prepare_labels
from affect.stages.features.video.times import clock_offset_s
from affect.stages.labels.elan import read_eaf
from affect.stages.labels.registry import Reading
from affect.stages.views.annotations import elan

MakeVideo = Callable[..., Path]
Annotations = Sequence[tuple[str, str, str]]  # two slots and a value


def document(
    media: str, slots: dict[str, int | None], tiers: str, before: str = "", units: str = "milliseconds"
) -> str:
    order = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="{name}"' + ("" if time is None else f' TIME_VALUE="{time}"') + "/>"
        for name, time in slots.items()
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{before}<ANNOTATION_DOCUMENT>\n<HEADER TIME_UNITS="{units}">'
        f'<MEDIA_DESCRIPTOR MEDIA_URL="{media}" MIME_TYPE="video/mp4"/></HEADER>\n<TIME_ORDER>{order}</TIME_ORDER>\n'
        f"{tiers}\n</ANNOTATION_DOCUMENT>\n"
    )


def tier(name: str, annotations: Annotations, person: str = "") -> str:
    who = f' PARTICIPANT="{person}"' if person else ""
    inner = "".join(
        f'\n<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{escape(name)}{number}" TIME_SLOT_REF1="{one}" '
        f'TIME_SLOT_REF2="{two}"><ANNOTATION_VALUE>{escape(value)}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>'
        for number, (one, two, value) in enumerate(annotations)
    )
    return f'<TIER TIER_ID="{escape(name)}"{who}>{inner}\n</TIER>'


SLOTS: dict[str, int | None] = {"a": 0, "b": 2000, "c": None, "d": 6000, "e": 8000}


@pytest.fixture
def place(tmp_path: Path, make_video: MakeVideo) -> Path:
    make_video(tmp_path / "S01.mp4", 250, fps=25)
    return tmp_path


def made(place: Path, text: str, **reading: float) -> Manifest:
    (place / "x.eaf").write_text(text, "utf-8")
    prepare_labels("spans", place, place / "out.csv", reading=Reading(**reading))  # type: ignore[arg-type]
    return read_manifest(place / "out.csv")


def spans(manifest: Manifest) -> list[tuple[float, float]]:
    return list(zip(manifest.start_s.tolist(), manifest.end_s.tolist(), strict=True))


def test_annotations_become_spans_of_numbers_and_of_words(place: Path) -> None:
    tiers = tier("valence", [("a", "b", "0,5"), ("b", "c", " -1 ")], "Anna") + tier(
        "mood & tone", [("a", "b", "Happy"), ("d", "e", "sad"), ("c", "d", "happy")], "Anna"
    )
    manifest = made(place, document("file:///C:/study%201/S01.mp4", SLOTS, tiers))
    assert set(manifest.videos) == {"S01.mp4"} and set(manifest.subjects) == {"Anna"}
    assert manifest.target_names == ("valence", "mood & tone_happy", "mood & tone_sad")
    assert spans(manifest) == [(0, 2), (2, 4), (4, 6), (6, 8)]  # c has no time: it lies between its neighbours
    none = np.nan
    np.testing.assert_array_equal(manifest.labels, [[0.5, 1, 0], [-1, none, none], [none, 1, 0], [none, 0, 1]])


def test_a_missing_word_of_a_tier_is_missing_and_said(place: Path) -> None:
    tiers = tier("mood", [("a", "b", "happy"), ("b", "d", "n/a"), ("d", "e", "sad")]) + tier("v", [("b", "d", "1")])
    (place / "x.eaf").write_text(document("S01.mp4", SLOTS, tiers), "utf-8")
    summary = prepare_labels("spans", place, place / "out.csv")
    manifest, none = read_manifest(place / "out.csv"), np.nan
    assert manifest.target_names == ("mood_happy", "mood_sad", "v")
    np.testing.assert_array_equal(manifest.labels, [[1, 0, none], [none, none, 1], [0, 1, none]])
    assert "x.eaf: 3 spans in 1 video; an ELAN document; missing: 1 'n/a'; times milliseconds" in summary.understood


def test_words_of_a_tier_that_would_become_one_target_are_refused(place: Path) -> None:
    with pytest.raises(ManifestError, match=r"line 6: column 'mood' is ':\)', and column 'mood' is ':\(' in .* line 7"):
        made(place, document("S01.mp4", SLOTS, tier("mood", [("a", "b", ":)"), ("b", "d", ":(")])))


def test_windows_hold_the_share_of_each_word_and_the_mean_of_numbers(place: Path) -> None:
    tiers = tier("v", [("a", "b", "1"), ("b", "d", "3")]) + tier("laughs", [("b", "c", "yes"), ("d", "e", "yes")])
    manifest = made(place, document("S01.mp4", SLOTS, tiers), span_s=4.0)
    assert manifest.target_names == ("v", "laughs_yes") and spans(manifest) == [(0, 4), (4, 8)]
    np.testing.assert_allclose(manifest.labels, np.array([[2, 1], [3, 0.5]]), atol=0.05)


def test_annotations_that_belong_to_others_share_their_times(place: Path) -> None:
    child = '<TIER TIER_ID="part" PARENT_REF="v">' + "".join(
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="r{n}" ANNOTATION_REF="v0"><ANNOTATION_VALUE>{n}</ANNOTATION_VALUE>'
        "</REF_ANNOTATION></ANNOTATION>" for n in range(2)
    ) + "</TIER>"  # fmt: skip
    manifest = made(place, document("S01.mp4", SLOTS, tier("v", [("a", "b", "1")], "P") + child))
    assert spans(manifest) == [(0, 1), (0, 2), (1, 2)] and set(manifest.subjects) == {"P"}


def test_an_eaf_without_its_recording_is_matched_by_its_own_name(place: Path) -> None:
    text = document("elsewhere.wav", SLOTS, tier("v", [("a", "b", "1"), ("b", "d", "2")]))
    (place / "s1.eaf").write_text(text)
    summary = prepare_labels("spans", place, place / "out.csv")
    assert read_manifest(summary.manifests[0].manifest).videos == ["S01.mp4"] * 2
    assert summary.understood == ("s1.eaf: 2 spans in 1 video; an ELAN document; times milliseconds",)


def late_picture(path: Path) -> None:
    """A recording of six seconds of sound, whose picture begins at 1 s."""
    with av.open(str(path), "w") as container:
        sound: Any = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        picture: Any = container.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 16, 16, "yuv420p"
        for number in range(6):
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 8000, 8000 * number, Fraction(1, 8000)
            container.mux(sound.encode(heard))
        for number in range(125):
            seen = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            seen.pts, seen.time_base = 25 + number, Fraction(1, 25)
            container.mux(picture.encode(seen))
        container.mux(picture.encode())


def test_times_are_those_of_a_player_and_not_from_the_first_frame(tmp_path: Path) -> None:
    late_picture(tmp_path / "S01.mkv")
    assert clock_offset_s(tmp_path / "S01.mkv") == pytest.approx(1.0)
    manifest = made(tmp_path, document("S01.mkv", {"a": 2000, "b": 3000}, tier("v", [("a", "b", "1")])))
    np.testing.assert_allclose(spans(manifest), [(1, 2)])


def test_a_recording_that_shows_nothing_has_times_and_does_not_stop_the_others(place: Path) -> None:
    recording = place / "S01.mp4"
    content = bytearray(recording.read_bytes())
    with av.open(str(recording)) as container:
        for packet in container.demux():
            if packet.size and packet.pos is not None:
                content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    recording.write_bytes(content)
    manifest = made(place, document("S01.mp4", {"a": 2000, "b": 3000}, tier("v", [("a", "b", "1")])))
    assert spans(manifest) == [(2, 3)]


def test_what_predict_exports_is_read_back(place: Path) -> None:
    mean = np.array([[3.0], [7.0]], np.float32)
    none, ones = np.full((2, 1), np.nan, np.float32), np.ones(2, np.float32)
    reason = np.full(2, ScoreReason.SCORED, np.uint8)
    clips = ClipScores(np.arange(2), mean, none, np.ones((2, 1), np.float32), ones, reason, ones / 2, ones > 2)
    start_s, box = np.array([0.0, 4.0]), np.array([0, 0, 9, 9], np.float32)
    person = PersonPrediction(0, start_s, start_s + 4, clips, start_s, np.tile(box, (2, 1)))
    prediction = VideoPrediction(
        "S01.mp4", place / "S01.mp4", 10.0, 16, 16, (Target("mood", 0, 10),), (5.0,), (person,)
    )
    manifest = made(place, elan(prediction, place, datetime(2026, 1, 1, tzinfo=UTC)).decode())
    mood = next(number for number, name in enumerate(manifest.target_names) if "mood" in name)
    told = ~np.isnan(manifest.labels[:, mood])
    assert [span for span, there in zip(spans(manifest), told, strict=True) if there] == [(0, 4), (4, 8)]
    assert manifest.labels[told, mood].tolist() == [3, 7]


BOMB = "<!DOCTYPE a [" + "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol"}">' for n in range(12)
) + "]>\n"  # fmt: skip
ONE = tier("v", [("a", "b", "1")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (document("S01.mp4", SLOTS, ONE.replace(">1<", ">&l11;<"), BOMB), "line 2: a document type"),
        (document("S01.mp4", SLOTS, ONE, '<!DOCTYPE a SYSTEM "file:///etc/passwd">'), "line 2: a document type"),
        (document("S01.mp4", SLOTS, ONE)[:300], "line .*; expected an ELAN document"),
        (document("S01.mp4", SLOTS, "<a>" * 100_000), "more than 64 elements in each other"),
        (document("S01.mp4", {"a": 0}, ONE), "line 6: time slot 'b' has no time"),
        (document("S01.mp4", SLOTS, ONE, units="PAL-frames"), "its times are 'PAL-frames'; expected milliseconds"),
        (document("S01.mp4", SLOTS, tier("v", [("b", "a", "1")])), "line 6: from 2000 to 0; expected an end"),
        ("<html></html>", "is a web page"),
        ("<svg></svg>", "is 'svg'; expected an ELAN document"),
        (document("S01.mp4", SLOTS, ONE).replace('TIME_VALUE="0"', 'TIME_VALUE="soon"'), "TIME_VALUE is 'soon'"),
        (document("S01.mp4", SLOTS, ONE + '<TIER TIER_ID="w"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="r" '
                  'ANNOTATION_REF="gone"/></ANNOTATION></TIER>'), "belongs to 'gone', which has no time"),
    ],
)  # fmt: skip
def test_a_document_that_is_none_is_refused_with_its_line(place: Path, text: str, message: str) -> None:
    (place / "x.eaf").write_text(text)
    with pytest.raises(ManifestError, match=message) as caught:
        prepare_labels("spans", place, place / "out.csv")
    assert len(caught.value.message) < 500


def test_a_circle_of_annotations_ends(place: Path) -> None:
    circle = '<TIER TIER_ID="w">' + "".join(
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="r{n}" ANNOTATION_REF="r{1 - n}"/></ANNOTATION>' for n in range(2)
    ) + "</TIER>"  # fmt: skip
    (place / "x.eaf").write_text(document("S01.mp4", SLOTS, ONE + circle))
    with pytest.raises(ManifestError, match="which has no time"):
        read_eaf(place / "x.eaf")


def test_a_tier_of_free_text_is_no_target(place: Path) -> None:
    slots: dict[str, int | None] = {f"s{n}": 100 * n for n in range(60)}
    text = tier("talk", [(f"s{n}", f"s{n + 1}", f"word {n}") for n in range(50)])
    (place / "x.eaf").write_text(document("S01.mp4", slots, text + tier("v", [("s0", "s9", "1"), ("s9", "s12", "2")])))
    summary = prepare_labels("spans", place, place / "out.csv")
    (made,) = summary.manifests
    assert made.targets == ("v",) and made.counts == {"column is no target": 1}
    (place / "x.eaf").write_text(document("S01.mp4", slots, text))
    (place / "out.csv").unlink()
    with pytest.raises(InputError, match=r"no label is left to write .column is no target: talk"):
        prepare_labels("spans", place, place / "out.csv")
