"""Label tables as people's programs save them: separators, encodings, decimal signs, workbooks, clocks."""

import datetime
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from affect.cache.manifest import Manifest, read_manifest
from affect.cache.tables import MOST_COLUMNS, read_header, read_table
from affect.errors import ManifestError

NAMES = ["video", "subject", "start_s", "end_s", "valence"]
ROWS = [["a.mp4", "007", "0", "1.5", "0.25"], ["b c.mp4", "NA", "1.5", "3", "-1"]]
HEADER = ",".join(NAMES) + "\n"


def lines(separator: str = ",", comma: bool = False, end: str = "\n") -> str:
    rows = [[cell if number < 2 or not comma else cell.replace(".", ",") for number, cell in enumerate(row)]
            for row in ROWS]  # fmt: skip
    return "".join(separator.join(row) + end for row in [NAMES, *rows])


def save(folder: Path, content: str | bytes, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def workbook(path: Path, **sheets: Sequence[Sequence[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def check(manifest: Manifest) -> None:
    assert manifest.videos == ["a.mp4", "b c.mp4"] and manifest.subjects == ["007", "NA"]
    assert manifest.start_s.tolist() == [0, 1.5] and manifest.end_s.tolist() == [1.5, 3]
    assert manifest.target_names == ("valence",) and manifest.labels.tolist() == [[0.25], [-1]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lines(), ""),
        (lines(";"), "';' separated"),
        (lines(";", comma=True), "';' separated; decimal comma"),
        (lines("\t"), "tab separated"),
        (lines("\t", comma=True), "tab separated; decimal comma"),
        ("sep=;\n" + lines(";", comma=True), "';' separated; decimal comma"),
        ("SEP=\t\r\n" + lines("\t", end="\r\n"), "tab separated"),
        ("\ufeff" + lines(end="\r\n"), ""),
        ("\ufeff" + lines().replace("video", '"video"'), ""),
        (lines(end="\r"), ""),
        (("\ufeff" + lines(";", comma=True)).encode("utf-16-le"), "';' separated; UTF-16; decimal comma"),
        (("\ufeff" + lines("\t")).encode("utf-16-be"), "tab separated; UTF-16"),
        (lines().encode("utf-16-le"), "UTF-16-LE"),
        (lines().replace("\n", ",,\n"), ""),
        (lines().replace("\n", ",\n").replace("valence,", "valence"), ""),
        (lines().replace("007", '"007"').replace("a.mp4", '"a.mp4"'), ""),
        (lines().replace(",", ", "), ""),
        (lines().replace("\n", "\n\n , , , , \n,,,,\n"), ""),
        ("A study of ours,,,,\n\n" + lines(), "column names in line 3"),
        ("# made by hand\n" + lines(), "column names in line 2"),
        (",video,subject,start_s,end_s,valence\n0,a.mp4,007,0,1.5,.25\n1,b c.mp4,NA,1.5,3,-1\n",
         "1 column without a name left out"),
        ("Unnamed: 0,video,subject,start_s,end_s,valence\n0,a.mp4,007,0,1.5,+0.25\n1,b c.mp4,NA,1.5,3,-1e0\n",
         "1 column without a name left out"),
    ],
)  # fmt: skip
def test_a_table_is_read_however_it_was_saved_and_says_what_was_unusual(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    manifest = read_manifest(save(tmp_path, content))
    check(manifest)
    between = f"; {said}" if said else ""
    assert manifest.understood == f"labels.csv: 2 spans of 2 videos; targets valence{between}; times seconds"


def test_names_in_windows_own_encoding_are_read_and_the_guess_is_said(tmp_path: Path) -> None:
    manifest = read_manifest(save(tmp_path, (HEADER + "Jürgen 5€.mp4,Zoë,0,1,0\n").encode("cp1252")))
    assert manifest.videos == ["Jürgen 5€.mp4"] and manifest.subjects == ["Zoë"] and "; cp1252;" in manifest.understood
    both = (HEADER + "ü.mp4,A,0,1,0\n").encode() + b"\xfc.mp4,A,0,1,0\n"
    with pytest.raises(ManifestError, match="line 3: byte 0xfc is not UTF-8, as other parts of the file are"):
        read_manifest(save(tmp_path, both))


def test_separators_inside_quotes_belong_to_the_cell(tmp_path: Path) -> None:
    content = 'video,subject,start_s,end_s,"a;b;c;d;e;f"\n"x;y,z.mp4","1,5;2",0,1,0.5\n'
    manifest = read_manifest(save(tmp_path, content))
    assert (manifest.videos, manifest.subjects) == (["x;y,z.mp4"], ["1,5;2"])
    assert manifest.target_names == ("a;b;c;d;e;f",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,1,0,1,0\na,1,0.5,0.2\n", "line 3: 4 cells for 5 columns; there is none for 'valence'"),
        ("a,1,0,1,0\n\n\na,1,1,2,0,0,5\n", "line 5: 7 cells for 5 columns; cell 6, '0', is in none"),
        ('"a\nb",1,0,1,0\na\n', "line 4: 1 cells for 5 columns; there is none for 'subject'"),
        ('a,1,0,1,0\n"b,1,0,1,0\n', "line 3: unexpected end of data"),
        ('a,1,0,1,"0,5"\n', r"line 2: column 'valence' is '0,5'.*\n.*1,6 is read where columns are separated by ;"),
        ('a,1,"0,5",1,0\n', r"line 2: column 'start_s' is '0,5'.*\n.*1,6 is read where columns are separated by ;"),
        ('a,1,0,"1,234.5",0\n', r"line 2: column 'end_s' is '1,234.5'.*\n.*nothing between thousands"),
        ("a,1,0,1,#DIV/0!\n", r"is '#DIV/0!'.*\n.*a formula failed"),
        ("a,1,0,1,TRUE\na,1,1,2,FALSE\n", r"line 2: column 'valence' is 'TRUE'.*\n.*write 1 and 0 for TRUE and FALSE"),
        ("a,1,0,1,happy\na,1,1,2,sad\n", r"line 2: column 'valence' is 'happy'.*\n.*for categories .* 0 and 1"),
        ("a,1,0,1,0\na,1,1,2,oops\na,1,2,3,0\n", r"line 3: column 'valence' is 'oops'.*\n.*leave the cell empty"),
        ("a,1,0,1,\N{MINUS SIGN}0.5\n", r"write a hyphen for minus"),
        ("a,1,0:00:01,2,0\n", r"line 2: column 'end_s' is '2'; expected hh:mm:ss or mm:ss.*\n.*in one way"),
        ("a,1,00:61:00,01:62:00,0\n", "line 2: column 'start_s' is '00:61:00'; expected .* below 60"),
        ("a,1,00:00:01:12,00:00:02:00,0\n", r"is '00:00:01:12'; expected a number\n.*hh:mm:ss and mm:ss are read"),
        ("a,1,1_0,20,0\n", "column 'start_s' is '1_0'"),
        ("a,1,0,1,0x1F\n", "column 'valence' is '0x1F'"),
        ("a,1,0,1,1e400\n", "column 'valence' is '1e400'"),
        ("a,1,0,1,0\na,,1,2,0\n", "line 3: column 'subject' is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_line_and_what_helps(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(save(tmp_path, HEADER + rows))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.mp4;1;0;1,5;0.5", "'end_s' is '1,5', and column 'valence' is '0.5' in line 2; expected one decimal sign"),
        ("a.mp4;1;0;1.234,5;0,5", r"'end_s' is '1.234,5'.*\n.*nothing between thousands"),
        ("a.mp4;1;0;1,5", "4 cells for 5 columns; there is none for 'valence'"),
    ],
)
def test_two_decimal_signs_and_thousands_are_refused_between_semicolons(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_manifest(save(tmp_path, f"{HEADER.replace(',', ';')}{row}\n"))


def test_a_name_with_a_point_does_not_decide_the_decimal_sign(tmp_path: Path) -> None:
    manifest = read_manifest(save(tmp_path, "video;subject;start_s;end_s;v\n1.5;2.5;0;1,5;0,5\n"))
    assert (manifest.videos, manifest.subjects, manifest.end_s.tolist()) == (["1.5"], ["2.5"], [1.5])


@pytest.mark.parametrize("word", ["", "NA", "N/A", "#N/A", "NULL", "null", "nan", "None", "none", "-", "--", "n.a."])
def test_a_missing_value_has_many_words_and_those_read_as_one_are_said(tmp_path: Path, word: str) -> None:
    manifest = read_manifest(save(tmp_path, f"{HEADER}a,NA,0,1,{word}\na,NA,1,2,0.5\n"))
    assert np.isnan(manifest.labels[0, 0]) and manifest.labels[1, 0] == 0.5 and manifest.subjects == ["NA", "NA"]
    assert (f"missing: 1 {word!r}" in manifest.understood) == bool(word)


@pytest.mark.parametrize(
    ("start", "end", "expected", "said"),
    [
        ("00:00:01", "00:00:03.5", (1, 3.5), "hh:mm:ss"),
        ("1:02:03.25", "1:02:04", (3723.25, 3724), "hh:mm:ss"),
        ("12:34.5", "75:00", (754.5, 4500), "mm:ss"),
        ("59:30", "1:00:00", (3570, 3600), "hh:mm:ss and mm:ss"),
        ('"00:00:01,500"', '"00:00:02,250"', (1.5, 2.25), "hh:mm:ss"),
        ("00:00:01", "", (1, np.inf), "hh:mm:ss"),
    ],
)
def test_times_of_a_clock_are_seconds(
    tmp_path: Path, start: str, end: str, expected: tuple[float, float], said: str
) -> None:
    manifest = read_manifest(save(tmp_path, f"{HEADER}a,1,{start},{end},0\n"))
    assert (manifest.start_s[0], manifest.end_s[0]) == expected and manifest.understood.endswith(f"times {said}")
    with pytest.raises(ManifestError, match=r"expected a number\n.*labels.time_unit=hms"):
        read_manifest(manifest.path or "", time_unit="s")


def test_milliseconds_are_read_where_they_are_said(tmp_path: Path) -> None:
    path = save(tmp_path, HEADER + "a,1,500,1500,0\n")
    assert read_manifest(path, time_unit="ms").start_s.tolist() == [0.5]
    assert read_manifest(path).start_s.tolist() == [500], "nobody has said it"
    named = read_manifest(save(tmp_path, "video,subject,start_ms,end_ms,v\na,1,500,1500,0\n"))
    assert (named.start_s.tolist(), named.end_s.tolist(), named.target_names) == ([0.5], [1.5], ("v",))
    assert named.understood.endswith("times milliseconds")
    with pytest.raises(ManifestError, match="expected hh:mm:ss"):
        read_manifest(path, time_unit="hms")


def test_a_workbook_is_read_as_its_cells_are_shown(tmp_path: Path) -> None:
    clock = datetime.time(0, 1, 5, 500_000)
    rows: list[list[Any]] = [[*NAMES, None, None], ["a.mp4", "007", datetime.time(0, 0, 1), clock, 0.25], [None] * 5,
            ["b.mp4", 7.0, "00:01:30", datetime.timedelta(seconds=100), None, None, "a remark"]]  # fmt: skip
    manifest = read_manifest(workbook(tmp_path / "labels.xlsx", Ratings=rows))
    assert manifest.subjects == ["007", "7"]
    assert manifest.start_s.tolist() == [1, 90] and manifest.end_s.tolist() == [65.5, 100]
    assert manifest.where(1).endswith("line 4") and np.isnan(manifest.labels[1, 0])
    assert "sheet 'Ratings'" in manifest.understood and "1 column without a name left out" in manifest.understood


def test_minutes_that_a_spreadsheet_took_for_hours_are_read_as_they_were_typed(tmp_path: Path) -> None:
    path = workbook(tmp_path / "labels.xlsx", S=[NAMES, ["a", "1", datetime.time(0, 1), datetime.time(1, 30), 0]])
    book = openpyxl.load_workbook(path)
    for place in ("C2", "D2"):
        book["S"][place].number_format = "h:mm"
    book.save(path)
    manifest = read_manifest(path)
    assert (manifest.start_s.tolist(), manifest.end_s.tolist(), manifest.times) == ([1], [90], "mm:ss")


def test_the_sheet_with_the_columns_is_found_below_a_merged_title_and_beside_others(tmp_path: Path) -> None:
    table = [["Study 7"], [], NAMES, *ROWS]
    path = workbook(tmp_path / "labels.xlsx", About=[["who", "when"], ["me", "now"]], Empty=[], Scores=table)
    book = openpyxl.load_workbook(path)
    book["Scores"].merge_cells("A1:E1")
    book.save(path)
    check(read_manifest(path))
    assert "sheet 'Scores'; column names in line 3" in read_manifest(path).understood
    both = workbook(tmp_path / "two.xlsx", First=[NAMES, *ROWS], Second=[NAMES, ROWS[0]])
    with pytest.raises(ManifestError, match=r"2 sheets that may be meant: 'First', 'Second'.*\n.*labels.sheet"):
        read_manifest(both)
    assert len(read_manifest(both, sheet="Second")) == 1
    with pytest.raises(ManifestError, match="no sheet 'Third'; its sheets are 'First', 'Second'"):
        read_manifest(both, sheet="Third")
    with pytest.raises(ManifestError, match="no workbook, and a sheet 'Second' is asked for"):
        read_manifest(save(tmp_path, lines()), sheet="Second")


def test_a_message_about_a_sheet_names_it(tmp_path: Path) -> None:
    path = workbook(tmp_path / "labels.xlsx", Scores=[NAMES, ["a", "1", 0, 1, "high"]])
    with pytest.raises(ManifestError, match=r"labels.xlsx, sheet 'Scores', line 2: column 'valence' is 'high'"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "old Excel file"),
        ("labels.xlsx", b"not a workbook", "cannot be read as a table: it is no workbook"),
        ("labels.xlsx", b"PK\x03\x04 and then nothing", "cannot be read as a table"),
        ("labels.csv", b"version https://git-lfs.github.com/spec/v1\noid x\n", "a Git LFS pointer"),
        ("labels.csv", b"<!DOCTYPE html><html></html>", "a web page"),
        ("labels.csv", b"\xff\xfev\x00i", "line 1: no column 'video'"),
        ("labels.csv", b"\xff\xfev\x00i\x00d", "cannot be read as UTF-16"),
        ("labels.csv", b"\xef\xbb\xbf", "is empty"),
    ],
)
def test_what_is_no_table_is_told_by_its_content(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    if message.startswith("line 1"):
        content += b"\x00"
    with pytest.raises(ManifestError, match=message):
        read_manifest(save(tmp_path, content, name))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.csv")
    with pytest.raises(ManifestError, match="a pipe; expected a file"):
        read_manifest(tmp_path / "labels.csv")


FIRST = '<row r="1">' + "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in NAMES) + "</row>"
SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
)


def forged(path: Path, sheet: str) -> Path:
    """A workbook of one sheet whose XML is replaced."""
    workbook(path, S=[NAMES, *ROWS])
    with zipfile.ZipFile(path) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    parts["xl/worksheets/sheet1.xml"] = sheet.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in parts.items():
            target.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        (SHEET.format(FIRST + '<row r="999999999"><c r="A999999999"><v>1</v></c></row>'), "expected at most .* rows"),
        (SHEET.format('<row r="1"><c r="ZZZ1"><v>1</v></c></row>'), f"at most {MOST_COLUMNS} columns"),
        ('<!DOCTYPE w [<!ENTITY a "aa">]>' + SHEET.format(""), "document type"),
        (SHEET.format('<row r="1"><c r="A1" t="s"><v>99</v></c></row>'), "cannot be read as a table"),
        (SHEET.format("<row>"), "cannot be read as a table"),
    ],
)
def test_a_forged_sheet_takes_no_more_than_it_explains(tmp_path: Path, sheet: str, message: str) -> None:
    path = forged(tmp_path / "labels.xlsx", sheet)
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (40, 40))
from affect.cache.manifest import read_manifest
from affect.errors import ManifestError
try:
    read_manifest({str(path)!r})
except ManifestError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert re.search(message, done.stdout), done.stdout + done.stderr[-1500:]


def test_the_names_of_a_long_table_are_read_without_the_rest(tmp_path: Path) -> None:
    path = save(tmp_path, "time;v\n" + "0,1;2\n" * 300_000 + "x\n")
    assert read_header(path) == ["time", "v"]
    with pytest.raises(ManifestError, match="line 300002: 1 cells for 2 columns"):
        read_table(path)


def test_a_row_across_lines_keeps_the_line_it_begins_in(tmp_path: Path) -> None:
    table = read_table(save(tmp_path, 'a,b\r\n1,"x\r\ny"\r\n\r\n2,z\r\n'))
    assert table.lines.tolist() == [2, 5] and table.texts("b") == ["x\r\ny", "z"]
