"""Spreadsheets in which a cell is not what it seems: formulas nobody computed, merged cells, clocks, thousands."""

import datetime
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from openpyxl.styles import PatternFill

from affect.cache.manifest import check_duplicates, match_videos, read_manifest
from affect.cache.picture_rate import picture_rate
from affect.errors import AffectError, ManifestError
from affect.stages.temporal.splits import people_by_row
from affect.tests.workbooks import write_excel

NAMES = ["video", "subject", "start_s", "end_s", "valence"]


def save(folder: Path, text: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def table(folder: Path, *rows: Sequence[Any]) -> Path:
    return write_excel(folder / "labels.xlsx", [NAMES, *rows])


def computed(path: Path, results: Sequence[str]) -> Path:
    """The workbook as Excel saves it: each formula with its result, and none left to compute."""
    parts = {}
    with zipfile.ZipFile(path) as book:
        for name in book.namelist():
            parts[name] = book.read(name).decode()
    given = iter(results)
    sheet, count = re.subn(r"<v ?/>|<v></v>", lambda _: next(given), parts["xl/worksheets/sheet1.xml"])
    assert count == len(results)
    parts["xl/worksheets/sheet1.xml"] = sheet
    parts["xl/workbook.xml"] = parts["xl/workbook.xml"].replace('fullCalcOnLoad="1"', "")
    with zipfile.ZipFile(path, "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)
    return path


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (["a", "p", 0, "=C2+1", 0.1], "end_s"),
        (["a", "p", 0, 1, "=1/2"], "valence"),
        (["a", "=B9", 0, 1, 0.5], "subject"),
    ],
)
def test_a_formula_that_nobody_computed_is_no_empty_cell(tmp_path: Path, row: list[Any], column: str) -> None:
    with pytest.raises(ManifestError, match=f"line 3: column '{column}' is '#FORMULA!'") as caught:
        read_manifest(table(tmp_path, ["a", "p", 5, 6, 0.2], row))
    assert caught.value.hint is not None and "save it" in caught.value.hint


def test_a_formula_that_excel_computed_is_its_result(tmp_path: Path) -> None:
    rows = [["a", "p", 0, "=C2+1", "=1/4"], ["a", "p", 1, "=C3+1", '=IF(TRUE,"",1)']]
    path = computed(table(tmp_path, *rows), ["<v>1</v>", "<v>0.25</v>", "<v>2</v>", "<v></v>"])
    text = zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml").decode()
    assert text.count("<f>") == 4
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    parts["xl/worksheets/sheet1.xml"] = text.replace('r="E3"', 'r="E3" t="str"').encode()
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    manifest = read_manifest(path)
    assert manifest.end_s.tolist() == [1, 2]
    np.testing.assert_array_equal(manifest.labels, [[0.25], [np.nan]])


def test_a_formula_in_a_column_that_is_no_label_harms_nothing(tmp_path: Path) -> None:
    path = write_excel(tmp_path / "labels.xlsx", [[*NAMES, "note"], ["a", "p", 0, 1, 0.5, "=A2"]])
    assert read_manifest(path, ["valence"]).labels.tolist() == [[0.5]]


def test_a_cell_merged_with_one_above_is_no_empty_cell(tmp_path: Path) -> None:
    path = table(tmp_path, *(["a", "p", second, second + 1, second / 10] for second in range(4)))
    book = openpyxl.load_workbook(path)
    book.worksheets[0].merge_cells("E3:E5")
    book.save(path)
    with pytest.raises(ManifestError, match="line 4: column 'valence' is '#MERGED!'") as caught:
        read_manifest(path)
    assert caught.value.hint is not None and "unmerge" in caught.value.hint


def test_a_merged_title_and_a_merged_remark_harm_nothing(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["All ratings"], [], NAMES, ["a", "p", 0, 1, 0.5], ["b", "p", 0, 1, 0.25]]
    path = write_excel(tmp_path / "labels.xlsx", rows)
    book = openpyxl.load_workbook(path)
    book.worksheets[0].merge_cells("A1:E2")
    book.worksheets[0].merge_cells("G4:H9")
    book.save(path)
    assert read_manifest(path).labels.tolist() == [[0.5], [0.25]]


