"""Cells of one's own labels that are no number and no word, units that differ, and what is said of each."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from affect.cache.manifest import Manifest, read_manifest
from affect.cli import main

MakeVideo = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path, make_video: MakeVideo) -> Path:
    """A folder with two videos of ten seconds."""
    for name in ("S01.mp4", "S02.mp4"):
        make_video(tmp_path / name, 250, fps=25)
    return tmp_path


def spans(place: Path, text: str, *words: str) -> Result:
    (place / "S01.csv").write_text(text, "utf-8")
    return CliRunner().invoke(main, ["prepare-labels", "spans", str(place), "--output", str(place / "out.csv"), *words])


def made(place: Path, text: str, *words: str) -> Manifest:
    result = spans(place, text, *words)
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return read_manifest(place / "out.csv")


def refused(place: Path, text: str, *words: str) -> str:
    """What is said, in one line. It is one error with a hint, and nothing is written."""
    result = spans(place, text, *words)
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit), f"{result.output} {result.exception!r}"
    assert not (place / "out.csv").exists() and "Hint: " in result.output, result.output
    return " ".join(result.output.split())


def edges(manifest: Manifest) -> list[tuple[float, float]]:
    return list(zip(manifest.start_s.tolist(), manifest.end_s.tolist(), strict=True))


def column(name: str, cells: Sequence[str]) -> str:
    """A table of spans of a second with one column of labels."""
    return f"start_s;end_s;{name}\n" + "".join(f"{n};{n + 1};{cell}\n" for n, cell in enumerate(cells))


@pytest.mark.parametrize(
    ("table", "expected", "said"),
    [
        ("start_ms,duration_s,v\n0,1.5,0.1\n2000,1.5,0.3\n", [(0, 1.5), (2, 3.5)], "'start_ms' milliseconds"),
        ("start_s,duration_ms,v\n0.5,10,1\n", [(0.5, 0.51)], "'start_s' seconds, 'duration_ms' milliseconds"),
        ("onset_s,offset_ms,v\n0.5,900,1\n", [(0.5, 0.9)], "'onset_s' seconds, 'offset_ms' milliseconds"),
        ("start,duration_ms,v\n500,900,1\n", [(0.5, 1.4)], "times milliseconds"),
        ("start_ms,end,v\n500,900,1\n", [(0.5, 0.9)], "times milliseconds"),
        ("start_s,start_frame,end_frame,v\n9,25,50,1\n", [(1, 2)], "times numbers of frames"),
        ("onset_s,offset_frame,duration_s,v\n1,50,2,1\n", [(1, 3)], "times seconds"),
    ],
)
def test_a_column_of_times_is_in_the_unit_that_its_own_name_says(
    place: Path, table: str, expected: list[tuple[float, float]], said: str
) -> None:
    assert said in " ".join(spans(place, table).output.split())
    assert edges(made(place, table)) == expected


@pytest.mark.parametrize(
    ("header", "units"),
    [
        ("start_frame,duration_s", ("numbers of frames", "seconds")),
        ("start_ms,end_frame", ("milliseconds", "numbers of frames")),
        ("start_hms,end_s", ("hh:mm:ss", "seconds")),
        ("frame,duration_s", ("numbers of frames", "seconds")),
    ],
)
def test_units_that_do_not_go_together_are_refused_with_both_columns(
    place: Path, header: str, units: tuple[str, str]
) -> None:
    said = refused(place, f"{header},v\n1,2,3\n")
    for name, unit in zip(header.split(","), units, strict=True):
        assert f"column '{name}' holds {unit}" in said
    assert "S01.csv, line 1: " in said and "--time-unit s, ms, hms or frame says it for both" in said


def test_a_unit_that_is_asked_for_holds_for_all_columns(place: Path) -> None:
    assert edges(made(place, "start_frame,end_s,v\n1000,2000,1\n", "--time-unit", "ms")) == [(1, 2)]


def test_a_clock_stands_whatever_units_the_names_say(place: Path) -> None:
    assert edges(made(place, "start_ms,end_s,v\n0:01,0:02.5,1\n")) == [(1, 2.5)]
    assert edges(made(place, "start_frame,end_frame,v\n0:01,0:02.5,1\n")) == [(1, 2.5)]


@pytest.mark.parametrize("header", ["time,duration", "duration,time", "timestamp_s,dur_s", "time,end", "t,duration"])
def test_a_time_with_a_duration_or_an_end_is_a_span(place: Path, header: str) -> None:
    cells = ("1", "2") if header[0] != "d" else ("2", "1")
    end = 2 if "end" in header else 3
    result = spans(place, f"{header},label\n{','.join(cells)},happy\n")
    assert "1 spans in 1 video" in result.output, result.output
    manifest = read_manifest(place / "out.csv")
    assert edges(manifest) == [(1, end)] and manifest.target_names == ("label_happy",)


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (["\N{MINUS SIGN}0.5", "\N{MINUS SIGN}0.25", "0.5", "\N{MINUS SIGN}0.75"], "\N{MINUS SIGN}0.5"),
        (["\N{EN DASH}0.5", "0.5"], "\N{EN DASH}0.5"),
        (["10%", "20%", "20 %"], "10%"),
        (["0.5", "#DIV/0!"], "#DIV/0!"),
        (["1_000", "2_000"], "1_000"),
        (["1 000", "2 000"], "1 000"),
        (["TRUE", "FALSE", "", "NA"], "TRUE"),
        (["true", "0.5"], "true"),
        (["0.5?", "0.6?", "0.7"], "0.5?"),
        (["\N{FULLWIDTH DIGIT FIVE}", "\N{FULLWIDTH DIGIT SIX}"], "\N{FULLWIDTH DIGIT FIVE}"),
        (["£5", "5 €"], "£5"),
        (["0.5", "0.7", "oops", "", "", "", ""], "oops"),  # most of what is said is numbers
        (["0,5", "0,7", "oops"], "oops"),  # not what is a number of this table
    ],
)
def test_numbers_that_are_badly_written_become_no_categories(place: Path, cells: list[str], first: str) -> None:
    line = cells.index(first) + 2
    assert f"S01.csv, line {line}: column 'v' is '{first}'; expected a number" in refused(place, column("v", cells))


@pytest.mark.parametrize("cell", ["#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#WERT!", "#¡VALOR!", "Err:502"])
def test_what_a_failed_formula_left_is_refused_among_words_too(place: Path, cell: str) -> None:
    said = refused(place, column("mood", ["happy", "sad", cell, "happy"]))
    assert f"line 4: column 'mood' is '{cell}'; expected a number" in said


@pytest.mark.parametrize(
    ("words", "slugs"),
    [
        (["AU12", "AU6"], ["au12", "au6"]),
        (["level 2", "level 1"], ["level_1", "level_2"]),
        (["2nd", "1st"], ["1st", "2nd"]),
        (["T1", "T2"], ["t1", "t2"]),
        (["18-25", "26-40"], ["18_25", "26_40"]),
        (["1/2", "2/2"], ["1_2", "2_2"]),
        (["5 people", "1 person"], ["1_person", "5_people"]),
        (["#happy", "?"], ["happy", "other"]),
        (["true", "true", "false", "unsure"], ["false", "true", "unsure"]),
        (["Happy", "happy", "HAPPY"], ["happy"]),
    ],
)
def test_words_that_merely_hold_digits_or_signs_stay_categories(
    place: Path, words: list[str], slugs: list[str]
) -> None:
    assert sorted(made(place, column("w", words)).target_names) == sorted(f"w_{slug}" for slug in slugs)


@pytest.mark.parametrize(
    ("words", "pair", "target"),
    [
        (["A", "B", "A+"], ("A+", 4, "A", 2), "w_a"),
        (["+", "x", "--x"], ("x", 3, "--x", 4), "w_x"),
        (["😀", "😡", "sad"], ("😡", 3, "😀", 2), "w_other"),
        (["very happy", "very_happy"], ("very_happy", 3, "very happy", 2), "w_very_happy"),
    ],
)
def test_different_words_never_become_one_target(
    place: Path, words: list[str], pair: tuple[str, int, str, int], target: str
) -> None:
    said = refused(place, column("w", words))
    one, line, other, another = pair
    for word, number in ((one, line), (other, another)):
        assert f"column 'w' is '{word}'" in said and f"S01.csv, line {number}" in said
    assert f"both would become the target '{target}'" in said


def test_nor_do_those_of_two_tables(place: Path) -> None:
    (place / "S02.csv").write_text(column("grade", ["A-"]))
    said = refused(place, column("grade", ["A+"]))
    assert "S02.csv, line 2: column 'grade' is 'A-', and column 'grade' is 'A+' in " in said and "'grade_a'" in said


def test_tables_that_are_named_after_their_words_keep_them_apart(place: Path) -> None:
    for video, word in (("S01", "happy"), ("S02", "sad")):
        for name in ("mood", "tone"):
            (place / f"{video}_{name}.csv").write_text(column("value", [word]))
    names = made(place, column("x", ["1"])).target_names
    assert set(names) == {"x", *(f"{name}_value_{word}" for name in ("mood", "tone") for word in ("happy", "sad"))}


def test_a_word_never_falls_on_another_column(place: Path) -> None:
    said = refused(place, "start_s,end_s,emotion,emotion_sad\n0,1,happy,0.5\n1,2,sad,0.7\n")
    assert "column 'emotion_sad', and column 'emotion' is 'sad' in" in said and "the target 'emotion_sad'" in said


def test_missing_words_are_missing_in_a_column_of_words(place: Path) -> None:
    text = "start_s,end_s,mood,v\n0,1,happy,1\n1,2,NA,2\n2,3,n/a,3\n3,4,sad,4\n4,5,None,5\n"
    result = spans(place, text)
    assert "missing: 1 'NA', 1 'n/a', 1 'None'" in " ".join(result.output.split())
    manifest = read_manifest(place / "out.csv")
    assert manifest.target_names == ("mood_happy", "mood_sad", "v")
    none = np.nan
    np.testing.assert_array_equal(manifest.labels, [[1, 0, 1], [none, none, 2], [none, none, 3], [0, 1, 4],
                                                    [none, none, 5]])  # fmt: skip


def test_a_missing_word_is_one_in_each_spelling(place: Path) -> None:
    manifest = made(place, "start_s,end_s,code,v\n0,1,na,1\n1,2,NA,2\n2,3,a1,3\n")
    assert manifest.target_names == ("code_a1", "v")
    np.testing.assert_array_equal(manifest.labels, [[np.nan, 1], [np.nan, 2], [1, 3]])


@pytest.mark.parametrize("value", ["1e308", "-1e31", "inf"])
def test_a_label_beyond_what_training_computes_with_is_refused(place: Path, value: str) -> None:
    table = f"time_s,v\n0,1\n0.5,{value}\n1,{value}\n"
    said = refused(place, table)
    assert f"line 3: column 'v' is '{value}'; expected a number from -1e+30 to 1e+30" in said


@pytest.mark.parametrize(
    ("table", "hint"),
    [
        ("start_s,end_s,v\n0,1,1\n2,1,1\n", "swap them, or take the row out"),
        ("start_s,duration_s,v\n0,1,1\n2,0,1\n", "a duration is above 0"),
        ("time_s,v\n0,1\n-0.1,2\n", "times count from the video's first frame"),
        ("frame,v\n0,1\n0.5,2\n", "--time-unit s or ms, if these are times"),
        ("video,time_s,v\nS01,0,1\n,1,2\n", "write the video's name in each row"),
        ("subject,time_s,v\nS01,0,1\n,1,2\n", "write in each row who it is; or take the column out"),
        ("time_s,split,v\n0,train,1\n1,dunno,2\n", "write one of these; without the column"),
        ("video,time_s,v\nS77,0,1\n", "--videos DIR names the folder of the recordings"),
        ("time_s,v\n0,\n", "a target is a column of numbers, or of a few words"),
    ],
)
def test_a_refusal_says_what_helps(place: Path, table: str, hint: str) -> None:
    assert f"Hint: {hint}" in refused(place, table)


@pytest.mark.parametrize("named", ["video", "subject"])
def test_nobody_is_called_as_a_failed_formula(place: Path, named: str) -> None:
    said = refused(place, f"{named},start_s,end_s,v\nS01,0,1,1\n#REF!,1,2,2\n")
    assert f"line 3: column '{named}' is '#REF!'" in said and "a formula failed" in said


def test_milliseconds_with_thousands_set_apart_are_refused(place: Path) -> None:
    said = refused(place, "time_ms;v\n0;1\n1.000;2\n2.000;3\n")
    assert "line 3: column 'time_ms' is '1.000'" in said and "between thousands" in said
