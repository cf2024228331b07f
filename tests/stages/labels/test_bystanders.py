"""Data sets as they lie on people's disks: tables beside others, in any encoding, and ids in any spelling."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pytest

from affect.cache.manifest import read_manifest
from affect.cache.tables import read_table
from affect.errors import InputError, ManifestError
from affect.pipeline.prepare_labels import LabelsSummary, prepare_labels
from affect.stages.labels.aff_wild2 import read_annotations
from affect.stages.labels.amigos import user_of, video_key
from affect.stages.labels.registry import Reading
from affect.stages.labels.tables import Problem, VideoFiles, number, records, understood, video_named

MakeVideo = Callable[..., Path]
SCORES = "video,patient,n1,n3,n6\ni1,001,2,3,4\ni2,002,1,5,6\n"


@pytest.fixture
def place(tmp_path: Path, make_video: MakeVideo) -> Path:
    for name in ("i1.mp4", "i2.mp4"):
        make_video(tmp_path / name, 2)
    (tmp_path / "scores.csv").write_text(SCORES)
    return tmp_path


def panss(place: Path) -> LabelsSummary:
    return prepare_labels("panss", place, place / "out.csv")


BYSTANDERS = {
    "AppleDouble": ("._scores.csv", b"\0\5\26\7\0\2\0\0Mac OS X        \0\xb0\xff", "left out as hidden: 1"),
    "Excel's lock": ("~$scores.xlsx", b"\5user", "left out as hidden: 1"),
    "NUL": ("sub/log.csv", bytes(30), "passed over: {}/sub/log.csv, line 1: a NUL byte"),
    "empty": ("empty.csv", b"", "passed over: {}/empty.csv is an empty file"),
    "broken workbook": ("more/old.xlsx", b"junk", "passed over: {}/more/old.xlsx cannot be read as a table"),
    "half a workbook": ("half.xlsx", b"PK\3\4" + b"x" * 50, "passed over: {}/half.xlsx cannot be read as a table"),
    "web page": ("page.csv", b"<html><body>", "passed over: {}/page.csv is a web page"),
    "not UTF-8 at all": ("x.csv", b"a,b\n\x81\x8d,2\n", "passed over: {}/x.csv, line 2: byte 0x81"),
}


@pytest.mark.parametrize("kind", BYSTANDERS)
def test_a_file_that_is_no_table_is_passed_over_and_said(place: Path, kind: str) -> None:
    name, content, said = BYSTANDERS[kind]
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_bytes(content)
    summary = panss(place)
    assert summary.tables == (place / "scores.csv",)
    said = said.format(place)
    assert any(said in note for note in summary.notes) or "empty" in said, summary.notes
    assert len(read_manifest(place / "out.csv")) == 2


@pytest.mark.parametrize("content", [b"\xe4,\xf6\n1,2\n", b"a,b\n1,2,3\n4\n", b"what;price\nbread;2\n", b"one\n"])
def test_a_table_of_something_else_is_quietly_no_candidate(place: Path, content: bytes) -> None:
    (place / "other.csv").write_bytes(content)
    summary = panss(place)
    assert summary.tables == (place / "scores.csv",) and not any("other" in note for note in summary.notes)


def test_where_no_table_is_left_those_that_could_not_be_read_are_named(place: Path) -> None:
    (place / "scores.csv").write_bytes(bytes(30))
    (place / "._x.csv").write_bytes(b"x")
    with pytest.raises(InputError, match=r"passed over: .*scores.csv, line 1: a NUL.*hidden: 1 .*\n.*--table FILE"):
        panss(place)


def test_links_to_nowhere_hidden_folders_and_other_endings_are_said(place: Path) -> None:
    (place / "gone").symlink_to(place / "elsewhere")
    (place / "lost.mp4").symlink_to(place / "nothing.mp4")
    (place / ".trash").mkdir()
    (place / "i3.rm").touch()
    notes = " ".join(panss(place).notes)
    for words in ("lost.mp4 is a link that leads nowhere", "gone -> ", "hidden folders, not entered: 1 (.trash)",
                  "left out by their ending: 1 .rm (i3.rm)"):  # fmt: skip
        assert words in notes, notes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_folder_that_cannot_be_listed_is_said_and_the_rest_is_read(place: Path) -> None:
    for folder in (place, *place.parents):
        if folder.owner() == "root" and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o077)
    (place / "closed").mkdir()
    (place / "closed").chmod(0)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            said = "; ".join(panss(place).notes)
        except Exception as error:  # noqa: BLE001 - the parent shows it
            said = repr(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    (place / "closed").chmod(0o700)
    assert f"{place / 'closed'} cannot be listed (Permission denied); what is in it is left out" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (SCORES, ""),
        (SCORES.replace(",", ";").replace("3;4", "3,5;4"), "; ';' separated; decimal comma"),
        (SCORES.replace(",", "\t").encode("utf-16"), "; tab separated; UTF-16"),
        ("sep=,\n" + SCORES.replace("\n", "\r"), ""),
        ("Ratings of 2026\n\n" + SCORES.replace("patient", "Pätient").replace("Pä", "pa"), "; column names in line 3"),
        ("Unnamed: 0," + SCORES.replace("\ni", "\n7,i"), "; 1 column without a name left out"),
    ],
)
def test_a_data_sets_table_is_read_however_it_was_saved(place: Path, content: str | bytes, said: str) -> None:
    (place / "scores.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    summary = panss(place)
    assert summary.understood == (f"scores.csv: 2 rows; columns video, patient, n1, n3, n6{said}",)
    manifest = read_manifest(place / "out.csv")
    assert manifest.subjects == ["001", "002"]
    np.testing.assert_array_equal(manifest.labels[:, 1:3], [[4, 2], [6, 1]])


def test_a_short_row_of_a_data_sets_table_is_refused_with_its_line(place: Path) -> None:
    (place / "scores.csv").write_text(SCORES.replace("3,4", "3"))
    with pytest.raises(ManifestError, match=r"line 2: 4 cells for 5 columns; there is none for 'n6'"):
        panss(place)


def test_the_sheet_of_a_data_set_is_found_or_named(place: Path) -> None:
    book = openpyxl.Workbook()
    for name in ("About", "Ratings", "Retest"):
        sheet = book.create_sheet(name)
        for line in SCORES.splitlines() if name != "About" else ["who,when"]:
            sheet.append(line.split(","))
    (place / "scores.csv").unlink()
    book.save(place / "scores.xlsx")
    with pytest.raises(ManifestError, match="2 sheets that may be meant: 'Ratings', 'Retest'"):
        prepare_labels("panss", place, place / "out.csv", table=place / "scores.xlsx")
    reading = Reading(sheet="Retest")
    summary = prepare_labels("panss", place, place / "out.csv", table=place / "scores.xlsx", reading=reading)
    assert "sheet 'Retest'" in summary.understood[0]


@pytest.mark.parametrize("reading", [Reading(step_s=1.0), Reading(reduction="last"), Reading(time_unit="ms")])
def test_an_option_that_a_data_set_has_no_use_for_is_refused(place: Path, reading: Reading) -> None:
    with pytest.raises(InputError, match="is of no use to panss"):
        prepare_labels("panss", place, place / "out.csv", reading=reading)


def test_decimal_commas_are_numbers_only_where_all_of_the_table_has_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name;a;b\n1,5;0,5;2\nx,5;1,5;NA\n")
    table = read_table(path)
    assert records(table) == [{"name": "1,5", "a": "0.5", "b": "2"}, {"name": "x,5", "a": "1.5", "b": ""}]
    assert understood(table).endswith("';' separated; decimal comma")
    path.write_text("a;b\n1,234;0.5\n")  # maybe a thousand
    problems: list[Problem] = []
    assert np.isnan(number(records(read_table(path))[0]["a"], "x", "a", problems)) and len(problems) == 1


FILES = VideoFiles({name: name for name in ("P01.mp4", "x/S-002_visit 1.mov", "C07.mp4", "P07.mp4", "plain.mkv")})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("P01.mp4", "P01.mp4"), ("p1", "P01.mp4"), ("P_001", "P01.mp4"), ("1", "P01.mp4"), ("01", "P01.mp4"),
        ("P01.avi", "P01.mp4"), ("s2_visit1", "x/S-002_visit 1.mov"), ("x/S-002_visit 1.mov", "x/S-002_visit 1.mov"),
        ("C7", "C07.mp4"), ("7", None), ("B7", None), ("B1", None), ("plain", "plain.mkv"), ("PLAIN.MKV", "plain.mkv"),
        ("", None),
    ],
)  # fmt: skip
def test_a_video_is_known_by_any_spelling_that_is_its_own(name: str, expected: str | None) -> None:
    problems: list[Problem] = []
    assert video_named(name, FILES, problems) == expected
    assert [problem.kind for problem in problems] == (
        [] if expected else ["name is ambiguous" if name == "7" else "labels without a video"]
    )


@pytest.mark.parametrize("user", ["1", "01", "001", "P1", "p01", "P_1", "1.0", "User 1"])
def test_amigos_knows_a_participant_in_any_spelling(tmp_path: Path, make_video: MakeVideo, user: str) -> None:
    make_video(tmp_path / "P01_10_face.mp4", 30)
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    annotators = [f"{target}_Annotator_{a}" for target in ("Valence", "Arousal") for a in (1, 2, 3)]
    sheet.append(["UserID", "VideoID", "Segment_Index", *annotators])
    sheet.append([user, "010" if user == "01" else "10", "1", 0.5, 0.5, 0.5, 0, 0, 0])
    book.save(tmp_path / "External_Annotations.xlsx")
    summary = prepare_labels("amigos", tmp_path, tmp_path / "out.csv")
    manifest = read_manifest(summary.manifests[0].manifest)
    assert manifest.videos == ["P01_10_face.mp4"] and manifest.subjects == ["P1"]


def test_amigos_names_are_what_they_were() -> None:
    assert [user_of(cell) for cell in ("7", "P07", "x", "1,2", "12.50")] == ["7", "7", "x", "1,2", "12.50"]
    assert [video_key(name) for name in ("P1_18.mp4", "01_018.mp4", "s001_N1_face.mov")] == ["P1_18", "P1_18", "P1_N1"]


def test_frame_annotations_are_read_in_any_encoding_and_a_short_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("valence,arousal\r\n0.5,-0.5\r\n\r\n-5,0.1\r\n".encode("utf-16"))
    np.testing.assert_array_equal(read_annotations(path), [[0.5, -0.5], [np.nan] * 2, [np.nan] * 2])
    path.write_text("valence,arousal\n0.5,0.1\n0.5\n")
    with pytest.raises(ManifestError, match=r"line 3 is '0.5'; expected valence,arousal"):
        read_annotations(path)