def test_a_cell_with_a_colour_alone_far_to_the_right_is_no_column(tmp_path: Path) -> None:
    path = table(tmp_path, ["a", "p", 0, 1, 0.5])
    book = openpyxl.load_workbook(path)
    book.worksheets[0]["XFD2"].fill = PatternFill("solid", fgColor="FFFF00")
    book.save(path)
    assert read_manifest(path).labels.tolist() == [[0.5]]


def test_minutes_beyond_23_are_minutes_where_a_sheet_has_mm_ss(tmp_path: Path) -> None:
    clock = datetime.time
    path = table(
        tmp_path, ["a", "p", clock(23, 10), clock(23, 50), 1], ["a", "p", clock(23, 50), 0, 2], ["a", "p", 0, 0, 3]
    )
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    for cell in ("C2", "D2", "C3"):
        sheet[cell].number_format = "h:mm"
    for cell, minutes in (("D3", 24 * 60 + 10), ("C4", 24 * 60 + 10), ("D4", 101 * 60 + 5)):
        sheet[cell].value, sheet[cell].number_format = datetime.timedelta(minutes=minutes), "[h]:mm:ss"
    book.save(path)
    manifest = read_manifest(path)
    assert manifest.start_s.tolist() == [23 * 60 + 10, 23 * 60 + 50, 24 * 60 + 10]
    assert manifest.end_s.tolist() == [23 * 60 + 50, 24 * 60 + 10, 101 * 60 + 5]


@pytest.mark.parametrize("word", ["NA", "na", "#N/A", "-", "nan"])
@pytest.mark.parametrize("column", [2, 3])
def test_a_time_that_is_said_to_be_missing_is_not_the_start_or_the_end(tmp_path: Path, word: str, column: int) -> None:
    row = ["a", "p", "1", "2", "0.5"]
    row[column] = word
    with pytest.raises(ManifestError, match=f"line 3: {NAMES[column]} is '{word}'; expected a time"):
        read_manifest(save(tmp_path, f"{','.join(NAMES)}\na,p,3,4,1\n{','.join(row)}\n"))


def test_empty_times_are_the_whole_video_or_its_end(tmp_path: Path) -> None:
    manifest = read_manifest(save(tmp_path, f"{','.join(NAMES)}\na,p,,,1\nb,p,3,,2\n"))
    assert manifest.start_s.tolist() == [0, 3] and np.isinf(manifest.end_s).all()
    for row, what in (("a,p,,4,1", "start_s is empty"), ("a,p,inf,,1", "start_s is 'inf'")):
        with pytest.raises(ManifestError, match=f"line 2: {what}"):
            read_manifest(save(tmp_path, f"{','.join(NAMES)}\n{row}\n"))


@pytest.mark.parametrize(("sign", "separator"), [(".", ";"), (",", ";"), (".", ",")])
def test_thousands_of_milliseconds_are_not_read_as_milliseconds(tmp_path: Path, sign: str, separator: str) -> None:
    def text(*rows: tuple[str, str]) -> str:
        names = ["video", "subject", "start_ms", "end_ms", "valence"]
        lines = [["a", "p", first, last, "5"] for first, last in rows]
        return "".join(separator.join(line) + "\n" for line in [names, *lines])

    grouped = text(("0", f"1{sign}000"), (f"1{sign}000", f"12{sign}500"))
    with pytest.raises(ManifestError, match="between thousands"):
        read_manifest(save(tmp_path, grouped))
    decimal = text(("0", f"1000{sign}125"), (f"1000{sign}125", "2500"))
    assert read_manifest(save(tmp_path, decimal)).end_s.tolist() == pytest.approx([1.000125, 2.5])


@pytest.mark.parametrize("word", ["#N/A", "#REF!", "#NAME?", "#DIV/0!", "#BEZUG!"])
def test_an_error_of_a_spreadsheet_is_nobodys_name(tmp_path: Path, word: str) -> None:
    with pytest.raises(ManifestError, match=f"line 2: column 'subject' is {re.escape(repr(word))}"):
        read_manifest(save(tmp_path, f"{','.join(NAMES)}\na,{word},0,1,1\n"))
    assert read_manifest(save(tmp_path, f"{','.join(NAMES)}\na,#12,0,1,1\n")).subjects == ["#12"]


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("10%", "write the number alone"),
        ("2026-05-01T00:00:00", "made a date of it"),
        ("\uff10.5", "digits 0 to 9"),
        ("0.5\u200b", "digits 0 to 9"),
        ('"1,234"', "between thousands"),
        ("1e31", "leave the cell empty"),
    ],
)
def test_what_is_said_of_a_cell_keeps_its_value(tmp_path: Path, cell: str, advice: str) -> None:
    with pytest.raises(ManifestError, match="line 3: column 'valence' is") as caught:
        read_manifest(save(tmp_path, f"{','.join(NAMES)}\na,p,0,1,1\na,p,1,2,{cell}\n"))
    assert advice in str(caught.value.hint)


def test_the_names_of_columns_are_put_right_without_changing_their_unit(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no column 'end_ms'") as caught:
        read_manifest(save(tmp_path, "video,subject,start_ms,stop_ms,valence\na,p,0,1,1\n"))
    assert "_s'" not in str(caught.value.hint)
    with pytest.raises(ManifestError, match="column 'Split' is no target") as caught:
        read_manifest(save(tmp_path, f"{','.join(NAMES)},Split\na,p,0,1,1,train\n"))
    assert caught.value.hint == "rename it to 'split'"
    manifest = read_manifest(save(tmp_path, f"{','.join(NAMES)},split\na,p,0,1,1,TRAIN\nb,q,0,1,1,Test\n"))
    assert manifest.splits == ["train", "test"]


def test_names_far_below_a_title_are_not_called_cells_too_many(tmp_path: Path) -> None:
    text = "remark\n" * 12 + f"{','.join(NAMES)}\na,p,0,1,1\n"
    with pytest.raises(ManifestError) as caught:
        read_manifest(save(tmp_path, text))
    assert "first 10 rows" in str(caught.value.hint)


def test_a_video_is_the_same_in_both_forms_of_its_letters(tmp_path: Path) -> None:
    manifest = read_manifest(save(tmp_path, f"{','.join(NAMES)}\nJürgen.mp4,p,0,1,1\nx/Zoë,p,0,1,1\n"))
    stored = ["Ju%CC%88rgen.mp4", "x/Zoe%CC%88.mov", "other.mp4"]
    assert match_videos(manifest, stored) == stored[:2]
    with pytest.raises(ManifestError, match=r"'OTHER.MP5' is not in the store") as caught:
        match_videos(read_manifest(save(tmp_path, f"{','.join(NAMES)}\nOTHER.MP5,p,0,1,1\n")), stored)
    assert caught.value.hint == "did you mean other.mp4?"


def test_a_span_twice_is_found_under_any_spelling(tmp_path: Path) -> None:
    manifest = read_manifest(save(tmp_path, f"{','.join(NAMES)}\na.mp4,P1,0,1,1\n./a.mp4,p1,0,1,-1\n"))
    videos, people = match_videos(manifest, ["a.mp4"]), people_by_row(manifest.subjects).tolist()
    with pytest.raises(ManifestError, match=r"line 3: \./a\.mp4 0 to 1 s stands already in line 2"):
        check_duplicates(manifest, videos, people)


@pytest.mark.parametrize("rows", ["a,25\na,30\n", ",25\n", "a,\n", "a,0\n"])
def test_a_table_of_rates_names_each_recording_once(tmp_path: Path, rows: str) -> None:
    with pytest.raises(AffectError) as caught:
        picture_rate(str(save(tmp_path, f"video,fps\n{rows}")))
    assert caught.value.hint
